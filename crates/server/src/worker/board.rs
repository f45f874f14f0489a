//! What a worker tells people: a board that phases write on and the API reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror::checkpoint::{ExportPhase, ExportProgress};
use mirror::error::{Error, ErrorKind};
use mirror::heal::Gap;
use mirror::reason::Reason;
use mirror::store::ExportPart;

mod report;

/// What a problem is about. One of each kind at most is on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Role, table or stream as a whole.
    Table,
    /// Reading the stream.
    Stream,
    /// The export and its files.
    Export,
    /// Writing to ClickHouse.
    ClickHouse,
    /// Storing progress.
    Progress,
}

#[derive(Clone, Debug)]
struct Problem {
    text: String,
    code: Reason,
    next_action: String,
    needs_a_person: bool,
}

/// Numbers of the stream for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamFigures {
    pub(crate) rows: u64,
    /// Every change before this time is in ClickHouse, AWS's milliseconds.
    pub(crate) watermark_ms: Option<i64>,
    /// How far AWS's clock is ahead of ours, milliseconds.
    pub(crate) clock_ahead_ms: i64,
    /// Old records are being read, or a shard has not been read yet.
    pub(crate) is_behind: bool,
    pub(crate) active_shards: usize,
    pub(crate) waiting_shards: usize,
    pub(crate) last_read_ms: Option<i64>,
    /// What has to happen next.
    pub(crate) due: Option<Due>,
}

/// Something that has to happen at a time, or else the mirror stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    at_ms: i64,
    /// What is wrong if it does not happen: "shard x was not read".
    otherwise: String,
}

impl Due {
    pub(crate) fn new(at_ms: i64, otherwise: impl Into<String>) -> Self {
        Self {
            at_ms,
            otherwise: otherwise.into(),
        }
    }

    /// The one that is due first.
    pub(crate) fn or_earlier(self, at_ms: i64, otherwise: impl FnOnce() -> String) -> Self {
        if at_ms < self.at_ms {
            Self::new(at_ms, otherwise())
        } else {
            self
        }
    }
}

#[derive(Debug)]
struct Entries {
    /// A mirror that reads what is older is not live, milliseconds.
    live_within_ms: i64,
    started: bool,
    stopped: bool,
    problems: BTreeMap<Topic, Problem>,
    gap: Option<Gap>,
    /// Why the gap cannot be healed.
    hopeless: Option<String>,
    /// Windows of the healing under way: healed, and in all.
    healing: Option<(usize, usize)>,
    /// Nobody is to follow the stream now.
    suspended: bool,
    /// When the worker began.
    began_ms: i64,
    /// When backfill and healing should be heard of next.
    exports_due: BTreeMap<ExportKind, i64>,
    export: ExportProgress,
    bytes_read: u64,
    stream: StreamFigures,
    quarantined: u64,
    last_insert_ms: Option<i64>,
    last_error: Option<(String, i64)>,
    quarantine_table: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ExportKind {
    Backfill,
    Healing,
}

impl From<ExportPart> for ExportKind {
    fn from(part: ExportPart) -> Self {
        match part {
            ExportPart::Backfill => Self::Backfill,
            ExportPart::Window(_) => Self::Healing,
        }
    }
}

/// The board of one mirror.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<Mutex<Entries>>);

impl Board {
    /// `quarantine_table` is where people find what could not be converted; who reads what is older by `live_within_ms`
    /// or more is not live.
    pub(crate) fn new(quarantine_table: &str, live_within_ms: i64, now_ms: i64) -> Self {
        Self(Arc::new(Mutex::new(Entries {
            live_within_ms,
            started: false,
            stopped: false,
            problems: BTreeMap::new(),
            gap: None,
            hopeless: None,
            healing: None,
            suspended: false,
            began_ms: now_ms,
            exports_due: BTreeMap::new(),
            export: ExportProgress::waiting(1),
            bytes_read: 0,
            stream: StreamFigures::default(),
            quarantined: 0,
            last_insert_ms: None,
            last_error: None,
            quarantine_table: quarantine_table.to_owned(),
        })))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Entries are plain values; a panic elsewhere cannot leave them half-written in a way that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn started(&self) {
        self.entries().started = true;
    }

    pub(crate) fn stopped(&self) {
        self.entries().stopped = true;
    }

    /// Puts a failure up until [`Board::solved`].
    pub(crate) fn problem(&self, topic: Topic, error: &Error, now_ms: i64) {
        let text = error.report();
        let mut entries = self.entries();
        entries.last_error = Some((text.clone(), now_ms));
        let problem = Problem {
            code: Reason::from(&error.kind),
            text,
            next_action: next_action(&error.kind).to_owned(),
            needs_a_person: !error.kind.passes(),
        };
        entries.problems.insert(topic, problem);
    }

    pub(crate) fn solved(&self, topic: Topic) {
        self.entries().problems.remove(&topic);
    }

    pub(crate) fn gap(&self, gap: Option<&Gap>) {
        self.entries().gap = gap.cloned();
    }

    /// This gap is closed; another one may be up by now.
    pub(crate) fn gap_closed(&self, gap: &Gap) {
        let mut entries = self.entries();
        if entries.gap.as_ref() == Some(gap) {
            entries.gap = None;
        }
    }

    /// The gap cannot be healed, for this reason.
    pub(crate) fn hopeless(&self, why: &str) {
        let mut entries = self.entries();
        entries.hopeless = Some(why.to_owned());
        entries.healing = None;
        entries.exports_due.remove(&ExportKind::Healing);
    }

    /// Nobody is to follow the stream for now, or it is to be followed again.
    pub(crate) fn suspended(&self, suspended: bool, now_ms: i64) {
        let mut entries = self.entries();
        entries.suspended = suspended;
        entries.stream.due = Some(Due::new(now_ms, "the stream was not followed again"));
    }

    /// A healing of so many windows is under way, or none.
    pub(crate) fn healing(&self, windows: Option<usize>) {
        let mut entries = self.entries();
        entries.healing = windows.map(|windows| (0, windows));
        if windows.is_none() {
            entries.exports_due.remove(&ExportKind::Healing);
        }
    }

    /// Whether every row of the backfill is durable.
    pub(crate) fn is_loaded(&self) -> bool {
        self.entries().export.phase == ExportPhase::Loaded
    }

    pub(crate) fn current_gap(&self) -> Option<Gap> {
        self.entries().gap.clone()
    }

    pub(crate) fn is_healing(&self) -> bool {
        self.entries().healing.is_some()
    }

    /// One more window is in the table.
    pub(crate) fn window_healed(&self) {
        if let Some((healed, _)) = &mut self.entries().healing {
            *healed += 1;
        }
    }

    /// Shows an export; a healing's windows show only that they move.
    pub(crate) fn export(&self, part: ExportPart, export: &ExportProgress) {
        let mut entries = self.entries();
        if part == ExportPart::Backfill {
            entries.export = export.clone();
            if export.phase == ExportPhase::Loaded {
                entries.exports_due.remove(&ExportKind::Backfill);
            }
        }
    }

    /// An export was heard of, and will be again in `next_in_ms`.
    pub(crate) fn export_moves(&self, part: ExportPart, now_ms: i64, next_in_ms: u64) {
        let due_ms = now_ms.saturating_add(i64::try_from(next_in_ms).unwrap_or(i64::MAX));
        self.entries().exports_due.insert(part.into(), due_ms);
    }

    /// Compressed bytes and items of files that are being loaded but not durable yet are for people only.
    pub(crate) fn file_opened(&self, bytes: u64) {
        self.entries().bytes_read += bytes;
    }

    pub(crate) fn inserted(&self, now_ms: i64) {
        self.entries().last_insert_ms = Some(now_ms);
    }

    pub(crate) fn stream(&self, change: impl FnOnce(&mut StreamFigures)) {
        change(&mut self.entries().stream);
    }

    pub(crate) fn quarantined(&self, total: u64) {
        self.entries().quarantined = total;
    }

    pub(crate) fn add_quarantined(&self, more: u64) {
        self.entries().quarantined += more;
    }

    pub(crate) fn watermark_ms(&self) -> Option<i64> {
        self.entries().stream.watermark_ms
    }

    /// Our time `now_ms` as AWS's, milliseconds; never later than the truth.
    pub(crate) fn aws_ms(&self, now_ms: i64) -> i64 {
        now_ms + self.entries().stream.clock_ahead_ms
    }

    pub(crate) fn export_arn(&self) -> Option<String> {
        self.entries().export.arn.clone()
    }

    /// The time of the export, once AWS has said it, unless the export failed.
    pub(crate) fn export_time_ms(&self) -> Option<i64> {
        let entries = self.entries();
        entries
            .export
            .export_time_ms
            .filter(|_| entries.export.phase != ExportPhase::Failed)
    }
}

/// What a person should do about a kind of failure.
pub(crate) fn next_action(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Throttled => {
            "nothing: AWS asks us to slow down, and the mirror goes on by itself"
        }
        ErrorKind::Unavailable => "nothing for now: it is tried again until it works",
        ErrorKind::RoleRefused => {
            "check the role's trust policy (principal and external id); the mirror goes on by itself once AWS accepts"
        }
        ErrorKind::CredentialsMissing => {
            "give the server AWS credentials: tb local restart --use-aws-creds"
        }
        ErrorKind::AccessDenied => {
            "add the action and resource named above to the role's access policy; the mirror goes on by itself"
        }
        ErrorKind::TableNotFound => {
            "check IMPORT_TABLE_ARN, or remove the data source if the table is gone for good"
        }
        ErrorKind::Bucket => {
            "create the bucket in the connection's region or correct IMPORT_EXPORT_BUCKET; the mirror goes on by itself"
        }
        ErrorKind::PitrUnavailable => {
            "nothing for now: point-in-time recovery takes minutes to become ready on a new table"
        }
        ErrorKind::ExportFailed { .. } => {
            "correct what AWS names (the role needs s3:PutObject, and s3:AbortMultipartUpload and s3:PutObjectAcl by AWS's guide); \
             a new export is asked for by itself, or at once with tb datasource stop NAME and tb datasource start NAME"
        }
        ErrorKind::DiskFull => {
            "free disk space where ClickHouse keeps its data; the mirror goes on by itself"
        }
        ErrorKind::Corrupt => {
            "the bytes are not what AWS promised; it is tried again, and if it stays report it with the text above"
        }
        ErrorKind::IteratorExpired | ErrorKind::TrimmedData | ErrorKind::ShardNotFound => {
            "nothing: the shard is looked up again"
        }
        ErrorKind::ExportTime => {
            "nothing: point-in-time recovery does not reach back that far, so the mirror is filled anew"
        }
        // UNKNOWN_TABLE.
        ErrorKind::Rejected { code: 60 } => {
            "the table is gone from ClickHouse; fill a new one, by an export that AWS bills, with: tb datasource resync NAME"
        }
        ErrorKind::ExportConflict | ErrorKind::Rejected { .. } | ErrorKind::Permanent => {
            "see the reason; it is tried again slowly, and tb local logs has the details"
        }
    }
}
