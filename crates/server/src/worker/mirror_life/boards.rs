//! What people may know of a mirror's tables at any time.

use std::sync::{Arc, PoisonError, RwLock};

use mirror::status::{MirrorState, ResyncStatus, StatusReport};

use super::super::board::Board;

/// What people may know of a life at any time.
#[derive(Clone)]
pub(crate) struct Boards(Arc<RwLock<Entries>>);

pub(super) struct Entries {
    pub(super) live: Board,
    pub(super) shadow: Option<(String, Board)>,
}

impl Boards {
    pub(crate) fn new(live: Board) -> Self {
        Self(Arc::new(RwLock::new(Entries { live, shadow: None })))
    }

    pub(crate) fn live(&self) -> Board {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.live.clone()
    }

    pub(super) fn write(&self, change: impl FnOnce(&mut Entries)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The mirror as people see it: its live table, and the resync beside it.
    pub(crate) fn report(&self, now_ms: i64) -> StatusReport {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut report = entries.live.report(now_ms);
        if let Some((reason, board)) = &entries.shadow {
            let shadow = board.report(now_ms);
            if report.state != MirrorState::Stopped {
                // What the resync replaces need not move, as long as the resync does.
                report.stalled = shadow.stalled;
            }
            report.resync = Some(ResyncStatus {
                reason: reason.clone(),
                state: shadow.state,
                problem: shadow.reason,
                backfill: shadow.backfill,
            });
        }
        report
    }
}
