//! Many seeds on all cores: what they were like together, and which of them diverged.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use aws_sim::FaultKind;
use mirror::error::ErrorKind;
use tokio::runtime::Runtime;

use crate::scenario::{Act, HOUR, Scenario};
use crate::simulation::{self, Outcome};

/// How often seeds are looked at that do not end.
const LOOK: Duration = Duration::from_millis(500);

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    pub first: u64,
    pub count: u64,
    /// Seeds left out.
    pub except: BTreeSet<u64>,
    pub threads: usize,
    /// Seeds above the lowest that diverges are not begun.
    pub until_divergence: bool,
    /// Wall-clock time that a seed may take; one that takes longer has diverged.
    pub longest: Duration,
}

impl Plan {
    /// `count` seeds from `first` on, on all cores.
    pub fn new(first: u64, count: u64) -> Self {
        Self {
            first,
            count,
            except: BTreeSet::new(),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            until_divergence: false,
            longest: Duration::from_secs(300),
        }
    }
}

/// One seed that was run.
#[derive(Debug)]
pub struct Ran {
    pub seed: u64,
    pub took: Duration,
    /// Kinds of faults in its scenario.
    pub faults: Vec<&'static str>,
    /// What it was like, or the report of its divergence.
    pub outcome: Result<Outcome, String>,
}

/// All seeds together.
#[derive(Debug, Default)]
pub struct Summary {
    pub seeds: u64,
    pub lives: u64,
    pub changes: u64,
    pub calls: u64,
    pub exports: u64,
    pub healed: u64,
    pub resyncs: u64,
    pub virtual_hours: i64,
    /// Kinds of faults, and how many seeds had each.
    pub faults: BTreeMap<&'static str, u64>,
    pub slowest: Option<(u64, Duration)>,
    /// Reports by seed.
    pub divergences: BTreeMap<u64, String>,
    pub took: Duration,
}

impl Summary {
    fn add(&mut self, ran: Ran) {
        self.seeds += 1;
        if self.slowest.is_none_or(|(_, took)| ran.took > took) {
            self.slowest = Some((ran.seed, ran.took));
        }
        for fault in ran.faults {
            *self.faults.entry(fault).or_default() += 1;
        }
        match ran.outcome {
            Ok(outcome) => {
                self.lives += u64::from(outcome.lives);
                self.changes += outcome.changes as u64;
                self.calls += outcome.calls;
                self.exports += outcome.exports as u64;
                self.healed += u64::from(outcome.healed);
                self.resyncs += u64::from(outcome.resyncs);
                self.virtual_hours += outcome.virtual_ms / HOUR;
            }
            Err(report) => drop(self.divergences.insert(ran.seed, report)),
        }
    }

    /// The figures, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} lives, {} changes, {} hours of virtual time, {} calls",
                self.lives, self.changes, self.virtual_hours, self.calls
            ),
            format!(
                "{} gaps healed, {} resyncs, {} exports",
                self.healed, self.resyncs, self.exports
            ),
        ];
        let faults = self.faults.iter();
        let faults: Vec<_> = faults
            .map(|(kind, seeds)| format!("{kind} {seeds}"))
            .collect();
        lines.push(format!(
            "faults, and how many seeds had each: {}",
            faults.join(", ")
        ));
        if let Some((seed, took)) = self.slowest {
            lines.push(format!("slowest: seed {seed}, {took:.1?}"));
        }
        lines
    }
}

/// What a thread has to say.
enum News {
    Begun(u64),
    Ran(Box<Ran>),
    /// It has no more seeds to run.
    Over,
}

/// Runs seeds, and tells of each as it ends. `new_runtime` makes a runtime of one thread whose time is paused.
///
/// A seed that does not end within its time keeps its thread until the process ends.
pub fn run(plan: &Plan, new_runtime: fn() -> Runtime, mut heard: impl FnMut(&Ran)) -> Summary {
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(plan.first));
    let end = Arc::new(AtomicU64::new(plan.first + plan.count));
    let (sender, news) = mpsc::channel();
    let mut threads = plan.threads.max(1);
    for _ in 0..threads {
        let (next, end, sender) = (Arc::clone(&next), Arc::clone(&end), sender.clone());
        let except = plan.except.clone();
        std::thread::spawn(move || {
            let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst));
            for seed in seeds.take_while(|seed| *seed < end.load(Ordering::SeqCst)) {
                if !except.contains(&seed) {
                    // Nobody listens only if this thread was given up.
                    let _ = sender.send(News::Begun(seed));
                    let _ = sender.send(News::Ran(Box::new(one(seed, new_runtime))));
                }
            }
            let _ = sender.send(News::Over);
        });
    }
    let mut summary = Summary::default();
    let mut running: BTreeMap<u64, Instant> = BTreeMap::new();
    while threads > 0 {
        let mut ended = None;
        match news.recv_timeout(LOOK) {
            Ok(News::Begun(seed)) => drop(running.insert(seed, Instant::now())),
            Ok(News::Ran(ran)) => match running.remove(&ran.seed) {
                Some(_) => ended = Some(*ran),
                // It was given up, and its thread goes on after all.
                None => threads += 1,
            },
            Ok(News::Over) => threads -= 1,
            Err(_) => {}
        }
        let endless = running
            .iter()
            .find(|(_, began)| began.elapsed() > plan.longest);
        if let Some(seed) = endless.map(|(seed, _)| *seed).filter(|_| ended.is_none()) {
            running.remove(&seed);
            threads -= 1;
            ended = Some(Ran {
                seed,
                took: plan.longest,
                faults: faults(&Scenario::from_seed(seed)),
                outcome: Err(format!(
                    "hangs: no end after {:?} of real time",
                    plan.longest
                )),
            });
        }
        let Some(ran) = ended else { continue };
        if plan.until_divergence && ran.outcome.is_err() {
            end.fetch_min(ran.seed, Ordering::SeqCst);
        }
        heard(&ran);
        summary.add(ran);
    }
    summary.took = began.elapsed();
    summary
}

fn one(seed: u64, new_runtime: fn() -> Runtime) -> Ran {
    let began = Instant::now();
    let scenario = Scenario::from_seed(seed);
    let lived = catch_unwind(AssertUnwindSafe(|| simulation::run(&scenario, new_runtime)));
    let outcome = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panics: {}", text.unwrap_or("no text")))
    });
    Ran {
        seed,
        took: began.elapsed(),
        faults: faults(&scenario),
        outcome,
    }
}

/// The kinds of faults that a scenario has in store; not all of them need to happen.
pub fn faults(scenario: &Scenario) -> Vec<&'static str> {
    let mut kinds = BTreeSet::new();
    let mut had = |kind: &'static str, there: bool| {
        if there {
            kinds.insert(kind);
        }
    };
    let odds = &scenario.odds;
    had("calls throttled", odds.throttled > 0.0);
    had("calls refused", odds.unavailable > 0.0);
    had("answers lost", odds.lost > 0.0);
    had("inserts late", odds.late > 0.0);
    had("iterators expired", odds.expired > 0.0);
    had("calls slow", odds.slow > 0.0);
    had("clock wrong", scenario.skew_ms != 0);
    for crash in &scenario.crashes {
        had("crashes", true);
        had("down for more than an hour", crash.down_ms > HOUR);
        had("down for more than a day", crash.down_ms > 24 * HOUR);
    }
    for window in &scenario.windows {
        let kind = match &window.error {
            ErrorKind::RoleRefused | ErrorKind::AccessDenied => "role lost",
            ErrorKind::DiskFull => "disk full",
            _ => "ClickHouse or store away",
        };
        had(kind, true);
    }
    for step in &scenario.steps {
        match step.act {
            Act::Roll { .. } | Act::Split { .. } => had("shards replaced early", true),
            Act::StreamOff => had("stream off", true),
            Act::Recreate => had("table created again", true),
            Act::Resync => had("resync asked for", true),
            _ => {}
        }
    }
    for fault in &scenario.faults {
        let kind = match &fault.fault {
            FaultKind::ExportFailed { .. } => "export failed",
            FaultKind::WrongManifestItemCount => "manifest with a wrong count",
            FaultKind::WrongManifestMd5 => "manifest with a wrong checksum",
            FaultKind::TruncatedDataFile => "data file cut",
            _ => "other faults of AWS",
        };
        had(kind, true);
    }
    let doctored = &scenario.doctored;
    had("data file cut between gzip members", doctored.cut > 0);
    had("items that cannot be converted", doctored.odd > 0);
    let stream = &scenario.config.stream;
    had(
        "shards replaced every few hours",
        stream.auto_rollover_ms.is_some(),
    );
    had("children listed late", stream.children_delay_ms > 0);
    had("empty pages", stream.empty_page_chance > 0.0);
    had("records repeated", stream.duplicate_chance > 0.0);
    had("times step back", stream.backstep_chance > 0.0);
    had(
        "records on a shard's last page",
        stream.last_page_chance > 0.0,
    );
    had("rates enforced", stream.enforce_rates);
    had("exports fuzzy", scenario.config.export.fuzz_ms > 0);
    kinds.into_iter().collect()
}
