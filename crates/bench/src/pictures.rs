//! Pictures of the results, as SVG.

use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Result;
use crate::plan::say;
use crate::results::{Results, shown};

const WIDTH: u32 = 760;
const BAR: u32 = 34;
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const OTHERS: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);
const FONT: &str = "sans-serif";

/// A bar: its label, its value, whether it is ours.
type Bar = (String, f64, bool);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws every picture whose figures are there.
pub(crate) fn draw(results: &Path, folder: &Path) -> Result<()> {
    let results = Results::read(results)?;
    fs::create_dir_all(folder)?;
    let pictures = [
        (
            "backfill",
            "Backfill: rows per second (more is better)",
            backfill(&results),
        ),
        (
            "freshness",
            "From write to query, ms (less is better)",
            freshness(&results),
        ),
        (
            "stream",
            "Catching up: records per second (more is better)",
            stream(&results),
        ),
        ("queries", "Queries, ms (less is better)", queries(&results)),
    ];
    for (name, title, bars) in pictures {
        if bars.is_empty() {
            say(&format!("no figures for {name}.svg"));
            continue;
        }
        let file = folder.join(format!("{name}.svg"));
        let size = (WIDTH, 60 + BAR * bars.len() as u32);
        let area = SVGBackend::new(&file, size).into_drawing_area();
        bar_chart(&area, title, &bars).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("{}", file.display());
    }
    Ok(())
}

fn bar(results: &Results, key: &str, label: &str, ours: bool) -> Option<Bar> {
    Some((label.to_owned(), results.value(key)?, ours))
}

fn backfill(results: &Results) -> Vec<Bar> {
    [
        ("backfill_rows_per_s", "Dynamirror", true),
        (
            "backfill_ceiling_rows_per_s",
            "ceiling of this machine",
            false,
        ),
        ("backfill_tuned_sql_rows_per_s", "best SQL", false),
        ("backfill_recipe_rows_per_s", "documented recipe", false),
        ("backfill_python_rows_per_s", "Python script", false),
    ]
    .iter()
    .filter_map(|(key, label, ours)| bar(results, key, label, *ours))
    .collect()
}

fn freshness(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    for rate in numbered(results, "freshness_p99_ms.", "_per_s") {
        for (name, ours) in [("p50", false), ("p99", true)] {
            let key = format!("freshness_{name}_ms.{rate}_per_s");
            let label = format!(
                "{} changes/s, {name}",
                shown(rate as f64).replace(".00", "")
            );
            bars.extend(bar(results, &key, &label, ours));
        }
    }
    bars
}

fn stream(results: &Results) -> Vec<Bar> {
    numbered(results, "stream_records_per_s.", "_shards")
        .into_iter()
        .filter_map(|shards| {
            let key = format!("stream_records_per_s.{shards}_shards");
            let s = if shards == 1 { "" } else { "s" };
            bar(results, &key, &format!("{shards} shard{s}"), true)
        })
        .collect()
}

fn queries(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (query, name) in [
        ("lookup", "key"),
        ("page", "page"),
        ("aggregate", "aggregate"),
    ] {
        for (way, state, label) in [
            ("final", "merged", "FINAL, merged"),
            ("final", "unmerged", "FINAL, unmerged"),
            ("argmax", "merged", "argMax, merged"),
            ("plain", "merged", "plain table"),
        ] {
            let key = format!("query_{query}_{way}_ms.{state}");
            bars.extend(bar(
                results,
                &key,
                &format!("{name}: {label}"),
                way == "final",
            ));
        }
    }
    bars
}

/// The numbers in the middle of keys, in order.
fn numbered(results: &Results, before: &str, after: &str) -> Vec<u64> {
    let middle = |key: &String| {
        let middle = key.strip_prefix(before)?.strip_suffix(after)?;
        middle.parse().ok()
    };
    let mut numbers: Vec<u64> = results.figures.keys().filter_map(middle).collect();
    numbers.sort_unstable();
    numbers
}

/// Horizontal bars on a common scale from zero, with their values written beside them.
fn bar_chart(
    area: &Area<'_>,
    title: &str,
    bars: &[Bar],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    const LABELS: i32 = 230;
    const VALUES: i32 = 90;
    const TOP: i32 = 48;
    area.fill(&WHITE)?;
    let text = |size: i32| (FONT, size).into_font().color(&BLACK);
    area.draw(&Text::new(title.to_owned(), (16, 14), text(18)))?;
    let most = bars
        .iter()
        .map(|(_, value, _)| *value)
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    let room = f64::from(WIDTH as i32 - LABELS - VALUES);
    for (at, (label, value, ours)) in bars.iter().enumerate() {
        let top = TOP + at as i32 * BAR as i32;
        let right = LABELS + (room * value / most).round().max(1.0) as i32;
        let colour = if *ours { OURS } else { OTHERS };
        area.draw(&Text::new(label.clone(), (16, top + 5), text(14)))?;
        area.draw(&Rectangle::new(
            [(LABELS, top), (right, top + 24)],
            colour.filled(),
        ))?;
        area.draw(&Text::new(shown(*value), (right + 8, top + 5), text(14)))?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Better;

    #[test]
    fn a_picture_shows_every_bar_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        let mut results = Results::default();
        for (key, value) in [
            ("stream_records_per_s.8_shards", 20_000.0),
            ("stream_records_per_s.1_shards", 4_000.0),
            ("backfill_rows_per_s", 600_000.0),
        ] {
            results.add(key, "", Better::Higher, "", &[value]);
        }
        results.write(&file).unwrap();
        draw(&file, folder.path()).unwrap();
        let picture = fs::read_to_string(folder.path().join("stream.svg")).unwrap();
        let at = |text: &str| {
            picture
                .find(text)
                .unwrap_or_else(|| panic!("{text} in {picture}"))
        };
        assert!(at("1 shard") < at("8 shards"));
        assert!(at("4,000") < at("20,000"));
        assert!(!folder.path().join("queries.svg").exists());
    }
}
