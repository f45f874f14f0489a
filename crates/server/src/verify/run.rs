//! One verification: candidates, which of them are really wrong, and their repair.

use std::sync::Arc;

use mirror::clock::Clock;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::MirrorPlan;
use mirror::sink::Sink;
use mirror::source::{Source, Sources};
use mirror::status::MirrorState;
use mirror::store::progress_key;
use mirror::warehouse::{DifferenceKind, Verifier, Warehouse};
use tracing::{info, warn};

use super::confirm::Confirmed;
use crate::jobs::{Done, Job, JobEnd};
use crate::store::SqliteStore;
use crate::worker::{MirrorSpec, Supervisor};

/// Between two looks at the mirror's watermark, milliseconds.
const LOOK_MS: u64 = 200;

/// Keys that a verification confirms, at most.
pub(super) const MAX_CANDIDATES: usize = 10_000;

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// So many items of DynamoDB and so many keys of the mirror, at random.
    Sample(u32),
    /// Everything, by a fresh full export.
    Full,
}

/// A key that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// In which way.
    pub(crate) kind: DifferenceKind,
    /// Names and texts of the key attributes.
    pub(crate) key: Vec<(String, String)>,
    /// It was repaired, and found to be right then.
    pub(crate) repaired: bool,
}

/// What came of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Keys that were looked at.
    pub(crate) checked: u64,
    /// Keys that are wrong, and those that were.
    pub(crate) found: Vec<Found>,
    /// Keys that changed whenever they were looked at: nothing can be said of them.
    pub(crate) changing: u64,
    /// Items that the table cannot hold; they are in quarantine.
    pub(crate) unreadable: u64,
    /// Things worth knowing.
    pub(crate) notes: Vec<String>,
}

/// A verification with all it needs.
pub(crate) struct Verification {
    pub(crate) sources: Arc<dyn Sources>,
    pub(crate) warehouse: Arc<dyn Warehouse>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The mirror with the plan that its live table has.
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) mode: Mode,
    /// Whether what is wrong is written anew.
    pub(crate) repair: bool,
    pub(crate) job: Arc<Job>,
}

/// A verification that reaches its table.
pub(super) struct Check<'a> {
    pub(super) of: &'a Verification,
    pub(super) source: Arc<dyn Source>,
    /// The plan of the table that what DynamoDB says is put into.
    pub(super) beside: Arc<MirrorSpec>,
    /// The generation that is checked.
    pub(super) generation: u32,
}

impl Verification {
    /// Runs to its end, and leaves no table behind.
    pub(crate) async fn run(self) {
        let (name, job) = (self.spec.name.as_str(), &self.job);
        info!(mirror = name, job = %job.id, mode = ?self.mode, repair = self.repair, "verification begins");
        let outcome = tokio::select! {
            biased;
            () = job.cancel.cancelled() => None,
            outcome = self.check() => Some(outcome),
        };
        let plan = &self.spec.plan;
        let table = plan.verify_table();
        let dropped = self.warehouse.drop_table(&plan.database, &table).await;
        if let Err(error) = dropped {
            warn!(mirror = name, error = %error.report(), "could not drop the table of a verification; the next one does");
        }
        let end = match outcome {
            None => JobEnd::Cancelled,
            Some(Ok(outcome)) => {
                let (found, checked) = (outcome.found.len(), outcome.checked);
                info!(mirror = name, job = %job.id, checked, found, "verification done");
                JobEnd::Done(Done::Verified(outcome))
            }
            Some(Err(error)) => {
                warn!(mirror = name, job = %job.id, error = %error.report(), "verification failed");
                JobEnd::Failed(error.report())
            }
        };
        job.finish(end, self.clock.now_ms());
    }

    async fn check(&self) -> Result<Outcome> {
        self.job.phase("reaching the table", 0);
        let source = self.sources.connect(&self.spec.source).await?;
        let mut plan = self.spec.plan.clone();
        plan.table = plan.verify_table();
        let mut beside = MirrorSpec::clone(&self.spec);
        beside.plan = plan;
        let check = Check {
            of: self,
            generation: self.generation().await?,
            source,
            beside: Arc::new(beside),
        };
        let mut outcome = Outcome::default();
        if self.spec.plan.ttl.is_some() {
            outcome.notes.push(
                "rows that ENGINE_TTL has removed count as missing, and a repair brings them back until it removes them again".to_owned(),
            );
        }
        let candidates = match self.mode {
            Mode::Sample(count) => check.sample(count, &mut outcome).await?,
            Mode::Full => match check.full(&mut outcome).await? {
                Some(candidates) => candidates,
                // All is said: single items may not be read.
                None => return Ok(outcome),
            },
        };
        let Confirmed {
            wrong,
            changing,
            unreadable,
        } = check.confirm(candidates).await?;
        (outcome.changing, outcome.unreadable) = (changing, unreadable);
        outcome.found = match self.repair && !wrong.is_empty() {
            true => check.repair(wrong, &mut outcome.notes).await?,
            false => wrong
                .iter()
                .map(|wrong| wrong.found(&self.spec.plan, false))
                .collect(),
        };
        Ok(outcome)
    }

    async fn generation(&self) -> Result<u32> {
        let generations = self.store.generations_of(&self.spec.id).await;
        let generations = generations.map_err(|error| {
            Error::with_source(error.kind(), "use the metadata database", error)
        })?;
        Ok(generations.live)
    }
}

impl Check<'_> {
    pub(super) fn plan(&self) -> &MirrorPlan {
        &self.of.spec.plan
    }

    /// AWS's time; never later than the truth.
    pub(super) fn aws_now_ms(&self) -> i64 {
        self.of.clock.now_ms() + self.source.clock_ahead_ms()
    }

    /// What the progress of the table is stored under.
    pub(super) fn key(&self) -> String {
        progress_key(&self.of.spec.id, self.generation)
    }

    /// Waits until the mirror has every change from before `at_ms`, AWS's time.
    pub(super) async fn caught_up(&self, at_ms: i64) -> Result<()> {
        let id = &self.of.spec.id;
        loop {
            if self.of.generation().await? != self.generation {
                return Err(failed(
                    "a resync replaced the table meanwhile; verify it again",
                ));
            }
            let status = self.of.supervisor.status(id);
            let Some(status) = status.filter(|status| status.state != MirrorState::Stopped) else {
                return Err(failed(
                    "the mirror does not run any more, so it does not catch up",
                ));
            };
            if status.state == MirrorState::Broken {
                let reason = status.reason.unwrap_or_default();
                return Err(failed(&format!("the mirror is broken: {reason}")));
            }
            if status.watermark_ms.is_some_and(|has_ms| has_ms >= at_ms) {
                return Ok(());
            }
            self.of.clock.sleep_ms(LOOK_MS).await;
        }
    }

    /// Makes the table beside the mirror's, empty.
    pub(super) async fn empty_table(&self, round: &str) -> Result<()> {
        // A table with another mark is dropped first.
        let mark = format!("{} {round}", self.of.job.id);
        self.of
            .warehouse
            .create_shadow(&self.beside.plan, &mark)
            .await
    }
}

pub(super) fn failed(text: &str) -> Error {
    Error::new(ErrorKind::Permanent, text)
}
