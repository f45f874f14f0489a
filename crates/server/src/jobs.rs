//! Work that takes longer than a request: verifications, samples, branches.
//!
//! A job lives in memory: one that dies with the process is asked for again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::verify::{Mode, Outcome};

/// Jobs that are over and still shown.
const KEPT: usize = 100;

/// All jobs of a server.
#[derive(Default)]
pub(crate) struct Jobs {
    by_id: Mutex<BTreeMap<String, Arc<Job>>>,
    shutdown: CancellationToken,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Compares a mirror with its table.
    Verify {
        /// Of what.
        datasource: String,
        /// How much of it.
        mode: Mode,
        /// Whether what is wrong is written anew.
        repair: bool,
    },
    /// Fills a table with some items of its DynamoDB table.
    Sample {
        /// Of what.
        datasource: String,
        /// Items, at most.
        rows: u64,
        /// Bytes of items as DynamoDB JSON, at most.
        max_bytes: u64,
    },
    /// Makes a branch.
    Branch {
        /// Its name.
        name: String,
    },
}

impl Work {
    /// The word for clients.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Verify { .. } => "verify",
            Self::Sample { .. } => "sample",
            Self::Branch { .. } => "branch",
        }
    }

    /// The data source it is about.
    pub(crate) fn datasource(&self) -> Option<&str> {
        match self {
            Self::Verify { datasource, .. } | Self::Sample { datasource, .. } => Some(datasource),
            Self::Branch { .. } => None,
        }
    }
}

/// One job.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) workspace_id: String,
    pub(crate) work: Work,
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
    /// When it ended, milliseconds since 1970; 0 before.
    pub(crate) updated_at_ms: i64,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobEnd {
    /// It was done.
    Done(Done),
    /// It could not be done, and why.
    Failed(String),
    /// Somebody did not want it any more, or the server stopped.
    Cancelled,
}

/// What a job that was done found or did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    /// A verification.
    Verified(Outcome),
    /// A sample.
    Sampled {
        /// Rows that the table has now.
        rows: u64,
        /// Items that could not be converted.
        quarantined: u64,
        /// Whether that is the whole DynamoDB table.
        whole: bool,
    },
    /// The branch is there.
    Branched,
}

impl Jobs {
    /// Adds a job, unless one of the same data source is under way: then that one is the error.
    pub(crate) fn begin(&self, mut job: Job) -> Result<Arc<Job>, Arc<Job>> {
        let mut by_id = self.lock();
        let running = |other: &&Arc<Job>| {
            let same = other.work.datasource().is_some()
                && other.work.datasource() == job.work.datasource();
            same && other.workspace_id == job.workspace_id && !other.is_over()
        };
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
    pub(crate) fn new(workspace_id: &str, work: Work, now_ms: i64) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            workspace_id: workspace_id.to_owned(),
            work,
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

    /// It is over, at this time in milliseconds since 1970. The first end counts.
    pub(crate) fn finish(&self, end: JobEnd, now_ms: i64) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.phase = String::new();
        state.end = Some(end);
        state.updated_at_ms = now_ms;
    }

    fn lock(&self) -> MutexGuard<'_, JobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
