//! Lines of an export file, made here: the same each time.

use std::fmt::Write;

/// Repeatable pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const WORDS: [&str; 12] = [
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty",
    "koala", "zephyr",
];
const CITIES: [&str; 5] = ["Zaragoza", "Málaga", "Osaka", "São Paulo", "Kraków"];

/// Texts as people and attackers write them: JSON escapes, some of them for what needs none.
const ESCAPES: [&str; 8] = [
    r"\u00e9",
    r"\n",
    r"\ud83d\ude00",
    r"\/",
    r#"\""#,
    r"\\",
    r"\u0001",
    "é\u{1F600}",
];

/// What the lines are like.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Orders of about 700 bytes with attributes in varying order, some escapes, maps, lists, sets and binaries.
    Typical,
    /// The same with attributes in order of their names.
    Sorted,
    /// 100 bytes.
    Small,
    /// 50 KB: long texts and lists.
    Big,
    /// Numbers of 38 digits, escapes, binaries, sets out of order.
    Hostile,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Typical,
        Self::Sorted,
        Self::Small,
        Self::Big,
        Self::Hostile,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Typical => "typical",
            Self::Sorted => "sorted",
            Self::Small => "small",
            Self::Big => "big",
            Self::Hostile => "hostile",
        }
    }

    /// Blocks of whole lines, as an export file is read: about `bytes` in all, a megabyte each.
    pub(crate) fn blocks(self, bytes: usize) -> Vec<Vec<u8>> {
        let mut random = Random(1);
        let mut blocks = vec![String::new()];
        let (mut made, mut n) = (0, 0);
        while made < bytes {
            let line = match self {
                Self::Typical => line(&mut random, n, false),
                Self::Sorted => line(&mut random, n, true),
                Self::Small => small(&mut random, n),
                Self::Big => big(&mut random, n),
                Self::Hostile => hostile(&mut random, n),
            };
            n += 1;
            made += line.len();
            match blocks.last_mut() {
                Some(block) if block.len() < 1 << 20 => block.push_str(&line),
                _ => blocks.push(line),
            }
        }
        blocks.into_iter().map(String::into_bytes).collect()
    }
}

fn item(attributes: &[String]) -> String {
    format!("{{\"Item\":{{{}}}}}\n", attributes.join(","))
}

fn small(random: &mut Random, n: u64) -> String {
    item(&[
        format!(r#""pk":{{"S":"USER#{n:08}"}}"#),
        format!(r#""sk":{{"S":"{}"}}"#, random.pick(&WORDS)),
        format!(r#""n":{{"N":"{}"}}"#, random.below(100_000)),
        format!(r#""on":{{"BOOL":{}}}"#, random.below(2) == 0),
    ])
}

fn big(random: &mut Random, n: u64) -> String {
    let text: Vec<&str> = (0..5_000).map(|_| random.pick(&WORDS)).collect();
    let events: Vec<String> = (0..300)
        .map(|_| {
            format!(
                r#"{{"M":{{"at":{{"N":"{}"}},"kind":{{"S":"{}"}},"city":{{"S":"{}"}}}}}}"#,
                random.below(1 << 40),
                random.pick(&WORDS),
                random.pick(&CITIES)
            )
        })
        .collect();
    item(&[
        format!(r#""pk":{{"S":"DOC#{n}"}}"#),
        r#""sk":{"S":"v1"}"#.to_owned(),
        format!(r#""text":{{"S":"{}"}}"#, text.join(" ")),
        format!(r#""events":{{"L":[{}]}}"#, events.join(",")),
    ])
}

fn hostile(random: &mut Random, n: u64) -> String {
    let digits = |random: &mut Random| {
        let mut text = (1 + random.below(9)).to_string();
        for _ in 0..37 {
            let _ = write!(text, "{}", random.below(10));
        }
        text
    };
    let mut text = String::new();
    for _ in 0..12 {
        text.push_str(random.pick(&WORDS));
        text.push_str(random.pick(&ESCAPES));
    }
    let mut binary = String::new();
    for _ in 0..10 {
        binary.push_str(random.pick(&["q83vEjRW", "eJCrze8S", "NFZ4kKvN", "AQIDBA+/"]));
    }
    item(&[
        format!(r#""sk":{{"S":"\u0073{n}"}}"#),
        format!(r#""pk":{{"S":"{n}"}}"#),
        format!(r#""exact":{{"N":"{}"}}"#, digits(random)),
        format!(r#""small":{{"N":"-0.{}"}}"#, digits(random)),
        format!(r#""text":{{"S":"{text}"}}"#),
        format!(r#""blob":{{"B":"{binary}"}}"#),
        format!(
            r#""set":{{"NS":["{}","{}","-1"]}}"#,
            digits(random),
            digits(random)
        ),
        format!(
            r#""words":{{"SS":["zebra","{}","\u00e4"]}}"#,
            random.pick(&WORDS)
        ),
        r#""none":{"NULL":true}"#.to_owned(),
    ])
}

fn line(random: &mut Random, n: u64, sorted: bool) -> String {
    let mut attributes = vec![
        format!(
            r#""pk":{{"S":"CUSTOMER#{:016x}"}}"#,
            n / 10 * 0x9E37_79B9_7F4A
        ),
        format!(
            r#""sk":{{"S":"ORDER#{:06}#2026-03-{:02}"}}"#,
            n % 10,
            1 + n % 28
        ),
        format!(
            r#""amount":{{"N":"{}.{:02}"}}"#,
            random.below(9000),
            random.below(100)
        ),
        format!(
            r#""status":{{"S":"{}"}}"#,
            random.pick(&["PENDING", "PAID", "SHIPPED"])
        ),
        format!(
            r#""createdAt":{{"S":"2026-05-04T03:02:01.{:03}Z"}}"#,
            random.below(1000)
        ),
        format!(
            r#""email":{{"S":"{}{}@example.com"}}"#,
            random.pick(&WORDS),
            random.below(10_000)
        ),
        format!(r#""priority":{{"BOOL":{}}}"#, random.below(5) == 0),
        if random.below(10) < 7 {
            r#""coupon":{"NULL":true}"#.to_owned()
        } else {
            format!(r#""coupon":{{"S":"X-{}"}}"#, random.below(1000))
        },
        format!(
            r#""tags":{{"SS":["{}","{}{}"]}}"#,
            random.pick(&WORDS),
            random.pick(&WORDS),
            random.below(10)
        ),
        format!(
            r#""address":{{"M":{{"city":{{"S":"{}"}},"zip":{{"S":"{:05}"}},"geo":{{"M":{{"lat":{{"N":"{}.{:06}"}},"lon":{{"N":"-{}.{:06}"}}}}}}}}}}"#,
            random.pick(&CITIES),
            random.below(100_000),
            random.below(90),
            random.below(1_000_000),
            random.below(180),
            random.below(1_000_000)
        ),
        order_lines(random),
        format!(
            r#""channel":{{"S":"{}"}}"#,
            random.pick(&["web", "ios", "store"])
        ),
        format!(
            r#""ttl":{{"N":"{}"}}"#,
            1_790_000_000 + random.below(30_000_000)
        ),
        note(random),
    ];
    if random.below(10) < 3 {
        attributes.push(r#""sig":{"B":"q83vEjRWeJCrze8SNFZ4kKvN"}"#.to_owned());
    }
    let first = random.below(attributes.len() as u64) as usize;
    attributes.rotate_left(first);
    if sorted {
        attributes.sort();
    }
    item(&attributes)
}

fn order_lines(random: &mut Random) -> String {
    let mut lines = Vec::new();
    for _ in 0..=random.below(3) {
        lines.push(format!(
            r#"{{"M":{{"sku":{{"S":"{}-{:05}"}},"qty":{{"N":"{}"}},"price":{{"N":"{}.{:02}"}}}}}}"#,
            random.pick(&WORDS),
            random.below(100_000),
            1 + random.below(5),
            random.below(500),
            random.below(100)
        ));
    }
    format!(r#""lines":{{"L":[{}]}}"#, lines.join(","))
}

fn note(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(14) {
        let _ = write!(text, "{} ", random.pick(&WORDS));
    }
    if random.below(20) == 0 {
        text.push_str(r#"\"quoted\" \u00e9\n"#);
    }
    format!(r#""note":{{"S":"{text}"}}"#)
}
