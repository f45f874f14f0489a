//! Lives a scenario: a world that goes on, and lives of the process that end when it dies.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sim::World;
use mirror::checkpoint::ExportPhase;
use mirror::status::MirrorState;
use mirror::store::MirrorProgress;
use serde_json::json;
use server::worker::{MirrorSpec, Supervisor, WorkerPorts};
use tokio::runtime::Runtime;

use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::memory_store::{Disk, MemoryStore};
use crate::model_sink::{ModelSink, Warehouse};
use crate::port::Port;
use crate::process::{Crash, Process};
use crate::scenario::{Act, MINUTE, SECOND, Scenario, Step};
use crate::table_plan::{self, BUCKET, TABLE};
use crate::virtual_clock::VirtualClock;
use crate::weather::Weather;
use crate::world_source::{Cloud, WorldSources};
use crate::{items, oracle};

/// How often a life looks whether the mirror has caught up.
const LOOK_MS: i64 = 30 * SECOND;
/// How long a mirror that has caught up must stay equal.
const SETTLE_MS: i64 = 10 * MINUTE;

/// What a simulation was like.
#[derive(Debug)]
pub struct Outcome {
    pub lives: u32,
    pub changes: usize,
    pub shards: usize,
    /// Rows the sink took, replays included.
    pub rows: u64,
    pub exports: usize,
    /// Calls the worker made.
    pub calls: u64,
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
    let mut simulation = Simulation::new(scenario)?;
    let mut crashes = scenario.crashes.iter();
    for life in 1.. {
        let crash = crashes.next().copied();
        let runtime = new_runtime();
        let ending = runtime.block_on(simulation.live(crash));
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
    warehouse: Arc<Warehouse>,
    disk: Arc<Disk>,
    weather: Arc<Weather>,
    journal: Arc<Journal>,
    steps: Vec<Step>,
    next_step: usize,
    revs: HashMap<u32, u64>,
    prepared: Arc<AtomicBool>,
    start_ms: i64,
    now_ms: i64,
    caught_up_ms: Option<i64>,
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
        let warehouse = Arc::new(Warehouse::new(Arc::clone(&ledger), Arc::clone(&journal)));
        let disk = Arc::new(Disk::new(
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
            spec: table_plan::mirror(scenario.composite),
            cloud: Arc::new(Cloud::new(world, ledger)),
            warehouse,
            disk,
            weather: Arc::new(weather),
            journal,
            steps,
            next_step: 0,
            revs: HashMap::new(),
            prepared: Arc::new(AtomicBool::new(!scenario.prepare)),
            start_ms,
            now_ms: start_ms,
            caught_up_ms: None,
            status: String::new(),
        };
        simulation.advance(start_ms + scenario.starts_ms);
        Ok(simulation)
    }

    /// One life of the process.
    async fn live(&mut self, crash: Option<Crash>) -> Ending {
        let clock = VirtualClock::start(self.now_ms, self.scenario.skew_ms);
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
        let journal = Arc::clone(&self.journal);
        let mut look_ms = self.now_ms + LOOK_MS;
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
                () = &mut start, if !started => started = true,
                () = clock.sleep_until(look_ms.min(step_ms)) => {}
            }
            self.advance(clock.aws_ms());
            if let Some(rule) = self.journal.verdict() {
                return self.failed(&supervisor, rule);
            }
            if self.now_ms < look_ms {
                continue;
            }
            look_ms = self.now_ms + LOOK_MS;
            match self.look(&supervisor) {
                Ok(false) => {}
                Ok(true) => {
                    let stopped =
                        tokio::time::timeout(Duration::from_secs(300), supervisor.shut_down())
                            .await;
                    return match stopped {
                        Ok(()) => Ending::Done,
                        Err(_) => self.failed(&supervisor, "the worker does not stop".to_owned()),
                    };
                }
                Err(rule) => return self.failed(&supervisor, rule),
            }
        }
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
        WorkerPorts {
            sources: Some(Arc::new(WorldSources {
                cloud: Arc::clone(&self.cloud),
                port: port.clone(),
            })),
            sink: Arc::new(ModelSink {
                port: port.clone(),
                warehouse: Arc::clone(&self.warehouse),
            }),
            store: Arc::new(MemoryStore {
                port,
                disk: Arc::clone(&self.disk),
            }),
            clock: Arc::new(clock),
        }
    }

    /// Whether the simulation is over: everything has happened, and the mirror is and stays equal to the table.
    fn look(&mut self, supervisor: &Supervisor) -> Result<bool, String> {
        let end_ms = self.start_ms + self.scenario.ends_ms;
        if self.now_ms < end_ms || self.next_step < self.steps.len() {
            return Ok(false);
        }
        let late = self.now_ms > end_ms + self.scenario.patience_ms;
        let progress = self.disk.progress();
        let loaded = progress
            .export
            .as_ref()
            .is_some_and(|export| export.phase == ExportPhase::Loaded);
        let ledger = self
            .cloud
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !ledger.caught_up() || !loaded {
            return match late {
                true => Err(format!("stalled; shards behind: {:?}", ledger.behind())),
                false => Ok(false),
            };
        }
        drop(ledger);
        let state = supervisor.status(&self.spec.id).map(|status| status.state);
        if self.scenario.expects_gap {
            return match (progress.gap, state) {
                (Some(_), Some(MirrorState::Gap)) => Ok(true),
                _ if late => Err("changes were lost, and nothing says so".to_owned()),
                _ => Ok(false),
            };
        }
        let settled = self
            .caught_up_ms
            .is_some_and(|since_ms| self.now_ms - since_ms >= SETTLE_MS);
        if settled || self.caught_up_ms.is_none() {
            self.caught_up_ms.get_or_insert(self.now_ms);
            oracle::equal(
                &self.cloud.world(),
                &self.warehouse.table(),
                self.scenario.composite,
            )?;
            oracle::tidy(&self.cloud.world(), &progress)?;
        }
        match state {
            Some(MirrorState::Live) => Ok(settled),
            _ if late => Err("the mirror is equal to the table and does not say so".to_owned()),
            _ => Ok(false),
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
            if let Err(error) = self.act(&mut world, step.act) {
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

    fn act(&mut self, world: &mut World, act: Act) -> Result<(), aws_sim::ApiError> {
        let composite = self.scenario.composite;
        match act {
            Act::Put { number, rev } => {
                self.revs.insert(number, rev);
                world.put_item(TABLE, &items::item(composite, number, rev))
            }
            Act::Same { number } => match self.revs.get(&number) {
                Some(rev) => world.put_item(TABLE, &items::item(composite, number, *rev)),
                None => Ok(()),
            },
            Act::Delete { number } => {
                self.revs.remove(&number);
                world.delete_item(TABLE, &items::key(composite, number))
            }
            Act::Expire { number } => {
                self.revs.remove(&number);
                world
                    .expire_item(TABLE, &items::key(composite, number))
                    .map(drop)
            }
            Act::Roll { shard } => {
                replace(world, shard, World::roll_over_shards);
                Ok(())
            }
            Act::Split { shard } => {
                replace(world, shard, World::split_shards);
                Ok(())
            }
            Act::SwitchOn => {
                let specification =
                    json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
                world.config.backups_unavailable_ms = 0;
                world.dynamodb(
                    "UpdateTable",
                    json!({ "TableName": TABLE, "StreamSpecification": specification }),
                )?;
                let on = json!({ "PointInTimeRecoveryEnabled": true });
                world
                    .dynamodb(
                        "UpdateContinuousBackups",
                        json!({ "TableName": TABLE, "PointInTimeRecoverySpecification": on }),
                    )
                    .map(drop)
            }
        }
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
            rows: self.warehouse.table().taken,
            exports: self.cloud.world().export_states().count(),
            calls: self.weather.calls(),
            virtual_ms: self.now_ms - self.start_ms,
            opened: opened.clone().into_iter().collect(),
            progress: self.disk.progress(),
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

/// Replaces all open shards of the table's stream, or one of them.
fn replace(
    world: &mut World,
    shard: Option<u64>,
    how: fn(&mut World, &str, Option<&str>) -> Vec<String>,
) {
    let Some(arn) = world
        .table_state(TABLE)
        .and_then(|table| table.stream.clone())
    else {
        return;
    };
    let open: Vec<String> = world
        .stream_states()
        .filter(|stream| stream.arn == arn)
        .flat_map(aws_sim::stream::Stream::open_ids)
        .collect();
    match shard {
        None => drop(how(world, &arn, None)),
        Some(_) if open.is_empty() => {}
        Some(pick) => drop(how(
            world,
            &arn,
            Some(&open[(pick % open.len() as u64) as usize]),
        )),
    }
}
