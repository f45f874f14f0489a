//! What people see of a mirror.

/// State of a mirror in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorState {
    /// Checking the role and the table.
    Starting,
    /// The stream is followed; the backfill is not complete.
    Backfilling,
    /// Equal to the table but for the lag.
    Live,
    /// Something is in the way; tried again without anybody's help. Nothing is lost so far.
    Retrying,
    /// Somebody has to act: see reason and next action.
    Broken,
    /// Changes were lost; the mirror goes on with what it can read.
    Gap,
    /// Stopped by a person.
    Stopped,
}

impl MirrorState {
    /// The word in lists and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Backfilling => "backfilling",
            Self::Live => "live",
            Self::Retrying => "retrying",
            Self::Broken => "broken",
            Self::Gap => "gap",
            Self::Stopped => "stopped",
        }
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

/// One mirror as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReport {
    /// State.
    pub state: MirrorState,
    /// Why, when the state is not a good one.
    pub reason: Option<String>,
    /// What to do about it.
    pub next_action: Option<String>,
    /// Changes were lost: only a new backfill makes the mirror equal to its table again.
    pub gap: bool,
    /// Backfill.
    pub backfill: BackfillStatus,
    /// Rows written from the stream since the worker started.
    pub stream_rows: u64,
    /// Records in quarantine since the mirror exists.
    pub quarantined: u64,
    /// Seconds by which the mirror is behind the stream; `None` until it is known.
    pub lag_seconds: Option<f64>,
    /// Seconds until the oldest unread record may leave the stream.
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
