//! What a worker tells people: a board that phases write on and the API reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror::checkpoint::{ExportPhase, ExportProgress};
use mirror::error::{Error, ErrorKind};
use mirror::status::{BackfillStatus, MirrorState, StatusReport};

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
    next_action: String,
    needs_a_person: bool,
}

/// Numbers of the stream for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamFigures {
    pub(crate) rows: u64,
    /// Up to when every change is in ClickHouse, milliseconds.
    pub(crate) watermark_ms: Option<i64>,
    /// When the oldest unread record may leave the stream, milliseconds.
    pub(crate) leaves_ms: Option<i64>,
    pub(crate) active_shards: usize,
    pub(crate) waiting_shards: usize,
    pub(crate) last_read_ms: Option<i64>,
}

#[derive(Debug)]
struct Entries {
    started: bool,
    stopped: bool,
    problems: BTreeMap<Topic, Problem>,
    gap: Option<String>,
    export: ExportProgress,
    bytes_read: u64,
    stream: StreamFigures,
    quarantined: u64,
    last_insert_ms: Option<i64>,
    last_error: Option<(String, i64)>,
    quarantine_table: String,
}

/// The board of one mirror.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<Mutex<Entries>>);

impl Board {
    /// `quarantine_table` is where people find what could not be converted.
    pub(crate) fn new(quarantine_table: &str) -> Self {
        Self(Arc::new(Mutex::new(Entries {
            started: false,
            stopped: false,
            problems: BTreeMap::new(),
            gap: None,
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
            text,
            next_action: next_action(&error.kind).to_owned(),
            needs_a_person: !error.kind.passes(),
        };
        entries.problems.insert(topic, problem);
    }

    pub(crate) fn solved(&self, topic: Topic) {
        self.entries().problems.remove(&topic);
    }

    pub(crate) fn gap(&self, text: &str) {
        self.entries().gap = Some(text.to_owned());
    }

    pub(crate) fn export(&self, export: &ExportProgress) {
        self.entries().export = export.clone();
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

    /// The board as a report.
    pub(crate) fn report(&self, now_ms: i64) -> StatusReport {
        let entries = self.entries();
        let worst = entries
            .problems
            .values()
            .find(|problem| problem.needs_a_person)
            .or_else(|| entries.problems.values().next());
        let state = if entries.stopped {
            MirrorState::Stopped
        } else if worst.is_some_and(|problem| problem.needs_a_person) {
            MirrorState::Broken
        } else if entries.gap.is_some() {
            MirrorState::Gap
        } else if worst.is_some() {
            MirrorState::Retrying
        } else if !entries.started {
            MirrorState::Starting
        } else if entries.export.phase == ExportPhase::Loaded {
            MirrorState::Live
        } else {
            MirrorState::Backfilling
        };
        let (reason, next) = match (worst, &entries.gap) {
            (Some(problem), Some(gap)) if problem.text == *gap => {
                (Some(gap.clone()), Some(GAP_ACTION.to_owned()))
            }
            (Some(problem), _) => (
                Some(problem.text.clone()),
                Some(problem.next_action.clone()),
            ),
            (None, Some(gap)) => (Some(gap.clone()), Some(GAP_ACTION.to_owned())),
            (None, None) => (None, None),
        };
        let ms_to_seconds = |ms: i64| u64::try_from(ms.max(0) / 1000).unwrap_or(0);
        StatusReport {
            state,
            reason,
            next_action: next,
            gap: entries.gap.is_some(),
            backfill: backfill(&entries, now_ms),
            stream_rows: entries.stream.rows,
            quarantined: entries.quarantined,
            lag_seconds: entries
                .stream
                .watermark_ms
                .map(|at| (now_ms - at).max(0) as f64 / 1000.0),
            headroom_seconds: entries
                .stream
                .leaves_ms
                .map(|at| ms_to_seconds(at - now_ms)),
            shards: (entries.stream.active_shards, entries.stream.waiting_shards),
            last_read_ms: entries.stream.last_read_ms,
            last_insert_ms: entries.last_insert_ms,
            last_error: entries.last_error.clone(),
            warnings: warnings(&entries),
        }
    }
}

const GAP_ACTION: &str = "fill it again from a new export: `tb build --with-connections --allow-destructive-operations` \
     in the project; until then it goes on with what it can read";

fn warnings(entries: &Entries) -> Vec<String> {
    if entries.quarantined == 0 {
        return Vec::new();
    }
    let (count, table) = (entries.quarantined, &entries.quarantine_table);
    vec![format!(
        "{count} records could not be converted and are in quarantine. Look at them with: tb sql \"SELECT reason, count() FROM {table} FINAL GROUP BY reason\""
    )]
}

fn backfill(entries: &Entries, now_ms: i64) -> BackfillStatus {
    let export = &entries.export;
    let (phase, since) = match export.phase {
        ExportPhase::Waiting => ("waiting", None),
        ExportPhase::Running => ("exporting", export.started_at_ms),
        ExportPhase::Loading => ("loading", export.load_started_at_ms),
        ExportPhase::Loaded => ("loaded", export.load_started_at_ms),
        ExportPhase::Failed => ("failed", export.started_at_ms),
    };
    let until = export.loaded_at_ms.unwrap_or(now_ms);
    let elapsed_ms = since.map_or(0, |since| u64::try_from(until - since).unwrap_or(0));
    let left = export.items_total.saturating_sub(export.items_loaded);
    let seconds_left = (export.phase == ExportPhase::Loading && export.items_loaded > 0)
        .then(|| elapsed_ms * left / export.items_loaded / 1000);
    BackfillStatus {
        phase: phase.to_owned(),
        export_arn: export.arn.clone(),
        files: (export.files_loaded, export.files_total),
        items: (export.items_loaded, export.items_total),
        bytes: entries.bytes_read.max(export.bytes_loaded),
        elapsed_ms,
        seconds_left,
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
        ErrorKind::ExportConflict | ErrorKind::Rejected { .. } | ErrorKind::Permanent => {
            "see the reason; it is tried again slowly, and tb local logs has the details"
        }
    }
}
