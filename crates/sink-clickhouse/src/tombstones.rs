//! Versions in a table, and tombstones for rows whose deletion nobody told us of.

use std::ops::RangeInclusive;
use std::time::Duration;

use mirror::column_type::ScalarType;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use serde::Deserialize;

use crate::client::{Call, ClickHouse, rows_of, send};
use crate::sql;

/// Reading a whole table under FINAL takes minutes when it is big.
pub(crate) const SCAN_TIMEOUT: Duration = Duration::from_secs(3600);

/// The last moment that DateTime64 can show; a later tombstone would be stored as an earlier one.
const LAST_VERSION_MS: i64 = 10_413_791_999_999;

/// The version of a row in milliseconds. Only functions that ClickHouse cannot use for skipping data: before 26.3 it
/// skipped partitions and granules even under FINAL, newer versions of the same keys included.
pub(crate) fn version_ms(plan: &MirrorPlan) -> String {
    let name = sql::identifier(&plan.version_column);
    let is_number = plan.columns.iter().any(|column| {
        column.name == plan.version_column
            && matches!(column.column_type.scalar, ScalarType::UInt(_))
    });
    if is_number {
        format!("reinterpretAsInt64({name})")
    } else {
        format!("toUnixTimestamp64Milli({name})")
    }
}

impl ClickHouse {
    pub(crate) async fn last_version(&self, plan: &MirrorPlan) -> Result<Option<i64>> {
        #[derive(Deserialize)]
        struct Row {
            version: Option<i64>,
        }
        let context = format!(
            "read the highest version in {}.{}",
            plan.database, plan.table
        );
        let query = format!(
            "SELECT if(count() = 0, NULL, max({})) AS version FROM {}",
            version_ms(plan),
            sql::table(&plan.database, &plan.table),
        );
        let rows: Vec<Row> = self.scan(plan, query, &context).await?;
        Ok(rows.into_iter().next().and_then(|row| row.version))
    }

    pub(crate) async fn insert_tombstones(
        &self,
        plan: &MirrorPlan,
        aws_region: &str,
        versions_ms: RangeInclusive<i64>,
        tombstone_ms: i64,
    ) -> Result<u64> {
        #[derive(Deserialize)]
        struct Row {
            count: u64,
        }
        let context = format!("insert tombstones into {}.{}", plan.database, plan.table);
        if !(0..=LAST_VERSION_MS).contains(&tombstone_ms) {
            return Err(Error::new(
                ErrorKind::Permanent,
                format!("{context}: {tombstone_ms} is no version"),
            ));
        }
        let table = sql::table(&plan.database, &plan.table);
        let which = format!(
            "FROM {table} FINAL WHERE {} BETWEEN {} AND {}",
            version_ms(plan),
            versions_ms.start(),
            versions_ms.end(),
        );
        // ClickHouse's own count of written rows would include those of materialized views.
        let counted: Vec<Row> = self
            .scan(plan, format!("SELECT count() AS count {which}"), &context)
            .await?;
        let count = counted.first().map_or(0, |row| row.count);
        if count == 0 {
            return Ok(0);
        }
        let (names, values): (Vec<_>, Vec<_>) = plan
            .columns
            .iter()
            .enumerate()
            .filter_map(|(at, column)| {
                let value = buried_value(plan, at, aws_region, tombstone_ms)?;
                Some((sql::identifier(&column.name), value))
            })
            .unzip();
        let insert = format!(
            "INSERT INTO {table} ({}) SELECT {} {which}",
            names.join(", "),
            values.join(", "),
        );
        self.insert_select(plan, insert, &[], &context).await?;
        Ok(count)
    }

    /// Inserts rows that a query of ours makes of a whole table.
    pub(crate) async fn insert_select(
        &self,
        plan: &MirrorPlan,
        insert: String,
        parameters: &[(&str, &str)],
        context: &str,
    ) -> Result<()> {
        let (address, owner) = self.owner(&plan.database, context).await?;
        let mut all = vec![
            ("wait_end_of_query", "1"),
            ("optimize_on_insert", "0"),
            ("max_partitions_per_insert_block", "0"),
            // Few parts, and memory that does not grow with the table.
            ("max_threads", "2"),
            ("max_insert_threads", "1"),
            ("min_insert_block_size_rows", "1048449"),
            ("min_insert_block_size_bytes", "67108864"),
        ];
        all.extend_from_slice(parameters);
        let call = Call {
            parameters: &all,
            body: insert.into(),
            timeout: SCAN_TIMEOUT,
            max_answer_bytes: 1 << 20,
        };
        send(&address, &owner, call)
            .await
            .map_err(|error| error.of_insert(context))?;
        Ok(())
    }

    /// The rows of a query of ours that reads a whole table.
    pub(crate) async fn scan<T>(
        &self,
        plan: &MirrorPlan,
        query: String,
        context: &str,
    ) -> Result<Vec<T>>
    where
        T: for<'de> Deserialize<'de>,
    {
        let (address, owner) = self.owner(&plan.database, context).await?;
        let call = Call {
            parameters: &[
                ("wait_end_of_query", "1"),
                ("default_format", "JSONEachRow"),
                ("output_format_json_quote_64bit_integers", "0"),
            ],
            body: query.into(),
            timeout: SCAN_TIMEOUT,
            max_answer_bytes: 1 << 20,
        };
        let answer = send(&address, &owner, call)
            .await
            .map_err(|error| error.of(context))?;
        rows_of(&answer, context)
    }
}

/// What a REMOVE without an old image puts into column `at`, as an expression over the row that goes; `None` leaves the
/// column to its DEFAULT. Must say the same as [`mirror::projection::Projection`] does for such a record.
fn buried_value(
    plan: &MirrorPlan,
    at: usize,
    aws_region: &str,
    tombstone_ms: i64,
) -> Option<String> {
    let column = &plan.columns[at];
    let kept = || Some(sql::identifier(&column.name));
    let missing = || column.column_type.nullable.then(|| "NULL".to_owned());
    let no_image = || missing().unwrap_or_else(|| "''".to_owned());
    let is_key =
        |path: &[String]| matches!(path, [name] if plan.keys.iter().any(|key| key.name == *name));
    // Whatever else it is: with another value there the row would be another row.
    if column.is_key || plan.sorting_columns.contains(&at) {
        return kept();
    }
    match &column.path {
        RecordPath::Item(path) if is_key(path) => kept(),
        RecordPath::Keys(path) if path.is_empty() || is_key(path) => kept(),
        RecordPath::Item(path) | RecordPath::NewImage(path) | RecordPath::OldImage(path)
            if path.is_empty() =>
        {
            Some(no_image())
        }
        RecordPath::Item(_)
        | RecordPath::Keys(_)
        | RecordPath::NewImage(_)
        | RecordPath::OldImage(_)
        | RecordPath::UserIdentityType
        | RecordPath::UserIdentityPrincipal => missing(),
        RecordPath::Version => Some(version_value(column, tombstone_ms)),
        RecordPath::IsDeleted => Some("1".to_owned()),
        RecordPath::EventName => Some("'REMOVE'".to_owned()),
        RecordPath::EventId | RecordPath::SequenceNumber => Some("''".to_owned()),
        RecordPath::AwsRegion => Some(sql::literal(aws_region)),
    }
}

/// A version as a value of its column; ClickHouse converts it to the column's exact type.
pub(crate) fn version_value(column: &PlanColumn, version_ms: i64) -> String {
    match column.column_type.scalar {
        ScalarType::DateTime => format!("toDateTime({}, 'UTC')", version_ms / 1000),
        ScalarType::DateTime64 { precision } => format!(
            "toDateTime64(fromUnixTimestamp64Milli(toInt64({version_ms}), 'UTC'), {precision}, 'UTC')"
        ),
        _ => format!("toInt64({version_ms})"),
    }
}
