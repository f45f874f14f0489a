//! Users' SQL: read-only, in one database, within limits.

use std::time::Duration;

use mirror::error::{Error, ErrorKind, Result};
use mirror::warehouse::{QueryAnswer, QueryLimits};

use crate::client::{Call, ClickHouse, send};
use crate::guard::{READONLY, check_query};
use crate::sql;

/// ClickHouse stops a query at its limit by itself; this much later we stop waiting for it.
const GRACE: Duration = Duration::from_secs(15);

impl ClickHouse {
    pub(crate) async fn run_user_query(
        &self,
        database: &str,
        sql: &str,
        default_format: &str,
        limits: &QueryLimits,
    ) -> Result<QueryAnswer> {
        let (address, reader, confined) = self.reader(database, "run the query").await?;
        let sql = sql::without_trailing_semicolons(sql);
        check_query(sql, confined).map_err(|problem| {
            Error::new(
                ErrorKind::Rejected { code: READONLY },
                format!("{problem} (READONLY)"),
            )
        })?;
        // Zero means "no limit" to ClickHouse.
        let seconds = limits.max_execution_seconds.max(1);
        let (memory, result) = (
            limits.max_memory_bytes.max(1),
            limits.max_result_bytes.max(1),
        );
        let (seconds_text, memory, result_text) =
            (seconds.to_string(), memory.to_string(), result.to_string());
        let call = Call {
            parameters: &[
                ("database", database),
                ("default_format", default_format),
                ("wait_end_of_query", "1"),
                // With 1, unlike 2, neither SQL nor anything else can change a setting from here on,
                // the limits least of all, and no table function reaches files or the network.
                ("readonly", "1"),
                ("max_execution_time", &seconds_text),
                ("timeout_overflow_mode", "throw"),
                ("max_memory_usage", &memory),
                ("max_result_bytes", &result_text),
                ("result_overflow_mode", "throw"),
                ("cancel_http_readonly_queries_on_client_close", "1"),
                // ClickHouse's faster JSON parser gives up the whole document for one integer of more than 64
                // bits, and JSONExtract answers '' for every attribute of that item: DynamoDB has 38 digits.
                ("allow_simdjson", "0"),
            ],
            body: sql.to_owned().into(),
            timeout: Duration::from_secs(seconds) + GRACE,
            max_answer_bytes: result,
        };
        let answer = send(&address, &reader, call)
            .await
            .map_err(|error| error.of_user_query())?;
        Ok(QueryAnswer {
            format: answer.format.unwrap_or_else(|| default_format.to_owned()),
            body: answer.body,
        })
    }
}
