//! The port to durable progress.
//!
//! Every method is one transaction and durable when it returns. Nothing here is ever ahead of ClickHouse: the
//! worker calls `commit_*` only after the sink said `Ok`.

use async_trait::async_trait;

use crate::checkpoint::{ExportProgress, FileCheckpoint, ShardCheckpoint};
use crate::error::Result;

/// What a mirror remembers about the table it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIdentity {
    /// `TableId`; another one means the table was deleted and created again.
    pub table_id: String,
    /// Stream that is followed; another one means changes may have been missed. Its label says when it began.
    pub stream_arn: String,
}

/// Everything a mirror needs to go on after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorProgress {
    /// Set once the table has been described and accepted.
    pub identity: Option<TableIdentity>,
    /// The latest export attempt.
    pub export: Option<ExportProgress>,
    /// Loaded files of that attempt.
    pub files: Vec<FileCheckpoint>,
    /// All known shards of the followed stream.
    pub shards: Vec<ShardCheckpoint>,
    /// Records in quarantine since the mirror exists.
    pub quarantined: u64,
    /// A gap that has been noticed and not yet been repaired; stays until a new backfill.
    pub gap: Option<String>,
}

/// Durable progress of mirrors. `mirror` is the mirror's id.
#[async_trait]
pub trait Store: Send + Sync {
    /// Everything stored about a mirror; the default for one that never ran.
    async fn load(&self, mirror: &str) -> Result<MirrorProgress>;

    /// Remembers the table and its stream, before the first shard is read.
    async fn save_identity(&self, mirror: &str, identity: &TableIdentity) -> Result<()>;

    /// Remembers the export as a whole.
    async fn save_export(&self, mirror: &str, export: &ExportProgress) -> Result<()>;

    /// Remembers a file whose rows are durable, and the export's new sums, together.
    async fn commit_file(
        &self,
        mirror: &str,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) -> Result<()>;

    /// Remembers how far shards are durable, all together, and `quarantined` more records in quarantine.
    async fn commit_shards(
        &self,
        mirror: &str,
        shards: &[ShardCheckpoint],
        quarantined: u64,
    ) -> Result<()>;

    /// Forgets shards (finished ones, long after).
    async fn forget_shards(&self, mirror: &str, shard_ids: &[String]) -> Result<()>;

    /// Remembers that changes were lost until somebody repairs it.
    async fn save_gap(&self, mirror: &str, gap: &str) -> Result<()>;
}
