//! Figures of the backfill.

use super::{Costs, Load};
use crate::data::Kind;
use crate::machine;
use crate::plan::Bench;
use crate::results::Better::{Higher, Lower};
use crate::rivals::Cost;

/// What the server says of every file it has loaded, at level debug: `… download_ms=3 insert_ms=5 … times of a file`.
const TIMES_OF_A_FILE: &str = "times of a file";
/// Those of them that are work; waiting for a turn and the whole are not.
const STAGES: [&str; 4] = ["download_ms", "unzip_cpu_ms", "convert_cpu_ms", "insert_ms"];

/// Sums of the stages over all files, milliseconds; nothing if the log does not say them.
pub(super) fn stages(log: &str) -> Vec<(&'static str, f64)> {
    let plain = without_colours(log);
    let mut sums = STAGES.map(|stage| (stage, 0.0));
    for word in plain
        .lines()
        .filter(|line| line.contains(TIMES_OF_A_FILE))
        .flat_map(str::split_whitespace)
    {
        if let Some((name, value)) = word.split_once('=')
            && let Some((_, sum)) = sums.iter_mut().find(|(stage, _)| *stage == name)
        {
            *sum += value.parse().unwrap_or(0.0);
        }
    }
    let all: f64 = sums.iter().map(|(_, sum)| sum).sum();
    if all > 0.0 { sums.to_vec() } else { Vec::new() }
}

/// Shares of the stages in their sum.
pub(super) fn add_stages(bench: &mut Bench, stages: &[(&'static str, f64)]) {
    let results = &mut bench.results;
    if stages.is_empty() {
        results.miss(
            "backfill_share",
            "the server of this commit does not log its stages",
        );
        return;
    }
    results.missing.remove("backfill_share");
    let all: f64 = stages.iter().map(|(_, ms)| ms).sum();
    for (stage, ms) in stages {
        let name = stage.trim_end_matches("_ms").trim_end_matches("_cpu");
        let how = format!(
            "{stage} by the sum of {}, over all files, from the server's debug log of one load that is not counted otherwise",
            STAGES.join(", ")
        );
        results.put(
            &format!("backfill_share_{name}"),
            ms / all,
            "share",
            Lower,
            &how,
            &[],
        );
    }
}

fn without_colours(log: &str) -> String {
    let mut plain = String::with_capacity(log.len());
    let mut rest = log;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

fn samples<T>(all: &[T], of: impl Fn(&T) -> f64) -> Vec<f64> {
    all.iter().map(of).collect()
}

/// Our rate by a rival's, round by round.
fn against(ours: &[Load], rival: &[Cost]) -> Vec<f64> {
    ours.iter()
        .zip(rival)
        .map(|(ours, rival)| ours.rows_per_second() / rival.rows_per_second())
        .collect()
}

pub(super) fn add(bench: &mut Bench, costs: &Costs) {
    let Costs {
        ours,
        recipe,
        tuned,
        gunzip,
        native,
        python,
    } = costs;
    let server = "tb server from the first file's download to the last file's commit, by its own status; S3 is simulated on the same cores";
    add_rates(bench, "", server, ours);
    let results_of_rival = [
        (
            "recipe",
            recipe,
            "snapshot table and materialized view with JSONExtract over file(), merges stopped",
        ),
        (
            "tuned_sql",
            tuned,
            "INSERT SELECT with simpleJSONExtract over file(), optimize_on_insert=0, merges stopped",
        ),
        (
            "python",
            python,
            "gzip, json, boto3's TypeDeserializer, clickhouse-connect, one process, smaller sample",
        ),
    ];
    let results = &mut bench.results;
    for (name, rival, how) in results_of_rival {
        let key = format!("backfill_vs_{name}");
        if rival.is_empty() {
            results.miss(&key, "no Python was given; make bench makes one");
            continue;
        }
        let rates = samples(rival, Cost::rows_per_second);
        results.add(
            &format!("backfill_{name}_rows_per_s"),
            "rows/s",
            Higher,
            how,
            &rates,
        );
        let how = format!("our rows/s by those of: {how}; pairs of one round");
        results.add(&key, "x", Higher, &how, &against(ours, rival));
    }
    let per_million = "CPU seconds for a million rows, all threads";
    for (name, rival, how) in [
        ("gunzip", gunzip, "libdeflate, from memory to memory"),
        (
            "native",
            native,
            "client and engine, our own rows as sorted Native blocks of 50,000, 2 inserters, merges stopped",
        ),
        ("recipe", recipe, "client and engine"),
        ("tuned_sql", tuned, "client and engine"),
    ] {
        let key = format!("backfill_{name}_cpu_s_per_m_rows");
        let how = format!("{per_million}: {how}");
        results.add(
            &key,
            "CPU s",
            Lower,
            &how,
            &samples(rival, Cost::cpu_per_million),
        );
    }
    let cores = machine::cores() as f64;
    let ceiling: Vec<f64> = gunzip
        .iter()
        .zip(native)
        .map(|(gunzip, native)| cores * 1e6 / (gunzip.cpu_per_million() + native.cpu_per_million()))
        .collect();
    let how = "cores by the CPU seconds of gunzip alone and of inserting our rows ready-made: no converting, no S3, no checks";
    results.add(
        "backfill_ceiling_rows_per_s",
        "rows/s",
        Higher,
        how,
        &ceiling,
    );
    let share: Vec<f64> = ours
        .iter()
        .zip(&ceiling)
        .map(|(ours, ceiling)| ours.rows_per_second() / ceiling)
        .collect();
    results.add(
        "backfill_vs_ceiling",
        "x",
        Higher,
        "our rows/s by the ceiling's; pairs of one round",
        &share,
    );
}

fn add_rates(bench: &mut Bench, suffix: &str, server: &str, ours: &[Load]) {
    let results = &mut bench.results;
    let key = |name: &str| format!("{name}{suffix}");
    results.add(
        &key("backfill_rows_per_s"),
        "rows/s",
        Higher,
        server,
        &samples(ours, Load::rows_per_second),
    );
    let how = format!("DynamoDB JSON before compression; {server}");
    let rate = samples(ours, |load| load.raw_bytes as f64 / 1e6 / load.seconds);
    results.add(&key("backfill_mb_per_s"), "MB/s", Higher, &how, &rate);
    let cost = |cpu: fn(&Load) -> f64| samples(ours, |load| cpu(load) * 1e6 / load.rows as f64);
    let how = "CPU seconds of server and engine for a million rows, from their start to the end of the load";
    let both = cost(|load| load.server_cpu_seconds + load.engine_cpu_seconds);
    results.add(
        &key("backfill_cpu_s_per_m_rows"),
        "CPU s",
        Lower,
        how,
        &both,
    );
    if suffix.is_empty() {
        let how = "CPU seconds of the simulated S3 for a million rows, which real S3 would not take from us";
        let simulator = cost(|load| load.simulator_cpu_seconds);
        results.add(
            "backfill_simulator_cpu_s_per_m_rows",
            "CPU s",
            Lower,
            how,
            &simulator,
        );
        let how = "from the server's start, secret and `tb build --with-connections` to the last commit, export time of the simulator (0.2 s) included";
        results.add(
            "backfill_wall_s",
            "s",
            Lower,
            how,
            &samples(ours, |load| load.wall_seconds),
        );
    }
    let kind = if suffix.is_empty() {
        ".typical"
    } else {
        suffix
    };
    let how = "VmHWM of the tb server process after the backfill";
    results.add(
        &format!("server_peak_rss_mb{kind}"),
        "MB",
        Lower,
        how,
        &samples(ours, |load| load.server_peak_mb),
    );
    let how = "VmHWM of the engine's process after the backfill, mapped library included";
    results.add(
        &format!("engine_peak_rss_mb{kind}"),
        "MB",
        Lower,
        how,
        &samples(ours, |load| load.engine_peak_mb),
    );
}

pub(super) fn add_kind(bench: &mut Bench, kind: Kind, costs: &Costs) {
    let suffix = format!(".{}", kind.name());
    add_rates(bench, &suffix, "as backfill_rows_per_s", &costs.ours);
    let results = &mut bench.results;
    let key = format!("backfill_vs_tuned_sql{suffix}");
    let how = "as backfill_vs_tuned_sql";
    results.add(&key, "x", Higher, how, &against(&costs.ours, &costs.tuned));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_summed_over_files() {
        let file = |download, insert| {
            format!(
                "DEBUG x: times of a file mirror=1 \u{1b}[3mdownload_ms\u{1b}[0m\u{1b}[2m=\u{1b}[0m{download} waiting_ms=9 insert_ms={insert} unzip_cpu_ms=1 convert_cpu_ms=2\n"
            )
        };
        let log = format!("INFO y insert_ms=100\n{}{}", file(1, 10), file(2, 20));
        assert_eq!(
            stages(&log),
            [
                ("download_ms", 3.0),
                ("unzip_cpu_ms", 2.0),
                ("convert_cpu_ms", 4.0),
                ("insert_ms", 30.0)
            ]
        );
        assert!(stages("INFO y insert_ms=100").is_empty());
    }
}
