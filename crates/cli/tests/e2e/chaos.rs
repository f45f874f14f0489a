//! `kill -9` of server and engine at random moments, while a table is written all the time: nothing is lost, doubled
//! or different in the end.
//!
//! `KILLS` and `CHAOS_SEED` say how often and with which dice; `make chaos` kills fifty times. The seed decides writes,
//! victims and pauses; what a process was doing when it died is up to the machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sim::rng::Rng;
use aws_sim::{ExportConfig, Fault, FaultKind, Sim, WorldConfig};

use super::flow::{key, order};
use super::oracle::{Comparison, compare};
use super::stage::{Stage, kill_now, orders_table};

const MINUTE: i64 = 60 * 1000;

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the mirror is made to do, in this order; the kills are shared out evenly.
const ACTS: [Act; 5] = [
    Act::Backfill,
    Act::Follow,
    Act::Heal,
    Act::Resync,
    Act::Follow,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The first export is loaded.
    Backfill,
    /// The stream is followed.
    Follow,
    /// More than a day of the stream is lost while the server is dead, and brought by incremental exports.
    Heal,
    /// The table is deleted and created again, and filled anew beside the former rows.
    Resync,
}

/// A number of the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

/// Writes until told to stop; returns the number of changes.
fn write(sim: &Sim, seed: u64, stop: &AtomicBool) -> u64 {
    let mut rng = Rng::new(seed);
    let mut changes = 0;
    let number = |rng: &mut Rng| rng.below(500) as u32;
    while !stop.load(Ordering::SeqCst) {
        sim.with(|world| {
            let mut change = |number: u32, delete: bool| {
                changes += 1;
                let done = match delete {
                    true => world.delete_item("orders", &key(number)),
                    false => world.put_item("orders", &order(number, changes as u32)),
                };
                done.unwrap();
            };
            for _ in 0..rng.below(25) {
                change(number(&mut rng), rng.chance(0.3));
            }
            if rng.chance(0.1) {
                // Many changes of one key within a millisecond.
                let one = number(&mut rng);
                for _ in 0..rng.below(60) {
                    change(one, rng.chance(0.2));
                }
            }
            let shards: Vec<String> = world
                .table_state("orders")
                .and_then(|table| table.stream.clone())
                .and_then(|arn| world.stream_states().find(|stream| stream.arn == arn))
                .map(|stream| stream.open_ids())
                .unwrap_or_default();
            if rng.chance(0.01) && !shards.is_empty() {
                let shard = &shards[rng.below(shards.len() as u64) as usize];
                match shards.len() < 12 {
                    true => world.split_shards("orders", Some(shard)),
                    false => world.roll_over_shards("orders", Some(shard)),
                };
            }
        });
        std::thread::sleep(Duration::from_millis(20));
    }
    changes
}

/// The stage, the dice, and what has happened so far.
struct Chaos {
    stage: Stage,
    rng: Rng,
    kills: u64,
    healings_begun: usize,
    tips: u32,
    revived: u64,
    /// Kills by what the mirror was doing.
    kills_in: std::collections::BTreeMap<String, u64>,
}

impl Chaos {
    /// Polls until `done`. Lets AWS's time pass for a healing that waits for it, and starts a server again that ended
    /// because its engine was killed before it was ready.
    #[track_caller]
    fn wait(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "waited too long for {what}");
            self.tend();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn tend(&mut self) {
        self.revived += u64::from(self.stage.revive());
        let begun = self.stage.logged("healing begins");
        if begun > self.healings_begun {
            self.healings_begun = begun;
            self.stage.aws.advance(15 * MINUTE);
        }
    }

    fn state(&self) -> String {
        let mirror = self.stage.mirror().unwrap_or_default();
        mirror["state"].as_str().unwrap_or("down").to_owned()
    }

    /// Whether it does what the act is about.
    fn is_playing(&self, act: Act) -> bool {
        let state = self.state();
        state
            == match act {
                Act::Backfill => "backfilling",
                Act::Follow => "live",
                Act::Heal => "healing",
                Act::Resync => "gap",
            }
    }

    /// Waits until changes of all shards that are written now are in the mirror.
    fn wait_for_the_tip(&mut self) {
        self.tips += 1;
        let version = u32::MAX - self.tips;
        self.stage.aws.handle.with(|world| {
            for number in 600..700 {
                world.put_item("orders", &order(number, version)).unwrap();
            }
        });
        let condition = format!("WHERE JSONExtractUInt(_record, 'version') = {version}");
        self.wait("the tip of the stream", |chaos| {
            chaos.rows(&condition) == Some(100)
        });
    }

    /// Kills at a random moment, half of the time while the mirror does what the act is about.
    fn kill(&mut self, act: Act) {
        if self.rng.chance(0.5) {
            // It may be over already.
            self.wait("the mirror to be at work", |chaos| {
                chaos.is_playing(act) || chaos.is_playing(Act::Follow)
            });
        }
        let pause_ms = self.rng.below(800);
        std::thread::sleep(Duration::from_millis(pause_ms));
        self.tend();
        let state = self.state();
        if state == "stalled" {
            println!("chaos: {:?}", self.stage.mirror());
        }
        *self.kills_in.entry(state).or_default() += 1;
        self.kills += 1;
        let engine = self.stage.engine_pid();
        match self.rng.below(3) {
            0 if engine.is_some_and(kill_now) => return,
            1 => {
                engine.map(kill_now);
                self.stage.kill();
            }
            _ => self.stage.kill(),
        }
        self.stage.spawn();
    }

    fn play(&mut self, act: Act, kills: u64) {
        match act {
            Act::Backfill | Act::Follow => {}
            Act::Heal => {
                // A gap that begins within minutes of the backfill cannot be healed.
                self.stage.aws.advance(30 * MINUTE);
                self.wait_for_the_tip();
                self.wait_for_the_tip();
                self.stage.kill();
                self.stage.aws.advance(26 * 60 * MINUTE);
                self.stage.spawn();
                self.wait("the gap to be seen", |chaos| chaos.is_playing(Act::Heal));
            }
            Act::Resync => {
                let before = self.stage.logged("a resync begins");
                self.stage.aws.handle.with(|world| {
                    world.drop_table("orders").unwrap();
                    world.create_table(&orders_table()).unwrap();
                    for number in 250..1000 {
                        world.put_item("orders", &order(number, 0)).unwrap();
                    }
                    // An export waits until the stream is some minutes old.
                    world.advance(10 * MINUTE);
                });
                self.stage.aws.advance(10 * MINUTE);
                self.wait("the resync to begin", |chaos| {
                    chaos.stage.logged("a resync begins") > before
                });
            }
        }
        for _ in 0..kills {
            self.kill(act);
        }
        self.wait("the mirror to be live", |chaos| {
            chaos.is_playing(Act::Follow)
        });
    }

    /// The mirror and its table once nothing is written any more; as they are when patience ends.
    fn compared(&mut self) -> Comparison {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.tend();
            let live = self.is_playing(Act::Follow);
            let compared = compare(&self.stage).filter(|_| live);
            let late = Instant::now() > deadline;
            if let Some(compared) = compared
                && (compared.is_equal() || late)
            {
                return compared;
            }
            assert!(!late, "the mirror did not catch up: {compared:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Rows under `FINAL`. `None` if the mirror does not answer.
    fn rows(&self, condition: &str) -> Option<usize> {
        let sql = format!("SELECT count() AS items FROM orders FINAL {condition} FORMAT TSV");
        let said = self.stage.tb(&["sql", &sql]);
        said.ok.then(|| said.out.trim().parse().ok())?
    }
}

#[test]
fn whatever_is_killed_whenever_nothing_is_lost_or_doubled_or_different() {
    let kills = setting("KILLS").unwrap_or(5);
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap();
    let seed = setting("CHAOS_SEED").unwrap_or(since_epoch.as_millis() as u64 % 1_000_000);
    println!("chaos: CHAOS_SEED={seed} KILLS={kills}");
    let started = Instant::now();

    let config = WorldConfig {
        seed,
        export: ExportConfig {
            duration_ms: 1_000,
            files: Some(20.max(kills as u32 * 2)),
            ..Default::default()
        },
        ..Default::default()
    };
    let stage = Stage::with(config, &orders_table());
    stage.configure("load_parallelism = 1\n");
    stage.aws.handle.with(|world| {
        // So that there is time to die while an export is loaded.
        let slow = FaultKind::SlowBody { pause_ms: 100 };
        world
            .faults
            .add(Fault::new("GetObject", slow).containing("/data/"));
        for number in 0..2_000.max(200 * kills as u32) {
            world.put_item("orders", &order(number, 0)).unwrap();
        }
    });
    let mut chaos = Chaos {
        stage,
        rng: Rng::new(seed),
        kills: 0,
        healings_begun: 0,
        tips: 0,
        revived: 0,
        kills_in: Default::default(),
    };
    chaos.stage.start();
    chaos.stage.set_secret();
    let build = ["build", "--with-connections", "--no-wait"];
    chaos.stage.tb(&build).success();

    let stop = AtomicBool::new(false);
    let sim = chaos.stage.aws.handle.clone();
    let changes = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&sim, seed, &stop));
        let stopping = StopOnDrop(&stop);
        for (act, number) in ACTS.into_iter().zip(0..) {
            let acts = ACTS.len() as u64;
            chaos.play(act, kills * (number + 1) / acts - kills * number / acts);
        }
        drop(stopping);
        writer.join().unwrap()
    });

    let compared = chaos.compared();
    let rows = chaos.rows("").unwrap();
    println!(
        "chaos: {} items, {rows} rows, {changes} changes, {} ghosts, kills by state {:?}, {} starts of systemd, {:.0} s, CHAOS_SEED={seed}",
        compared.items,
        compared.ghosts,
        chaos.kills_in,
        chaos.revived,
        started.elapsed().as_secs_f64()
    );
    let report = format!(
        "chaos: {} kills, {} lost, {} doubled, {} different",
        chaos.kills,
        compared.lost,
        compared
            .doubled
            .max(rows.saturating_sub(compared.items + compared.ghosts)),
        compared.different + compared.ghosts
    );
    println!("{report}");
    if let Some(file) = std::env::var_os("CHAOS_REPORT") {
        std::fs::write(file, format!("{report}\n")).unwrap();
    }
    assert!(
        compared.is_equal() && rows == compared.items,
        "{report}; CHAOS_SEED={seed} {compared:?} {rows} rows"
    );
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
