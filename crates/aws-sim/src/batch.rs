//! BatchWriteItem and BatchGetItem.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::{ApiError, Reply};
use crate::attribute::{read_map, write_text};
use crate::expression::{Scope, projection};
use crate::image::Image;
use crate::items::check_item_size;
use crate::key::ItemKey;
use crate::params::{Params, missing};
use crate::world::{World, table_name};

const MAX_BYTES: usize = 16 * 1024 * 1024;

impl World {
    pub(crate) fn batch_write(&mut self, mut params: Params) -> Reply {
        let Value::Object(tables) = params.need("RequestItems")? else {
            return Err(missing("RequestItems"));
        };
        let mut writes: Vec<(String, ItemKey, Option<Image>)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, requests) in tables {
            let Value::Array(requests) = requests else {
                return Err(ApiError::new(
                    "SerializationException",
                    "Unexpected value type in payload",
                ));
            };
            let schema = self.table(&name)?.schema.clone();
            for mut request in requests {
                let (key, image) = if let Some(put) = request.get_mut("PutRequest") {
                    let item = read_map(put["Item"].take())?;
                    let key = schema.of_item(&item)?;
                    check_item_size(&item, "Item size has exceeded the maximum allowed size")?;
                    (key, Some(Image::of(&item)))
                } else if let Some(delete) = request.get_mut("DeleteRequest") {
                    (schema.of_key(&read_map(delete["Key"].take())?)?, None)
                } else {
                    return Err(ApiError::validation(
                        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
                    ));
                };
                if !seen.insert((table_name(&name).to_owned(), key.bytes.clone())) {
                    return Err(ApiError::validation(
                        "Provided list of item keys contains duplicates",
                    ));
                }
                writes.push((name.clone(), key, image));
            }
        }
        if writes.is_empty() || writes.len() > 25 {
            return Err(ApiError::validation(if writes.is_empty() {
                "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1"
            } else {
                "Too many items requested for the BatchWriteItem call"
            }));
        }
        for (table, key, image) in writes {
            self.commit(&table, &key, image, false);
        }
        Ok(br#"{"UnprocessedItems":{}}"#.to_vec())
    }

    pub(crate) fn batch_get(&mut self, mut params: Params) -> Reply {
        let Value::Object(tables) = params.need("RequestItems")? else {
            return Err(missing("RequestItems"));
        };
        let mut out = br#"{"Responses":{"#.to_vec();
        let mut count = 0;
        let mut bytes = 0;
        let mut unprocessed = serde_json::Map::new();
        for (at, (name, mut request)) in tables.into_iter().enumerate() {
            let Some(Value::Array(keys)) = request.get_mut("Keys").map(Value::take) else {
                return Err(missing("Keys"));
            };
            let scope = Scope::new(request.get("ExpressionAttributeNames"), None)?;
            let paths = match request.get("ProjectionExpression").and_then(Value::as_str) {
                Some(text) => Some(projection::parse(text, &scope)?),
                None => None,
            };
            count += keys.len();
            if count > 100 {
                return Err(ApiError::validation(
                    "Too many items requested for the BatchGetItem call",
                ));
            }
            if at > 0 {
                out.push(b',');
            }
            write_text(&name, &mut out);
            out.extend_from_slice(b":[");
            let mut first = true;
            let mut seen = BTreeSet::new();
            let mut left = Vec::new();
            for key in keys {
                let table = self.table(&name)?;
                let item_key = table.schema.of_key(&read_map(key.clone())?)?;
                if !seen.insert(item_key.bytes.clone()) {
                    return Err(ApiError::validation(
                        "Provided list of item keys contains duplicates",
                    ));
                }
                let Some(image) = table.items.get(&item_key.bytes).cloned() else {
                    continue;
                };
                bytes += image.size as usize;
                if bytes > MAX_BYTES {
                    left.push(key);
                    continue;
                }
                if !first {
                    out.push(b',');
                }
                first = false;
                let image = paths.as_ref().map_or(image.clone(), |paths| {
                    Image::of(&projection::project(&image.map(), paths))
                });
                self.write_image(&image.json, &mut out);
            }
            out.push(b']');
            if !left.is_empty() {
                request["Keys"] = Value::Array(left);
                unprocessed.insert(name, request);
            }
        }
        out.extend_from_slice(
            format!("}},\"UnprocessedKeys\":{}}}", Value::Object(unprocessed)).as_bytes(),
        );
        Ok(out)
    }
}
