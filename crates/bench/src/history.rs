//! Ratios and instruction counts of recorded runs, and whether the newest run is worse.
//!
//! Times of two machines, or of two moods of one machine, say nothing; ratios of things measured side by side do.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::results::{Better, Results, shown};
use crate::{Files, Result};

/// A ratio may be worse than the record by this share.
const TOLERANCE: f64 = 0.1;
/// What is compared: units of ratios, and of counts that no machine changes.
const COMPARED: [&str; 2] = ["x", "M instr"];
/// Findings about ClickHouse's settings are no promise of ours.
const NOT_OURS: &str = "final_with_";

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    date: String,
    commit: String,
    mode: String,
    ratios: BTreeMap<String, f64>,
}

impl Record {
    fn of(results: &Results) -> Self {
        let figures = results.figures.iter().filter(|(key, figure)| {
            COMPARED.contains(&figure.unit.as_str()) && !key.starts_with(NOT_OURS)
        });
        Self {
            date: results.date.clone(),
            commit: results.versions.get("commit").cloned().unwrap_or_default(),
            mode: results.mode.clone(),
            ratios: figures
                .map(|(key, figure)| (key.clone(), figure.value))
                .collect(),
        }
    }
}

/// The last record of the same mode.
fn last(history: &Path, mode: &str) -> Result<Option<Record>> {
    let text = fs::read_to_string(history).unwrap_or_default();
    let mut found = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let record: Record = serde_json::from_str(line)
            .map_err(|error| format!("{}: {error}: {line}", history.display()))?;
        if record.mode == mode {
            found = Some(record);
        }
    }
    Ok(found)
}

/// How much worse `now` is than `before`, as a share of `before`; negative if it is better.
fn worse_by(before: f64, now: f64, better: Better) -> f64 {
    match better {
        Better::Higher => (before - now) / before,
        Better::Lower => (now - before) / before,
    }
}

/// Prints every ratio beside the record's; fails if one is worse by more than the tolerance.
pub(crate) fn check(files: &Files) -> Result<()> {
    let results = Results::read(&files.results)?;
    let Some(record) = last(&files.history, &results.mode)? else {
        println!(
            "no {} run is recorded in {}",
            results.mode,
            files.history.display()
        );
        return Ok(());
    };
    println!("against {} of {}", record.commit, record.date);
    let mut worse = Vec::new();
    let ratios = Record::of(&results).ratios;
    for (key, now) in &ratios {
        let (Some(before), Some(figure)) = (record.ratios.get(key), results.figures.get(key))
        else {
            println!("{key:40} {:>10}  new", shown(*now));
            continue;
        };
        let by = worse_by(*before, *now, figure.better);
        let verdict = if by > TOLERANCE { "WORSE" } else { "" };
        println!(
            "{key:40} {:>10}  was {:>10}  {:+.1} % {verdict}",
            shown(*now),
            shown(*before),
            -by * 100.0
        );
        if by > TOLERANCE {
            worse.push(key.as_str());
        }
    }
    for key in record
        .ratios
        .keys()
        .filter(|key| !results.figures.contains_key(*key))
    {
        println!("{key:40} not measured this time");
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(format!(
        "worse by more than {:.0} %: {}",
        TOLERANCE * 100.0,
        worse.join(", ")
    )
    .into())
}

/// Appends the results' ratios.
pub(crate) fn record(files: &Files) -> Result<()> {
    let results = Results::read(&files.results)?;
    let record = Record::of(&results);
    if record.ratios.is_empty() {
        return Err("the results have no ratio".into());
    }
    if record.commit.ends_with("-dirty") {
        return Err(
            "the results are of files that are not committed: commit, measure, then record".into(),
        );
    }
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(&files.history)?;
    writeln!(file, "{}", serde_json::to_string(&record)?)?;
    println!(
        "recorded {} ratios of {}",
        record.ratios.len(),
        record.commit
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(commit: &str, speed: f64, slowness: f64) -> Results {
        let mut results = Results {
            mode: "quick".to_owned(),
            ..Results::default()
        };
        results
            .versions
            .insert("commit".to_owned(), commit.to_owned());
        results.add("backfill_vs_recipe", "x", Better::Higher, "", &[speed]);
        results.add("final_vs_plain", "x", Better::Lower, "", &[slowness]);
        results.add("backfill_rows_per_s", "rows/s", Better::Higher, "", &[1.0]);
        results
    }

    fn files(folder: &Path) -> Files {
        Files {
            results: folder.join("results.json"),
            history: folder.join("history.jsonl"),
        }
    }

    #[test]
    fn a_ratio_that_falls_by_more_than_a_tenth_fails() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        results("a", 4.0, 1.5).write(&files.results).unwrap();
        check(&files).unwrap();
        record(&files).unwrap();
        for (speed, slowness, fine) in [
            (4.0, 1.5, true),
            (3.65, 1.6, true),
            (9.0, 0.5, true),
            (3.5, 1.5, false),
            (4.0, 1.7, false),
        ] {
            results("b", speed, slowness).write(&files.results).unwrap();
            assert_eq!(check(&files).is_ok(), fine, "{speed} {slowness}");
        }
        // Another mode is another measurement.
        let mut full = results("b", 1.0, 9.0);
        full.mode = "full".to_owned();
        full.write(&files.results).unwrap();
        check(&files).unwrap();
    }

    #[test]
    fn what_is_not_committed_is_not_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        results("abc-dirty", 4.0, 1.5)
            .write(&files.results)
            .unwrap();
        assert!(record(&files).is_err());
        results("abc", 4.0, 1.5).write(&files.results).unwrap();
        record(&files).unwrap();
        let last = last(&files.history, "quick").unwrap().unwrap();
        assert_eq!((last.commit.as_str(), last.ratios.len()), ("abc", 2));
    }
}
