//! What is durable: positions per shard and per export file, and the clock that makes versions.
//!
//! AWS gives times in whole seconds, and `_timestamp` is the version of a row, so two changes of one item in
//! one second would tie. Per shard lineage a clock runs: `c = max(time_ms, c + 1)`, and `c` is the version.
//! A child starts from its parent's final `c`. `c` is stored with the sequence number, in one transaction, so
//! reading again from a checkpoint gives byte-identical rows.

use crate::sequence_number::SequenceNumber;

/// The version clock of one shard lineage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineageClock(i64);

impl LineageClock {
    /// A clock that last said `last_ms`.
    pub fn new(last_ms: i64) -> Self {
        Self(last_ms)
    }

    /// The version of the next record, whose creation time is `creation_ms`.
    pub fn tick(&mut self, creation_ms: i64) -> i64 {
        self.0 = creation_ms.max(self.0 + 1);
        self.0
    }

    /// The last version given.
    pub fn last_ms(self) -> i64 {
        self.0
    }
}

/// How far a shard is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardCheckpoint {
    /// Shard id.
    pub shard_id: String,
    /// Its parent as first seen; kept after the parent is gone.
    pub parent: Option<String>,
    /// Sequence number of the last durable record; `None` before the first one.
    pub position: Option<SequenceNumber>,
    /// Last version given in this lineage, up to `position`.
    pub clock_ms: i64,
    /// Every record of the closed shard is durable.
    pub finished: bool,
    /// When the shard finished, milliseconds; finished marks are purged after
    /// [`crate::limits::FINISHED_SHARD_KEPT_MS`].
    pub finished_at_ms: Option<i64>,
    /// Every change of this shard before this time is durable, AWS's milliseconds. Grows while the shard is read,
    /// also when nothing is written; the end of a shard says nothing about the time after its last record.
    pub watermark_ms: Option<i64>,
}

/// How far an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportPhase {
    /// Not asked for yet.
    Waiting,
    /// Asked for; AWS is writing.
    Running,
    /// Files are being loaded.
    Loading,
    /// Every row of every file is durable.
    Loaded,
    /// AWS gave up, or the files lie.
    Failed,
}

/// The export of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportProgress {
    /// 1 for the first export of a mirror. Part of the client token and the prefix.
    pub attempt: u32,
    /// Phase.
    pub phase: ExportPhase,
    /// ARN, stored before anything else is done with the export.
    pub arn: Option<String>,
    /// Time of the export as AWS says, milliseconds.
    pub export_time_ms: Option<i64>,
    /// Files in the manifest.
    pub files_total: u64,
    /// Files whose rows are durable.
    pub files_loaded: u64,
    /// Items in the manifest.
    pub items_total: u64,
    /// Items durable (quarantined ones included).
    pub items_loaded: u64,
    /// Compressed bytes of loaded files.
    pub bytes_loaded: u64,
    /// Time the export was asked for, milliseconds.
    pub started_at_ms: Option<i64>,
    /// Time the loading of files began, milliseconds.
    pub load_started_at_ms: Option<i64>,
    /// Time the last file became durable, milliseconds.
    pub loaded_at_ms: Option<i64>,
}

impl ExportProgress {
    /// The state before attempt `attempt` has been asked for.
    pub fn waiting(attempt: u32) -> Self {
        Self {
            attempt,
            phase: ExportPhase::Waiting,
            arn: None,
            export_time_ms: None,
            files_total: 0,
            files_loaded: 0,
            items_total: 0,
            items_loaded: 0,
            bytes_loaded: 0,
            started_at_ms: None,
            load_started_at_ms: None,
            loaded_at_ms: None,
        }
    }
}

/// One loaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheckpoint {
    /// Key as in the manifest.
    pub key: String,
    /// Items, quarantined ones included.
    pub items: u64,
    /// Compressed bytes.
    pub bytes: u64,
    /// Of the items, how many went to quarantine.
    pub quarantined: u64,
}
