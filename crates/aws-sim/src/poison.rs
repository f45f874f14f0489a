//! Stream records that no reader expects, planted by tests. The table does not change.

use serde::{Deserialize, Serialize};

use crate::api::ApiError;
use crate::attribute::{Map, map_bytes};
use crate::image::Image;
use crate::key::partition_hash;
use crate::shard::Record;
use crate::world::{World, table_name};

/// Deeper than DynamoDB lets an item be, and than a reader with some slack should go.
const LEVELS: usize = 50;

/// What is wrong with a planted record. Otherwise it is a MODIFY with a new image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Poison {
    /// The image has an attribute of a type that does not exist.
    UnknownType,
    /// The image is a string.
    ImageIsNoMap,
    /// The image has an `N` that is no number.
    BadNumber,
    /// The image has lists 50 levels deep.
    DeepNesting,
    /// `eventName` is none of the three.
    UnknownEvent,
    /// There are no `Keys`.
    NoKeys,
    /// There is no `ApproximateCreationDateTime`.
    NoTime,
}

impl Poison {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::UnknownType,
        Self::ImageIsNoMap,
        Self::BadNumber,
        Self::DeepNesting,
        Self::UnknownEvent,
        Self::NoKeys,
        Self::NoTime,
    ];

    fn image(self, key: &Map) -> Image {
        let value = match self {
            Self::UnknownType => r#"{"X":"?"}"#.to_owned(),
            Self::BadNumber => r#"{"N":"no number"}"#.to_owned(),
            Self::DeepNesting => format!(
                "{}{{\"NULL\":true}}{}",
                "{\"L\":[".repeat(LEVELS),
                "]}".repeat(LEVELS)
            ),
            _ => r#"{"S":"planted"}"#.to_owned(),
        };
        let mut json = map_bytes(key);
        json.pop();
        json.extend_from_slice(format!(",\"planted\":{value}}}").as_bytes());
        if self == Self::ImageIsNoMap {
            json = br#""no map""#.to_vec();
        }
        Image {
            size: json.len() as u32,
            json: json.into(),
        }
    }
}

impl World {
    /// Plants a record for the item with `key` in the newest stream of `table`.
    ///
    /// # Errors
    /// If there is no such table, its stream is off, or the key is not one of the table.
    pub fn plant_poison(&mut self, table: &str, key: &Map, poison: Poison) -> Result<(), ApiError> {
        let item_key = self.table(table)?.schema.of_key(key)?;
        let table = self.table(table_name(table))?;
        let arn = table.stream.clone().filter(|_| table.stream_on);
        let stream = arn.and_then(|arn| self.streams.get_mut(&arn));
        let Some(stream) = stream else {
            return Err(ApiError::validation("The table has no enabled stream"));
        };
        let record = Record {
            position: 0,
            written_ms: self.now_ms,
            created_s: self.now_ms.div_euclid(1000),
            keys: item_key.json.clone(),
            old: None,
            new: Some(poison.image(key)),
            expired: false,
            event_id: (u128::from(self.rng.next_u64()) << 64) | u128::from(self.rng.next_u64()),
            existed: true,
            exists: true,
            poison: Some(poison),
        };
        stream.record(partition_hash(&item_key.bytes), record, &mut self.rng);
        Ok(())
    }
}
