//! Figures of the backfill.

use super::{Costs, Load};
use crate::data::Kind;
use crate::machine;
use crate::plan::Bench;
use crate::results::Better::{Higher, Lower};
use crate::rivals::Cost;

/// What the server logs once a load is done, if it does: `stages` and then `download=1.2 gunzip=0.7 …` in seconds.
const STAGES: [&str; 5] = ["download", "gunzip", "transcode", "encode", "insert"];

pub(super) fn stages(log: &str) -> Vec<(String, f64)> {
    let plain = without_colours(log);
    let Some(line) = plain
        .lines()
        .rev()
        .find(|line| STAGES.iter().all(|stage| line.contains(stage)))
    else {
        return Vec::new();
    };
    STAGES
        .iter()
        .filter_map(|stage| {
            let (_, rest) = line.split_once(stage)?;
            let start = rest.find(|c: char| c.is_ascii_digit())?;
            let number = &rest[start..];
            let end = number
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(number.len());
            Some(((*stage).to_owned(), number[..end].parse().ok()?))
        })
        .collect()
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
    for (at, stage) in STAGES.iter().enumerate() {
        let shares: Vec<f64> = ours
            .iter()
            .filter(|load| load.stages.len() == STAGES.len())
            .map(|load| {
                let all: f64 = load.stages.iter().map(|(_, seconds)| seconds).sum();
                load.stages[at].1 / all.max(1e-9)
            })
            .collect();
        if !shares.is_empty() {
            let how = "share of the seconds of all stages, as the server logs them";
            results.add(
                &key(&format!("backfill_share_{stage}")),
                "share",
                Lower,
                how,
                &shares,
            );
        }
    }
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
    fn stages_are_read_from_the_last_line_that_has_them() {
        let log = "INFO x\nINFO stages download_s=1.5 gunzip_s=2 transcode_s=3.25 encode_s=0.5 insert_s=4 rows=7\n\
                   \u{1b}[32mINFO\u{1b}[0m stages \u{1b}[3mdownload_s\u{1b}[0m=2.5 gunzip_s=1 transcode_s=1 encode_s=1 insert_s=1\nend";
        let found = stages(log);
        assert_eq!(found.len(), STAGES.len());
        assert_eq!(found[0], ("download".to_owned(), 2.5));
        assert!(stages("nothing of the kind").is_empty());
    }
}
