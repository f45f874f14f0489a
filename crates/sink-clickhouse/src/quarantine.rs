//! Records in quarantine: in, out, and gone.

use mirror::error::Result;
use mirror::plan::MirrorPlan;
use mirror::sink::QuarantinedRecord;

use crate::client::{Call, ClickHouse, send};
use crate::encode::Block;
use crate::row_binary::RowBinary;
use crate::sql;
use crate::tombstones::SCAN_TIMEOUT;

/// Columns that are filled and read, in this order.
pub(crate) const COLUMNS: [&str; 6] = [
    "origin",
    "position",
    "column_name",
    "reason",
    "raw_record",
    "version",
];

/// The sorting key: what tells records apart.
const KEY: &str = "(origin, position, column_name)";

/// Records in one DELETE. Every DELETE writes a small file for each part, so many at once are better.
const RECORDS_PER_DELETE: usize = 500;
/// Room for the names in one DELETE: an S3 key has up to 1024 bytes.
const MAX_DELETE_BYTES: &str = "16777216";

/// A change record holds two images of 400 kB, in JSON that may need six bytes for one.
const MAX_RECORD_BYTES: u64 = 8 << 20;

pub(crate) fn block(records: &[QuarantinedRecord]) -> Vec<u8> {
    let texts: [fn(&QuarantinedRecord) -> &[u8]; 5] = [
        |record| record.origin.as_bytes(),
        |record| record.position.as_bytes(),
        |record| record.column.as_bytes(),
        |record| record.reason.as_bytes(),
        |record| &record.raw_record,
    ];
    let size = records
        .iter()
        .map(|record| record.raw_record.len() + record.reason.len() + 200)
        .sum();
    let mut block = Block::new(COLUMNS.len(), records.len(), size);
    for (name, text) in COLUMNS.iter().zip(texts) {
        block.header(name, "String");
        for record in records {
            block.text(text(record));
        }
    }
    block.header("version", "DateTime64(3)");
    for record in records {
        block
            .bytes
            .extend_from_slice(&record.version_ms.to_le_bytes());
    }
    block.bytes
}

impl ClickHouse {
    pub(crate) async fn read_quarantine(
        &self,
        plan: &MirrorPlan,
        after: Option<&QuarantinedRecord>,
        limit: usize,
    ) -> Result<Vec<QuarantinedRecord>> {
        let table = plan.quarantine_table();
        let context = format!("read records of {}.{table}", plan.database);
        let (address, owner) = self.owner(&plan.database, &context).await?;
        let beyond = after.map_or_else(String::new, |record| {
            format!(" WHERE {KEY} > {}", key(record))
        });
        let query = format!(
            "SELECT {} FROM {} FINAL{beyond} ORDER BY {} LIMIT {limit}",
            COLUMNS.join(", "),
            sql::table(&plan.database, &table),
            KEY.trim_matches(['(', ')']),
        );
        let call = Call {
            parameters: &[
                ("wait_end_of_query", "1"),
                ("default_format", "RowBinary"),
                // Records are big: blocks of the usual 65,000 rows would need gigabytes.
                ("max_block_size", "64"),
                ("max_threads", "1"),
            ],
            body: query.into(),
            timeout: SCAN_TIMEOUT,
            max_answer_bytes: MAX_RECORD_BYTES.saturating_mul(limit as u64),
        };
        let answer = send(&address, &owner, call)
            .await
            .map_err(|error| error.of(&context))?;
        let mut values = RowBinary::new(&answer.body, &context);
        let mut records = Vec::new();
        while values.has_more() {
            records.push(QuarantinedRecord {
                origin: values.text()?,
                position: values.text()?,
                column: values.text()?,
                reason: values.text()?,
                raw_record: values.bytes()?.to_vec(),
                version_ms: values.int64()?,
            });
        }
        Ok(records)
    }

    pub(crate) async fn delete_from_quarantine(
        &self,
        plan: &MirrorPlan,
        records: &[QuarantinedRecord],
    ) -> Result<()> {
        let table = plan.quarantine_table();
        let context = format!("delete records from {}.{table}", plan.database);
        for records in records.chunks(RECORDS_PER_DELETE) {
            let (address, owner) = self.owner(&plan.database, &context).await?;
            let keys: Vec<_> = records.iter().map(key).collect();
            let delete = format!(
                "DELETE FROM {} WHERE {KEY} IN ({})",
                sql::table(&plan.database, &table),
                keys.join(", "),
            );
            let call = Call {
                parameters: &[
                    ("wait_end_of_query", "1"),
                    ("lightweight_deletes_sync", "2"),
                    ("mutations_sync", "2"),
                    ("max_query_size", MAX_DELETE_BYTES),
                ],
                body: delete.into(),
                timeout: SCAN_TIMEOUT,
                max_answer_bytes: 1 << 20,
            };
            send(&address, &owner, call)
                .await
                .map_err(|error| error.of_insert(&context))?;
        }
        Ok(())
    }
}

fn key(record: &QuarantinedRecord) -> String {
    format!(
        "({}, {}, {})",
        sql::literal(&record.origin),
        sql::literal(&record.position),
        sql::literal(&record.column)
    )
}
