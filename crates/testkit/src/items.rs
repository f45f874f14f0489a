//! Items with something of everything, and their plain JSON by other means than the code under test.

use aws_sim::rng::{Rng, mix};
use aws_sim::{Attr, Map};
use serde_json::Value;

/// Numbers of items that are never in the table: only records that no reader expects are about them.
pub const POISONED: std::ops::Range<u32> = 900..920;

/// The key attributes of item number `number`.
pub fn key(composite: bool, number: u32) -> Map {
    let text = |text: String| Attr::S(text);
    // Several items share a partition key when there is a sort key.
    let partition = if composite { number / 3 } else { number };
    let name = match partition % 7 {
        0 => format!("k\"{partition}\\"),
        1 => format!("kü\u{1F600}{partition}"),
        2 => format!("k\n{partition}"),
        _ => format!("k{partition}"),
    };
    let mut key = Map::from([("pk".to_owned(), text(name))]);
    if composite {
        let sort = ["-7.5", "0", "12345678901234567890123456789012345678"][number as usize % 3];
        key.insert("sk".to_owned(), Attr::N(sort.to_owned()));
    }
    key
}

/// Item `number` in its revision `rev`.
pub fn item(composite: bool, number: u32, rev: u64) -> Map {
    let mut rng = Rng::new(mix(u64::from(number)) ^ mix(rev));
    let mut item = key(composite, number);
    item.insert("rev".to_owned(), Attr::N(rev.to_string()));
    let extras = [
        ("a.b", Attr::S("dotted \"name\" \u{7}".to_owned())),
        (
            "big",
            Attr::N("0.12345678901234567890123456789012345678".to_owned()),
        ),
        ("bin", Attr::B(rev.to_be_bytes().to_vec())),
        ("flag", Attr::Bool(rev.is_multiple_of(2))),
        ("none", Attr::Null),
        (
            "list",
            Attr::L(vec![
                Attr::N(rev.to_string()),
                Attr::S(String::new()),
                Attr::L(Vec::new()),
            ]),
        ),
        (
            "map",
            Attr::M(Map::from([
                ("z".to_owned(), Attr::Null),
                ("a$".to_owned(), Attr::N(number.to_string())),
            ])),
        ),
        ("tags", Attr::Ss(vec!["a".to_owned(), "b".to_owned()])),
        ("scores", Attr::Ns(vec!["10".to_owned(), "9".to_owned()])),
    ];
    for (name, value) in extras {
        if rng.chance(0.4) {
            item.insert(name.to_owned(), value);
        }
    }
    item
}

/// Whether `plain` is the plain JSON of `item`.
pub fn is_plain(item: &Map, plain: &Value) -> bool {
    let Value::Object(members) = plain else {
        return false;
    };
    members.len() == item.len()
        && item
            .iter()
            .all(|(name, attr)| members.get(name).is_some_and(|value| same(attr, value)))
}

fn same(attr: &Attr, value: &Value) -> bool {
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let set = |mut expected: Vec<String>| {
        let found = value.as_array().into_iter().flatten();
        let mut found: Vec<String> = found.map(Value::to_string).collect();
        found.sort();
        expected.sort();
        found == expected
    };
    match attr {
        Attr::S(text) => value == text,
        // Numbers keep their text: serde_json is built with arbitrary precision.
        Attr::N(text) => value
            .as_number()
            .is_some_and(|number| number.as_str() == text),
        Attr::B(bytes) => *value == base64(bytes),
        Attr::Bool(flag) => value == flag,
        Attr::Null => value.is_null(),
        Attr::Ss(members) => set(members
            .iter()
            .map(|text| Value::from(text.as_str()).to_string())
            .collect()),
        Attr::Ns(members) => set(members.clone()),
        Attr::Bs(members) => set(members
            .iter()
            .map(|bytes| Value::from(base64(bytes)).to_string())
            .collect()),
        Attr::L(members) => {
            let found = value.as_array();
            found.is_some_and(|found| {
                found.len() == members.len()
                    && members
                        .iter()
                        .zip(found)
                        .all(|(attr, value)| same(attr, value))
            })
        }
        Attr::M(members) => is_plain(members, value),
    }
}
