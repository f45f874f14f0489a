//! Heals a gap: chained incremental exports bring what the stream lost.
//!
//! `mirror::heal` says why this is right; here is only the doing of it, every step of which can be done again after a
//! crash. [`Healer::begin`] runs while nobody follows the stream: plan, ask for all windows, find the highest version.
//! [`Healing::run`] runs beside the follower: wait for the exports, load them, bury the ghosts, close the gap.

use std::sync::Arc;

use mirror::checkpoint::{ExportPhase, ExportProgress};
use mirror::error::{Error, ErrorKind, Result};
use mirror::heal::{ASKED_AFTER_MS, Coverage, Gap, Healing, NotHealable};
use mirror::limits::EXPORT_MARGIN_MS;
use mirror::source::{ExportDescription, Source};
use mirror::store::{ExportPart, MirrorProgress};
use mirror::table::TableDescription;
use tracing::{info, warn};

use super::MirrorSpec;
use super::board::Topic;
use super::export_phase::EXPORT_RETRY_MAX_MS;
use super::export_run::ExportRun;
use super::file_loader::Lines;
use super::retry::Retry;

/// How often the clocks are looked at while a window is not over, milliseconds: ours may be set, or may have stood
/// still with the machine.
const LOOK_AGAIN_MS: u64 = 5_000;

/// Why only a new backfill helps.
pub(crate) type Hopeless = String;

/// Heals one gap of one mirror.
pub(crate) struct Healer {
    pub(crate) retry: Retry,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) gap: Gap,
    /// The mirror as it is stored.
    pub(crate) progress: MirrorProgress,
}

/// A healing whose windows were asked for: the stream may be followed again.
pub(crate) struct Begun {
    healer: Healer,
    healing: Healing,
    highest_ms: i64,
    runs: Vec<ExportRun>,
}

impl Healer {
    /// Asks for all windows, and finds out what the table holds. Nobody may follow the stream meanwhile. `None` if
    /// cancelled.
    pub(crate) async fn begin(mut self) -> Option<std::result::Result<Begun, Hopeless>> {
        let table = self.describe().await?;
        // Nobody reads the stream now, so nobody would say that what was in a reader's way is over.
        self.retry.board.solved(Topic::Stream);
        let mut healing = match self.plan(&table) {
            Ok(healing) => healing,
            Err(why) => return Some(Err(why)),
        };
        self.save(&healing).await?;
        let mut runs = self.runs(&healing);
        info!(mirror = %self.retry.mirror, gap = %self.gap.what, from_ms = healing.begins_ms(), until_ms = healing.end_ms, windows = runs.len(), "healing begins");
        self.retry.board.healing(Some(runs.len()));
        for run in &mut runs {
            if let Err(why) = self.ask(run).await? {
                return Some(Err(why));
            }
        }
        let highest_ms = self.highest_version(&mut healing).await?;
        Some(Ok(Begun {
            healer: self,
            healing,
            highest_ms,
            runs,
        }))
    }

    fn aws_now_ms(&self) -> i64 {
        self.retry.ports.clock.now_ms() + self.source.clock_ahead_ms()
    }

    async fn describe(&self) -> Option<TableDescription> {
        self.retry
            .until_done(Topic::Table, "describe the table", || {
                self.source.describe_table()
            })
            .await
    }

    /// The healing as it is stored, or a new one; why not, if windows cannot heal the gap.
    fn plan(&self, table: &TableDescription) -> std::result::Result<Healing, String> {
        let identity = self.progress.identity.as_ref();
        if identity.is_some_and(|known| known.table_id != table.table_id) {
            return Err("the table was deleted and created again".to_owned());
        }
        if !table.pitr_enabled {
            return Err(
                "point-in-time recovery is off, so there are no incremental exports".to_owned(),
            );
        }
        let healing = match &self.progress.healing {
            Some(stored) => stored.healing.clone(),
            None => Healing::plan(
                self.progress.healed + 1,
                &self.gap,
                self.progress.coverage,
                // Rows of a repair do not tell either when they were written.
                self.retry
                    .board
                    .export_time_ms()
                    .max(self.progress.coverage.repaired_ms),
                self.aws_now_ms(),
                self.highest_clock_ms(),
            )
            .map_err(|why| why_not(why).to_owned())?,
        };
        let reaches = table
            .restorable_from_ms
            .is_none_or(|from_ms| from_ms <= healing.begins_ms());
        // Windows that were asked for are on their way, whatever recovery covers by now.
        if !reaches && self.progress.healing.is_none() {
            return Err(why_not(NotHealable::BeforeRecovery).to_owned());
        }
        Ok(healing)
    }

    fn highest_clock_ms(&self) -> i64 {
        let clocks = self.progress.shards.iter().map(|shard| shard.clock_ms);
        clocks
            .max()
            .unwrap_or(0)
            .max(self.progress.coverage.clock_floor_ms)
    }

    async fn save(&self, healing: &Healing) -> Option<()> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store the healing", || {
                store.save_healing(mirror, healing)
            })
            .await
    }

    /// A run for every window, as far as it is.
    fn runs(&mut self, healing: &Healing) -> Vec<ExportRun> {
        let mut stored = self.progress.healing.take().map(|stored| stored.windows);
        let windows = healing.windows().into_iter().zip(0_u32..);
        let run = |(window, number)| {
            let mut run = ExportRun {
                retry: self.retry.clone(),
                spec: Arc::clone(&self.spec),
                source: Arc::clone(&self.source),
                part: ExportPart::Window(number),
                name: format!("{}:heal:{}:{number}", self.retry.mirror, healing.round),
                window: Some(window),
                progress: ExportProgress::waiting(1),
                files: Vec::new(),
            };
            run.resume(stored.as_mut().and_then(|stored| stored.remove(&number)));
            run
        };
        windows.map(run).collect()
    }

    /// Asks for a window once AWS can know all of it.
    async fn ask(&self, run: &mut ExportRun) -> Option<std::result::Result<(), String>> {
        if run.progress.phase == ExportPhase::Failed {
            run.next_attempt();
        }
        if run.progress.phase != ExportPhase::Waiting {
            return Some(Ok(()));
        }
        let ready_ms = run.window.map_or(0, |window| window.to_ms) + ASKED_AFTER_MS;
        loop {
            let wait_ms = u64::try_from(ready_ms - self.aws_now_ms()).unwrap_or(0);
            if wait_ms > 0 {
                run.wait(wait_ms.min(LOOK_AGAIN_MS)).await?;
                // AWS's time is known from its latest answer, and nobody else asks it anything meanwhile.
                self.describe().await?;
                continue;
            }
            match run.ask().await? {
                Ok(()) => return Some(Ok(())),
                Err(error) => {
                    if let Some(why) = self.refused(&error).await? {
                        return Some(Err(why));
                    }
                    run.failed(&error).await?;
                    run.wait(self.retry.settings.export_retry_ms).await?;
                    run.next_attempt();
                }
            }
        }
    }

    /// Whether AWS will never export this window.
    async fn refused(&self, error: &Error) -> Option<Option<String>> {
        match error.kind {
            ErrorKind::ExportTime => Some(Some(format!(
                "{} ({})",
                why_not(NotHealable::BeforeRecovery),
                error.report()
            ))),
            ErrorKind::PitrUnavailable => {
                let table = self.describe().await?;
                let off = "point-in-time recovery was switched off";
                Some((!table.pitr_enabled).then(|| off.to_owned()))
            }
            _ => Some(None),
        }
    }

    /// Waits for a window's export; asks again for one that failed. `None` inside for one that is loaded already.
    async fn completed(
        &self,
        run: &mut ExportRun,
    ) -> Option<std::result::Result<Option<ExportDescription>, String>> {
        let mut pause_ms = self.retry.settings.export_retry_ms;
        loop {
            if run.progress.phase == ExportPhase::Loaded {
                return Some(Ok(None));
            }
            match run.completed().await? {
                Ok(export) => return Some(Ok(Some(export))),
                Err(error) => {
                    if let Err(why) = self.again(run, &error, &mut pause_ms).await? {
                        return Some(Err(why));
                    }
                }
            }
        }
    }

    async fn load(
        &self,
        run: &mut ExportRun,
        mut export: Option<ExportDescription>,
        highest_ms: i64,
        window: usize,
    ) -> Option<std::result::Result<(), String>> {
        let mut pause_ms = self.retry.settings.export_retry_ms;
        while let Some(description) = export {
            let lines = |_| Lines::Changes { highest_ms, window };
            let outcome: Result<()> = run.load(&description, lines).await?;
            let Err(error) = outcome else { break };
            if let Err(why) = self.again(run, &error, &mut pause_ms).await? {
                return Some(Err(why));
            }
            export = match self.completed(run).await? {
                Ok(export) => export,
                Err(why) => return Some(Err(why)),
            };
        }
        self.retry.board.window_healed();
        Some(Ok(()))
    }

    /// Asks for a window once more, after a pause.
    async fn again(
        &self,
        run: &mut ExportRun,
        error: &Error,
        pause_ms: &mut u64,
    ) -> Option<std::result::Result<(), String>> {
        run.failed(error).await?;
        run.wait(*pause_ms).await?;
        *pause_ms = (*pause_ms * 2).min(EXPORT_RETRY_MAX_MS);
        self.ask(run).await
    }

    /// `H`. Stored before the first row that depends on it.
    async fn highest_version(&self, healing: &mut Healing) -> Option<i64> {
        if let Some(highest_ms) = healing.highest_ms {
            return Some(highest_ms);
        }
        let (sink, plan) = (&self.retry.ports.sink, &self.spec.plan);
        let in_table = self
            .retry
            .until_done(Topic::ClickHouse, "find the highest version", || {
                sink.highest_version(plan)
            })
            .await?;
        let exported_ms = self.retry.board.export_time_ms();
        let highest_ms = in_table
            .unwrap_or(0)
            .max(self.highest_clock_ms())
            .max(exported_ms.map_or(0, |at_ms| at_ms - EXPORT_MARGIN_MS));
        healing.highest_ms = Some(highest_ms);
        self.save(healing).await?;
        Some(highest_ms)
    }
}

impl Begun {
    /// What the stream is to be followed with from now on.
    pub(crate) fn coverage(&self) -> Coverage {
        self.healing.coverage(self.highest_ms)
    }

    /// Runs until the gap is closed or cannot be. `None` if cancelled.
    pub(crate) async fn run(mut self) -> Option<std::result::Result<(), Hopeless>> {
        let healer = &self.healer;
        let mut exports = Vec::with_capacity(self.runs.len());
        for run in &mut self.runs {
            match healer.completed(run).await? {
                Ok(export) => exports.push(export),
                Err(why) => return Some(Err(why)),
            }
        }
        // The last window first: no item is ever seen in an older state than before.
        for (window, (run, export)) in self.runs.iter_mut().zip(exports).enumerate().rev() {
            if let Err(why) = healer.load(run, export, self.highest_ms, window).await? {
                return Some(Err(why));
            }
        }
        self.finish().await.map(Ok)
    }

    async fn finish(&self) -> Option<()> {
        let (healing, highest_ms) = (&self.healing, self.highest_ms);
        let Healer {
            retry, spec, gap, ..
        } = &self.healer;
        let (sink, plan) = (&retry.ports.sink, &spec.plan);
        let buried = retry
            .until_done(Topic::ClickHouse, "bury what was deleted unseen", || {
                sink.bury(
                    plan,
                    &spec.source.region,
                    healing.ghosts_ms(highest_ms),
                    Healing::tombstone_ms(highest_ms),
                )
            })
            .await?;
        let (store, mirror) = (&retry.ports.store, &retry.mirror);
        let coverage = self.coverage();
        // One that was found since and is no longer the same stays.
        let closed = Some(gap).filter(|gap| coverage.until_ms >= Some(gap.until_ms));
        retry
            .until_done(Topic::Progress, "store that the gap is healed", || {
                store.finish_healing(mirror, closed, coverage)
            })
            .await?;
        retry.board.healing(None);
        if let Some(gap) = closed {
            retry.board.gap_closed(gap);
        }
        warn!(mirror = %retry.mirror, gap = %gap.what, buried, "the gap is healed");
        Some(())
    }
}

fn why_not(why: NotHealable) -> &'static str {
    match why {
        NotHealable::TooSoonAfterExport => {
            "it began within minutes of the export that the mirror was filled from"
        }
        NotHealable::BeforeRecovery => {
            "it began before the time that point-in-time recovery covers"
        }
    }
}
