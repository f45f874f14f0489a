//! The items themselves, as lines of DynamoDB JSON.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Kind;

/// Sort keys of one partition key.
pub(super) const SORT_KEYS: u64 = 10;

const WORDS: [&str; 16] = [
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty",
    "koala", "lemon", "maple", "north", "ocean", "zephyr",
];
const CITIES: [&str; 6] = [
    "Zaragoza",
    "Málaga",
    "Osaka",
    "São Paulo",
    "Kraków",
    "Québec",
];
const STATUS: [&str; 6] = ["new", "paid", "picked", "shipped", "returned", "cancelled"];

/// Repeatable pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    pub(crate) fn letters(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }

    fn digits(&mut self, count: usize) -> String {
        let mut digits = String::with_capacity(count);
        digits.push(char::from(b'1' + self.below(9) as u8));
        while digits.len() < count {
            digits.push(char::from(b'0' + self.below(10) as u8));
        }
        digits
    }

    fn bytes(&mut self, count: usize) -> String {
        let bytes: Vec<u8> = (0..count).map(|_| self.next() as u8).collect();
        STANDARD.encode(bytes)
    }

    fn words(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 8);
        while text.len() < bytes {
            text.push_str(self.pick(&WORDS));
            text.push(' ');
        }
        text
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Appends one line of an export: item number `item`, its attributes in an order that differs between items.
pub(super) fn write_line(kind: Kind, random: &mut Random, item: u64, out: &mut Vec<u8>) {
    let (partition, sort) = (item / SORT_KEYS, item % SORT_KEYS);
    let mut attributes = vec![
        format!(r#""pk":{{"S":"customer#{:016x}"}}"#, mix(partition + 1)),
        format!(r#""sk":{{"S":"order#{sort:03}#{item:09}"}}"#),
    ];
    match kind {
        Kind::Typical => typical(random, item, &mut attributes),
        Kind::Small => {
            attributes.push(format!(r#""n":{{"N":"{}"}}"#, random.below(100_000)));
            attributes.push(format!(r#""s":{{"S":"{}"}}"#, random.pick(&WORDS)));
        }
        Kind::Big => big(random, &mut attributes),
        Kind::Hostile => hostile(random, &mut attributes),
    }
    let first = random.below(attributes.len() as u64) as usize;
    attributes.rotate_left(first);
    out.extend_from_slice(b"{\"Item\":{");
    out.extend_from_slice(attributes.join(",").as_bytes());
    out.extend_from_slice(b"}}\n");
}

fn typical(random: &mut Random, item: u64, attributes: &mut Vec<String>) {
    let cents = random.below(10_000_000) + 1;
    let (b, c) = (random.pick(&WORDS), random.pick(&WORDS));
    attributes.extend([
        format!(r#""id":{{"S":"{item:010}"}}"#),
        format!(r#""amount":{{"N":"{}.{}"}}"#, cents / 100, cents % 9 + 1),
        format!(r#""status":{{"S":"{}"}}"#, random.pick(&STATUS)),
        format!(
            r#""created_at":{{"S":"2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z"}}"#,
            1 + random.below(9),
            1 + random.below(28),
            random.below(24),
            random.below(60),
            random.below(60),
            random.below(1000)
        ),
        format!(
            r#""email":{{"S":"{b}.{c}{}@example.com"}}"#,
            random.below(10_000)
        ),
        format!(r#""priority":{{"BOOL":{}}}"#, random.below(5) == 0),
        r#""coupon":{"NULL":true}"#.to_owned(),
        format!(r#""tags":{{"SS":["{b}","{c}{}"]}}"#, random.below(10)),
        address(random),
        lines(random, 1, 3),
        format!(
            r#""ttl":{{"N":"{}"}}"#,
            1_790_000_000 + random.below(30_000_000)
        ),
    ]);
    if random.below(10) < 3 {
        attributes.push(format!(r#""sig":{{"B":"{}"}}"#, random.bytes(18)));
    }
    let bytes = random.below(130) as usize;
    let mut note = random.words(bytes);
    if random.below(20) == 0 {
        note.push_str(r#"\"quoted\" \u00e9\n"#);
    }
    attributes.push(format!(r#""note":{{"S":"{note}"}}"#));
}

fn address(random: &mut Random) -> String {
    format!(
        r#""address":{{"M":{{"city":{{"S":"{}"}},"zip":{{"S":"{:05}"}},"geo":{{"M":{{"lat":{{"N":"{}.{:06}"}},"lon":{{"N":"-{}.{:06}"}}}}}}}}}}"#,
        random.pick(&CITIES),
        random.below(100_000),
        random.below(90),
        random.below(1_000_000),
        random.below(180),
        random.below(1_000_000)
    )
}

fn lines(random: &mut Random, least: u64, most: u64) -> String {
    let mut text = String::from(r#""lines":{"L":["#);
    for number in 0..least + random.below(most - least + 1) {
        let comma = if number > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"M":{{"sku":{{"S":"{}-{:05}"}},"qty":{{"N":"{}"}},"price":{{"N":"{}.{:02}"}}}}}}"#,
            random.pick(&WORDS),
            random.below(100_000),
            1 + random.below(5),
            random.below(500),
            random.below(100)
        );
    }
    text.push_str("]}");
    text
}

fn big(random: &mut Random, attributes: &mut Vec<String>) {
    attributes.push(lines(random, 250, 350));
    attributes.push(address(random));
    for number in 0..4 {
        let text = random.words(6_000);
        attributes.push(format!(r#""text{number}":{{"S":"{text}"}}"#));
    }
    attributes.push(format!(r#""picture":{{"B":"{}"}}"#, random.bytes(3_000)));
}

fn hostile(random: &mut Random, attributes: &mut Vec<String>) {
    let deep = 12;
    attributes.extend([
        format!(r#""n38":{{"N":"{}"}}"#, random.digits(38)),
        format!(
            r#""fraction":{{"N":"-0.{}{}"}}"#,
            "0".repeat(random.below(20) as usize),
            random.digits(37)
        ),
        format!(
            r#""exponent":{{"N":"{}E+{}"}}"#,
            random.digits(3),
            random.below(100)
        ),
        format!(
            r#""escapes":{{"S":"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t\u0000 {} \u2028 \u4f60\u597d"}}"#,
            random.pick(&WORDS)
        ),
        format!(r#""utf8":{{"S":"{} 你好 😀 ÅÄÖ"}}"#, random.pick(&CITIES)),
        format!(
            r#""a long \u0061ttribute name with \"quotes\" {}":{{"S":""}}"#,
            random.below(4)
        ),
        format!(
            r#""ns":{{"NS":["{}","-{}","0"]}}"#,
            random.digits(20),
            random.digits(38)
        ),
        format!(
            r#""bs":{{"BS":["{}","{}"]}}"#,
            random.bytes(16),
            random.bytes(33)
        ),
        format!(r#""binary":{{"B":"{}"}}"#, random.bytes(64)),
        r#""empty":{"M":{}}"#.to_owned(),
        r#""none":{"L":[]}"#.to_owned(),
        r#""S":{"M":{"N":{"S":"M"},"NULL":{"NULL":true}}}"#.to_owned(),
        format!(
            r#""deep":{}{{"N":"1"}}{}"#,
            r#"{"L":[{"M":{"d":"#.repeat(deep),
            "}}]}".repeat(deep)
        ),
    ]);
}
