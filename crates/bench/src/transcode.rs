//! The transcoder alone, by its own example program.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::plan::Bench;
use crate::results::Better::Higher;

/// Ours, theirs, unit.
const KEYS: [(&str, &str, &str); 3] = [
    ("transcode_gb_per_s", "project_gb_per_s", "GB/s"),
    ("transcode_vs_best_parser", "project_to_better_parser", "x"),
    ("transcode_vs_memcpy", "project_to_memcpy", "x"),
];

const HOW: &str = "example transcode_rate of crates/mirror on one core, DynamoDB JSON to plain JSON and key columns; \
    see its own documentation";

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let program = bench.options.transcode.clone();
    let Some(program) = program.filter(|program| program.exists()) else {
        for (key, _, _) in KEYS {
            bench
                .results
                .miss(key, "no program was given; make bench gives one");
        }
        return Ok(());
    };
    let mut samples: BTreeMap<String, (&str, Vec<f64>)> = BTreeMap::new();
    for _ in 0..bench.repeats() {
        let mut command = Command::new(&program);
        command.arg("--json");
        if bench.options.quick {
            command.arg("--quick");
        }
        let said = command.output()?.stdout;
        for (key, unit, value) in figures(&String::from_utf8_lossy(&said)) {
            let entry = samples.entry(key).or_insert((unit, Vec::new()));
            entry.1.push(value);
        }
    }
    for (key, (unit, samples)) in &samples {
        bench.results.add(key, unit, Higher, HOW, samples);
    }
    if samples.is_empty() {
        for (key, _, _) in KEYS {
            bench
                .results
                .miss(key, "transcode_rate --json does not say it");
        }
    }
    Ok(())
}

/// Key, unit and value of all that `transcode_rate --json` said. Typical data has the plain key, others end with theirs.
fn figures(said: &str) -> Vec<(String, &'static str, f64)> {
    let Some(object) = last_object(said) else {
        return Vec::new();
    };
    let mut figures = Vec::new();
    for kind in object["kinds"].as_array().into_iter().flatten() {
        for (key, name, unit) in KEYS {
            let key = match kind["kind"].as_str() {
                Some("typical") | None => key.to_owned(),
                Some(other) => format!("{key}.{other}"),
            };
            figures.extend(kind[name].as_f64().map(|value| (key, unit, value)));
        }
    }
    figures
}

/// The last line that is a JSON object, or all of it.
fn last_object(text: &str) -> Option<Value> {
    let is_object = |text: &str| {
        let value: Option<Value> = serde_json::from_str(text).ok();
        value.filter(Value::is_object)
    };
    is_object(text.trim()).or_else(|| text.lines().rev().find_map(is_object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_among_other_lines() {
        let said = "a table\n{\"kinds\":[{\"kind\":\"typical\",\"project_gb_per_s\":0.5},\
                    {\"kind\":\"big\",\"project_to_memcpy\":0.25}]}\n";
        let wanted = [
            ("transcode_gb_per_s".to_owned(), "GB/s", 0.5),
            ("transcode_vs_memcpy.big".to_owned(), "x", 0.25),
        ];
        assert_eq!(figures(said), wanted);
        assert!(figures("4.5\n").is_empty());
    }
}
