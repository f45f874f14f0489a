//! Whether the mirror equals the table. Reads both sides itself: nothing of the product's conversion is used.

use std::collections::{BTreeMap, BTreeSet};
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

/// Items in DynamoDB JSON as they must be in the mirror.
fn wanted<'a>(items: impl Iterator<Item = &'a Map<String, Value>>) -> Items {
    items
        .map(|item| {
            let key = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
            let plain = |(name, value): (&String, &Value)| (name.clone(), plain(value));
            let record = Value::Object(item.iter().map(plain).collect());
            ((key("pk"), key("sk")), record)
        })
        .collect()
}

fn table(stage: &Stage) -> Items {
    let items = stage.aws.handle.with(|world| world.table_items("orders"));
    let items = items.iter().map(|item| serde_json::from_slice(item));
    let items: Vec<Map<String, Value>> = items.collect::<Result<_, _>>().unwrap();
    wanted(items.iter())
}

/// What the mirror holds, and how many keys more than once.
fn mirror(stage: &Stage) -> Option<(Items, usize)> {
    let said = stage.tb(&[
        "sql",
        "--rows-limit",
        "0",
        "SELECT pk, sk, _record FROM orders FINAL FORMAT JSONEachRow",
    ]);
    if !said.ok {
        return None;
    }
    let (mut items, mut doubled) = (Items::new(), BTreeSet::new());
    for line in said.out.lines().filter(|line| !line.is_empty()) {
        let row: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let key = (text("pk"), text("sk"));
        let record = serde_json::from_str(&text("_record")).unwrap();
        if items.insert(key.clone(), record).is_some() {
            doubled.insert(key);
        }
    }
    Some((items, doubled.len()))
}

/// How a mirror differs from its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Items of the table.
    pub(crate) items: usize,
    /// In the table and not in the mirror.
    pub(crate) lost: usize,
    /// In the mirror and not in the table.
    pub(crate) ghosts: usize,
    /// In both, with another attribute.
    pub(crate) different: usize,
    /// Keys with more than one row under `FINAL`.
    pub(crate) doubled: usize,
}

impl Comparison {
    pub(crate) fn is_equal(&self) -> bool {
        self.lost + self.ghosts + self.different + self.doubled == 0
    }
}

/// Compares every attribute of every item. `None` if the mirror does not answer.
pub(crate) fn compare(stage: &Stage) -> Option<Comparison> {
    compare_with(stage, &table(stage))
}

/// As [`compare`], with a table that is elsewhere; its items are DynamoDB JSON.
pub(crate) fn compare_items(stage: &Stage, items: &[Value]) -> Option<Comparison> {
    compare_with(stage, &wanted(items.iter().filter_map(Value::as_object)))
}

fn compare_with(stage: &Stage, wanted: &Items) -> Option<Comparison> {
    let (found, doubled) = mirror(stage)?;
    let lost = wanted
        .keys()
        .filter(|key| !found.contains_key(*key))
        .count();
    let ghosts = found
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .count();
    let different = wanted
        .iter()
        .filter(|(key, item)| found.get(*key).is_some_and(|other| other != *item))
        .count();
    Some(Comparison {
        items: wanted.len(),
        lost,
        ghosts,
        different,
        doubled,
    })
}

/// Waits until the mirror equals the table; returns the number of items.
#[track_caller]
pub(crate) fn equal(stage: &Stage) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let compared = compare(stage);
        match &compared {
            Some(same) if same.is_equal() => return same.items,
            Some(twice) => assert_eq!(twice.doubled, 0, "in the mirror twice: {twice:?}"),
            None => {}
        }
        assert!(
            Instant::now() < deadline,
            "the mirror is not the table: {compared:?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
