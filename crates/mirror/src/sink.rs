//! The port that takes rows.

use std::ops::RangeInclusive;

use async_trait::async_trait;

use crate::batch::Batch;
use crate::error::Result;
use crate::plan::MirrorPlan;

/// A record that could not become a row, kept so that nobody loses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRecord {
    /// Shard id, or key of the export file.
    pub origin: String,
    /// Sequence number, or line number in the file.
    pub position: String,
    /// Column that refused it; empty if the record itself is broken.
    pub column: String,
    /// Why, for people.
    pub reason: String,
    /// The record as it came: DynamoDB JSON.
    pub raw_record: Vec<u8>,
    /// Version the row would have had, milliseconds.
    pub version_ms: i64,
}

/// How the rows of one insert relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// Keys may repeat and their order matters: rows are sent as they are.
    AsGiven,
    /// Every key occurs once: the sink may sort rows by the sorting key, which ClickHouse likes.
    Free,
}

/// Takes batches of rows of one mirror's tables.
///
/// `Ok` means durable: a crash of this process or of ClickHouse right after it loses nothing. After an
/// error the rows may or may not be there ("wrote it, then the answer was lost"); the caller sends the
/// same batch again, which is harmless because equal rows carry equal versions. Callers keep one insert in
/// flight per table when order matters.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Inserts one batch as one block. An empty batch is `Ok` and does nothing.
    async fn insert(&self, plan: &MirrorPlan, batch: &Batch, order: RowOrder) -> Result<()>;

    /// The highest version of any row in the table, milliseconds; `None` if it is empty.
    async fn highest_version(&self, plan: &MirrorPlan) -> Result<Option<i64>>;

    /// Inserts a tombstone of version `tombstone_ms` for every key whose row under FINAL is alive and has a version
    /// inside `versions_ms`; returns how many. Doing it twice is doing it once, if `tombstone_ms` is above the range.
    async fn bury(
        &self,
        plan: &MirrorPlan,
        aws_region: &str,
        versions_ms: RangeInclusive<i64>,
        tombstone_ms: i64,
    ) -> Result<u64>;

    /// Inserts into `<table>_quarantine`. The same record twice is one row under FINAL.
    async fn quarantine(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()>;

    /// Holds merges back while a backfill runs (`true`) or lets them go on (`false`). Advice, not a contract.
    async fn hold_merges(&self, plan: &MirrorPlan, hold: bool) -> Result<()>;
}
