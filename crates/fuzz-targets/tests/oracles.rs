//! The slow conversion against values worked out by hand: an oracle that is wrong the same way proves nothing.

use fuzz_targets::reference::{Decimal, Item};

fn plain(typed: &str) -> Option<String> {
    Item::parse(typed.as_bytes()).map(|item| item.plain())
}

#[test]
fn the_slow_conversion_is_right() {
    for (typed, expected) in [
        ("{}", "{}"),
        (
            r#"{"b":{"S":"x"},"a":{"N":"1.50"}}"#,
            r#"{"a":1.50,"b":"x"}"#,
        ),
        (
            r#"{"a":{"NS":["10","9","-1","1.0","1","+5"]}}"#,
            r#"{"a":[-1,1,1.0,9,10,"+5"]}"#,
        ),
        (
            r#"{"a":{"SS":["b","é","B"]},"c":{"BS":["AQ=="]}}"#,
            r#"{"a":["B","b","é"],"c":["AQ=="]}"#,
        ),
        (
            r#"{"a":{"NULL":true},"b":{"BOOL":false}}"#,
            r#"{"a":null,"b":false}"#,
        ),
        (
            r##"{"#":{"N":"1"},"\"":{"N":"1e2"}}"##,
            r##"{"\"":1e2,"#":1}"##,
        ),
        (
            r#"{"a":{"L":[{"M":{"k":{"S":"\u0001\ud83e\udd80"}}}]}}"#,
            "{\"a\":[{\"k\":\"\\u0001🦀\"}]}",
        ),
    ] {
        assert_eq!(plain(typed).as_deref(), Some(expected), "{typed}");
    }
    for typed in [
        "[]",
        r#"{"a":{"S":1}}"#,
        r#"{"a":{}}"#,
        r#"{"a":{"S":"x","N":"1"}}"#,
        r#"{"a":{"N":"1"},"\u0061":{"N":"2"}}"#,
        r#"{"a":{"B":"AR=="}}"#,
        r#"{"a":{"S":"\ud800"}}"#,
        r#"{"a":{"S":"x"}} x"#,
    ] {
        assert_eq!(plain(typed), None, "{typed}");
    }
}

#[test]
fn slow_numbers_are_right() {
    for (text, scale, expected) in [
        ("0", 0, Some((0, true))),
        ("-0.0e9", 9, Some((0, true))),
        ("1.50", 2, Some((150, true))),
        ("-1.5", 0, Some((-2, false))),
        ("1e3", 0, Some((1000, true))),
        ("123e-5", 3, Some((1, false))),
        ("0.001", 0, Some((0, false))),
        ("-1E-130", 9, Some((-1, false))),
        (
            "99999999999999999999999999999999999999",
            0,
            Some((10_i128.pow(38) - 1, true)),
        ),
        ("1e40", 0, None),
        ("1e99999999999999999999999999999999", 0, None),
    ] {
        let number = Decimal::parse(text).unwrap();
        assert_eq!(number.times_power_of_ten(scale), expected, "{text}");
    }
    for text in ["", "+1", "01", " 1", "1 ", ".5", "1.", "NaN", "1e"] {
        assert_eq!(Decimal::parse(text), None, "{text}");
    }
}
