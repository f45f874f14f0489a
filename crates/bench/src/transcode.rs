//! The transcoder alone, by its own example program.

use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::plan::Bench;
use crate::results::Better::Higher;

const KEYS: [(&str, &str); 3] = [
    ("transcode_gb_per_s", "GB/s"),
    ("transcode_vs_best_parser", "x"),
    ("transcode_vs_memcpy", "x"),
];

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let program = bench.options.transcode.clone();
    let Some(program) = program.filter(|program| program.exists()) else {
        for (key, _) in KEYS {
            bench
                .results
                .miss(key, "no program was given; make bench gives one");
        }
        return Ok(());
    };
    let mut samples = KEYS.map(|_| Vec::new());
    for _ in 0..bench.repeats() {
        let output = Command::new(&program).arg("--json").output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let Some(figures) = last_object(&said) else {
            for (key, _) in KEYS {
                bench
                    .results
                    .miss(key, "transcode_rate of this commit does not know --json");
            }
            return Ok(());
        };
        for ((key, _), samples) in KEYS.iter().zip(&mut samples) {
            samples.extend(number(&figures, key));
        }
    }
    for ((key, unit), samples) in KEYS.iter().zip(&samples) {
        if samples.is_empty() {
            bench
                .results
                .miss(key, "transcode_rate --json does not say it");
        } else {
            let how =
                "example transcode_rate of crates/mirror, one core; see its own documentation";
            bench.results.add(key, unit, Higher, how, samples);
        }
    }
    Ok(())
}

/// The last line that is a JSON object, or all of it.
fn last_object(text: &str) -> Option<Value> {
    let is_object = |text: &str| {
        let value: Option<Value> = serde_json::from_str(text).ok();
        value.filter(Value::is_object)
    };
    is_object(text.trim()).or_else(|| text.lines().rev().find_map(is_object))
}

/// A number under its name, which may stand alone or in an object with `value`.
fn number(figures: &Value, key: &str) -> Option<f64> {
    figures[key]
        .as_f64()
        .or_else(|| figures[key]["value"].as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_found_among_other_lines() {
        let figures = last_object("a table\n{\"transcode_gb_per_s\": 1.5}\n").unwrap();
        assert_eq!(number(&figures, "transcode_gb_per_s"), Some(1.5));
        assert_eq!(number(&figures, "transcode_vs_memcpy"), None);
        assert!(last_object("4.5\n").is_none());
    }
}
