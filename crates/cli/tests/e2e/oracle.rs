//! Whether the mirror equals the table. Reads both sides itself: nothing of the product's conversion is used.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value};

use super::stage::{PATIENCE, Stage};

/// What an attribute must be in the mirror.
fn plain(typed: &Value) -> Value {
    let (kind, inner) = typed
        .as_object()
        .and_then(|one| one.iter().next())
        .expect("an attribute has one descriptor");
    let sorted = |mut texts: Vec<Value>| {
        texts.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        Value::Array(texts)
    };
    match kind.as_str() {
        "S" | "B" | "BOOL" => inner.clone(),
        "N" => number(inner.as_str().unwrap()),
        "NULL" => Value::Null,
        "M" => Value::Object(
            inner
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
        ),
        "L" => inner.as_array().unwrap().iter().map(plain).collect(),
        "NS" => {
            let mut texts: Vec<&str> = inner
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            texts.sort_by(|a, b| {
                a.parse::<f64>()
                    .unwrap()
                    .total_cmp(&b.parse::<f64>().unwrap())
            });
            texts.into_iter().map(number).collect()
        }
        "SS" | "BS" => sorted(inner.as_array().unwrap().clone()),
        other => panic!("unknown type {other}"),
    }
}

/// A number token with its text as it is (serde_json keeps it with `arbitrary_precision`).
fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

type Items = BTreeMap<(String, String), Value>;

fn table(stage: &Stage) -> Items {
    let items = stage.aws.handle.with(|world| world.table_items("orders"));
    let parse = |bytes: &[u8]| -> Map<String, Value> { serde_json::from_slice(bytes).unwrap() };
    items
        .iter()
        .map(|bytes| {
            let item = parse(bytes);
            let key = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
            let position = (key("pk"), key("sk"));
            let wanted = item
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect();
            (position, Value::Object(wanted))
        })
        .collect()
}

fn mirror(stage: &Stage) -> Option<Items> {
    let said = stage.tb(&[
        "sql",
        "--rows-limit",
        "0",
        "SELECT pk, sk, _record FROM orders FINAL FORMAT JSONEachRow",
    ]);
    if !said.ok {
        return None;
    }
    let mut items = Items::new();
    for line in said.out.lines().filter(|line| !line.is_empty()) {
        let row: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let twice = items.insert(
            (text("pk"), text("sk")),
            serde_json::from_str(&text("_record")).unwrap(),
        );
        assert!(
            twice.is_none(),
            "{} {} is in the mirror twice",
            row["pk"],
            row["sk"]
        );
    }
    Some(items)
}

/// Waits until the mirror equals the table; returns the number of items.
#[track_caller]
pub(crate) fn equal(stage: &Stage) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (wanted, found) = (table(stage), mirror(stage));
        if found.as_ref() == Some(&wanted) {
            return wanted.len();
        }
        if Instant::now() > deadline {
            let found = found.unwrap_or_default();
            let missing = wanted
                .keys()
                .filter(|key| !found.contains_key(*key))
                .count();
            let ghosts = found
                .keys()
                .filter(|key| !wanted.contains_key(*key))
                .count();
            let differ = wanted
                .iter()
                .filter(|(key, item)| found.get(*key).is_some_and(|other| other != *item))
                .count();
            panic!(
                "the mirror is not the table: {} items, {missing} missing, {ghosts} ghosts, {differ} different",
                wanted.len()
            );
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
