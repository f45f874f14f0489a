//! Seeds: everything at once.
#![expect(
    clippy::print_stderr,
    reason = "how much was simulated is worth a line"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use testkit::scenario::Scenario;
use testkit::simulation;

use crate::paused;

const DEFAULT_SEEDS: u64 = 200;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `SEED=n` replays one seed; `SEEDS=n` runs seeds 1 to n, `FROM=n` from n on. `VERBOSE=1` tells of each.
#[test]
fn the_mirror_equals_the_table_whatever_happens() {
    let first = number("SEED").or(number("FROM")).unwrap_or(1);
    let last = number("SEED").unwrap_or_else(|| number("SEEDS").unwrap_or(DEFAULT_SEEDS));
    let (next, began) = (AtomicU64::new(first), Instant::now());
    let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().min(4));
    let run = || {
        let mut outcomes = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed > last {
                return outcomes;
            }
            let began = Instant::now();
            outcomes.push((
                seed,
                simulation::run(&Scenario::from_seed(seed), paused),
                began.elapsed(),
            ));
        }
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let (mut lives, mut changes, mut hours) = (0, 0, 0);
    let mut failures = Vec::new();
    let mut slowest = (0, std::time::Duration::ZERO);
    for (seed, outcome, took) in outcomes {
        if took > slowest.1 {
            slowest = (seed, took);
        }
        match outcome {
            Ok(outcome) => {
                if std::env::var("SEED").is_ok() || std::env::var("VERBOSE").is_ok() {
                    eprintln!(
                        "{seed}: {} lives, {} changes, {} shards, {} rows, {} exports, {} calls, {} min, {took:?}",
                        outcome.lives,
                        outcome.changes,
                        outcome.shards,
                        outcome.rows,
                        outcome.exports,
                        outcome.calls,
                        outcome.virtual_ms / 60000
                    );
                }
                lives += outcome.lives;
                changes += outcome.changes;
                hours += outcome.virtual_ms / 3_600_000;
            }
            Err(report) => failures.push((seed, report)),
        }
    }
    let seeds = last + 1 - first;
    let took = began.elapsed();
    eprintln!(
        "{seeds} seeds, {lives} lives, {changes} changes, {hours} hours of virtual time in {took:.1?}; slowest {slowest:?}"
    );
    failures.sort();
    if let Some((seed, report)) = failures.first() {
        let all: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        panic!(
            "{report}\nfailing seeds: {all:?}\nreplay: SEED={seed} cargo test -p testkit the_mirror_equals_the_table\n"
        );
    }
}
