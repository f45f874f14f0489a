//! Incremental exports: what they hold, and which windows are refused.

use std::collections::BTreeMap;

use aws_sim::rng::Rng;
use aws_sim::{Attr, World};
use serde_json::{Value, json};

use crate::exports::{finished, lines, start};
use crate::scenario::{key, put, world};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

fn window(from_ms: i64, to_ms: Option<i64>) -> Value {
    let mut spec = json!({ "ExportFromTime": from_ms / 1000 });
    if let Some(to_ms) = to_ms {
        spec["ExportToTime"] = json!(to_ms / 1000);
    }
    json!({"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": spec})
}

fn ask(world: &mut World, from_ms: i64, to_ms: i64) -> Result<Value, String> {
    start(world, window(from_ms, Some(to_ms))).map_err(|error| {
        assert_eq!(error.code, "InvalidExportTimeException");
        error.message
    })
}

fn earliest_ms(world: &mut World) -> i64 {
    let answer = world
        .dynamodb("DescribeContinuousBackups", json!({"TableName": "t"}))
        .expect("a description");
    let recovery = &answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    let seconds = recovery["EarliestRestorableDateTime"].as_f64();
    let ms = seconds.expect("a time") * 1000.0;
    assert_eq!(ms % 1000.0, 0.0, "a whole second");
    ms as i64
}

#[test]
fn windows_outside_of_what_recovery_covers_are_refused() {
    let mut world = world(|_| ());
    world.s3.create_bucket("b", "us-east-1");
    let begin = world.now_ms();
    assert_eq!(earliest_ms(&mut world), begin);
    world.advance(2 * DAY_MS + 300);
    let now = world.now_ms();
    let whole = now.div_euclid(1000) * 1000;
    let refusals = [
        (begin + 1000, begin + 15 * MINUTE_MS, "less than 15 minutes"),
        (begin + MINUTE_MS, begin, "less than 15 minutes"),
        (begin, begin + DAY_MS + SECOND_MS, "greater than 24 hours"),
        (whole - 20 * MINUTE_MS, whole + SECOND_MS, "in the future"),
        (
            begin - SECOND_MS,
            begin + 15 * MINUTE_MS,
            "earliest restorable time",
        ),
    ];
    for (from_ms, to_ms, reason) in refusals {
        let message = ask(&mut world, from_ms, to_ms).expect_err(reason);
        assert!(message.contains(reason), "{reason}: {message}");
    }
    for (from_ms, to_ms) in [
        (begin, begin + 15 * MINUTE_MS),
        (begin, begin + DAY_MS),
        (whole - 15 * MINUTE_MS, whole),
    ] {
        ask(&mut world, from_ms, to_ms).expect("a good window");
    }
    world.advance(40 * DAY_MS);
    let expected = (world.now_ms() - 35 * DAY_MS + 999).div_euclid(1000) * 1000;
    assert_eq!(earliest_ms(&mut world), expected, "35 days back");
    assert!(ask(&mut world, begin, begin + DAY_MS).is_err());
}

#[test]
fn recovery_that_was_switched_off_and_on_covers_what_came_after() {
    let mut world = world(|_| ());
    world.advance(DAY_MS + 1);
    for on in [false, true] {
        let spec = json!({"PointInTimeRecoveryEnabled": on});
        let request = json!({"TableName": "t", "PointInTimeRecoverySpecification": spec});
        world
            .dynamodb("UpdateContinuousBackups", request)
            .expect("a switch");
    }
    let switched = world.now_ms();
    world.advance(MINUTE_MS);
    assert_eq!(
        earliest_ms(&mut world),
        switched + 999,
        "the next whole second"
    );
}

#[test]
fn a_line_has_the_last_write_and_what_was_there_before_the_window() {
    let mut world = world(|_| ());
    world.s3.create_bucket("b", "us-east-1");
    put(&mut world, "kept", "1");
    put(&mut world, "back", "1");
    world.advance(20 * MINUTE_MS);
    let from_ms = world.now_ms();
    put(&mut world, "edge", "1");
    world.advance(20 * MINUTE_MS - 1);
    put(&mut world, "kept", "2");
    put(&mut world, "back", "2");
    put(&mut world, "back", "1");
    let last_ms = world.now_ms();
    world.advance(1);
    let to_ms = world.now_ms();
    put(&mut world, "kept", "3");
    let export = ask(&mut world, from_ms, to_ms).expect("an export");
    let done = finished(&mut world, &export);
    let mut found: Vec<_> = lines(&world, &done)
        .iter()
        .map(|line| {
            let micros = &line["Metadata"]["WriteTimestampMicros"]["N"];
            let micros: i64 = micros.as_str().expect("text").parse().expect("a number");
            let value = |image: &str| line[image]["v"]["N"].as_str().map(str::to_owned);
            let name = line["Keys"]["pk"]["S"].as_str().expect("a key").to_owned();
            (name, micros, value("OldImage"), value("NewImage"))
        })
        .collect();
    found.sort();
    let text = |value: &str| Some(value.to_owned());
    // Writes of one millisecond follow each other by a microsecond.
    let expected = [
        ("back", last_ms * 1000 + 2, text("1"), text("1")),
        ("edge", from_ms * 1000, None, text("1")),
        ("kept", last_ms * 1000, text("1"), text("2")),
    ];
    assert_eq!(
        found,
        expected.map(|(name, micros, old, new)| (name.to_owned(), micros, old, new))
    );
}

/// Random writes and a chain of windows over them: put on top of each other they are the table, each starts from
/// where the one before ended, and no write is in two of them.
#[test]
fn windows_that_adjoin_lose_and_repeat_nothing() {
    for seed in 0..30 {
        let fuzz_ms = [0, 60 * SECOND_MS][seed as usize % 2];
        let mut world = world(|config| {
            config.seed = seed;
            config.export.incremental_fuzz_ms = fuzz_ms;
        });
        world.s3.create_bucket("b", "us-east-1");
        let mut rng = Rng::new(seed);
        let begin = world.now_ms();
        world.advance(2 * MINUTE_MS);
        while world.now_ms() < begin + 120 * MINUTE_MS {
            let name = format!("k{}", rng.below(12));
            match rng.below(4) {
                0 => world.delete_item("t", &key(&name)).expect("a deletion"),
                _ => put(&mut world, &name, &rng.below(1000).to_string()),
            }
            world.advance(rng.below(40_000) as i64);
        }
        world.advance(2 * MINUTE_MS);
        let end = world.now_ms().div_euclid(1000) * 1000;
        let edges = [begin, begin + 20 * MINUTE_MS, begin + 61 * MINUTE_MS, end];
        let mut table: BTreeMap<String, String> = BTreeMap::new();
        let mut latest = 0;
        for pair in edges.windows(2) {
            let export = ask(&mut world, pair[0], pair[1]).expect("an export");
            world.advance(2 * fuzz_ms);
            let done = finished(&mut world, &export);
            assert_eq!(done["ExportStatus"], "COMPLETED");
            let before = latest;
            for line in lines(&world, &done) {
                let name = line["Keys"]["pk"]["S"].to_string();
                let micros = &line["Metadata"]["WriteTimestampMicros"]["N"];
                let micros: i64 = micros.as_str().expect("text").parse().expect("a number");
                assert!(micros > before, "seed {seed}: a write of the window before");
                for edge in [pair[0] - fuzz_ms, pair[1] + fuzz_ms] {
                    let inside = micros >= edge * 1000;
                    assert_eq!(inside, edge < pair[1], "seed {seed}: outside of the window");
                }
                latest = latest.max(micros);
                let value = |image: &str| Some(line[image]["v"]["N"].as_str()?.to_owned());
                assert_eq!(table.get(&name).cloned(), value("OldImage"), "seed {seed}");
                match value("NewImage") {
                    Some(value) => table.insert(name, value),
                    None => table.remove(&name),
                };
            }
        }
        let expected: BTreeMap<String, String> = world
            .table_items("t")
            .iter()
            .map(|item| {
                let item = aws_sim::attribute::parse_map(item);
                let text = |name: &str| match &item[name] {
                    Attr::S(text) | Attr::N(text) => text.clone(),
                    other => panic!("{other:?}"),
                };
                (format!("{:?}", text("pk")), text("v"))
            })
            .collect();
        assert_eq!(table, expected, "seed {seed}");
    }
}
