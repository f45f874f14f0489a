//! Items made inside the simulator, for benchmarks that must not wait for a client to write them.

use crate::api::ApiError;
use crate::attribute::{Attr, Map};
use crate::world::World;

const WORDS: [&str; 8] = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven",
];

impl World {
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
            for attr in schema.attrs() {
                let value = match attr.kind.as_str() {
                    "N" => Attr::N(number.to_string()),
                    "B" => Attr::B(number.to_be_bytes().to_vec()),
                    _ => Attr::S(format!("item-{number:010}")),
                };
                item.insert(attr.name.clone(), value);
            }
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
