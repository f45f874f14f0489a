//! The limits of DynamoDB's values, and names and texts made to break whoever reads them.

use std::time::Instant;

use mirror::number::{Decimal, canonical, compare_texts, is_json_number};
use mirror::transcode::{TranscodeErrorKind as Kind, Transcoder, find};
use proptest::prelude::*;
use serde_json::Value;

use crate::items::{Attribute, Choices, Item, plain_item, write_plainly, write_wildly};
use crate::rows::{export, row};

fn plain(typed: &str) -> Result<String, Kind> {
    let mut out = Vec::new();
    match Transcoder::new().item_object(typed.as_bytes(), &mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(error) => Err(error.kind),
    }
}

fn plain_value(typed: &str) -> String {
    let plain = plain(&format!("{{\"a\":{typed}}}")).unwrap();
    plain[5..plain.len() - 1].to_owned()
}

/// Significant digits, where the point stands behind them, and a sign.
#[derive(Clone, Debug)]
struct Number {
    negative: bool,
    digits: String,
    exponent: i32,
}

/// What DynamoDB can hold: 38 digits, from 1E-130 to 9.9…9E+125.
fn number() -> impl Strategy<Value = Number> {
    let digits =
        prop_oneof![2 => "[1-9][0-9]{37}", 1 => "9{38}", 2 => "[1-9][0-9]{0,18}", 1 => "[1-9]"];
    (any::<bool>(), digits, any::<prop::sample::Index>()).prop_map(|(negative, digits, at)| {
        // The value is digits × 10^exponent; its first digit stands for 10^(exponent + len - 1).
        let length = digits.len() as i32;
        let exponent = -130 + at.index(256) as i32 - (length - 1);
        Number {
            negative,
            digits,
            exponent,
        }
    })
}

impl Number {
    fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "" }
    }

    /// Every way to write it: digits and exponent, one digit before the point, zeros behind, no exponent at all.
    fn spellings(&self) -> Vec<String> {
        let Self {
            digits, exponent, ..
        } = self;
        let sign = self.sign();
        let first = exponent + digits.len() as i32 - 1;
        let rest = &digits[1..];
        let point = if rest.is_empty() { "" } else { "." };
        let plus = if first >= 0 { "+" } else { "" };
        let mut texts = vec![
            format!("{sign}{digits}e{exponent}"),
            format!("{sign}{}{point}{rest}E{plus}{first}", &digits[..1]),
            format!("{sign}{}.{rest}000e{first}", &digits[..1]),
            format!("{sign}{digits}00E{}", exponent - 2),
            format!("{sign}0.000{digits}e{}", first + 4),
        ];
        texts.push(if *exponent >= 0 {
            format!("{sign}{digits}{}", "0".repeat(*exponent as usize))
        } else if first >= 0 {
            let (whole, fraction) = digits.split_at(first as usize + 1);
            format!("{sign}{whole}.{fraction}")
        } else {
            format!("{sign}0.{}{digits}", "0".repeat((-first - 1) as usize))
        });
        texts
    }
}

#[test]
fn the_ends_of_dynamodbs_numbers_are_kept_as_written() {
    let nines = "9.9999999999999999999999999999999999999E+125";
    for text in [
        "1E-130",
        "-1E-130",
        nines,
        "-9.9999999999999999999999999999999999999E+125",
        "0",
        "-0",
        "0E0",
        "1.0",
        "100",
    ] {
        let typed = format!("{{\"N\":\"{text}\"}}");
        assert_eq!(plain_value(&typed), text);
        let row = row(
            &[("s", "String", "$.Item.a"), ("r", "String", "$.NewImage")],
            &export(&format!("{{\"a\":{typed}}}")),
        );
        assert_eq!(
            row.unwrap(),
            [Some(text.to_owned()), Some(format!("{{\"a\":{text}}}"))]
        );
    }
    let decimal = |text: &str| {
        let item = format!("{{\"a\":{{\"N\":\"{text}\"}}}}");
        row(&[("d", "Decimal(38, 0)", "$.Item.a")], &export(&item))
            .ok()
            .and_then(|row| row[0].clone())
    };
    let most = "99999999999999999999999999999999999999";
    assert_eq!(decimal(most).as_deref(), Some(most));
    assert_eq!(
        decimal("-9.9999999999999999999999999999999999999E+37"),
        Some(format!("-{most}"))
    );
    for refused in [nines, "1E-130", "1E38", "0.1"] {
        assert_eq!(decimal(refused), None, "{refused}");
    }
}

#[test]
fn thirty_two_levels_of_maps_and_lists_are_kept() {
    for kinds in 0..3 {
        let (mut typed, mut expected) = (r#"{"S":"x"}"#.to_owned(), "\"x\"".to_owned());
        for level in 0..32 {
            if kinds == 0 || (kinds == 2 && level % 2 == 0) {
                typed = format!("{{\"M\":{{\"b\":{{\"N\":\"1\"}},\"a\":{typed}}}}}");
                expected = format!("{{\"a\":{expected},\"b\":1}}");
            } else {
                typed = format!("{{\"L\":[{typed},{{\"NULL\":true}}]}}");
                expected = format!("[{expected},null]");
            }
        }
        assert_eq!(plain_value(&typed), expected);
        if kinds == 0 {
            let path = format!("$.Item.a{}", ".a".repeat(32));
            let item = format!("{{\"a\":{typed}}}");
            let found = row(&[("deep", "String", &path)], &export(&item)).unwrap();
            assert_eq!(found, [Some("x".to_owned())]);
        }
    }
}

/// 400 KB is an item's limit. The shapes are those that make sorting, escaping and searching work hardest.
#[test]
fn items_of_400_kb_are_transcoded_in_bounded_time() {
    const SIZE: usize = 400 * 1024;
    let many = |count: usize, member: &dyn Fn(usize) -> String| {
        (0..count).map(member).collect::<Vec<_>>().join(",")
    };
    let items = [
        format!(r#"{{"a":{{"S":"{}"}}}}"#, "x".repeat(SIZE)),
        format!(r#"{{"a":{{"S":"{}"}}}}"#, "\\u0001".repeat(SIZE)),
        format!(r#"{{"a":{{"S":"{}"}}}}"#, "\\\"🦀".repeat(SIZE / 6)),
        format!(r#"{{"a":{{"B":"{}"}}}}"#, "AAAA".repeat(SIZE / 3)),
        format!(
            r#"{{{}}}"#,
            many(SIZE / 8, &|at| format!(
                r#""{:07}":{{"S":""}}"#,
                (at * 7919) % (SIZE / 8)
            ))
        ),
        format!(
            r#"{{{}}}"#,
            many(SIZE / 8, &|at| format!(r#""{:07}":{{"S":""}}"#, SIZE - at))
        ),
        format!(
            r#"{{{}}}"#,
            many(200, &|at| format!(
                r#""{}{at}":{{"S":""}}"#,
                "\\u0001".repeat(2000)
            ))
        ),
        format!(
            r#"{{"a":{{"SS":[{}]}}}}"#,
            many(SIZE / 4, &|at| format!("\"{:04}\"", SIZE - at))
        ),
        format!(
            r#"{{"a":{{"NS":[{}]}}}}"#,
            many(SIZE / 38, &|at| format!("\"{:0<37}{}\"", 1, at % 10))
        ),
        format!(
            r#"{{"a":{{"BS":[{}]}}}}"#,
            many(SIZE / 3, &|_| "\"AQI=\"".to_owned())
        ),
        format!(
            r#"{{"a":{{"L":[{}]}}}}"#,
            many(SIZE / 2, &|_| r#"{"NULL":true}"#.to_owned())
        ),
        format!(r#"{{"{}":{{"N":"1"}}}}"#, "n".repeat(64 * 1024)),
    ];
    let started = Instant::now();
    for item in &items {
        let plain = plain(item).unwrap_or_else(|kind| panic!("{kind:?}: {item:.60}"));
        assert!(plain.len() <= item.len());
        assert!(serde_json::from_str::<Value>(&plain).is_ok(), "{item:.60}");
        let line = format!("{{\"Item\":{item}}}");
        assert!(Transcoder::new().scan_export_line(line.as_bytes()).is_ok());
        assert_eq!(
            find(item.as_bytes(), &["not there".to_owned()]).unwrap(),
            None
        );
    }
    // Quadratic work would take minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn empty_values_and_repeated_elements_are_kept() {
    for (typed, expected) in [
        (r#"{"S":""}"#, r#""""#),
        (r#"{"B":""}"#, r#""""#),
        (r#"{"N":""}"#, r#""""#),
        (r#"{"SS":[]}"#, "[]"),
        (r#"{"NS":[ ]}"#, "[]"),
        (r#"{"BS":[]}"#, "[]"),
        (r#"{"SS":[""]}"#, r#"[""]"#),
        (r#"{"SS":["b","","b"]}"#, r#"["","b","b"]"#),
        (r#"{"BS":["","AA=="]}"#, r#"["","AA=="]"#),
        (r#"{"M":{}}"#, "{}"),
        (r#"{"M":{"":{"S":""}}}"#, r#"{"":""}"#),
        (r#"{"L":[]}"#, "[]"),
    ] {
        assert_eq!(plain_value(typed), expected, "{typed}");
    }
}

#[test]
fn names_that_are_one_name_after_unescaping_are_refused_at_every_level() {
    for (a, b) in [
        ("a", "\\u0061"),
        ("/", "\\/"),
        ("\\n", "\\u000a"),
        ("\\\"", "\\u0022"),
        ("🦀", "\\ud83e\\udd80"),
        ("", ""),
        ("\\u001f", "\\u001F"),
        ("aaaaaaaaé", "aaaaaaaa\\u00e9"),
    ] {
        let map = format!(r#"{{"{a}":{{"N":"1"}},"between":{{"N":"2"}},"{b}":{{"N":"3"}}}}"#);
        assert_eq!(plain(&map), Err(Kind::DuplicateName), "{map}");
        let below = format!(r#"{{"m":{{"L":[{{"M":{map}}}]}}}}"#);
        assert_eq!(plain(&below), Err(Kind::DuplicateName), "{below}");
    }
    for half in [
        "\\ud83e",
        "\\udd80",
        "\\ud83e\\ud83e",
        "\\ud83ex",
        "\\udd80\\ud83e",
    ] {
        for item in [
            format!(r#"{{"{half}":{{"S":""}}}}"#),
            format!(r#"{{"a":{{"S":"{half}"}}}}"#),
            format!(r#"{{"a":{{"SS":["{half}"]}}}}"#),
        ] {
            assert_eq!(plain(&item), Err(Kind::LoneSurrogate), "{item}");
        }
    }
}

fn hostile_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[\"'`\\\\/\u{0}-\u{1f}\u{7f}-\u{9f}\u{2028}🦀é]{0,12}",
        1 => "[a-z]{8}\u{0}?[\"a]{0,3}",
        1 => prop::sample::select(vec![
            "$.Item.a", "$", "$['a']", "[:]", "a.b", "a[0]", "Item", "S", "{\"S\":\"x\"}", "\\u0061", "\\",
            "$serde_json::private::RawValue", "__proto__", "null", "e\u{301}", "\u{e9}", "\u{feff}a", "\u{202e}",
        ])
        .prop_map(str::to_owned),
        1 => (1..300_usize, any::<char>()).prop_map(|(count, c)| c.to_string().repeat(count)),
        1 => Just("n".repeat(64 * 1024 - 1)),
    ]
}

fn hostile_item() -> impl Strategy<Value = Item> {
    let value = prop_oneof![
        hostile_name().prop_map(Attribute::S),
        number().prop_map(|number| Attribute::N(number.spellings().pop().unwrap())),
        prop::collection::vec(hostile_name(), 0..4).prop_map(Attribute::Ss),
        prop::collection::btree_map(hostile_name(), hostile_name().prop_map(Attribute::S), 0..4)
            .prop_map(|map| Attribute::M(map.into_iter().collect())),
    ];
    prop::collection::btree_map(hostile_name(), value, 0..8)
        .prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_spelling_of_a_number_is_kept_and_is_one_number(number in number()) {
        let spellings = number.spellings();
        let one = canonical(spellings[0].as_bytes()).unwrap();
        for text in &spellings {
            prop_assert!(is_json_number(text.as_bytes()), "{}", text);
            prop_assert_eq!(&plain_value(&format!("{{\"N\":\"{text}\"}}")), text);
            prop_assert_eq!(&canonical(text.as_bytes()).unwrap(), &one, "{}", text);
            prop_assert!(compare_texts(text.as_bytes(), spellings[0].as_bytes()).is_eq());
        }
        // In a set they are neighbours, in an order that does not depend on the input.
        let set = |texts: &[String]| {
            let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
            plain_value(&format!("{{\"NS\":[{}]}}", quoted.join(",")))
        };
        let mut backwards = spellings.clone();
        backwards.reverse();
        prop_assert_eq!(set(&spellings), set(&backwards));
    }

    #[test]
    fn a_number_is_in_a_decimal_column_if_and_only_if_all_its_digits_are(number in number(), scale in 0_u8..=38) {
        let declared = format!("Decimal(38, {scale})");
        let Number { digits, exponent, .. } = &number;
        // digits × 10^(exponent + scale) must be an integer of 38 digits.
        let shift = exponent + i32::from(scale);
        let trimmed = digits.trim_end_matches('0');
        let zeros = digits.len() - trimmed.len();
        let whole = shift + zeros as i32 >= 0;
        let expected = (whole && trimmed.len() as i32 + shift + zeros as i32 <= 38).then(|| {
            format!("{}{trimmed}{}", number.sign(), "0".repeat((shift + zeros as i32) as usize))
        });
        for text in number.spellings() {
            let item = format!("{{\"a\":{{\"N\":\"{text}\"}}}}");
            let found = row(&[("d", &declared, "$.Item.a")], &export(&item));
            prop_assert_eq!(found.ok().map(|row| row[0].clone().unwrap()), expected.clone(), "{}", text);
        }
    }

    #[test]
    fn any_two_numbers_compare_as_their_digits_do(a in number(), b in number()) {
        let wide = |number: &Number| {
            // As an integer of 10^-168, padded to one width.
            let digits = format!("{}{}", number.digits, "0".repeat((number.exponent + 168) as usize));
            format!("{digits:0>340}")
        };
        let (x, y) = (wide(&a), wide(&b));
        let expected = match (a.negative, b.negative) {
            (false, false) => x.cmp(&y),
            (true, true) => y.cmp(&x),
            (negative, _) => if negative { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater },
        };
        for (a, b) in a.spellings().iter().zip(b.spellings().iter().rev()) {
            let parsed = (Decimal::parse(a.as_bytes()).unwrap(), Decimal::parse(b.as_bytes()).unwrap());
            prop_assert_eq!(parsed.0.compare(&parsed.1), expected, "{} {}", a, b);
        }
    }

    #[test]
    fn hostile_names_and_texts_come_out_as_they_are(item in hostile_item(), seed in any::<u64>()) {
        let expected = plain_item(&item).to_string();
        prop_assert_eq!(plain(&write_plainly(&item)), Ok(expected.clone()));
        let wild = write_wildly(&item, seed);
        prop_assert_eq!(plain(&wild), Ok(expected));
        for (name, value) in &item {
            let found = find(wild.as_bytes(), std::slice::from_ref(name)).unwrap().unwrap();
            let mut out = Vec::new();
            Transcoder::new().value(found.typed, &mut out).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.plain().to_string());
        }
    }

    #[test]
    fn sets_come_out_in_one_order(texts in prop::collection::vec(hostile_name(), 0..12), seed in any::<u64>()) {
        let mut shuffled = texts.clone();
        let mut choices = Choices::new(seed);
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, choices.below(at + 1));
        }
        let write = |texts: Vec<String>| write_plainly(&[("a".to_owned(), Attribute::Ss(texts))]);
        prop_assert_eq!(plain(&write(texts)), plain(&write(shuffled)));
    }
}
