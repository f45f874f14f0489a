//! One batch, one block, one insert: the port [`Sink`].

use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use mirror::batch::Batch;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::MirrorPlan;
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use reqwest::Body;

use crate::client::{BodyWriter, Call, ClickHouse, send};
use crate::encode::{MAX_ROWS_PER_INSERT, Pieces};
use crate::{quarantine, sql};

/// An insert waits for the disk, and for merges when there are many parts.
const INSERT_TIMEOUT: Duration = Duration::from_secs(300);

#[async_trait]
impl Sink for ClickHouse {
    async fn insert(&self, plan: &MirrorPlan, batch: &Batch, order: RowOrder) -> Result<()> {
        if batch.rows == 0 {
            return Ok(());
        }
        let names = plan.columns.iter().map(|column| column.name.as_str());
        let into = Target {
            database: &plan.database,
            table: &plan.table,
            rows: batch.rows,
        };
        let pieces = Pieces::new(plan, batch, order)?;
        let (writer, body) = BodyWriter::new();
        let (outcome, ()) = tokio::join!(self.send_block(&into, names, body), writer.write(pieces));
        outcome
    }

    async fn highest_version(&self, plan: &MirrorPlan) -> Result<Option<i64>> {
        self.last_version(plan).await
    }

    async fn bury(
        &self,
        plan: &MirrorPlan,
        aws_region: &str,
        versions_ms: RangeInclusive<i64>,
        tombstone_ms: i64,
    ) -> Result<u64> {
        self.insert_tombstones(plan, aws_region, versions_ms, tombstone_ms)
            .await
    }

    async fn quarantine(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()> {
        for records in records.chunks(MAX_ROWS_PER_INSERT) {
            let table = plan.quarantine_table();
            let into = Target {
                database: &plan.database,
                table: &table,
                rows: records.len(),
            };
            self.send_block(
                &into,
                quarantine::COLUMNS.into_iter(),
                quarantine::block(records).into(),
            )
            .await?;
        }
        Ok(())
    }

    async fn hold_merges(&self, plan: &MirrorPlan, hold: bool) -> Result<()> {
        self.switch_merges(plan, hold).await
    }
}

struct Target<'a> {
    database: &'a str,
    table: &'a str,
    rows: usize,
}

impl ClickHouse {
    async fn send_block<'a>(
        &self,
        into: &Target<'_>,
        columns: impl Iterator<Item = &'a str>,
        body: Body,
    ) -> Result<()> {
        let Target {
            database,
            table,
            rows,
        } = into;
        let context = format!("insert {rows} rows into {database}.{table}");
        let (address, owner) = self.owner(database, &context).await?;
        let columns = columns.map(sql::identifier).collect::<Vec<_>>().join(", ");
        let query = format!(
            "INSERT INTO {} ({columns}) FORMAT Native",
            sql::table(database, table)
        );
        let call = Call {
            parameters: &[
                ("query", &query),
                ("async_insert", "0"),
                ("wait_end_of_query", "1"),
                ("optimize_on_insert", "0"),
                ("input_format_null_as_default", "1"),
                // A backfill touches every partition at once.
                ("max_partitions_per_insert_block", "0"),
            ],
            body,
            timeout: INSERT_TIMEOUT,
            max_answer_bytes: 1 << 20,
        };
        let answer = send(&address, &owner, call)
            .await
            .map_err(|error| error.of_insert(&context))?;
        match answer.written_rows {
            // Materialized views count too, so more is fine.
            Some(written) if written < *rows as u64 => Err(Error::new(
                ErrorKind::Unavailable,
                format!("{context}: ClickHouse says that it wrote {written}"),
            )),
            _ => Ok(()),
        }
    }
}
