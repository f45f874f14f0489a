//! Random items, the many ways to write them as DynamoDB JSON, and what they are in plain JSON.
//!
//! The oracle ([`Attribute::plain`]) goes through `serde_json` values and shares no code with the crate.

use std::cmp::Ordering;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// A DynamoDB value.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    S(String),
    N(String),
    B(Vec<u8>),
    Bool(bool),
    Null,
    M(Item),
    L(Vec<Attribute>),
    Ss(Vec<String>),
    Ns(Vec<String>),
    Bs(Vec<Vec<u8>>),
}

pub(crate) type Item = Vec<(String, Attribute)>;

/// Names with everything that could break a path, a quote or a comparison.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,12}",
        1 => "[a-c.'\"\\\\/$\\[\\] ]{0,6}",
        1 => "(é|日|🦀|a|\u{1}|\n|\u{7f}|\u{2028}){1,5}",
        1 => "[a-b]{7,10}",
        1 => any::<String>(),
    ]
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z0-9 #:-]{0,60}",
        1 => Just(String::new()),
        1 => "(é|日|🦀|\"|\\\\|/|\u{0}|\u{1f}|\n|\t|\r|\u{8}|\u{c}|x){0,30}",
        1 => any::<String>(),
    ]
}

/// Numbers as AWS writes them: up to 38 digits, no exponent, sometimes 126 digits with zeros.
pub(crate) fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<i32>().prop_map(|n| n.to_string()),
        2 => "-?[1-9][0-9]{0,37}",
        2 => "-?(0|[1-9][0-9]{0,17})\\.[0-9]{0,18}[1-9]",
        1 => "[1-9]0{100,125}",
        1 => "-?0\\.0{100,129}[1-9]",
        1 => Just("0".to_owned()),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

fn leaf() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        4 => text().prop_map(Attribute::S),
        3 => number().prop_map(Attribute::N),
        1 => bytes().prop_map(Attribute::B),
        1 => any::<bool>().prop_map(Attribute::Bool),
        1 => Just(Attribute::Null),
        1 => btree_set(text(), 1..6).prop_map(|set| Attribute::Ss(set.into_iter().collect())),
        1 => btree_set(number(), 1..6).prop_map(|set| Attribute::Ns(set.into_iter().collect())),
        1 => btree_set(bytes(), 1..6).prop_map(|set| Attribute::Bs(set.into_iter().collect())),
        // Not AWS, but emulators pass such numbers on.
        1 => prop_oneof![Just("+5"), Just("007"), Just(""), Just("1e"), Just(".5"), Just("NaN\n")]
            .prop_map(|text| Attribute::N(text.to_owned())),
    ]
}

fn attribute() -> impl Strategy<Value = Attribute> {
    leaf().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Attribute::L),
            btree_map(name(), inner, 0..6).prop_map(|map| Attribute::M(map.into_iter().collect())),
        ]
    })
}

pub(crate) fn item() -> impl Strategy<Value = Item> {
    let members = btree_map(name(), attribute(), 0..12);
    (members, leaf(), 0..33_usize).prop_map(|(members, leaf, depth)| {
        let mut item: Item = members.into_iter().collect();
        let deep = (0..depth).fold(leaf, |inner, level| {
            if level % 2 == 0 {
                Attribute::L(vec![inner])
            } else {
                Attribute::M(vec![("d".to_owned(), inner)])
            }
        });
        if !item.iter().any(|(name, _)| name == "deep") {
            item.push(("deep".to_owned(), deep));
        }
        item
    })
}

/// Repeatable choices for writing (SplitMix64).
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn shuffled<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
        items
    }
}

/// Writes DynamoDB JSON: as AWS does, or in any other legal way.
pub(crate) struct Writer {
    choices: Choices,
    wild: bool,
    out: String,
}

/// Compact, in the order given, escaped as little as possible.
pub(crate) fn write_plainly(item: &[(String, Attribute)]) -> String {
    let mut writer = Writer {
        choices: Choices::new(0),
        wild: false,
        out: String::new(),
    };
    writer.item(item);
    writer.out
}

/// Random white space, order and escapes.
pub(crate) fn write_wildly(item: &[(String, Attribute)], seed: u64) -> String {
    let mut writer = Writer {
        choices: Choices::new(seed),
        wild: true,
        out: String::new(),
    };
    writer.space();
    writer.item(item);
    writer.space();
    writer.out
}

impl Writer {
    fn space(&mut self) {
        while self.wild && self.choices.below(5) == 0 {
            let space = [' ', '\n', '\r', '\t'][self.choices.below(4)];
            self.out.push(space);
        }
    }

    fn token(&mut self, token: &str) {
        self.space();
        self.out.push_str(token);
        self.space();
    }

    fn item(&mut self, item: &[(String, Attribute)]) {
        let item = if self.wild {
            self.choices.shuffled(item)
        } else {
            item.to_vec()
        };
        self.token("{");
        for (at, (name, value)) in item.iter().enumerate() {
            if at > 0 {
                self.token(",");
            }
            self.string(name);
            self.token(":");
            self.attribute(value);
        }
        self.token("}");
    }

    fn attribute(&mut self, attribute: &Attribute) {
        self.token("{");
        match attribute {
            Attribute::S(text) => self.scalar("S", text),
            Attribute::N(text) => self.scalar("N", text),
            Attribute::B(bytes) => self.scalar("B", &base64(bytes)),
            Attribute::Bool(value) => self.literal("BOOL", if *value { "true" } else { "false" }),
            Attribute::Null => self.literal("NULL", "true"),
            Attribute::M(item) => {
                self.string("M");
                self.token(":");
                self.item(item);
            }
            Attribute::L(list) => {
                self.string("L");
                self.token(":");
                self.token("[");
                for (at, value) in list.iter().enumerate() {
                    if at > 0 {
                        self.token(",");
                    }
                    self.attribute(value);
                }
                self.token("]");
            }
            Attribute::Ss(texts) => self.set("SS", texts),
            Attribute::Ns(numbers) => self.set("NS", numbers),
            Attribute::Bs(values) => {
                let texts: Vec<String> = values.iter().map(|bytes| base64(bytes)).collect();
                self.set("BS", &texts);
            }
        }
        self.token("}");
    }

    fn scalar(&mut self, descriptor: &str, text: &str) {
        self.string(descriptor);
        self.token(":");
        self.string(text);
    }

    fn literal(&mut self, descriptor: &str, literal: &str) {
        self.string(descriptor);
        self.token(":");
        self.token(literal);
    }

    fn set(&mut self, descriptor: &str, texts: &[String]) {
        let texts = if self.wild {
            self.choices.shuffled(texts)
        } else {
            texts.to_vec()
        };
        self.string(descriptor);
        self.token(":");
        self.token("[");
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                self.token(",");
            }
            self.string(text);
        }
        self.token("]");
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        let often = if self.wild {
            [2, 10, 1000][self.choices.below(3)]
        } else {
            usize::MAX
        };
        for c in text.chars() {
            let must = c < ' ' || c == '"' || c == '\\';
            if must || self.choices.below(often) == 0 {
                self.escape(c);
            } else {
                self.out.push(c);
            }
        }
        self.out.push('"');
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '"' | '\\' | '/' => Some(c),
            '\u{8}' => Some('b'),
            '\u{c}' => Some('f'),
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            _ => None,
        };
        if let Some(short) = short.filter(|_| self.choices.below(2) == 0) {
            self.out.push('\\');
            self.out.push(short);
            return;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let hex = if self.choices.below(2) == 0 {
                format!("\\u{unit:04x}")
            } else {
                format!("\\u{unit:04X}")
            };
            self.out.push_str(&hex);
        }
    }
}

/// Plain JSON of an item.
pub(crate) fn plain_item(item: &[(String, Attribute)]) -> Value {
    let mut members: Vec<&(String, Attribute)> = item.iter().collect();
    members.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let members: Map<String, Value> = members
        .into_iter()
        .map(|(name, value)| (name.clone(), value.plain()))
        .collect();
    Value::Object(members)
}

impl Attribute {
    pub(crate) fn plain(&self) -> Value {
        match self {
            Self::S(text) => Value::String(text.clone()),
            Self::N(text) => plain_number(text),
            Self::B(bytes) => Value::String(base64(bytes)),
            Self::Bool(value) => Value::Bool(*value),
            Self::Null => Value::Null,
            Self::M(item) => plain_item(item),
            Self::L(list) => list.iter().map(Self::plain).collect(),
            Self::Ss(texts) => sorted(texts, |a, b| a.as_bytes().cmp(b.as_bytes()))
                .into_iter()
                .map(Value::String)
                .collect(),
            Self::Ns(numbers) => sorted(numbers, |a, b| by_value(a, b).then_with(|| a.cmp(b)))
                .iter()
                .map(|text| plain_number(text))
                .collect(),
            Self::Bs(values) => {
                let texts: Vec<String> = values.iter().map(|bytes| base64(bytes)).collect();
                sorted(&texts, |a, b| a.cmp(b))
                    .into_iter()
                    .map(Value::String)
                    .collect()
            }
        }
    }
}

fn plain_number(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(number) if text.trim() == text => Value::Number(number),
        _ => Value::String(text.to_owned()),
    }
}

fn sorted(texts: &[String], order: impl Fn(&str, &str) -> Ordering) -> Vec<String> {
    let mut texts = texts.to_vec();
    texts.sort_by(|a, b| order(a, b));
    texts
}

/// Compares numbers without exponent by padding them to one form.
pub(crate) fn by_value(a: &str, b: &str) -> Ordering {
    let key = |text: &str| {
        let digits = text.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        format!("{whole:0>200}{fraction:0<200}")
    };
    let is_negative = |text: &str| text.starts_with('-') && key(text).contains(|c| c != '0');
    match (is_negative(a), is_negative(b)) {
        (false, false) => key(a).cmp(&key(b)),
        (true, true) => key(b).cmp(&key(a)),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for at in 0..4 {
            if at <= chunk.len() {
                out.push(char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}
