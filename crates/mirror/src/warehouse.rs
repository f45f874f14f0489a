//! The port to ClickHouse as a place of databases, tables and queries.

use async_trait::async_trait;

use crate::error::Result;
use crate::plan::MirrorPlan;
use crate::sink::QuarantinedRecord;

/// Rows and bytes of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Table name.
    pub table: String,
    /// Rows in parts, older versions and tombstones included.
    pub rows: u64,
    /// Compressed bytes on disk.
    pub bytes: u64,
    /// Active parts.
    pub parts: u64,
}

/// Limits of one user query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Seconds.
    pub max_execution_seconds: u64,
    /// Bytes of memory.
    pub max_memory_bytes: u64,
    /// Bytes of result.
    pub max_result_bytes: u64,
}

/// The answer of a user query: ClickHouse's body with the format it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// Format ClickHouse used (`JSON`, `CSVWithNames`, ...).
    pub format: String,
    /// Body.
    pub body: Vec<u8>,
}

/// Databases, tables and user queries.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// Waits at most a few seconds for an answer to a ping.
    async fn ping(&self) -> Result<String>;

    /// Makes sure that the database exists and that its reader may select from it and from nothing else.
    async fn create_database(&self, database: &str) -> Result<()>;

    /// Drops a database with everything in it.
    async fn drop_database(&self, database: &str) -> Result<()>;

    /// Creates the mirror's table and its quarantine table if they do not exist.
    async fn create_table(&self, plan: &MirrorPlan) -> Result<()>;

    /// Adds columns that the plan has and the table lacks, at the end.
    async fn add_columns(&self, plan: &MirrorPlan, columns: &[String]) -> Result<()>;

    /// Drops the table and its quarantine table, at once, not in the background.
    async fn drop_table(&self, database: &str, table: &str) -> Result<()>;

    /// Creates the table of `plan` and its quarantine table, empty, and marks the table with `mark`. A table of that
    /// name that carries the mark already is left as it is, any other is dropped first.
    async fn create_shadow(&self, plan: &MirrorPlan, mark: &str) -> Result<()>;

    /// Exchanges the names of `live` and `shadow` in one atomic step, and those of their quarantine tables, unless
    /// `live` carries `mark` already: doing it twice is doing it once. Queries never meet a missing table.
    async fn exchange(&self, database: &str, live: &str, shadow: &str, mark: &str) -> Result<()>;

    /// Records in quarantine, by origin, position and column, after `after` if it is given; `limit` at most.
    async fn quarantined(
        &self,
        plan: &MirrorPlan,
        after: Option<&QuarantinedRecord>,
        limit: usize,
    ) -> Result<Vec<QuarantinedRecord>>;

    /// Removes records from the quarantine; they are gone from every later answer.
    async fn discharge(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()>;

    /// Statistics of all tables of a database.
    async fn stats(&self, database: &str) -> Result<Vec<TableStats>>;

    /// Runs SQL of a user: only SELECT and the like, only in `database`, within `limits`.
    /// `default_format` applies when the SQL names none. ClickHouse's refusals are `Rejected`, with its text.
    async fn user_query(
        &self,
        database: &str,
        sql: &str,
        default_format: &str,
        limits: &QueryLimits,
    ) -> Result<QueryAnswer>;
}

/// How a key of the mirror differs from what a fresh export says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The export has the item, the mirror has nothing, and no change that is younger than the export explains it.
    Missing,
    /// Both have it, not with the same values.
    Different,
    /// The mirror has it, the export does not.
    Extra,
}

/// One key that is not as a fresh export says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In which way.
    pub kind: DifferenceKind,
    /// Values of the key attributes, in the order of [`MirrorPlan::keys`]: what stands in DynamoDB JSON after
    /// `"S":`, `"N":` or `"B":`, without quotes and escapes. A number may be written in another way than AWS does.
    pub keys: Vec<String>,
    /// Version of the mirror's row, milliseconds; `None` if it has none.
    pub version_ms: Option<i64>,
}

/// A key that the mirror has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveKey {
    /// As in [`Difference::keys`].
    pub keys: Vec<String>,
    /// Version of its row, milliseconds.
    pub version_ms: i64,
}

/// What the mirror knows of one key that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// As in [`Difference::keys`].
    pub keys: Vec<String>,
    /// The table of candidates has a living row of this key.
    pub expected: bool,
    /// The mirror has a living row of this key.
    pub alive: bool,
    /// Both have one, and they say the same of the item; or neither has one.
    pub equal: bool,
    /// The highest version of any row of the key in the mirror, tombstones too, milliseconds; `None` without any.
    pub version_ms: Option<i64>,
}

/// Checks a mirror against what DynamoDB says.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Compares the table of `plan` with `expected_table`, which has the same columns and holds the rows of a fresh
    /// export. Keys that changed in the mirror after `unchanged_since_ms` say nothing and are left out. Columns that
    /// tell of the change instead of the item (version, event, old image, user) are not compared. Answers by key,
    /// `limit` at most; `both_ways` also looks for rows that the export does not have.
    async fn compare(
        &self,
        plan: &MirrorPlan,
        expected_table: &str,
        unchanged_since_ms: i64,
        both_ways: bool,
        limit: usize,
    ) -> Result<Vec<Difference>>;

    /// Puts the rows that `expected_table` has of the keys that [`compare`](Self::compare), asked `both_ways` with the
    /// same `limit`, calls missing or different into the table of `plan`, as rows of version `version_ms`.
    async fn adopt(
        &self,
        plan: &MirrorPlan,
        expected_table: &str,
        unchanged_since_ms: i64,
        limit: usize,
        version_ms: i64,
    ) -> Result<()>;

    /// Looks up every key that the table `candidates` has, tombstones too, in the table of `plan`, all at one moment.
    /// `candidates` has the columns of `plan` and is small: some ten thousand keys.
    async fn look_up(&self, plan: &MirrorPlan, candidates: &str) -> Result<Vec<KeyState>>;

    /// Up to `count` different keys that are alive, picked at random, cheaply: a key with several rows not yet
    /// merged is more likely. Fewer if the table has fewer, or if nearly all its rows are tombstones.
    async fn sample_keys(&self, plan: &MirrorPlan, count: usize) -> Result<Vec<LiveKey>>;
}
