//! DynamoDB values as values of ClickHouse types.

use proptest::prelude::*;

use crate::items;
use crate::rows::{export, row};

/// What a column of type `declared` shows for one typed value; errors as their reason.
fn shown(declared: &str, typed: &str, path: &str) -> Result<Option<String>, String> {
    let item = format!(r#"{{"pk":{typed},"v":{typed}}}"#);
    row(&[("c", declared, path)], &export(&item))
        .map(|mut row| row.remove(0))
        .map_err(|error| {
            assert_eq!(error.column, "c");
            error.reason
        })
}

fn fits(declared: &str, typed: &str, expected: &str) {
    let value = shown(declared, typed, "$.Item.v");
    assert_eq!(value, Ok(Some(expected.to_owned())), "{declared} {typed}");
}

fn refused(declared: &str, typed: &str) {
    assert!(
        shown(declared, typed, "$.Item.v").is_err(),
        "{declared} {typed}"
    );
}

fn key_fits(declared: &str, typed: &str, expected: &str) {
    let value = shown(declared, typed, "$.Item.pk");
    assert_eq!(value, Ok(Some(expected.to_owned())), "{declared} {typed}");
}

fn key_refused(declared: &str, typed: &str) {
    assert!(
        shown(declared, typed, "$.Item.pk").is_err(),
        "{declared} {typed}"
    );
}

#[test]
fn text_columns_take_everything() {
    for (typed, expected) in [
        (r#"{"S":"a\"\u0000\n\/é"}"#, "a\"\u{0}\n/é"),
        (r#"{"S":""}"#, ""),
        (r#"{"S":"{\"x\":1}"}"#, "{\"x\":1}"),
        (r#"{"N":"1.50"}"#, "1.50"),
        (r#"{"N":"007"}"#, "007"),
        (r#"{"B":"AQI="}"#, "AQI="),
        (r#"{"BOOL":false}"#, "false"),
        (r#"{"L":[{"S":"\""}]}"#, "[\"\\\"\"]"),
        (
            r#"{"M":{"b":{"N":"1"},"a":{"NULL":true}}}"#,
            r#"{"a":null,"b":1}"#,
        ),
        (r#"{"NS":["3","1"]}"#, "[1,3]"),
        (r#"{"SS":["b","a"]}"#, r#"["a","b"]"#),
        (r#"{"BS":["Zg==","Cg=="]}"#, r#"["Cg==","Zg=="]"#),
    ] {
        fits("String", typed, expected);
        fits("LowCardinality(Nullable(String))", typed, expected);
    }
}

#[test]
fn null_is_missing_in_every_type() {
    for declared in [
        "String",
        "Nullable(String)",
        "Int8",
        "Float64",
        "DateTime",
        "Nullable(Decimal(9, 2))",
        "Bool",
    ] {
        assert_eq!(
            shown(declared, r#"{"NULL":true}"#, "$.Item.v"),
            Ok(None),
            "{declared}"
        );
    }
}

#[test]
fn integers_must_fit_exactly() {
    let n = |text: &str| format!(r#"{{"N":"{text}"}}"#);
    for (declared, low, high) in [
        ("Int8", "-128", "127"),
        ("Int16", "-32768", "32767"),
        ("Int32", "-2147483648", "2147483647"),
        ("Int64", "-9223372036854775808", "9223372036854775807"),
        (
            "Int128",
            "-170141183460469231731687303715884105728",
            "170141183460469231731687303715884105727",
        ),
        ("UInt8", "0", "255"),
        ("UInt16", "0", "65535"),
        ("UInt32", "0", "4294967295"),
        ("UInt64", "0", "18446744073709551615"),
    ] {
        fits(declared, &n(low), low);
        fits(declared, &n(high), high);
        fits(declared, &n("12.00"), "12");
        fits(declared, &n("1e2"), "100");
        refused(declared, &n("1.5"));
        refused(declared, &n("+1"));
        refused(declared, &n(&format!("{high}0")));
        let one_more = format!(
            "{}{}",
            &high[..high.len() - 1],
            (high.as_bytes()[high.len() - 1] - b'0') + 1
        );
        refused(declared, &n(&one_more));
        refused(declared, r#"{"S":"1"}"#);
        refused(declared, r#"{"BOOL":true}"#);
        refused(declared, r#"{"L":[]}"#);
    }
    refused("UInt64", &n("-1"));
    fits("Nullable(UInt8)", &n("-0"), "0");
}

#[test]
fn decimals_must_fit_exactly() {
    let n = |text: &str| format!(r#"{{"N":"{text}"}}"#);
    fits("Decimal(9, 2)", &n("1234567.89"), "123456789");
    fits("Decimal(9, 2)", &n("-1.5"), "-150");
    refused("Decimal(9, 2)", &n("1.555"));
    refused("Decimal(9, 2)", &n("12345678"));
    fits("Decimal(18, 4)", &n("1e13"), "100000000000000000");
    refused("Decimal(18, 4)", &n("1e14"));
    fits(
        "Decimal(38, 0)",
        &n("99999999999999999999999999999999999999"),
        "99999999999999999999999999999999999999",
    );
    fits(
        "Decimal(38, 38)",
        &n("-0.99999999999999999999999999999999999999"),
        "-99999999999999999999999999999999999999",
    );
    refused("Decimal(38, 38)", &n("1"));
    refused("Decimal32(2)", r#"{"S":"1"}"#);
}

#[test]
fn floats_take_the_nearest_value_unless_they_are_keys() {
    let third = r#"{"N":"0.33333333333333333333333333333333333333"}"#;
    fits("Float64", third, "0.3333333333333333");
    fits("Float32", third, "0.33333334");
    refused("Float32", r#"{"N":"1e125"}"#);
    refused("Float64", r#"{"S":"1"}"#);
    key_fits("Float64", r#"{"N":"0.1"}"#, "0.1");
    key_fits("Float32", r#"{"N":"0.1"}"#, "0.1");
    key_refused("Float64", third);
    key_refused("Float64", r#"{"N":"9007199254740993"}"#);
    key_refused("Float32", r#"{"N":"16777217"}"#);
}

#[test]
fn booleans_come_from_booleans_only() {
    fits("Bool", r#"{"BOOL":true}"#, "1");
    fits("Bool", r#"{"BOOL":false}"#, "0");
    refused("Bool", r#"{"N":"1"}"#);
    refused("Bool", r#"{"S":"true"}"#);
}

#[test]
fn times_come_from_seconds_and_iso_texts() {
    for (declared, typed, expected) in [
        ("DateTime", r#"{"N":"1767323045"}"#, "1767323045"),
        ("DateTime", r#"{"N":"1767323045.9"}"#, "1767323045"),
        (
            "DateTime64(3)",
            r#"{"N":"1767323045.6789"}"#,
            "1767323045678",
        ),
        ("DateTime64(3)", r#"{"N":"-0.5"}"#, "-500"),
        ("DateTime64(0)", r#"{"N":"-0.5"}"#, "-1"),
        ("DateTime", r#"{"S":"2026-01-02T03:04:05Z"}"#, "1767323045"),
        (
            "DateTime",
            r#"{"S":"2026-01-02T03:04:05.678Z"}"#,
            "1767323045",
        ),
        (
            "DateTime64(3)",
            r#"{"S":"2026-01-02T03:04:05.6789Z"}"#,
            "1767323045678",
        ),
        (
            "DateTime64(9)",
            r#"{"S":"2026-01-02T03:04:05.000000001"}"#,
            "1767323045000000001",
        ),
        (
            "DateTime64(3)",
            r#"{"S":"2026-01-02 05:34:05+02:30"}"#,
            "1767323045000",
        ),
        (
            "DateTime64(3)",
            r#"{"S":"2026-01-02T03:04-01"}"#,
            "1767326640000",
        ),
        ("DateTime", r#"{"S":"2024-02-29"}"#, "1709164800"),
        ("DateTime64(0)", r#"{"S":"1900-01-01"}"#, "-2208988800"),
        (
            "DateTime64(0)",
            r#"{"S":"2299-12-31T23:59:59Z"}"#,
            "10413791999",
        ),
    ] {
        fits(declared, typed, expected);
    }
    for (declared, typed) in [
        ("DateTime", r#"{"N":"-1"}"#),
        ("DateTime", r#"{"N":"4294967296"}"#),
        ("DateTime64(3)", r#"{"N":"1767323045678"}"#),
        ("DateTime64(9)", r#"{"S":"2299-12-31"}"#),
        ("DateTime64(3)", r#"{"S":"1899-12-31"}"#),
        ("DateTime64(3)", r#"{"S":"2023-02-29"}"#),
        ("DateTime64(3)", r#"{"S":"2026-13-01"}"#),
        ("DateTime64(3)", r#"{"S":"2026-01-02T24:00:00Z"}"#),
        ("DateTime64(3)", r#"{"S":"2026-01-02T03:04:05."}"#),
        ("DateTime64(3)", r#"{"S":"2026-01-02T03:04:05Z "}"#),
        ("DateTime64(3)", r#"{"S":"2026-01-02T"}"#),
        ("DateTime64(3)", r#"{"S":""}"#),
        ("DateTime64(3)", r#"{"S":"é"}"#),
        ("DateTime64(3)", r#"{"BOOL":true}"#),
    ] {
        refused(declared, typed);
    }
}

#[test]
fn time_keys_take_one_spelling_only() {
    key_fits(
        "DateTime64(3)",
        r#"{"S":"2026-01-02T03:04:05.678Z"}"#,
        "1767323045678",
    );
    key_fits("DateTime", r#"{"S":"2026-01-02T03:04:05Z"}"#, "1767323045");
    key_fits(
        "DateTime64(3)",
        r#"{"N":"1767323045.678"}"#,
        "1767323045678",
    );
    for text in [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.6780Z",
        "2026-01-02 03:04:05.678Z",
        "2026-01-02T03:04:05,678Z",
        "2026-01-02T03:04:05.678",
        "2026-01-02T03:04:05.678+00:00",
        "2026-01-02",
    ] {
        key_refused("DateTime64(3)", &format!(r#"{{"S":"{text}"}}"#));
    }
    key_refused("DateTime64(3)", r#"{"N":"1767323045.6789"}"#);
    key_refused("DateTime", r#"{"N":"1767323045.5"}"#);
}

#[test]
fn reasons_name_the_type_and_never_the_value() {
    let reason = shown("Int8", r#"{"S":"hunter2"}"#, "$.Item.v").unwrap_err();
    assert_eq!(
        reason,
        "a value of DynamoDB type S does not go into a column of type Int8; declare the column as String"
    );
    let reason = shown("Float64", r#"{"N":"9007199254740993"}"#, "$.Item.pk").unwrap_err();
    assert!(!reason.contains("9007199254740993"), "{reason}");
}

proptest! {
    #[test]
    fn two_keys_never_become_one(a in items::number(), b in items::number()) {
        prop_assume!(items::by_value(&a, &b).is_ne());
        let n = |text: &str| format!(r#"{{"N":"{text}"}}"#);
        for declared in ["String", "Float64", "Float32", "Int32", "Int128", "UInt64", "Decimal(38, 9)", "DateTime", "DateTime64(3)"] {
            if let (Ok(x), Ok(y)) = (shown(declared, &n(&a), "$.Item.pk"), shown(declared, &n(&b), "$.Item.pk")) {
                prop_assert_ne!(x, y, "{}", declared);
            }
        }
    }

    #[test]
    fn time_texts_that_are_kept_are_kept_apart(
        a in "20[0-9]{2}-0[1-9]-[0-2][0-9][T ]1[0-9]:00:00(\\.[0-9]{1,4})?(Z|\\+00:00)?",
        b in "20[0-9]{2}-0[1-9]-[0-2][0-9][T ]1[0-9]:00:00(\\.[0-9]{1,4})?(Z|\\+00:00)?",
    ) {
        prop_assume!(a != b);
        let s = |text: &str| format!(r#"{{"S":"{text}"}}"#);
        for declared in ["DateTime", "DateTime64(3)"] {
            if let (Ok(x), Ok(y)) = (shown(declared, &s(&a), "$.Item.pk"), shown(declared, &s(&b), "$.Item.pk")) {
                prop_assert_ne!(x, y);
            }
        }
    }

    #[test]
    fn any_text_in_a_time_column_is_a_time_or_refused(text in "[-0-9T:.Z+ ]{0,32}") {
        let _ = shown("DateTime64(3)", &format!(r#"{{"S":"{text}"}}"#), "$.Item.v");
    }
}
