//! Checks mirrors against DynamoDB, and repairs what is wrong: jobs that somebody asks for.
//!
//! A job lives in memory: one that dies with the process is asked for again. `run` is a verification in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

pub(crate) use run::{Found, Mode, Outcome, Verification};

mod confirm;
mod full;
mod keys;
mod repair;
mod run;
mod sample;

/// Jobs that are over and still shown.
const KEPT: usize = 100;

/// All verifications of a server.
#[derive(Default)]
pub(crate) struct Jobs {
    by_id: Mutex<BTreeMap<String, Arc<Job>>>,
    shutdown: CancellationToken,
}

/// One verification.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) workspace_id: String,
    pub(crate) mirror_id: String,
    pub(crate) datasource: String,
    pub(crate) mode: Mode,
    pub(crate) repair: bool,
    pub(crate) created_at_ms: i64,
    pub(crate) cancel: CancellationToken,
    state: Mutex<JobState>,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JobState {
    /// What it does now, for people.
    pub(crate) phase: String,
    /// Of this phase, how much is done and how much there is; 0 if there is nothing to count.
    pub(crate) done: u64,
    /// See `done`.
    pub(crate) total: u64,
    /// What came of it, once it is over.
    pub(crate) end: Option<JobEnd>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobEnd {
    /// It was done.
    Done(Outcome),
    /// It could not be done, and why.
    Failed(String),
    /// Somebody did not want it any more, or the server stopped.
    Cancelled,
}

impl Jobs {
    /// Adds a job, unless one of the same mirror is under way: then that one is the error.
    pub(crate) fn begin(&self, mut job: Job) -> Result<Arc<Job>, Arc<Job>> {
        let mut by_id = self.lock();
        let running = |other: &&Arc<Job>| other.mirror_id == job.mirror_id && !other.is_over();
        if let Some(other) = by_id.values().find(running) {
            return Err(Arc::clone(other));
        }
        job.cancel = self.shutdown.child_token();
        let mut over: Vec<(i64, String)> = by_id
            .values()
            .filter(|job| job.is_over())
            .map(|job| (job.created_at_ms, job.id.clone()))
            .collect();
        over.sort_unstable();
        let surplus = over.len().saturating_sub(KEPT - 1);
        for (_, id) in over.into_iter().take(surplus) {
            by_id.remove(&id);
        }
        let job = Arc::new(job);
        by_id.insert(job.id.clone(), Arc::clone(&job));
        Ok(job)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().get(id).cloned()
    }

    /// The latest first.
    pub(crate) fn of_workspace(&self, workspace_id: &str) -> Vec<Arc<Job>> {
        let jobs = self.lock();
        let mut jobs: Vec<_> = jobs
            .values()
            .filter(|job| job.workspace_id == workspace_id)
            .cloned()
            .collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.created_at_ms));
        jobs
    }

    /// The server stops.
    pub(crate) fn cancel_all(&self) {
        self.shutdown.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Job>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    pub(crate) fn new(
        workspace_id: &str,
        mirror_id: &str,
        datasource: &str,
        mode: Mode,
        repair: bool,
        now_ms: i64,
    ) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            workspace_id: workspace_id.to_owned(),
            mirror_id: mirror_id.to_owned(),
            datasource: datasource.to_owned(),
            mode,
            repair,
            created_at_ms: now_ms,
            cancel: CancellationToken::new(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> JobState {
        self.lock().clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Begins another phase, with so much to do; 0 if there is nothing to count.
    pub(crate) fn phase(&self, text: impl Into<String>, total: u64) {
        let mut state = self.lock();
        state.phase = text.into();
        (state.done, state.total) = (0, total);
    }

    pub(crate) fn advance(&self, more: u64) {
        self.lock().done += more;
    }

    pub(crate) fn finish(&self, end: JobEnd) {
        let mut state = self.lock();
        state.phase = String::new();
        state.end.get_or_insert(end);
    }

    fn lock(&self) -> MutexGuard<'_, JobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
