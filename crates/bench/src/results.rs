//! What a run found out, on the disk and on the screen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::statistics::{median, spread};
use crate::{Result, machine};

/// More samples than this are no repeats of one measurement, and their extremes say nothing of its precision.
const MOST_REPEATS: usize = 30;

/// Which of two values is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// One measured thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The median of the samples, unless `how` says otherwise.
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) better: Better,
    pub(crate) how: String,
    pub(crate) measured_at: String,
    pub(crate) samples: Vec<f64>,
}

/// The results file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// `quick` or `full`: only results of the same kind are compared.
    pub(crate) mode: String,
    pub(crate) date: String,
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) versions: BTreeMap<String, String>,
    /// Data sets by name.
    pub(crate) data: BTreeMap<String, String>,
    pub(crate) figures: BTreeMap<String, Figure>,
    /// What was to be measured and was not, and why.
    pub(crate) missing: BTreeMap<String, String>,
}

impl Results {
    /// Of a run that begins now. Figures of an earlier run of the same mode and commit are kept until measured anew.
    pub(crate) fn begin(file: &Path, mode: &str, root: &Path, work: &Path) -> Self {
        let commit = machine::commit(root);
        let earlier = Self::read(file).ok().filter(|earlier| {
            earlier.mode == mode
                && !commit.ends_with("-dirty")
                && earlier.versions.get("commit") == Some(&commit)
        });
        let mut results = earlier.unwrap_or_default();
        results.mode = mode.to_owned();
        results.date = now();
        results.machine = machine::describe(work);
        results.versions.insert("commit".to_owned(), commit);
        results
            .versions
            .insert("rustc".to_owned(), machine::rustc());
        results
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}; run: make bench", file.display()))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?)
    }

    /// Written beside and renamed: nobody reads half of it.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let draft = file.with_extension("json.new");
        fs::write(&draft, format!("{}\n", serde_json::to_string_pretty(self)?))?;
        Ok(fs::rename(draft, file)?)
    }

    /// The median of `samples`.
    pub(crate) fn add(
        &mut self,
        key: &str,
        unit: &str,
        better: Better,
        how: &str,
        samples: &[f64],
    ) -> f64 {
        self.put(key, median(samples), unit, better, how, samples)
    }

    /// A value that is not the median of its samples; `how` has to say what it is.
    pub(crate) fn put(
        &mut self,
        key: &str,
        value: f64,
        unit: &str,
        better: Better,
        how: &str,
        samples: &[f64],
    ) -> f64 {
        let figure = Figure {
            value: rounded(value),
            unit: unit.to_owned(),
            better,
            how: how.to_owned(),
            measured_at: now(),
            samples: samples.iter().copied().map(rounded).collect(),
        };
        self.missing.remove(key);
        self.figures.insert(key.to_owned(), figure);
        value
    }

    pub(crate) fn miss(&mut self, key: &str, why: &str) {
        self.figures.remove(key);
        self.missing.insert(key.to_owned(), why.to_owned());
    }

    pub(crate) fn value(&self, key: &str) -> Option<f64> {
        self.figures.get(key).map(|figure| figure.value)
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let width = self.figures.keys().map(String::len).max().unwrap_or(0);
        let mut text = String::new();
        for (key, figure) in &self.figures {
            let value = shown(figure.value);
            let scatter = match figure.samples.len() {
                0 | 1 => String::new(),
                count if count > MOST_REPEATS => format!("of {count}"),
                count => format!("±{:.0} % of {count}", spread(&figure.samples) * 100.0),
            };
            text.push_str(&format!(
                "{key:width$}  {value:>12} {:<12} {scatter}\n",
                figure.unit
            ));
        }
        for (key, why) in &self.missing {
            text.push_str(&format!("{key:width$}  not measured: {why}\n"));
        }
        text
    }
}

/// A value with thousands separated and no more digits than it deserves.
pub(crate) fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.char_indices() {
        let left = whole.len() - at;
        if at > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Six digits say all that was measured.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

pub(crate) fn now() -> String {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0);
    now.ok()
        .and_then(|now| now.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench/results.json");
        let mut results = Results {
            mode: "quick".to_owned(),
            ..Results::default()
        };
        results.miss("a", "no time");
        results.add("a", "rows/s", Better::Higher, "counted", &[1.0, 3.0, 2.0]);
        results.miss("b", "no Python");
        results.write(&file).unwrap();
        let read = Results::read(&file).unwrap();
        assert_eq!(read, results);
        assert_eq!(read.value("a"), Some(2.0));
        assert_eq!(read.missing.len(), 1);
        let table = read.table();
        assert!(
            table.contains("2.00 rows/s") && table.contains("no Python"),
            "{table}"
        );
    }

    #[test]
    fn figures_are_kept_for_the_same_commit_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        let none = folder.path();
        let mut results = Results::begin(&file, "quick", none, none);
        results.add("a", "s", Better::Lower, "", &[1.0]);
        results.write(&file).unwrap();
        let kept = |mode| Results::begin(&file, mode, none, none).value("a");
        assert_eq!((kept("quick"), kept("full")), (Some(1.0), None));
        results
            .versions
            .insert("commit".to_owned(), "other".to_owned());
        results.write(&file).unwrap();
        assert_eq!(kept("quick"), None);
    }

    #[test]
    fn values_are_readable() {
        assert_eq!(shown(1_234_567.8), "1,234,568");
        assert_eq!(shown(-123.4), "-123");
        assert_eq!(shown(12.345), "12.3");
        assert_eq!(shown(0.5), "0.50");
        assert_eq!(rounded(1.234_567_89), 1.234_57);
    }
}
