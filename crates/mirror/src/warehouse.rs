//! The port to ClickHouse as a place of databases, tables and queries.

use async_trait::async_trait;

use crate::error::Result;
use crate::plan::MirrorPlan;

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
