//! Keys as ClickHouse gives them and as DynamoDB takes them.

use mirror::plan::MirrorPlan;
use mirror::table::KeyType;
use serde_json::{Map, Value};

/// A key as DynamoDB JSON, from the texts that the port of the verifier gives.
pub(super) fn to_json(plan: &MirrorPlan, texts: &[String]) -> Vec<u8> {
    let mut key = Map::new();
    for (attribute, text) in plan.keys.iter().zip(texts) {
        let name = match attribute.key_type {
            KeyType::S => "S",
            KeyType::N => "N",
            KeyType::B => "B",
        };
        let typed = Map::from_iter([(name.to_owned(), Value::from(text.as_str()))]);
        key.insert(attribute.name.clone(), Value::Object(typed));
    }
    Value::Object(key).to_string().into_bytes()
}

/// The key attributes of an item in DynamoDB JSON, as the texts that the port of the verifier gives; `None` if the item
/// lacks one.
pub(super) fn of_item(plan: &MirrorPlan, item: &[u8]) -> Option<Vec<String>> {
    use serde_json::value::RawValue;
    use std::collections::HashMap;
    let attributes: HashMap<String, &RawValue> = serde_json::from_slice(item).ok()?;
    let text = |name: &str| {
        let typed: HashMap<&str, String> =
            serde_json::from_str(attributes.get(name)?.get()).ok()?;
        typed.into_values().next()
    };
    plan.keys.iter().map(|key| text(&key.name)).collect()
}

/// Names and texts, for people.
pub(super) fn named(plan: &MirrorPlan, texts: &[String]) -> Vec<(String, String)> {
    let names = plan.keys.iter().map(|key| key.name.clone());
    names.zip(texts.iter().cloned()).collect()
}
