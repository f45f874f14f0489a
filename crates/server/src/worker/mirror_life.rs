//! The tables of one mirror: the worker of the one that people query and, while there is a resync, the worker of the
//! one that will take its place.
//!
//! A resync is a second mirror beside the first, with progress, export and readers of its own. When it has caught up
//! the first stops, the second goes on until it holds everything the first ever showed, and one atomic exchange of
//! names makes it the table that people query. Nobody ever sees an empty table or an older state, and what was deleted
//! meanwhile is not in it.

use std::sync::Arc;

use mirror::status::MirrorState;
use mirror::store::{Generations, Shadow, progress_key};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::board::{Board, Topic};
use super::load_slots::LoadSlots;
use super::mirror_worker::MirrorWorker;
use super::retry::Retry;
use super::{MirrorSpec, WorkerPorts, WorkerSettings};

pub(crate) use boards::Boards;
use shadow_table::ShadowTable;

mod boards;
mod shadow_table;

/// How often a resync is looked at, milliseconds.
const LOOK_MS: u64 = 2_000;

/// The shadow must have everything from this long after the live table's worker stopped, milliseconds: AWS's clock is
/// known to a second or two.
const AFTER_STOP_MS: i64 = 5_000;

/// If it has not by then, milliseconds, the live table is followed again first.
const HAND_OVER_MS: i64 = 120_000;

/// Pause before a worker that broke is started again, milliseconds.
const RESTART_MS: u64 = 1_000;

/// One mirror, for as long as it is not stopped.
#[derive(Clone)]
pub(crate) struct MirrorLife {
    pub(crate) ports: WorkerPorts,
    pub(crate) settings: WorkerSettings,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) boards: Boards,
    pub(crate) cancel: CancellationToken,
    pub(crate) asked: watch::Sender<bool>,
    /// Resyncs that somebody asks for.
    pub(crate) resync: Arc<Mutex<mpsc::Receiver<ResyncAsked>>>,
    pub(crate) slots: LoadSlots,
}

/// Somebody asks for a resync.
pub(crate) struct ResyncAsked {
    /// Why, for people.
    pub(crate) reason: String,
    /// Told once it is stored, so that it will be completed whatever happens.
    pub(crate) stored: oneshot::Sender<()>,
}

/// A worker of one generation.
struct Running {
    generation: u32,
    spec: Arc<MirrorSpec>,
    board: Board,
    cancel: CancellationToken,
    hopeless: watch::Receiver<Option<String>>,
    hurry: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(mut self) {
        self.cancel.cancel();
        if !self.task.is_finished() {
            // The worker has nothing to save on its way out: only what is stored counts.
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Running {
    /// A life that breaks takes its workers along.
    fn drop(&mut self) {
        self.cancel.cancel();
        self.task.abort();
    }
}

/// What happened to a life.
enum News {
    /// Only a resync helps.
    Resync(String),
    /// Somebody wants one.
    Asked(ResyncAsked),
    /// The resync cannot be completed; another one is needed.
    ResyncAnew(String),
    LiveBroke,
    ShadowBroke,
    Look,
}

impl MirrorLife {
    /// Runs until cancelled, again and again if it breaks.
    pub(crate) async fn run_on(self) {
        while let Err(error) = tokio::spawn(self.clone().run()).await {
            warn!(mirror = %self.spec.id, error = %error, "a mirror broke, starting it again");
            if self.pause(RESTART_MS).await.is_none() {
                return;
            }
        }
    }

    async fn run(mut self) {
        let _ = self.live().await;
        info!(mirror = %self.spec.id, "mirror stopped");
    }

    async fn live(&mut self) -> Option<()> {
        let mut generations = self.generations().await?;
        loop {
            if let Some(shadow) = generations
                .shadow
                .clone()
                .filter(|shadow| shadow.exchanging)
            {
                self.exchange(&shadow).await?;
                generations = Generations {
                    live: shadow.generation,
                    shadow: None,
                };
            }
            let spec = Arc::clone(&self.spec);
            let board = self.board(&spec);
            self.boards.write(|boards| boards.live = board.clone());
            let mut live = self.start(generations.live, spec, board);
            let mut shadow = generations
                .shadow
                .as_ref()
                .map(|shadow| self.start_shadow(shadow));
            let handed_over = self.watch(&mut live, &mut shadow, &mut generations).await;
            if handed_over.is_none() {
                live.stop().await;
                if let Some(shadow) = shadow {
                    shadow.stop().await;
                }
                return None;
            }
        }
    }

    /// Watches both workers until the shadow takes over. `None` if cancelled.
    async fn watch(
        &mut self,
        live: &mut Running,
        shadow: &mut Option<Running>,
        generations: &mut Generations,
    ) -> Option<()> {
        loop {
            match self.news(live, shadow.as_mut()).await? {
                News::LiveBroke => {
                    self.pause(RESTART_MS).await?;
                    *live = self.start(live.generation, Arc::clone(&live.spec), live.board.clone());
                }
                News::ShadowBroke => {
                    self.pause(RESTART_MS).await?;
                    *shadow = generations
                        .shadow
                        .as_ref()
                        .map(|shadow| self.start_shadow(shadow));
                }
                News::Resync(reason) => {
                    *shadow = Some(self.begin(generations, reason).await?);
                }
                News::Asked(asked) => {
                    if shadow.is_none() {
                        *shadow = Some(self.begin(generations, asked.reason).await?);
                    }
                    let _ = asked.stored.send(());
                }
                News::ResyncAnew(reason) => {
                    if let Some(former) = shadow.take() {
                        former.stop().await;
                    }
                    *shadow = Some(self.begin(generations, reason).await?);
                }
                News::Look => {
                    if self.hand_over(live, shadow, generations).await? {
                        return Some(());
                    }
                }
            }
        }
    }

    async fn news(&mut self, live: &mut Running, shadow: Option<&mut Running>) -> Option<News> {
        let clock = Arc::clone(&self.ports.clock);
        let mut resync = self.resync.lock().await;
        let Some(shadow) = shadow else {
            return tokio::select! {
                biased;
                () = self.cancel.cancelled() => None,
                _ = &mut live.task => Some(News::LiveBroke),
                Some(asked) = resync.recv() => Some(News::Asked(asked)),
                Ok(why) = live.hopeless.wait_for(Option::is_some) => {
                    Some(News::Resync(why.clone().unwrap_or_default()))
                }
            };
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            _ = &mut live.task => Some(News::LiveBroke),
            _ = &mut shadow.task => Some(News::ShadowBroke),
            Ok(why) = shadow.hopeless.wait_for(Option::is_some) => {
                Some(News::ResyncAnew(why.clone().unwrap_or_default()))
            }
            Some(asked) = resync.recv() => Some(News::Asked(asked)),
            () = clock.sleep_ms(LOOK_MS) => Some(News::Look),
        }
    }

    /// Stores that there is a resync, makes room for its rows, and starts it.
    async fn begin(&self, generations: &mut Generations, reason: String) -> Option<Running> {
        let before = generations
            .shadow
            .as_ref()
            .map_or(generations.live, |shadow| shadow.generation);
        let shadow = Shadow {
            generation: before.max(generations.live) + 1,
            reason,
            exchanging: false,
        };
        warn!(mirror = %self.spec.id, reason = %shadow.reason, generation = shadow.generation, "a resync begins");
        self.save(&shadow).await?;
        let running = self.start_shadow(&shadow);
        generations.shadow = Some(shadow);
        Some(running)
    }

    /// Lets the shadow take over if it is close enough. `None` if cancelled.
    async fn hand_over(
        &mut self,
        live: &mut Running,
        shadow: &mut Option<Running>,
        generations: &mut Generations,
    ) -> Option<bool> {
        let (Some(running), Some(stored)) = (shadow.as_ref(), generations.shadow.clone()) else {
            return Some(false);
        };
        if !self.is_close(&running.board) {
            return Some(false);
        }
        info!(mirror = %self.spec.id, generation = stored.generation, "the resync has caught up and takes over");
        live.cancel.cancel();
        let _ = (&mut live.task).await;
        running.hurry.send_replace(true);
        let now_ms = self.ports.clock.now_ms();
        let wanted_ms = running.board.aws_ms(now_ms) + AFTER_STOP_MS;
        while running.board.watermark_ms() < Some(wanted_ms) {
            let late = self.ports.clock.now_ms() - now_ms > HAND_OVER_MS;
            if late || running.task.is_finished() {
                running.hurry.send_replace(false);
                warn!(mirror = %self.spec.id, "the resync fell behind; the table is followed again until it catches up");
                *live = self.start(live.generation, Arc::clone(&live.spec), live.board.clone());
                return Some(false);
            }
            self.pause(LOOK_MS / 8).await?;
        }
        if let Some(running) = shadow.take() {
            running.stop().await;
        }
        let exchanging = Shadow {
            exchanging: true,
            ..stored
        };
        self.save(&exchanging).await?;
        generations.shadow = Some(exchanging);
        Some(true)
    }

    /// Close enough to the tip for the live table's worker to be stopped.
    fn is_close(&self, board: &Board) -> bool {
        let report = board.report(self.ports.clock.now_ms());
        let within_s = self.settings.live_within_ms() as f64 / 1000.0;
        report.state == MirrorState::Live && report.lag_seconds.is_some_and(|lag| lag < within_s)
    }

    /// Exchanges the tables and forgets the former one. Every step may be done again.
    async fn exchange(&mut self, shadow: &Shadow) -> Option<()> {
        let plan = self.shadow_spec().plan.clone();
        let (database, live) = (plan.database.clone(), self.spec.plan.table.clone());
        let mark = progress_key(&self.spec.id, shadow.generation);
        let retry = self.retry(&self.spec.id, self.boards.live());
        let warehouse = &self.ports.warehouse;
        retry
            .until_done(Topic::ClickHouse, "exchange the tables", || {
                warehouse.exchange(&database, &live, &plan.table, &mark)
            })
            .await?;
        retry
            .until_done(Topic::ClickHouse, "drop the former table", || {
                warehouse.drop_table(&database, &plan.table)
            })
            .await?;
        let store = &self.ports.store;
        retry
            .until_done(Topic::Progress, "store that the resync is complete", || {
                store.finish_resync(&self.spec.id)
            })
            .await?;
        if let Some(plan) = self.spec.next_plan.clone() {
            self.spec = Arc::new(MirrorSpec {
                plan,
                next_plan: None,
                ..MirrorSpec::clone(&self.spec)
            });
        }
        self.boards.write(|boards| boards.shadow = None);
        info!(mirror = %self.spec.id, generation = shadow.generation, "the resync is complete");
        Some(())
    }

    /// What the worker of the shadow needs to know.
    fn shadow_spec(&self) -> MirrorSpec {
        let mut plan = self
            .spec
            .next_plan
            .as_ref()
            .unwrap_or(&self.spec.plan)
            .clone();
        plan.table = plan.shadow_table();
        MirrorSpec {
            plan,
            next_plan: None,
            ..MirrorSpec::clone(&self.spec)
        }
    }

    fn start_shadow(&self, shadow: &Shadow) -> Running {
        let spec = Arc::new(self.shadow_spec());
        let board = self.board(&spec);
        let shown = (shadow.reason.clone(), board.clone());
        self.boards.write(|boards| boards.shadow = Some(shown));
        self.start(shadow.generation, spec, board)
    }

    fn start(&self, generation: u32, spec: Arc<MirrorSpec>, board: Board) -> Running {
        let is_shadow = spec.plan.table != self.spec.plan.table;
        let key = progress_key(&self.spec.id, generation);
        let cancel = self.cancel.child_token();
        let (sender, hopeless) = watch::channel(None);
        let (hurry, hurried) = watch::channel(false);
        let retry = Retry {
            cancel: cancel.clone(),
            hurry: hurried,
            ..self.retry(&key, board.clone())
        };
        let worker = MirrorWorker {
            retry: retry.clone(),
            spec: Arc::clone(&spec),
            asked: if is_shadow {
                watch::channel(false).0
            } else {
                self.asked.clone()
            },
            hopeless: sender,
        };
        let ready = ShadowTable {
            retry,
            spec: Arc::clone(&spec),
        };
        let task = tokio::spawn(async move {
            if is_shadow && ready.make().await.is_none() {
                return;
            }
            worker.run().await;
        });
        Running {
            generation,
            spec,
            board,
            cancel,
            hopeless,
            hurry,
            task,
        }
    }

    fn board(&self, spec: &MirrorSpec) -> Board {
        Board::new(
            &spec.plan.quarantine_table(),
            self.settings.live_within_ms(),
            self.ports.clock.now_ms(),
        )
    }

    fn retry(&self, key: &str, board: Board) -> Retry {
        Retry {
            mirror: key.to_owned(),
            ports: self.ports.clone(),
            settings: self.settings.clone(),
            board,
            cancel: self.cancel.clone(),
            hurry: watch::channel(false).1,
            slots: self.slots.clone(),
        }
    }

    async fn pause(&self, ms: u64) -> Option<()> {
        self.retry("", self.boards.live()).pause(ms).await
    }

    async fn generations(&self) -> Option<Generations> {
        let (store, retry) = (
            &self.ports.store,
            self.retry(&self.spec.id, self.boards.live()),
        );
        retry
            .until_done(Topic::Progress, "load the mirror's generations", || {
                store.generations(&self.spec.id)
            })
            .await
    }

    async fn save(&self, shadow: &Shadow) -> Option<()> {
        let (store, retry) = (
            &self.ports.store,
            self.retry(&self.spec.id, self.boards.live()),
        );
        retry
            .until_done(Topic::Progress, "store the resync", || {
                store.save_shadow(&self.spec.id, shadow)
            })
            .await
    }
}
