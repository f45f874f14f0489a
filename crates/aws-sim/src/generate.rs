//! Items made inside the simulator, for benchmarks that must not wait for a client to write them.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::api::ApiError;
use crate::attribute::{Attr, Map};
use crate::key::KeySchema;
use crate::world::World;

const WORDS: [&str; 8] = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven",
];

/// Writes that go on for a while, see `/_sim/load`.
#[derive(Debug)]
pub struct Load {
    table: String,
    bytes: usize,
    items: Option<u64>,
    stamp_key: bool,
}

impl Load {
    /// Writes of about `bytes` each into `table`, over and over into `items` items if that is given. With `stamp_key`
    /// the sort key, a string, is number and time of the write.
    pub fn new(table: &str, bytes: usize, items: Option<u64>, stamp_key: bool) -> Self {
        Self {
            table: table.to_owned(),
            bytes,
            items: items.filter(|items| *items > 0),
            stamp_key,
        }
    }
}

/// Sets the key attributes to those of an item's number.
fn put_key(schema: &KeySchema, number: u64, item: &mut Map) {
    for attr in schema.attrs() {
        let value = match attr.kind.as_str() {
            "N" => Attr::N(number.to_string()),
            "B" => Attr::B(number.to_be_bytes().to_vec()),
            _ => Attr::S(format!("item-{number:010}")),
        };
        item.insert(attr.name.clone(), value);
    }
}

impl World {
    /// Writes the items of a load with these numbers. Each carries its number as `n` and the wall clock at which it was
    /// accepted as `written_us`, microseconds.
    ///
    /// # Errors
    /// If the table is gone or its sort key cannot hold a stamp.
    pub fn write_load(&mut self, load: &Load, numbers: Range<u64>) -> Result<(), ApiError> {
        let schema = self.table(&load.table)?.schema.clone();
        let mut item = self.generated(numbers.start, load.bytes);
        for number in numbers {
            let micros = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_micros());
            put_key(
                &schema,
                load.items.map_or(number, |items| number % items),
                &mut item,
            );
            if let Some(range) = schema.range.as_ref().filter(|_| load.stamp_key) {
                let stamp = format!("{number:012}-{micros}");
                item.insert(range.name.clone(), Attr::S(stamp));
            }
            item.insert("n".to_owned(), Attr::N(number.to_string()));
            item.insert("written_us".to_owned(), Attr::N(micros.to_string()));
            self.put_item(&load.table, &item)?;
        }
        Ok(())
    }

    /// Puts `count` items numbered from `start`, each about `bytes` long, with strings, numbers, a map and a set.
    pub fn generate_items(
        &mut self,
        table: &str,
        start: u64,
        count: u64,
        bytes: usize,
    ) -> Result<(), ApiError> {
        let schema = self.table(table)?.schema.clone();
        for number in start..start + count {
            let mut item = self.generated(number, bytes);
            put_key(&schema, number, &mut item);
            self.put_item(table, &item)?;
        }
        Ok(())
    }

    fn generated(&mut self, number: u64, bytes: usize) -> Map {
        let word = WORDS[self.rng.below(8) as usize];
        let cents = self.rng.below(1_000_000) + 1;
        let price = format!("{}.{}", cents / 100, cents % 9 + 1);
        let detail = Map::from([
            ("active".to_owned(), Attr::Bool(number.is_multiple_of(2))),
            (
                "score".to_owned(),
                Attr::N(self.rng.below(1000).to_string()),
            ),
            ("name".to_owned(), Attr::S(format!("{word} {number}"))),
        ]);
        let mut tags: Vec<_> = WORDS[..2].iter().map(|word| (*word).to_owned()).collect();
        tags.push(word.to_owned() + "x");
        tags.sort();
        let mut text = String::with_capacity(bytes);
        while text.len() + 200 < bytes {
            text.push_str(WORDS[self.rng.below(8) as usize]);
            text.push(' ');
        }
        Map::from([
            ("price".to_owned(), Attr::N(price)),
            (
                "created_at".to_owned(),
                Attr::N((1_700_000_000 + number).to_string()),
            ),
            ("kind".to_owned(), Attr::S(word.to_owned())),
            ("detail".to_owned(), Attr::M(detail)),
            ("tags".to_owned(), Attr::Ss(tags)),
            ("text".to_owned(), Attr::S(text)),
        ])
    }
}
