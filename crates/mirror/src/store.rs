//! The port to durable progress.
//!
//! Every method is one transaction and durable when it returns. Nothing here is ever ahead of ClickHouse: the
//! worker calls `commit_*` only after the sink said `Ok`.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::checkpoint::{ExportProgress, FileCheckpoint, ShardCheckpoint};
use crate::error::Result;
use crate::heal::{Coverage, Gap, Healing};

/// What a mirror remembers about the table it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIdentity {
    /// `TableId`; another one means the table was deleted and created again.
    pub table_id: String,
    /// Stream that is followed; another one means changes may have been missed. Its label says when it began.
    pub stream_arn: String,
}

/// Which export of a mirror something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExportPart {
    /// The full export of the backfill.
    Backfill,
    /// The export of a window of the healing under way, counted from 0.
    Window(u32),
}

/// One export and which of its files are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartProgress {
    /// The latest attempt.
    pub export: ExportProgress,
    /// Loaded files of that attempt.
    pub files: Vec<FileCheckpoint>,
}

/// A healing under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealingProgress {
    /// What is to be done.
    pub healing: Healing,
    /// Exports that were asked for, by window.
    pub windows: BTreeMap<u32, PartProgress>,
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
    /// Changes that were lost and are not yet in the table.
    pub gap: Option<Gap>,
    /// What is being done about it.
    pub healing: Option<HealingProgress>,
    /// What earlier healings brought.
    pub coverage: Coverage,
    /// Healings that were finished.
    pub healed: u32,
}

/// The tables of one mirror: the one people query, and the one a resync fills beside it. Each is a generation with
/// progress of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// Generation of the table that people query; 0 is the first.
    pub live: u32,
    /// The resync under way.
    pub shadow: Option<Shadow>,
}

/// A resync under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Its generation; higher than any before.
    pub generation: u32,
    /// Why there is a resync, for people.
    pub reason: String,
    /// It is complete and nobody writes any more: the tables are being exchanged, which cannot be undone.
    pub exchanging: bool,
}

/// What the progress of one generation of a mirror is stored under.
pub fn progress_key(mirror: &str, generation: u32) -> String {
    match generation {
        0 => mirror.to_owned(),
        _ => format!("{mirror}~{generation}"),
    }
}

/// Durable progress of mirrors. `mirror` is what [`progress_key`] makes of a mirror's id, but for the last three
/// methods, where it is the id itself.
#[async_trait]
pub trait Store: Send + Sync {
    /// Everything stored about a mirror; the default for one that never ran.
    async fn load(&self, mirror: &str) -> Result<MirrorProgress>;

    /// Remembers the table and its stream, before the first shard is read.
    async fn save_identity(&self, mirror: &str, identity: &TableIdentity) -> Result<()>;

    /// Remembers an export as a whole.
    async fn save_export(
        &self,
        mirror: &str,
        part: ExportPart,
        export: &ExportProgress,
    ) -> Result<()>;

    /// Remembers a file whose rows are durable, and the export's new sums, together.
    async fn commit_file(
        &self,
        mirror: &str,
        part: ExportPart,
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

    /// Remembers that changes were lost, until [`Store::finish_healing`], [`Store::close_gap`] or a resync.
    async fn save_gap(&self, mirror: &str, gap: &Gap) -> Result<()>;

    /// Forgets the gap if it is still this one, and remembers what closed it: a full export has what was lost, and
    /// ghosts were swept.
    async fn close_gap(&self, mirror: &str, gap: &Gap, coverage: Coverage) -> Result<()>;

    /// Remembers what is being done about the gap.
    async fn save_healing(&self, mirror: &str, healing: &Healing) -> Result<()>;

    /// Forgets the healing and its exports, and the gap if it is still `closed`, counts it, and remembers what it
    /// brought, together.
    async fn finish_healing(
        &self,
        mirror: &str,
        closed: Option<&Gap>,
        coverage: Coverage,
    ) -> Result<()>;

    /// Forgets the shards of the stream that was followed and remembers its successor, the gap between them, and
    /// the clock's floor, together.
    async fn change_stream(
        &self,
        mirror: &str,
        identity: &TableIdentity,
        gap: &Gap,
        coverage: Coverage,
    ) -> Result<()>;

    /// The generations of a mirror; the default for one that never had a resync.
    async fn generations(&self, mirror: &str) -> Result<Generations>;

    /// Remembers a resync; the progress of another one before it is forgotten.
    async fn save_shadow(&self, mirror: &str, shadow: &Shadow) -> Result<()>;

    /// The shadow is live from now on; the progress of what was live is forgotten.
    async fn finish_resync(&self, mirror: &str) -> Result<()>;
}
