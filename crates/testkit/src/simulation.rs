//! Lives a scenario: a world that goes on, and lives of the process that end when it dies.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sim::World;
use mirror::sink::Sink;
use mirror::status::StatusReport;
use mirror::store::MirrorProgress;
use server::worker::{MirrorSpec, Supervisor, WorkerPorts};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::disk::Disk;
use crate::exports::Doctor;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::memory_store::MemoryStore;
use crate::model_sink::ModelSink;
use crate::model_warehouse::ModelWarehouse;
use crate::oracle::History;
use crate::port::Port;
use crate::process::{Call, Crash, Process};
use crate::scenario::{MINUTE, SECOND, Scenario, Step};
use crate::table_plan::{self, BUCKET, TABLE};
use crate::virtual_clock::VirtualClock;
use crate::weather::Weather;
use crate::world_source::{Cloud, WorldSources};

mod acts;
mod look;

/// How often a life looks whether the mirror has caught up, at least; a long one looks less often.
const LOOK_MS: i64 = 30 * SECOND;
/// Looks at what was planned of a scenario.
const LOOKS: i64 = 1_500;
/// How long a mirror that has caught up must stay equal.
const SETTLE_MS: i64 = 10 * MINUTE;
/// An export may miss changes of its last minute, and the times of records are rounded down.
const EXPORT_FUZZ_MS: i64 = MINUTE + SECOND;

/// What a simulation was like.
#[derive(Debug)]
pub struct Outcome {
    pub lives: u32,
    pub changes: usize,
    pub shards: usize,
    /// Rows the sink took, replays included.
    pub rows: u64,
    pub exports: usize,
    /// Gaps that were healed.
    pub healed: u32,
    /// Resyncs that were completed.
    pub resyncs: u32,
    /// Calls the worker made.
    pub calls: u64,
    /// ... by their kind.
    pub calls_by_kind: BTreeMap<Call, u64>,
    /// Answers of DescribeStream, each with 100 shards at most.
    pub described: usize,
    pub virtual_ms: i64,
    /// How often each data file was opened.
    pub opened: HashMap<String, u32>,
    pub progress: MirrorProgress,
}

enum Ending {
    Died,
    Done,
    Failed(String),
}

/// Lives `scenario`. `new_runtime` makes a runtime of one thread whose time is paused.
///
/// # Errors
/// The rule that was broken, with the mirror's status and what happened last.
pub fn run(scenario: &Scenario, new_runtime: fn() -> Runtime) -> Result<Outcome, String> {
    run_watched(scenario, new_runtime, None, &mut |_, _| {})
}

/// [`run`], with a look at the mirror's status at least every `every_ms` milliseconds, if that is given; `watch` gets
/// the time since the beginning and what people see.
///
/// # Errors
/// As [`run`].
pub fn run_watched(
    scenario: &Scenario,
    new_runtime: fn() -> Runtime,
    every_ms: Option<i64>,
    watch: &mut dyn FnMut(i64, &StatusReport),
) -> Result<Outcome, String> {
    let mut simulation = Simulation::new(scenario)?;
    let usual_ms = LOOK_MS.max((scenario.ends_ms - scenario.starts_ms) / LOOKS);
    simulation.pause_ms = every_ms.unwrap_or(usual_ms);
    let mut crashes = scenario.crashes.iter();
    for life in 1.. {
        let crash = crashes.next().copied();
        let runtime = new_runtime();
        let ending = runtime.block_on(simulation.live(crash, watch));
        // Everything the process had in memory goes with it.
        drop(runtime);
        match ending {
            Ending::Done => return Ok(simulation.outcome(life)),
            Ending::Failed(rule) => return Err(simulation.failure(life, &rule)),
            Ending::Died => {
                let down_ms = crash.map_or(0, |crash| crash.down_ms);
                simulation.advance(simulation.now_ms + down_ms);
            }
        }
    }
    Err("lives have no end".to_owned())
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    spec: MirrorSpec,
    cloud: Arc<Cloud>,
    warehouse: Arc<ModelWarehouse>,
    disk: Arc<Disk>,
    weather: Arc<Weather>,
    journal: Arc<Journal>,
    steps: Vec<Step>,
    next_step: usize,
    revs: HashMap<u32, u64>,
    history: History,
    resync_asked: Arc<AtomicBool>,
    prepared: Arc<AtomicBool>,
    start_ms: i64,
    now_ms: i64,
    /// When this life began.
    born_ms: i64,
    /// Between two looks.
    pause_ms: i64,
    caught_up_ms: Option<i64>,
    /// The latest watermark that people saw.
    shown_ms: Option<i64>,
    /// Exchanges of tables that were looked at.
    exchanges: u32,
    status: String,
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario) -> Result<Self, String> {
        let start_ms = scenario.config.start_ms;
        let mut world = World::new(scenario.config.clone());
        world
            .create_table(&table_plan::table(scenario.composite))
            .map_err(|error| error.to_string())?;
        world.s3.create_bucket(BUCKET, "us-east-1");
        for fault in &scenario.faults {
            world.faults.add(fault.clone());
        }
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let journal = Arc::new(Journal::default());
        let warehouse = Arc::new(ModelWarehouse::new(
            TABLE,
            Arc::clone(&ledger),
            Arc::clone(&journal),
        ));
        let spec = table_plan::mirror(scenario.composite);
        let disk = Arc::new(Disk::new(
            &spec.id,
            Arc::clone(&warehouse),
            Arc::clone(&ledger),
            Arc::clone(&journal),
        ));
        let calm_ms = start_ms + scenario.ends_ms;
        let weather = Weather::new(
            scenario.seed,
            scenario.odds,
            scenario.windows.clone(),
            scenario.forced.clone(),
            calm_ms,
        );
        let mut steps = scenario.steps.clone();
        steps.sort_by_key(|step| step.at_ms);
        let mut simulation = Self {
            scenario,
            spec,
            cloud: Arc::new(Cloud::new(
                world,
                ledger,
                Doctor::new(scenario.doctored, scenario.composite),
            )),
            warehouse,
            disk,
            weather: Arc::new(weather),
            journal,
            steps,
            next_step: 0,
            revs: HashMap::new(),
            history: History::default(),
            resync_asked: Arc::default(),
            prepared: Arc::new(AtomicBool::new(!scenario.prepare)),
            start_ms,
            now_ms: start_ms,
            born_ms: start_ms,
            pause_ms: LOOK_MS,
            caught_up_ms: None,
            shown_ms: None,
            exchanges: 0,
            status: String::new(),
        };
        simulation.advance(start_ms + scenario.starts_ms);
        Ok(simulation)
    }

    /// One life of the process.
    async fn live(
        &mut self,
        crash: Option<Crash>,
        watch: &mut dyn FnMut(i64, &StatusReport),
    ) -> Ending {
        let clock = VirtualClock::start(self.now_ms, self.scenario.skew_ms);
        self.born_ms = self.now_ms;
        let process = Arc::new(Process::new(crash));
        let supervisor =
            Supervisor::new(self.ports(clock, &process), self.scenario.settings.clone());
        let (starting, spec, prepared) = (
            Arc::clone(&supervisor),
            self.spec.clone(),
            Arc::clone(&self.prepared),
        );
        let start = async move {
            while !prepared.load(Ordering::SeqCst) {
                match starting.prepare(&spec.source).await {
                    Ok(_) => prepared.store(true, Ordering::SeqCst),
                    Err(_) => clock.sleep_until(clock.aws_ms() + 10 * SECOND).await,
                }
            }
            starting.start(spec).await;
        };
        let mut start = std::pin::pin!(start);
        let mut started = false;
        let mut asking: Option<JoinHandle<()>> = None;
        let (journal, warehouse) = (Arc::clone(&self.journal), Arc::clone(&self.warehouse));
        let mut look_ms = self.now_ms + self.pause_ms;
        loop {
            let step_ms = self
                .steps
                .get(self.next_step)
                .map_or(i64::MAX, |step| self.start_ms + step.at_ms);
            tokio::select! {
                biased;
                () = process.death() => {
                    self.now_ms = clock.aws_ms();
                    return Ending::Died;
                }
                () = journal.when_broken() => {}
                () = warehouse.when_exchanged(self.exchanges) => {}
                () = &mut start, if !started => started = true,
                () = clock.sleep_until(look_ms.min(step_ms)) => {}
            }
            self.advance(clock.aws_ms());
            if self.resync_asked.load(Ordering::SeqCst)
                && asking.as_ref().is_none_or(JoinHandle::is_finished)
            {
                asking = Some(self.ask_for_resync(&supervisor));
            }
            if let Err(rule) = self.exchanged(&supervisor) {
                self.journal.broken(rule);
            }
            if let Some(rule) = self.journal.verdict() {
                return self.failed(&supervisor, rule);
            }
            if self.now_ms < look_ms {
                continue;
            }
            look_ms = self.now_ms + self.pause_ms;
            if let Some(report) = supervisor.status(&self.spec.id) {
                watch(self.now_ms - self.start_ms, &report);
            }
            match self.look(&supervisor) {
                Ok(false) => {}
                Ok(true) => {
                    let stop =
                        tokio::time::timeout(Duration::from_secs(300), supervisor.shut_down());
                    return tokio::select! {
                        biased;
                        () = process.death() => {
                            self.now_ms = clock.aws_ms();
                            Ending::Died
                        }
                        stopped = stop => match stopped {
                            Ok(()) => Ending::Done,
                            Err(_) => self.failed(&supervisor, "the worker does not stop".to_owned()),
                        },
                    };
                }
                Err(rule) => return self.failed(&supervisor, rule),
            }
        }
    }

    /// Somebody asks until it is granted, also in the next life.
    fn ask_for_resync(&self, supervisor: &Arc<Supervisor>) -> JoinHandle<()> {
        let (supervisor, asked) = (Arc::clone(supervisor), Arc::clone(&self.resync_asked));
        let id = self.spec.id.clone();
        tokio::spawn(async move {
            if supervisor.resync(&id, "somebody asked").await {
                asked.store(false, Ordering::SeqCst);
            }
        })
    }

    fn failed(&mut self, supervisor: &Supervisor, rule: String) -> Ending {
        self.status = format!("{:#?}", supervisor.status(&self.spec.id));
        Ending::Failed(rule)
    }

    fn ports(&self, clock: VirtualClock, process: &Arc<Process>) -> WorkerPorts {
        let port = Port {
            process: Arc::clone(process),
            clock,
            weather: Arc::clone(&self.weather),
            journal: Arc::clone(&self.journal),
        };
        let tables = Arc::new(ModelSink {
            port: port.clone(),
            warehouse: Arc::clone(&self.warehouse),
        });
        WorkerPorts {
            sources: Some(Arc::new(WorldSources {
                cloud: Arc::clone(&self.cloud),
                port: port.clone(),
            })),
            sink: Arc::clone(&tables) as Arc<dyn Sink>,
            warehouse: tables,
            store: Arc::new(MemoryStore {
                port,
                disk: Arc::clone(&self.disk),
            }),
            clock: Arc::new(clock),
        }
    }

    /// Lets the world go on until `to_ms`, with everything that happens meanwhile.
    fn advance(&mut self, to_ms: i64) {
        while self.now_ms < to_ms {
            let step_ms = self
                .steps
                .get(self.next_step)
                .map_or(i64::MAX, |step| self.start_ms + step.at_ms);
            // In small strides: a stream rolls over and trims while nobody looks, too.
            self.now_ms = to_ms
                .min(step_ms.max(self.now_ms))
                .min(self.now_ms + 10 * MINUTE);
            self.tick();
        }
        self.tick();
    }

    fn tick(&mut self) {
        let cloud = Arc::clone(&self.cloud);
        let mut world = cloud.world();
        world.set_now(self.now_ms);
        while let Some(step) = self
            .steps
            .get(self.next_step)
            .copied()
            .filter(|step| self.start_ms + step.at_ms <= self.now_ms)
        {
            self.next_step += 1;
            let outcome = self.act(&mut world, step.act);
            // Somebody else is changing the table: people try again.
            if outcome
                .as_ref()
                .is_err_and(|error| error.code == "ResourceInUseException")
            {
                let at_ms = self.now_ms - self.start_ms + 10 * SECOND;
                let later = self.steps.partition_point(|step| step.at_ms <= at_ms);
                self.steps.insert(later, Step { at_ms, ..step });
                continue;
            }
            if let Err(error) = outcome {
                self.journal.broken(format!(
                    "the scenario cannot go on: {:?}: {error}",
                    step.act
                ));
            }
        }
        cloud.sync(&world);
        drop(world);
        self.warehouse.land(self.now_ms);
    }

    fn outcome(&self, lives: u32) -> Outcome {
        let (shards, changes) = self
            .cloud
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .size();
        let opened = self
            .cloud
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Outcome {
            lives,
            changes,
            shards,
            rows: self.warehouse.taken(),
            healed: self.disk.repairs().0,
            resyncs: self.disk.repairs().1,
            exports: self.cloud.world().export_states().count(),
            calls: self.weather.calls(),
            calls_by_kind: self.weather.calls_by_kind(),
            described: self.cloud.described.load(Ordering::SeqCst),
            virtual_ms: self.now_ms - self.start_ms,
            opened: opened.clone().into_iter().collect(),
            progress: self.disk.live().1,
        }
    }

    fn failure(&self, life: u32, rule: &str) -> String {
        format!(
            "{rule}\n  seed {}, life {life}, {} ms after the beginning\n{}\nwhat happened last:\n{}",
            self.scenario.seed,
            self.now_ms - self.start_ms,
            self.status,
            self.journal.tail(self.start_ms, 60)
        )
    }
}
