//! The board as people see it: one state, why, and what to do.

use mirror::checkpoint::ExportPhase;
use mirror::limits::{STALLED_AFTER_MS, STREAM_RETENTION_MS};
use mirror::reason::Reason;
use mirror::status::{BackfillStatus, HealingStatus, MirrorState, StatusReport};

use super::{Board, Due, Entries, ExportKind, Problem};

impl Board {
    /// The board as a report.
    pub(crate) fn report(&self, now_ms: i64) -> StatusReport {
        let entries = self.entries();
        let worst = entries
            .problems
            .values()
            .find(|problem| problem.needs_a_person)
            .or_else(|| entries.problems.values().next());
        let stalled = entries.stalled(now_ms);
        let figures = &entries.stream;
        let watermark_ms = entries.watermark_ms();
        let aws_now_ms = now_ms + figures.clock_ahead_ms;
        let lag_ms = watermark_ms.map(|at_ms| (aws_now_ms - at_ms).max(0));
        let state = if entries.stopped {
            MirrorState::Stopped
        } else if worst.is_some_and(|problem| problem.needs_a_person) {
            MirrorState::Broken
        } else if entries.hopeless.is_some() {
            MirrorState::Gap
        } else if stalled.is_some() {
            MirrorState::Stalled
        } else if entries.gap.is_some() {
            MirrorState::Healing
        } else if worst.is_some() {
            MirrorState::Retrying
        } else if !entries.started {
            MirrorState::Starting
        } else if entries.export.phase != ExportPhase::Loaded {
            MirrorState::Backfilling
        } else {
            match lag_ms {
                None => MirrorState::Starting,
                Some(lag_ms) if figures.is_behind && lag_ms >= entries.live_within_ms => {
                    MirrorState::CatchingUp
                }
                Some(_) => MirrorState::Live,
            }
        };
        let why = entries.why(state, worst, stalled.as_deref());
        let leaves_ms = figures
            .watermark_ms
            .map(|at_ms| at_ms + STREAM_RETENTION_MS);
        let loaded = entries.export.phase == ExportPhase::Loaded;
        let ms_to_seconds = |ms: i64| u64::try_from(ms.max(0) / 1000).unwrap_or(0);
        StatusReport {
            state,
            reason_code: why.as_ref().and_then(|why| why.code),
            reason: why.as_ref().map(|why| why.reason.clone()),
            next_action: why.map(|why| why.next_action),
            gap: entries.gap.is_some(),
            stalled: stalled.filter(|_| !entries.stopped),
            healing: entries.healing.map(|(healed, windows)| HealingStatus {
                what: entries
                    .gap
                    .as_ref()
                    .map(|gap| gap.what.clone())
                    .unwrap_or_default(),
                windows: (healed, windows),
            }),
            resync: None,
            backfill: backfill(&entries, now_ms),
            stream_rows: figures.rows,
            quarantined: entries.quarantined,
            watermark_ms: watermark_ms.filter(|_| loaded),
            lag_seconds: lag_ms.map(|lag_ms| lag_ms as f64 / 1000.0),
            headroom_seconds: leaves_ms.map(|at_ms| ms_to_seconds(at_ms - aws_now_ms)),
            shards: (figures.active_shards, figures.waiting_shards),
            last_read_ms: figures.last_read_ms,
            last_insert_ms: entries.last_insert_ms,
            last_error: entries.last_error.clone(),
            warnings: warnings(&entries),
        }
    }
}

impl Entries {
    /// Every change that the stream had before this time is in ClickHouse, AWS's milliseconds.
    fn watermark_ms(&self) -> Option<i64> {
        let gap_ms = self.gap.as_ref().map_or(i64::MAX, |gap| gap.since_ms);
        Some(self.stream.watermark_ms?.min(gap_ms))
    }

    /// What should have happened long ago and has not, if there is such a thing.
    fn stalled(&self, now_ms: i64) -> Option<String> {
        let stream = match (&self.stream.due, self.suspended) {
            (_, true) => None,
            (Some(due), false) => Some(due.clone()),
            (None, false) => Some(Due::new(self.began_ms, "the stream was not reached")),
        };
        let exports = self.exports_due.iter().map(|(kind, at_ms)| match kind {
            ExportKind::Backfill => Due::new(*at_ms, "the backfill did not move"),
            ExportKind::Healing => Due::new(*at_ms, "the healing did not move"),
        });
        let first = stream
            .into_iter()
            .chain(exports)
            .min_by_key(|due| due.at_ms)?;
        let overdue_ms = now_ms - first.at_ms;
        (overdue_ms >= STALLED_AFTER_MS)
            .then(|| format!("{} for {} s", first.otherwise, overdue_ms / 1000))
    }

    fn why(
        &self,
        state: MirrorState,
        worst: Option<&Problem>,
        stalled: Option<&str>,
    ) -> Option<Why> {
        let (reason, next_action, code) = match (state, worst, &self.gap) {
            (MirrorState::Gap, _, Some(gap)) => {
                let why = self.hopeless.as_deref().unwrap_or_default();
                (
                    format!("{}; it cannot be healed: {why}", gap.what),
                    GAP_ACTION.to_owned(),
                    None,
                )
            }
            (MirrorState::Gap, _, None) => (
                self.hopeless.clone().unwrap_or_default(),
                GAP_ACTION.to_owned(),
                None,
            ),
            (MirrorState::Stalled, Some(problem), _) => (
                format!("{}: {}", stalled.unwrap_or_default(), problem.text),
                problem.next_action.clone(),
                Some(problem.code),
            ),
            (MirrorState::Stalled, None, _) => (
                stalled.unwrap_or_default().to_owned(),
                STALLED_ACTION.to_owned(),
                None,
            ),
            (MirrorState::Healing, _, Some(gap)) => {
                (gap.what.clone(), HEALING_ACTION.to_owned(), None)
            }
            (MirrorState::CatchingUp, _, _) => {
                (CATCHING_UP.to_owned(), CATCHING_UP_ACTION.to_owned(), None)
            }
            (_, Some(problem), _) => (
                problem.text.clone(),
                problem.next_action.clone(),
                Some(problem.code),
            ),
            (_, None, _) => return None,
        };
        Some(Why {
            reason,
            next_action,
            code,
        })
    }
}

/// Why a state is not a good one.
struct Why {
    reason: String,
    next_action: String,
    /// If a failure is the reason.
    code: Option<Reason>,
}

const GAP_ACTION: &str = "nothing: a new backfill beside the table replaces it when it is complete; tb datasource ls shows how far it is";

const HEALING_ACTION: &str =
    "nothing: incremental exports bring what was lost, then the stream is followed again";

const CATCHING_UP: &str = "changes since the watermark are being read";

const CATCHING_UP_ACTION: &str = "nothing, as long as the lag falls: it does so after an outage; if it grows for hours, give the server or ClickHouse a faster machine";

const STALLED_ACTION: &str = "look at tb local logs, and restart the mirror with tb datasource stop NAME and tb datasource start NAME";

fn warnings(entries: &Entries) -> Vec<String> {
    if entries.quarantined == 0 {
        return Vec::new();
    }
    vec![format!(
        "{} records could not be converted and are in quarantine ({}). Look at them, and put them back after a fix, with: tb datasource quarantine ls NAME",
        entries.quarantined, entries.quarantine_table
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
