//! Reading a stream that is full: how fast, and how soon after a restart.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::plan::{Bench, say};
use crate::process;
use crate::process::{cpu_seconds, peak_mb};
use crate::results::Better::{Higher, Lower};
use crate::stage::{Aws, Server};

/// Shards and the changes waiting in them, in a full run and in a quick one.
const CASES: [(u32, u64, u64); 4] = [
    (1, 50_000, 20_000),
    (8, 300_000, 60_000),
    (64, 500_000, 100_000),
    (700, 500_000, 100_000),
];
const ITEM_BYTES: u64 = 700;
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(50);

/// What one restart in front of a full stream showed.
struct Run {
    records_per_second: f64,
    caught_up_seconds: f64,
    calls_per_million: f64,
    server_cpu_seconds: f64,
    engine_cpu_seconds: f64,
    simulator_cpu_seconds: f64,
    peak_mb: f64,
}

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    for (shards, full, quick) in CASES {
        let changes = bench.pick(full, quick);
        let mut runs = Vec::new();
        for _ in 0..bench.pick(3, 1) {
            let run = one(bench, shards, changes);
            runs.push(run.map_err(|error| format!("{shards} shards: {error}"))?);
        }
        say(&format!("stream: {shards} shards done"));
        let samples = |of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<_>>();
        let results = &mut bench.results;
        let data = format!("{changes} changes of {ITEM_BYTES} bytes waiting in {shards} shards");
        let how = format!(
            "{data}; from the first rows visible to all visible; the simulator answers as often as it is asked, AWS five times a second and shard"
        );
        let rates = samples(|run| run.records_per_second);
        results.add(
            &format!("stream_records_per_s.{shards}_shards"),
            "records/s",
            Higher,
            &how,
            &rates,
        );
        let how = format!("{data}; from the start of the server's process to all visible");
        let times = samples(|run| run.caught_up_seconds);
        results.add(
            &format!("restart_to_caught_up_s.{shards}_shards"),
            "s",
            Lower,
            &how,
            &times,
        );
        let how = format!("{data}; every call of AWS while catching up, by the changes");
        let calls = samples(|run| run.calls_per_million);
        results.add(
            &format!("aws_calls_per_million_changes.{shards}_shards"),
            "calls",
            Lower,
            &how,
            &calls,
        );
        if shards == 700 {
            let how = "VmHWM of the tb server process that read 700 full shards";
            let peaks = samples(|run| run.peak_mb);
            results.add("server_peak_rss_mb.700_shards", "MB", Lower, how, &peaks);
        }
    }
    Ok(())
}

/// One catching up, as JSON.
pub(crate) fn one_run(bench: &mut Bench, shards: u32, changes: u64) -> Result<Value> {
    let run = one(bench, shards, changes)?;
    Ok(json!({
        "records_per_s": run.records_per_second.round(),
        "caught_up_s": run.caught_up_seconds,
        "calls_per_million": run.calls_per_million.round(),
        "server_cpu_s": run.server_cpu_seconds,
        "engine_cpu_s": run.engine_cpu_seconds,
        "simulator_cpu_s": run.simulator_cpu_seconds,
        "server_peak_mb": run.peak_mb.round(),
    }))
}

/// A mirror of an empty table is stopped, the table is written to, and the mirror is started again.
fn one(bench: &mut Bench, shards: u32, changes: u64) -> Result<Run> {
    let folder = bench.folder("stream")?;
    let (aws, mut server) = live(bench, &folder, shards)?;
    server.stop()?;
    aws.generate("orders", 0, changes, ITEM_BYTES)?;
    let calls = |aws: &Aws| Ok::<u64, crate::Error>(aws.calls()?.values().sum());
    let before = calls(&aws)?;
    let simulator_before = cpu_seconds(aws.pid());
    let begun = Instant::now();
    server.start()?;
    let mut seen = Vec::new();
    process::wait_for("the stream to be read", PATIENCE, LOOK, || {
        let rows = server.number("SELECT count() FROM orders")?;
        if rows > 0 {
            seen.push((begun.elapsed().as_secs_f64(), rows));
        }
        Ok((rows >= changes).then_some(()))
    })?;
    let run = Run {
        records_per_second: rate(&seen),
        caught_up_seconds: begun.elapsed().as_secs_f64(),
        calls_per_million: (calls(&aws)? - before) as f64 * 1e6 / changes as f64,
        server_cpu_seconds: cpu_seconds(server.pid()),
        engine_cpu_seconds: cpu_seconds(server.engine_pid()),
        simulator_cpu_seconds: cpu_seconds(aws.pid()) - simulator_before,
        peak_mb: peak_mb(server.pid()).unwrap_or(0.0),
    };
    let found = server.number("SELECT count() FROM orders FINAL")?;
    if found != changes {
        return Err(format!("{found} rows instead of {changes}").into());
    }
    server.stop()?;
    aws.stop()?;
    fs::remove_dir_all(folder)?;
    Ok(run)
}

/// Rows a second between the first look that saw some and the last. Everything at once counts from the start.
fn rate(seen: &[(f64, u64)]) -> f64 {
    match (seen.first(), seen.last()) {
        (Some(first), Some(last)) if last.0 > first.0 && last.1 > first.1 => {
            (last.1 - first.1) as f64 / (last.0 - first.0)
        }
        (Some(first), _) => first.1 as f64 / first.0,
        _ => 0.0,
    }
}

/// An AWS with an empty table `orders` whose stream has `shards` shards, and a live mirror of it.
pub(crate) fn live(bench: &Bench, folder: &std::path::Path, shards: u32) -> Result<(Aws, Server)> {
    let aws = Aws::start(&bench.programs, folder, shards)?;
    aws.create_table("orders")?;
    aws.come_to_the_present()?;
    let mut server = Server::prepare(&bench.programs, folder, &aws, &["orders".to_owned()])?;
    server.set_up()?;
    server.loaded("orders")?;
    process::wait_for("the mirror to be live", PATIENCE, LOOK, || {
        let mirror = server.mirror("orders")?;
        Ok((mirror["state"] == "live" && mirror["active_shards"] == shards).then_some(()))
    })?;
    Ok((aws, server))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_between_the_first_and_the_last_look() {
        assert_eq!(rate(&[(1.0, 100), (2.0, 300), (3.0, 500)]), 200.0);
        assert_eq!(rate(&[(2.0, 500)]), 250.0);
        assert_eq!(rate(&[]), 0.0);
    }
}
