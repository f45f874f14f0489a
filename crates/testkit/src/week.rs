//! A long time in the life of one mirror, looked at as people look at it: how old the data are, how much time is left
//! before records leave the stream, and what the mirror asks of AWS meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mirror::status::{MirrorState, StatusReport};
use tokio::runtime::Runtime;

use crate::process::Call;
use crate::scenario::{HOUR, SECOND, Scenario};
use crate::simulation::{self, Outcome};

mod plot;

pub use plot::scenario;

/// Which lives, and how they are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// First seed.
    pub first: u64,
    pub seeds: u64,
    /// Length of each life.
    pub hours: i64,
    /// Milliseconds of virtual time between two looks.
    pub every_ms: i64,
    pub threads: usize,
}

/// How old the data were, milliseconds, at looks that are equally far apart.
#[derive(Clone, Debug, Default)]
pub struct Ages(Vec<i64>);

impl Ages {
    /// The age that this share (0 to 1) of looks did not exceed.
    pub fn share(&mut self, share: f64) -> Option<i64> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        self.0.get((last as f64 * share).round() as usize).copied()
    }

    /// `p50 1.2 s p99 3.4 s max 5.6 s`.
    pub fn line(&mut self) -> String {
        let seconds = |ms: Option<i64>| match ms {
            Some(ms) => format!("{:.1} s", ms as f64 / SECOND as f64),
            None => "unknown".to_owned(),
        };
        format!(
            "p50 {} p99 {} max {}",
            seconds(self.share(0.5)),
            seconds(self.share(0.99)),
            seconds(self.share(1.0))
        )
    }
}

/// What people saw.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The watermark's age by AWS's clock, whatever the state, from the end of the first backfill on. While the process
    /// is dead the data grow older, too.
    pub ages: Ages,
    /// ... while the state was `live`.
    pub live_ages: Ages,
    /// The largest difference between the age and the lag that the status tells, milliseconds.
    pub lag_off_ms: i64,
    /// The least time before a record after the watermark may leave the stream, milliseconds.
    pub headroom_ms: Option<i64>,
    /// Milliseconds in each state, and `dead`.
    pub states: BTreeMap<&'static str, i64>,
    /// Times that it began to stand still.
    pub stalls: u32,
    /// Milliseconds of all shards together in which they were read or waited to be.
    pub shard_ms: i64,
    /// Calls by their kind.
    pub calls: BTreeMap<Call, u64>,
    /// Answers of DescribeStream, each with 100 shards at most.
    pub described: usize,
    pub lives: u64,
    pub changes: u64,
    pub healed: u64,
    pub resyncs: u64,
    pub virtual_ms: i64,
}

/// Looks at one life.
struct Watcher {
    start_ms: i64,
    every_ms: i64,
    last_ms: Option<i64>,
    watermark_ms: Option<i64>,
    stalled: bool,
    figures: Figures,
}

impl Watcher {
    fn look(&mut self, at_ms: i64, report: &StatusReport) {
        let last_ms = self.last_ms.replace(at_ms).unwrap_or(at_ms);
        let mut passed_ms = at_ms - last_ms;
        // Nobody answered in between: the process was dead.
        if passed_ms > 2 * self.every_ms {
            let mut dead_ms = last_ms + self.every_ms;
            while dead_ms < at_ms {
                self.age(dead_ms, None);
                dead_ms += self.every_ms;
            }
            *self.figures.states.entry("dead").or_default() += passed_ms;
            passed_ms = 0;
        }
        let figures = &mut self.figures;
        *figures.states.entry(report.state.name()).or_default() += passed_ms;
        figures.shard_ms += (report.shards.0 + report.shards.1) as i64 * passed_ms;
        let stalled = report.stalled.is_some();
        figures.stalls += u32::from(stalled && !self.stalled);
        self.stalled = stalled;
        let headroom_ms = report.headroom_seconds.map(|left| left as i64 * SECOND);
        figures.headroom_ms = figures.headroom_ms.into_iter().chain(headroom_ms).min();
        // A worker that has just started knows none yet: what was true stays true.
        self.watermark_ms = report.watermark_ms.or(self.watermark_ms);
        self.age(at_ms, Some(report.state));
        if let (Some(watermark_ms), Some(lag)) = (report.watermark_ms, report.lag_seconds) {
            let off_ms = self.start_ms + at_ms - watermark_ms - (lag * 1000.0) as i64;
            self.figures.lag_off_ms = self.figures.lag_off_ms.max(off_ms.abs());
        }
    }

    fn age(&mut self, at_ms: i64, state: Option<MirrorState>) {
        let Some(watermark_ms) = self.watermark_ms else {
            return;
        };
        let age_ms = self.start_ms + at_ms - watermark_ms;
        self.figures.ages.0.push(age_ms);
        if state == Some(MirrorState::Live) {
            self.figures.live_ages.0.push(age_ms);
        }
    }
}

/// Lives a scenario and looks at it every `every_ms` milliseconds.
///
/// # Errors
/// As [`simulation::run`].
pub fn watch(
    scenario: &Scenario,
    new_runtime: fn() -> Runtime,
    every_ms: i64,
) -> Result<Figures, String> {
    let mut watcher = Watcher {
        start_ms: scenario.config.start_ms,
        every_ms,
        last_ms: None,
        watermark_ms: None,
        stalled: false,
        figures: Figures::default(),
    };
    let mut look = |at_ms, report: &StatusReport| watcher.look(at_ms, report);
    let outcome = simulation::run_watched(scenario, new_runtime, Some(every_ms), &mut look)?;
    watcher.figures.end(&outcome);
    Ok(watcher.figures)
}

impl Figures {
    fn end(&mut self, outcome: &Outcome) {
        self.calls.clone_from(&outcome.calls_by_kind);
        self.described = outcome.described;
        self.lives = u64::from(outcome.lives);
        self.changes = outcome.changes as u64;
        self.healed = u64::from(outcome.healed);
        self.resyncs = u64::from(outcome.resyncs);
        self.virtual_ms = outcome.virtual_ms;
    }

    /// Another life beside this one.
    fn add(&mut self, other: Self) {
        self.ages.0.extend(other.ages.0);
        self.live_ages.0.extend(other.live_ages.0);
        self.lag_off_ms = self.lag_off_ms.max(other.lag_off_ms);
        self.headroom_ms = self.headroom_ms.into_iter().chain(other.headroom_ms).min();
        for (state, ms) in other.states {
            *self.states.entry(state).or_default() += ms;
        }
        for (call, times) in other.calls {
            *self.calls.entry(call).or_default() += times;
        }
        self.stalls += other.stalls;
        self.shard_ms += other.shard_ms;
        self.described += other.described;
        self.lives += other.lives;
        self.changes += other.changes;
        self.healed += other.healed;
        self.resyncs += other.resyncs;
        self.virtual_ms += other.virtual_ms;
    }

    /// The least headroom, hours.
    pub fn headroom_hours(&self) -> String {
        let hours = |ms: i64| format!("{:.1}", ms as f64 / HOUR as f64);
        self.headroom_ms.map_or("unknown".to_owned(), hours)
    }

    /// The figures, a line each.
    pub fn lines(&mut self) -> Vec<String> {
        let seen_ms = self.states.values().sum::<i64>().max(1) as f64;
        let mut states: Vec<_> = self.states.iter().collect();
        states.sort_by_key(|(_, ms)| -**ms);
        let states = states.iter().filter(|(_, ms)| **ms > 0);
        let states: Vec<_> = states
            .map(|(state, ms)| format!("{state} {:.2} %", **ms as f64 * 100.0 / seen_ms))
            .collect();
        let shard_hours = self.shard_ms as f64 / HOUR as f64;
        let records = self.calls.get(&Call::GetRecords).copied().unwrap_or(0);
        let each = |calls: u64| calls as f64 / shard_hours.max(f64::MIN_POSITIVE);
        vec![
            format!("lag: {}", self.ages.line()),
            format!("lag while live: {}", self.live_ages.line()),
            format!("headroom: {} h at least", self.headroom_hours()),
            format!("time: {}", states.join(", ")),
            format!(
                "calls per shard-hour: {:.0} GetRecords, {:.1} DescribeStream ({shard_hours:.0} shard-hours)",
                each(records),
                each(self.described as u64)
            ),
            format!(
                "{} changes, {} lives, {} gaps healed, {} resyncs, {} times stalled",
                self.changes, self.lives, self.healed, self.resyncs, self.stalls
            ),
        ]
    }
}

/// Several lives together.
#[derive(Debug, Default)]
pub struct Summary {
    pub all: Figures,
    /// Reports by seed.
    pub divergences: BTreeMap<u64, String>,
    pub took: Duration,
}

/// Lives all weeks of a plan and tells of each as it ends: its seed, and its figures or the rule that was broken.
pub fn run(
    plan: &Plan,
    new_runtime: fn() -> Runtime,
    heard: impl Fn(u64, &mut Result<Figures, String>) + Sync,
) -> Summary {
    let began = Instant::now();
    let next = AtomicU64::new(plan.first);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.clamp(1, plan.seeds.max(1) as usize) {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst));
                for seed in seeds.take_while(|seed| *seed < plan.first + plan.seeds) {
                    let mut lived = watch(&scenario(seed, plan.hours), new_runtime, plan.every_ms);
                    heard(seed, &mut lived);
                    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                    match lived {
                        Ok(figures) => summary.all.add(figures),
                        Err(report) => drop(summary.divergences.insert(seed, report)),
                    }
                }
            });
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.took = began.elapsed();
    summary
}
