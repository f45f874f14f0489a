//! What people see of a mirror.

use datafile::named_enum;

use crate::reason::Reason;

named_enum! {
    /// State of a mirror in one word.
    pub enum MirrorState {
        /// Checking the role and the table.
        Starting = "starting",
        /// The stream is followed; the backfill is not complete.
        Backfilling = "backfilling",
        /// Equal to the table but for a lag of seconds; what is read of the stream is new.
        Live = "live",
        /// Complete up to its watermark, which is minutes or hours ago and moves: after an outage, or under too many writes.
        CatchingUp = "catching up",
        /// Something is in the way; tried again without anybody's help. Nothing is lost so far.
        Retrying = "retrying",
        /// Somebody has to act: see reason and next action.
        Broken = "broken",
        /// Records may exist, and nothing has moved for a minute: see the reason.
        Stalled = "stalled",
        /// Changes were lost; incremental exports are bringing them.
        Healing = "healing",
        /// Changes were lost and cannot be brought back one by one; a new backfill is needed.
        Gap = "gap",
        /// Stopped by a person.
        Stopped = "stopped",
    }
}

/// Progress of a backfill for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackfillStatus {
    /// `waiting`, `exporting`, `loading`, `loaded`, `failed`.
    pub phase: String,
    /// Export ARN.
    pub export_arn: Option<String>,
    /// Files loaded and in all.
    pub files: (u64, u64),
    /// Items loaded and in all.
    pub items: (u64, u64),
    /// Compressed bytes read, of all files begun.
    pub bytes: u64,
    /// Milliseconds since the present phase began, or that it took.
    pub elapsed_ms: u64,
    /// Seconds left, once there is something to go by.
    pub seconds_left: Option<u64>,
}

/// A healing under way, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealingStatus {
    /// What was lost.
    pub what: String,
    /// Windows healed and in all.
    pub windows: (usize, usize),
}

/// A resync under way, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct ResyncStatus {
    /// Why.
    pub reason: String,
    /// The new table's mirror: `starting`, `backfilling`, `live`, ...
    pub state: MirrorState,
    /// What is in its way.
    pub problem: Option<String>,
    /// Its backfill.
    pub backfill: BackfillStatus,
}

/// One mirror as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReport {
    /// State.
    pub state: MirrorState,
    /// Why, when the state is not a good one.
    pub reason: Option<String>,
    /// A word for the failure in the reason, if it is one.
    pub reason_code: Option<Reason>,
    /// What to do about it.
    pub next_action: Option<String>,
    /// Changes were lost and are not back yet.
    pub gap: bool,
    /// What has not moved although it should have, and for how long; in any state but `stopped`.
    pub stalled: Option<String>,
    /// The healing under way.
    pub healing: Option<HealingStatus>,
    /// The resync under way.
    pub resync: Option<ResyncStatus>,
    /// Backfill.
    pub backfill: BackfillStatus,
    /// Rows written from the stream since the worker started.
    pub stream_rows: u64,
    /// Records in quarantine since the mirror exists.
    pub quarantined: u64,
    /// Every change before this time is in ClickHouse, milliseconds by AWS's clock; `None` until the backfill is loaded.
    pub watermark_ms: Option<i64>,
    /// Seconds by which the mirror is behind the stream; `None` until it is known.
    pub lag_seconds: Option<f64>,
    /// Seconds until a record after the watermark may leave the stream.
    pub headroom_seconds: Option<u64>,
    /// Shards being read, and shards that wait for their parents.
    pub shards: (usize, usize),
    /// Last successful read of the stream, milliseconds.
    pub last_read_ms: Option<i64>,
    /// Last durable insert, milliseconds.
    pub last_insert_ms: Option<i64>,
    /// Last failure, even if it passed since: text and time in milliseconds.
    pub last_error: Option<(String, i64)>,
    /// Things worth knowing that stop nothing.
    pub warnings: Vec<String>,
}
