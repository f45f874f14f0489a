//! Items through projection and insert, and their attributes back through the JSON functions that users' queries have.

use std::fmt::Write as _;
use std::time::Instant;

use mirror::plan::RecordPath;
use mirror::projection::Projection;
use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::Warehouse;
use serde_json::{Map, Value, json};

use crate::support::{Engine, ask, column, plan};

const ITEMS: u64 = 150;

/// Repeatable choices (SplitMix64).
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// Texts with everything that could break a quote, an escape or a path.
    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "\"", "'", "\\", "/", "`", "\0", "\u{1}", "\u{1f}", "\n", "\r", "\t", "\u{8}",
            "\u{7f}", "é", "日", "🦀", "\u{2028}", "\u{feff}", "a", "b", "\\u0061", "$.a", "['",
            "[:]", "{", "}", ",", ":", " ", "null",
        ];
        match self.below(8) {
            0 => String::new(),
            1 => "x".repeat(self.below(5000)),
            _ => (0..=self.below(6))
                .map(|_| PIECES[self.below(PIECES.len())])
                .collect(),
        }
    }

    fn digits(&mut self, most: usize) -> String {
        let first = char::from(b'1' + self.below(9) as u8);
        let rest = (0..self.below(most)).map(|_| char::from(b'0' + self.below(10) as u8));
        std::iter::once(first)
            .chain(rest.collect::<Vec<_>>())
            .collect()
    }

    /// DynamoDB JSON of a value, and what a query must answer.
    fn attribute(&mut self) -> (Value, Expected) {
        let sign = if self.below(2) == 0 { "-" } else { "" };
        match self.below(9) {
            0 | 1 => {
                let text = self.text();
                (json!({ "S": text }), Expected::Text(text))
            }
            2 => {
                let number = format!("{sign}{}", self.digits(18));
                (json!({ "N": number }), Expected::Integer(number))
            }
            3 => {
                let number = format!("{sign}{}.{}", self.digits(8), self.digits(6));
                (json!({ "N": number }), Expected::Decimal(number))
            }
            4 => {
                // More than 64 bits: its own value comes back as a float, its neighbours must come back all the same.
                let number = format!("{sign}{}{:0<20}", self.digits(18), self.digits(20));
                (json!({ "N": number }), Expected::Wide(number))
            }
            5 => {
                let value = self.below(2) == 1;
                (json!({ "BOOL": value }), Expected::Bool(value))
            }
            6 => (json!({ "NULL": true }), Expected::Null),
            7 => {
                let mut texts: Vec<String> = (0..self.below(4)).map(|_| self.text()).collect();
                let typed = json!({ "SS": texts });
                texts.sort();
                (typed, Expected::Raw(json!(texts)))
            }
            _ => {
                let (name, text) = (self.text(), self.text());
                let typed =
                    json!({ "M": { name.clone(): { "L": [{ "S": text }, { "BOOL": true }] } } });
                (typed, Expected::Raw(json!({ name: [text, true] })))
            }
        }
    }
}

#[derive(Debug)]
enum Expected {
    Text(String),
    Integer(String),
    Decimal(String),
    Wide(String),
    Bool(bool),
    Null,
    Raw(Value),
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02X}").unwrap();
        out
    })
}

fn unhex(text: &str) -> String {
    let bytes = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    String::from_utf8(bytes.map(byte).collect()).unwrap()
}

impl Expected {
    /// An expression whose answer holds neither tabs nor escapes.
    fn expression(&self, name: &str) -> String {
        let name = format!("unhex('{}')", hex(name));
        match self {
            Self::Text(_) => format!("hex(JSONExtractString(record, {name}))"),
            Self::Integer(_) => format!("JSONExtractInt(record, {name})"),
            Self::Decimal(_) => format!("toString(JSONExtract(record, {name}, 'Decimal(38, 6)'))"),
            Self::Wide(_) => format!("JSONExtractFloat(record, {name})"),
            Self::Bool(_) => format!("JSONExtractBool(record, {name})"),
            Self::Null => format!("JSONType(record, {name})"),
            Self::Raw(_) => format!("hex(JSONExtractRaw(record, {name}))"),
        }
    }

    fn is_answered_by(&self, answer: &str) -> bool {
        match self {
            Self::Text(text) => answer == hex(text),
            Self::Integer(number) => answer == number,
            Self::Decimal(number) => {
                let (whole, fraction) = number.split_once('.').unwrap();
                let fraction = fraction.trim_end_matches('0');
                let point = if fraction.is_empty() { "" } else { "." };
                answer == format!("{whole}{point}{fraction}")
            }
            // ClickHouse's parser does not round a long number to the nearest float.
            Self::Wide(number) => {
                let (found, wanted): (f64, f64) =
                    (answer.parse().unwrap(), number.parse().unwrap());
                (found - wanted).abs() <= wanted.abs() * 1e-14
            }
            Self::Bool(value) => answer == if *value { "1" } else { "0" },
            Self::Null => answer == "Null",
            Self::Raw(value) => serde_json::from_str::<Value>(&unhex(answer)).unwrap() == *value,
        }
    }
}

#[tokio::test]
async fn attributes_of_generated_items_come_back_through_json_extract() {
    let engine = Engine::start().await;
    let started = Instant::now();
    let mut plan = plan("there_and_back", vec![column("record", "String")]);
    plan.columns[1].path = RecordPath::NewImage(Vec::new());
    let last = plan.columns.len() - 1;
    plan.columns[last - 1].path = RecordPath::Version;
    plan.columns[last].path = RecordPath::IsDeleted;
    engine.client.create_table(&plan).await.unwrap();
    let mut projection = Projection::new(&plan);
    let mut batch = plan.new_batch();
    let mut written = Vec::new();
    for seed in 0..ITEMS {
        let mut choices = Choices(seed);
        let mut typed = Map::new();
        let mut attributes = Vec::new();
        for _ in 0..choices.below(8) {
            // ClickHouse lists a name with a NUL in it, and cannot find it.
            let name = choices.text().replace('\0', "");
            if name == "pk" || typed.contains_key(&name) {
                continue;
            }
            let (value, expected) = choices.attribute();
            typed.insert(name.clone(), value);
            attributes.push((name, expected));
        }
        typed.insert("pk".to_owned(), json!({ "S": seed.to_string() }));
        let line = json!({ "Item": typed }).to_string();
        projection
            .project_export_line(line.as_bytes(), 1_700_000_000_000, "eu-west-1", &mut batch)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        written.push(attributes);
    }
    engine
        .client
        .insert(&plan, &batch, RowOrder::Free)
        .await
        .unwrap();
    for (seed, attributes) in written.iter().enumerate() {
        let mut columns = vec![
            "arrayStringConcat(arrayMap(x -> hex(x), JSONExtractKeys(record)), ',')".to_owned(),
        ];
        columns.extend(
            attributes
                .iter()
                .map(|(name, expected)| expected.expression(name)),
        );
        let sql = format!(
            "SELECT {} FROM there_and_back FINAL WHERE pk = '{seed}' FORMAT TSV",
            columns.join(", ")
        );
        // A leading or last empty answer counts: the line is not trimmed.
        let answer = format!(
            "{}|",
            ask(&engine.client, &sql.replacen(" FROM", ", '|' FROM", 1)).await
        );
        let answers: Vec<&str> = answer.split('\t').collect();
        let mut names: Vec<&str> = attributes
            .iter()
            .map(|(name, _)| name.as_str())
            .chain(["pk"])
            .collect();
        names.sort_unstable();
        let keys: Vec<String> = names.into_iter().map(hex).collect();
        assert_eq!(answers[0], keys.join(","), "seed {seed}");
        for ((name, expected), answer) in attributes.iter().zip(&answers[1..]) {
            assert!(
                expected.is_answered_by(answer),
                "seed {seed}, {name:?}: {expected:?} came back as {answer}"
            );
        }
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    engine.stop().await;
}
