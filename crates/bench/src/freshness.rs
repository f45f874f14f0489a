//! How soon a write to DynamoDB is seen by a query of ClickHouse.

mod probes;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::plan::{Bench, say};
use crate::results::Better::Lower;
use crate::stage::{Aws, Server};
use crate::statistics::quantile;
use crate::stream;
pub(crate) use probes::{Outcome, probe};

/// Changes a second, and whether a quick run has them.
const RATES: [(u64, bool); 5] = [
    (10, false),
    (250, true),
    (1000, true),
    (2500, false),
    (25_000, false),
];
/// A partition of DynamoDB takes 1,000 writes a second, so a table with more has more shards; half of that is usual.
const CHANGES_PER_SHARD: u64 = 500;
const LEAST_SHARDS: u64 = 4;
const ITEM_BYTES: u64 = 400;
/// Items that are written over and over: more would only fill the simulator's memory.
const ITEMS: u64 = 200_000;
const TICK: Duration = Duration::from_millis(50);
/// Before it is measured, so that the mirror has found its pace.
const WARM_UP: Duration = Duration::from_secs(3);

/// What one rate showed.
struct Run {
    outcome: Outcome,
    /// Changes a second that were really written.
    achieved: f64,
    /// Most parts of the table at any look.
    most_parts: u64,
}

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    for (rate, in_quick) in RATES {
        if bench.quick() && !in_quick {
            continue;
        }
        let seconds = bench.seconds();
        let run = one(bench, rate, Duration::from_secs(seconds));
        let run = run.map_err(|error| format!("{rate} changes/s: {error}"))?;
        say(&format!("freshness: {rate} changes/s done"));
        add(bench, rate, seconds, &run);
    }
    Ok(())
}

/// One run, as JSON.
pub(crate) fn one_run(bench: &mut Bench, rate: u64) -> Result<Value> {
    let duration = Duration::from_secs(bench.seconds());
    let run = one(bench, rate, duration)?;
    let ms = |q| quantile(&run.outcome.ms, q).round();
    Ok(json!({
        "achieved_per_s": run.achieved.round(),
        "p50_ms": ms(0.5),
        "p99_ms": ms(0.99),
        "max_ms": ms(1.0),
        "most_parts": run.most_parts,
    }))
}

fn add(bench: &mut Bench, rate: u64, seconds: u64, run: &Run) {
    let results = &mut bench.results;
    let ms = &run.outcome.ms;
    let how = format!(
        "{} stamped items among {:.0} changes/s (asked for {rate}) for {seconds} s; from before PutItem is called to the answer of the query that sees it, one query every {} ms",
        ms.len(),
        run.achieved,
        probes::LOOK.as_millis()
    );
    for (name, q) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        let key = format!("freshness_{name}_ms.{rate}_per_s");
        // A thousand samples say all that the file needs to say.
        let step = ms.len().div_ceil(1000).max(1);
        let samples: Vec<f64> = match name {
            "p50" => ms.iter().copied().step_by(step).collect(),
            _ => Vec::new(),
        };
        let how = format!("{name} of {how}");
        results.put(&key, quantile(ms, q), "ms", Lower, &how, &samples);
    }
    let key = format!("freshness_most_parts.{rate}_per_s");
    let how = "most parts of the table in ClickHouse at any look, one a second";
    results.put(&key, run.most_parts as f64, "parts", Lower, how, &[]);
    if run.achieved < 0.95 * rate as f64 {
        let why = format!("the simulator wrote {:.0} changes/s only", run.achieved);
        for name in ["p50", "p99", "max"] {
            results.miss(&format!("freshness_{name}_ms.{rate}_per_s"), &why);
        }
    }
}

fn one(bench: &mut Bench, rate: u64, duration: Duration) -> Result<Run> {
    let folder = bench.folder("freshness")?;
    let shards = (rate / CHANGES_PER_SHARD).max(LEAST_SHARDS);
    let (aws, mut server) = stream::live(bench, &folder, u32::try_from(shards)?)?;
    let done = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    let (outcome, achieved, most_parts) = std::thread::scope(|scope| {
        // Probes are changes too.
        let background = rate.saturating_sub(probes::PER_SECOND);
        let (aws, done, written) = (&aws, &done, &written);
        let writer = scope.spawn(move || write(aws, background, done, written));
        let parts = scope.spawn(|| watch_parts(&server, done));
        std::thread::sleep(WARM_UP);
        let (before, begun) = (written.load(Ordering::Relaxed), Instant::now());
        let outcome = probe(aws, &server, duration);
        let seconds = begun.elapsed().as_secs_f64();
        let probes = outcome
            .as_ref()
            .map_or(0, |outcome| outcome.ms.len() as u64);
        let changes = written.load(Ordering::Relaxed) - before + probes;
        done.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "the writer failed")??;
        let parts = parts.join().map_err(|_| "the watcher failed")??;
        Ok::<_, crate::Error>((outcome?, changes as f64 / seconds, parts))
    })?;
    server.stop()?;
    aws.stop()?;
    fs::remove_dir_all(folder)?;
    Ok(Run {
        outcome,
        achieved,
        most_parts,
    })
}

/// Writes `rate` changes a second, in small portions, until `done`. What was missed is not made up for in one go.
fn write(aws: &Aws, rate: u64, done: &AtomicBool, written: &AtomicU64) -> Result<()> {
    let begun = Instant::now();
    let (mut next, mut skipped) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64 - skipped;
        let most = (rate / 5).max(1);
        skipped += (due - next).saturating_sub(most);
        let mut left = (due - next).min(most);
        while left > 0 {
            let start = next % ITEMS;
            let count = left.min(ITEMS - start);
            aws.generate("orders", start, count, ITEM_BYTES)?;
            next += count;
            left -= count;
            written.fetch_add(count, Ordering::Relaxed);
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}

fn watch_parts(server: &Server, done: &AtomicBool) -> Result<u64> {
    let mut most = 0;
    while !done.load(Ordering::Relaxed) {
        most = most.max(server.number("SELECT uniqExact(_part) FROM orders")?);
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(most)
}
