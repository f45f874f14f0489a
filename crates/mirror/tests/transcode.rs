//! DynamoDB JSON to plain JSON.

use mirror::transcode::{Descriptor, TranscodeErrorKind as Kind, Transcoder, find};
use proptest::prelude::*;
use serde_json::Value;

use crate::items::{Choices, item, plain_item, write_plainly, write_wildly};

fn plain(typed: &str) -> String {
    String::from_utf8(transcoded(typed.as_bytes()).unwrap()).unwrap()
}

fn transcoded(typed: &[u8]) -> Result<Vec<u8>, mirror::transcode::TranscodeError> {
    let mut out = b"before".to_vec();
    let outcome = Transcoder::new().item_object(typed, &mut out);
    let result = out.split_off(6);
    assert_eq!(out, b"before");
    if outcome.is_err() {
        assert!(result.is_empty());
    }
    outcome.map(|()| result)
}

fn failure(typed: &str) -> (Kind, usize) {
    let error = transcoded(typed.as_bytes()).unwrap_err();
    (error.kind, error.at)
}

#[test]
fn every_type_becomes_plain_json() {
    for (typed, expected) in [
        (r#"{}"#, r#"{}"#),
        (r#"{"a":{"S":"x"}}"#, r#"{"a":"x"}"#),
        (r#"{"a":{"S":""}}"#, r#"{"a":""}"#),
        (r#"{"a":{"N":"1.50"}}"#, r#"{"a":1.50}"#),
        (r#"{"a":{"N":"+5"}}"#, r#"{"a":"+5"}"#),
        (r#"{"a":{"N":"\u0031"}}"#, r#"{"a":1}"#),
        (
            r#"{"a":{"N":"12345678901234567890123456789012345678"}}"#,
            r#"{"a":12345678901234567890123456789012345678}"#,
        ),
        (r#"{"a":{"B":"AQI="}}"#, r#"{"a":"AQI="}"#),
        (r#"{"a":{"B":"\/\/8="}}"#, r#"{"a":"//8="}"#),
        (
            r#"{"a":{"BOOL":true},"b":{"BOOL":false}}"#,
            r#"{"a":true,"b":false}"#,
        ),
        (r#"{"a":{"NULL":true}}"#, r#"{"a":null}"#),
        (r#"{"a":{"M":{}},"b":{"L":[]}}"#, r#"{"a":{},"b":[]}"#),
        (
            r#"{"a":{"M":{"z":{"N":"1"},"b":{"S":"2"}}}}"#,
            r#"{"a":{"b":"2","z":1}}"#,
        ),
        (
            r#"{"a":{"L":[{"N":"2"},{"S":"x"},{"M":{"k":{"NULL":true}}}]}}"#,
            r#"{"a":[2,"x",{"k":null}]}"#,
        ),
        (
            r#"{"a":{"SS":["b","a","é","B"]}}"#,
            r#"{"a":["B","a","b","é"]}"#,
        ),
        (
            r#"{"a":{"NS":["10","9","-1","-10","1.0","1"]}}"#,
            r#"{"a":[-10,-1,1,1.0,9,10]}"#,
        ),
        (
            r#"{"a":{"BS":["Zg==","Cg=="]}}"#,
            r#"{"a":["Cg==","Zg=="]}"#,
        ),
        (
            "\n{ \"b\" : { \"S\" : \"1\" } ,\t\"a\":{\"N\": \"2\"}}\r\n",
            r#"{"a":2,"b":"1"}"#,
        ),
        (
            r#"{"\u0061":{"\u0053":"\ud83e\udd80\/\u0001\u001F\b"}}"#,
            "{\"a\":\"🦀/\\u0001\\u001f\\b\"}",
        ),
        // `"` is 0x22 and sorts before `#`, though its escape starts with a backslash.
        (r##"{"#":{"N":"1"},"\"":{"N":"2"}}"##, r##"{"\"":2,"#":1}"##),
        (
            r#"{"ab":{"N":"1"},"a":{"N":"2"},"a\u0000":{"N":"3"}}"#,
            r#"{"a":2,"a\u0000":3,"ab":1}"#,
        ),
    ] {
        assert_eq!(plain(typed), expected, "{typed}");
    }
}

#[test]
fn each_mistake_is_told_with_its_position() {
    for (typed, kind, at) in [
        ("", Kind::Truncated, 0),
        ("{", Kind::Truncated, 1),
        (r#"{"a"#, Kind::Truncated, 3),
        (r#"{"a":{"S":"x"}"#, Kind::Truncated, 14),
        (r#"{"a":{"S":"x\"#, Kind::Truncated, 13),
        (r#"{"a":{"S":"x\u00"#, Kind::Truncated, 16),
        ("[]", Kind::Unexpected, 0),
        (r#"{"a":"x"}"#, Kind::Unexpected, 5),
        (r#"{"a":{"S":1}}"#, Kind::Unexpected, 10),
        (r#"{"a":{"S":"x"},}"#, Kind::Unexpected, 15),
        (r#"{"a":{"BOOL":"true"}}"#, Kind::Unexpected, 13),
        (r#"{"a":{"S":"x"}} x"#, Kind::TrailingBytes, 16),
        (r#"{"a":{"S":"\x"}}"#, Kind::BadEscape, 11),
        (r#"{"a":{"S":"\u00g0"}}"#, Kind::BadEscape, 11),
        (r#"{"a":{"S":"\ud800"}}"#, Kind::LoneSurrogate, 11),
        (r#"{"a":{"S":"\udc00"}}"#, Kind::LoneSurrogate, 11),
        (r#"{"a":{"S":"\ud800\ud800"}}"#, Kind::LoneSurrogate, 11),
        ("{\"a\":{\"S\":\"x\ny\"}}", Kind::ControlCharacter, 12),
        (r#"{"a":{"X":"x"}}"#, Kind::UnknownDescriptor, 6),
        (r#"{"a":{"s":"x"}}"#, Kind::UnknownDescriptor, 6),
        (r#"{"a":{}}"#, Kind::MissingDescriptor, 6),
        (r#"{"a":{"S":"x","N":"1"}}"#, Kind::SeveralDescriptors, 13),
        (r#"{"a":{"S":"x"},"a":{"S":"x"}}"#, Kind::DuplicateName, 15),
        (
            r#"{"a":{"S":"x"},"b":{"S":"x"},"\u0061":{"S":"x"}}"#,
            Kind::DuplicateName,
            29,
        ),
        (
            r#"{"a":{"M":{"b":{"N":"1"},"a":{"N":"1"},"b":{"N":"1"}}}}"#,
            Kind::DuplicateName,
            39,
        ),
        (r#"{"a":{"B":"A"}}"#, Kind::BadBase64, 10),
        (r#"{"a":{"B":"AQ=A"}}"#, Kind::BadBase64, 10),
        (r#"{"a":{"B":"===="}}"#, Kind::BadBase64, 10),
        (r#"{"a":{"B":"AR=="}}"#, Kind::BadBase64, 10),
        (r#"{"a":{"B":"_-AA"}}"#, Kind::BadBase64, 10),
    ] {
        assert_eq!(failure(typed), (kind, at), "{typed}");
    }
    let error = transcoded(b"{\"a\":{\"S\":\"\xff\"}}").unwrap_err();
    assert_eq!((error.kind, error.at), (Kind::InvalidUtf8, 11));
    assert_eq!(error.to_string(), "invalid UTF-8 at byte 11");
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |levels: usize| {
        format!(
            "{{\"a\":{}{{\"N\":\"1\"}}{}}}",
            r#"{"L":["#.repeat(levels),
            "]}".repeat(levels)
        )
    };
    assert!(transcoded(nested(39).as_bytes()).is_ok());
    assert_eq!(failure(&nested(40)).0, Kind::TooDeep);
    assert_eq!(failure(&nested(100_000)).0, Kind::TooDeep);
    assert_eq!(failure(&r#"{"a":{"M":"#.repeat(100_000)).0, Kind::TooDeep);
    let path = vec!["b".to_owned()];
    assert_eq!(
        find(nested(100_000).as_bytes(), &path).unwrap_err().kind,
        Kind::TooDeep
    );
}

#[test]
fn a_transcoder_forgets_the_item_before() {
    let mut transcoder = Transcoder::new();
    let mut out = Vec::new();
    let long = format!(
        r#"{{"z":{{"S":"{}"}},"a":{{"N":"1"}}}}"#,
        "x".repeat(10_000)
    );
    transcoder.item_object(long.as_bytes(), &mut out).unwrap();
    out.clear();
    assert!(
        transcoder
            .item_object(br#"{"b":{"Q":"1"}}"#, &mut out)
            .is_err()
    );
    transcoder
        .item_object(br#"{"b":{"N":"1"},"a":{"N":"2"}}"#, &mut out)
        .unwrap();
    assert_eq!(out, br#"{"a":2,"b":1}"#);
}

#[test]
fn values_are_found_below_maps() {
    let typed = br#"{"x":{"S":"}\"{"}, "a.b" : {"M": {"\u0063'\"": {"N":"7"} }}, "l":{"L":[]}}"#;
    let path = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let found = find(typed, &path(&["a.b", "c'\""])).unwrap().unwrap();
    assert_eq!(
        (found.descriptor, found.raw),
        (Descriptor::N, &b"\"7\""[..])
    );
    assert_eq!(found.typed, br#"{"N":"7"}"#);
    assert_eq!(
        find(typed, &path(&["a.b"])).unwrap().unwrap().descriptor,
        Descriptor::M
    );
    for missing in [&["nope"][..], &["a.b", "c"], &["l", "a"], &["x", "S"], &[]] {
        assert_eq!(find(typed, &path(missing)).unwrap(), None, "{missing:?}");
    }
}

/// A byte changed, removed, put in or cut off.
fn damaged(text: &str, seed: u64) -> Vec<u8> {
    let mut choices = Choices::new(seed);
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=choices.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = choices.below(bytes.len());
        let likely = b"{}[]\":,\\u0SNBML truefalse\x00\xff\xc3";
        match choices.below(5) {
            0 => bytes[at] = likely[choices.below(likely.len())],
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, likely[choices.below(likely.len())]),
            3 => bytes[at] = choices.below(256) as u8,
            _ => bytes.truncate(at),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_item_is_what_serde_json_makes_of_it(item in item(), seed in any::<u64>()) {
        let expected = plain_item(&item);
        let simple = transcoded(write_plainly(&item).as_bytes()).unwrap();
        let value: Value = serde_json::from_slice(&simple).unwrap();
        prop_assert_eq!(&value, &expected);
        prop_assert_eq!(String::from_utf8(simple.clone()).unwrap(), expected.to_string());
        let wild = write_wildly(&item, seed);
        let again = transcoded(wild.as_bytes()).unwrap();
        prop_assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(simple).unwrap());
    }

    #[test]
    fn damaged_items_are_refused_or_are_still_json(item in item(), seed in any::<u64>()) {
        let text = if seed % 2 == 0 { write_plainly(&item) } else { write_wildly(&item, seed) };
        let typed = damaged(&text, seed);
        match transcoded(&typed) {
            Ok(plain) => {
                prop_assert!(serde_json::from_slice::<Value>(&typed).is_ok());
                prop_assert!(serde_json::from_slice::<Value>(&plain).is_ok());
            }
            Err(error) => prop_assert!(error.at <= typed.len()),
        }
        let _ = find(&typed, &["deep".to_owned(), "d".to_owned()]);
        let mut transcoder = Transcoder::new();
        let _ = transcoder.scan_export_line(typed.as_slice());
    }

    #[test]
    fn a_prefix_of_an_item_is_never_an_item(item in item(), cut in any::<prop::sample::Index>()) {
        let typed = write_plainly(&item);
        let cut = cut.index(typed.len());
        prop_assert!(transcoded(&typed.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn what_is_found_is_what_was_written(item in item(), seed in any::<u64>()) {
        let typed = write_wildly(&item, seed);
        for (name, value) in &item {
            let found = find(typed.as_bytes(), std::slice::from_ref(name)).unwrap().unwrap();
            let mut plain = Vec::new();
            let descriptor = Transcoder::new().value(found.typed, &mut plain).unwrap();
            prop_assert_eq!(descriptor, found.descriptor);
            prop_assert_eq!(String::from_utf8(plain).unwrap(), value.plain().to_string());
        }
    }
}
