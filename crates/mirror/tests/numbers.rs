//! Exact decimals.

use std::cmp::Ordering;

use mirror::number::{
    Decimal, canonical, compare_texts, is_json_number, nearest_f32, nearest_f64, survives_f32,
    survives_f64,
};
use proptest::prelude::*;

use crate::items;

fn integer(text: &str) -> Option<i128> {
    Decimal::parse(text.as_bytes()).and_then(|number| number.integer())
}

#[test]
fn only_json_numbers_are_numbers() {
    for text in [
        "0", "-0", "1", "10", "-1.5", "1e5", "1E+5", "1.5e-05", "0.0",
    ] {
        assert!(is_json_number(text.as_bytes()), "{text}");
    }
    for text in [
        "", "-", "+1", "01", "-01", ".5", "5.", "1e", "1e+", "1.e5", " 1", "1 ", "0x1", "NaN",
        "1_0", "--1",
    ] {
        assert!(!is_json_number(text.as_bytes()), "{text}");
    }
}

#[test]
fn integers_are_exact_or_nothing() {
    for (text, value) in [
        ("0", Some(0)),
        ("-0.0", Some(0)),
        ("0e999999999999999999999", Some(0)),
        ("1.0", Some(1)),
        ("-12e2", Some(-1200)),
        ("1200e-2", Some(12)),
        ("0.0012e4", Some(12)),
        ("1.5", None),
        ("1e-1", None),
        ("1e39", None),
        ("1e999999999999999999999", None),
        ("170141183460469231731687303715884105727", Some(i128::MAX)),
        ("170141183460469231731687303715884105728", None),
        ("-170141183460469231731687303715884105728", Some(i128::MIN)),
        ("-170141183460469231731687303715884105729", None),
        ("10000000000000000000000000000000000000000000", None),
    ] {
        assert_eq!(integer(text), value, "{text}");
    }
}

#[test]
fn scaling_is_exact_and_rounding_goes_down() {
    let number = |text: &'static str| Decimal::parse(text.as_bytes()).unwrap();
    assert_eq!(number("1.25").scaled(2), Some(125));
    assert_eq!(number("1.25").scaled(1), None);
    assert_eq!(number("1.25").scaled_floor(1), Some(12));
    assert_eq!(number("-1.25").scaled_floor(1), Some(-13));
    assert_eq!(number("-1.25").scaled_floor(2), Some(-125));
    assert_eq!(number("-0.001").scaled_floor(0), Some(-1));
    assert_eq!(number("0.001").scaled_floor(0), Some(0));
    assert_eq!(number("1e-130").scaled_floor(9), Some(0));
}

#[test]
fn floats_survive_only_if_they_print_as_the_number() {
    for text in [
        "0",
        "0.1",
        "-2.5",
        "1e21",
        "9007199254740993e0",
        "123456789012345680",
        "5e-324",
    ] {
        let survives = survives_f64(text.as_bytes()).is_some();
        assert_eq!(survives, text != "9007199254740993e0", "{text}");
    }
    assert_eq!(survives_f64(b"12345678901234567890"), None);
    assert_eq!(survives_f64(b"0.1000000000000000055511151231257827"), None);
    assert_eq!(survives_f32(b"0.1"), Some(0.1));
    assert_eq!(survives_f32(b"16777217"), None);
    assert_eq!(survives_f64(b"-0").map(f64::to_bits), Some(0));
    assert_eq!(nearest_f64(b"1e400"), None);
    assert_eq!(nearest_f32(b"1e39"), None);
    assert_eq!(nearest_f64(b"0.3333333333333333333333"), Some(1.0 / 3.0));
}

#[test]
fn spellings_of_one_number_have_one_canonical_text() {
    for texts in [
        &["1.50", "1.5", "15e-1", "0.15E+1"][..],
        &["0", "-0.00", "0e9"],
        &["1000", "1e3"],
        &["-120", "-1.2e2"],
    ] {
        let first = canonical(texts[0].as_bytes());
        assert!(first.is_some());
        for text in texts {
            assert_eq!(canonical(text.as_bytes()), first, "{text}");
            assert_eq!(
                compare_texts(text.as_bytes(), texts[0].as_bytes()),
                Ordering::Equal
            );
        }
    }
    assert_eq!(canonical(b"-1.20").as_deref(), Some("-12e-1"));
    assert_eq!(canonical(b"+1"), None);
}

/// Of any length, often with digits in common.
fn integers() -> impl Strategy<Value = i128> {
    prop_oneof![
        -12..12_i128,
        any::<i64>().prop_map(i128::from),
        any::<i128>()
    ]
}

proptest! {
    #[test]
    fn comparing_agrees_with_padded_texts(a in items::number(), b in items::number()) {
        let expected = items::by_value(&a, &b);
        prop_assert_eq!(compare_texts(a.as_bytes(), b.as_bytes()), expected);
        let same = canonical(a.as_bytes()) == canonical(b.as_bytes());
        prop_assert_eq!(same, expected == Ordering::Equal);
    }

    #[test]
    fn integers_compare_like_integers(a in integers(), b in integers()) {
        let (x, y) = (a.to_string(), b.to_string());
        prop_assert_eq!(compare_texts(x.as_bytes(), y.as_bytes()), a.cmp(&b));
    }

    #[test]
    fn shifting_the_point_keeps_the_value(digits in "[1-9][0-9]{0,30}", shift in 0..60_usize) {
        let padded = format!("{digits}{}e-{shift}", "0".repeat(shift));
        prop_assert_eq!(compare_texts(digits.as_bytes(), padded.as_bytes()), Ordering::Equal);
        prop_assert_eq!(canonical(digits.as_bytes()), canonical(padded.as_bytes()));
        prop_assert_eq!(integer(&padded), digits.parse().ok());
    }

    #[test]
    fn every_integer_comes_back(value in any::<i128>()) {
        prop_assert_eq!(integer(&value.to_string()), Some(value));
        prop_assert_eq!(integer(&format!("{value}.000")), Some(value));
    }

    #[test]
    fn every_float_survives_its_own_text(value in any::<f64>().prop_filter("finite", |f| f.is_finite())) {
        let text = format!("{value:e}");
        prop_assert_eq!(survives_f64(text.as_bytes()), Some(value + 0.0));
    }

    #[test]
    fn two_numbers_that_survive_are_two_floats(a in items::number(), b in items::number()) {
        if let (Some(x), Some(y)) = (survives_f64(a.as_bytes()), survives_f64(b.as_bytes())) {
            prop_assert_eq!(x.to_bits() == y.to_bits(), canonical(a.as_bytes()) == canonical(b.as_bytes()));
        }
    }

    #[test]
    fn arbitrary_text_is_a_number_only_if_serde_json_says_so(text in "[-+0-9.eE]{0,12}") {
        let expected = serde_json::from_str::<serde_json::Number>(&text).is_ok();
        prop_assert_eq!(is_json_number(text.as_bytes()), expected);
        prop_assert_eq!(Decimal::parse(text.as_bytes()).is_some(), expected);
    }
}
