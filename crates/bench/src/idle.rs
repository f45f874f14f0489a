//! What a mirror asks of AWS while nothing is written, and how it wakes.

use std::fs;
use std::time::{Duration, Instant};

use crate::Result;
use crate::freshness::probe;
use crate::plan::Bench;
use crate::results::Better::Lower;
use crate::statistics::{median, quantile};
use crate::stream;

/// As many as a table with 44 partitions has.
const SHARDS: u32 = 44;

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder("idle")?;
    let (settle, count) = bench.pick((60, 300), (5, 15));
    let (aws, mut server) = stream::live(bench, &folder, SHARDS)?;
    std::thread::sleep(Duration::from_secs(settle));
    let (before, begun) = (aws.calls()?, Instant::now());
    std::thread::sleep(Duration::from_secs(count));
    let (after, seconds) = (aws.calls()?, begun.elapsed().as_secs_f64());
    let mut by_action = Vec::new();
    let mut calls = 0;
    for (action, now) in &after {
        let made = now - before.get(action).copied().unwrap_or(0);
        if made > 0 {
            by_action.push(format!("{action} {made}"));
            calls += made;
        }
    }
    let quiet = bench.pick(10, 2);
    // One probe at a time, each after some quiet.
    let mut woken = Vec::new();
    for _ in 0..bench.pick(10, 3) {
        std::thread::sleep(Duration::from_secs(quiet));
        woken.extend(probe(&aws, &server, Duration::from_millis(1))?.ms);
    }
    server.stop()?;
    aws.stop()?;
    fs::remove_dir_all(folder)?;
    let how = format!(
        "calls of AWS in {seconds:.0} s after {settle} s of quiet, one mirror, nothing written, times 3600 by the seconds ({})",
        by_action.join(", ")
    );
    let value = calls as f64 * 3600.0 / seconds;
    let results = &mut bench.results;
    results.put(
        "idle_calls_per_hour_44_shards",
        value,
        "calls",
        Lower,
        &how,
        &[],
    );
    let how = format!(
        "median of single items, each written after at least {quiet} s of quiet, 44 shards"
    );
    results.put(
        "freshness_after_idle_ms",
        median(&woken),
        "ms",
        Lower,
        &how,
        &woken,
    );
    let how = "longest of them";
    results.put(
        "freshness_after_idle_max_ms",
        quantile(&woken, 1.0),
        "ms",
        Lower,
        how,
        &[],
    );
    Ok(())
}
