#![expect(clippy::unwrap_used, reason = "tests")]

use aws_sdk_dynamodbstreams::types::{Identity, StreamRecord as SdkStreamRecord};
use aws_smithy_types::Blob;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn item(members: impl IntoIterator<Item = (&'static str, AttributeValue)>) -> Image {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn change() -> aws_sdk_dynamodbstreams::types::builders::StreamRecordBuilder {
    SdkStreamRecord::builder()
        .set_keys(Some(item([("pk", text("a"))])))
        .sequence_number("100000000093582842803")
        .approximate_creation_date_time(DateTime::from_secs(1_722_360_292))
}

fn answer(event: &str, change: SdkStreamRecord) -> GetRecordsOutput {
    let record = Record::builder()
        .event_id("e1")
        .event_name(OperationType::from(event))
        .dynamodb(change)
        .build();
    GetRecordsOutput::builder()
        .records(record)
        .next_shard_iterator("next")
        .build()
}

fn written(value: AttributeValue) -> String {
    let mut out = Vec::new();
    write_value(&value, &mut out, 1).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_record_becomes_ranges_of_one_buffer() {
    let new = item([
        ("pk", text("a")),
        ("n", AttributeValue::N("1.50".to_owned())),
    ]);
    let old = item([("pk", text("a"))]);
    let page = page(&answer(
        "MODIFY",
        change()
            .set_new_image(Some(new))
            .set_old_image(Some(old))
            .build(),
    ))
    .unwrap();
    assert_eq!(page.next_iterator.as_deref(), Some("next"));
    let change = page.change(0, 7, "us-east-1");
    assert_eq!(change.kind, EventKind::Modify);
    assert_eq!(change.keys, br#"{"pk":{"S":"a"}}"#);
    assert_eq!(
        change.new_image.unwrap(),
        br#"{"n":{"N":"1.50"},"pk":{"S":"a"}}"#
    );
    assert_eq!(change.old_image.unwrap(), br#"{"pk":{"S":"a"}}"#);
    assert_eq!(
        (change.event_id, change.sequence_number),
        ("e1", "100000000093582842803")
    );
    assert_eq!(page.records[0].creation_ms, 1_722_360_292_000);
}

#[test]
fn a_remove_without_images_keeps_its_keys_and_who_did_it() {
    let who = Identity::builder()
        .r#type("Service")
        .principal_id("dynamodb.amazonaws.com")
        .build();
    let record = Record::builder()
        .event_name(OperationType::Remove)
        .dynamodb(change().build())
        .user_identity(who)
        .build();
    let page = page(&GetRecordsOutput::builder().records(record).build()).unwrap();
    let record = &page.records[0];
    assert_eq!(
        (record.new_image.clone(), record.old_image.clone()),
        (None, None)
    );
    assert_eq!(
        record.user_identity,
        Some(("Service".to_owned(), "dynamodb.amazonaws.com".to_owned()))
    );
    assert_eq!(page.next_iterator, None);
}

#[test]
fn an_image_of_nothing_differs_from_no_image() {
    let page = page(&answer(
        "INSERT",
        change().set_new_image(Some(Image::new())).build(),
    ))
    .unwrap();
    assert_eq!(page.change(0, 0, "").new_image.unwrap(), b"{}");
}

#[test]
fn every_type_is_written_as_dynamodb_json() {
    let cases = [
        (text("é\"\\\n\u{1}"), r#"{"S":"é\"\\\n\u0001"}"#),
        (
            AttributeValue::N("99999999999999999999999999999999999999".to_owned()),
            r#"{"N":"99999999999999999999999999999999999999"}"#,
        ),
        (
            AttributeValue::B(Blob::new(vec![0, 255])),
            r#"{"B":"AP8="}"#,
        ),
        (AttributeValue::B(Blob::new(Vec::new())), r#"{"B":""}"#),
        (AttributeValue::Bool(false), r#"{"BOOL":false}"#),
        (AttributeValue::Null(true), r#"{"NULL":true}"#),
        (
            AttributeValue::Ss(vec!["b".to_owned(), "a".to_owned()]),
            r#"{"SS":["b","a"]}"#,
        ),
        (AttributeValue::Ns(vec!["1".to_owned()]), r#"{"NS":["1"]}"#),
        (
            AttributeValue::Bs(vec![Blob::new(b"xyz".to_vec())]),
            r#"{"BS":["eHl6"]}"#,
        ),
        (AttributeValue::L(vec![]), r#"{"L":[]}"#),
        (
            AttributeValue::L(vec![text("a"), AttributeValue::M(Image::new())]),
            r#"{"L":[{"S":"a"},{"M":{}}]}"#,
        ),
        (
            AttributeValue::M(item([("z", text("1")), ("a\"b", text("2"))])),
            r#"{"M":{"a\"b":{"S":"2"},"z":{"S":"1"}}}"#,
        ),
    ];
    for (value, expected) in cases {
        assert_eq!(written(value), expected);
    }
}

#[test]
fn a_time_the_sdk_reads_a_nanosecond_short_is_not_a_millisecond_early() {
    assert_eq!(
        epoch_ms(&DateTime::from_secs_f64(1_795_336_838.024)),
        Some(1_795_336_838_024)
    );
    assert_eq!(
        epoch_ms(&DateTime::from_secs(1_464_805_270)),
        Some(1_464_805_270_000)
    );
    assert_eq!(epoch_ms(&DateTime::from_secs_and_nanos(i64::MAX, 0)), None);
}

#[test]
fn a_record_that_breaks_the_protocol_is_corrupt_and_shows_where_but_not_what() {
    let secret = item([("pk", text("hunter2"))]);
    let broken = [
        answer("UPSERT", change().set_keys(Some(secret.clone())).build()),
        answer(
            "INSERT",
            change()
                .set_keys(None)
                .set_new_image(Some(secret.clone()))
                .build(),
        ),
        answer(
            "INSERT",
            change()
                .set_approximate_creation_date_time(None)
                .set_keys(Some(secret))
                .build(),
        ),
    ];
    for answer in broken {
        let error = page(&answer).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Corrupt);
        assert!(
            error.report().contains("100000000093582842803"),
            "{}",
            error.report()
        );
        assert!(!error.report().contains("hunter2"), "{}", error.report());
    }
    let nowhere = answer("INSERT", change().sequence_number("not a number").build());
    assert_eq!(page(&nowhere).unwrap_err().kind, ErrorKind::Corrupt);
}

#[test]
fn nesting_has_a_bound() {
    let mut deep = text("leaf");
    for _ in 0..MAX_DEPTH + 1 {
        deep = AttributeValue::L(vec![deep]);
    }
    let mut out = Vec::new();
    assert!(
        write_value(&deep, &mut out, 1)
            .unwrap_err()
            .contains("deeper")
    );
}

fn value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        any::<i64>().prop_map(|number| AttributeValue::N(number.to_string())),
        proptest::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
        proptest::collection::vec(any::<String>(), 1..4).prop_map(AttributeValue::Ss),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(AttributeValue::L),
            proptest::collection::hash_map(any::<String>(), inner, 0..5)
                .prop_map(AttributeValue::M),
        ]
    })
}

fn reference(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(text) => json!({ "N": text }),
        AttributeValue::B(bytes) => json!({ "B": STANDARD.encode(bytes.as_ref()) }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::Null(flag) => json!({ "NULL": flag }),
        AttributeValue::Ss(set) => json!({ "SS": set }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(reference).collect::<Vec<_>>() }),
        AttributeValue::M(map) => {
            let members: serde_json::Map<_, _> = map
                .iter()
                .map(|(name, value)| (name.clone(), reference(value)))
                .collect();
            json!({ "M": members })
        }
        _ => Value::Null,
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_value(value in value()) {
        let read: Value = serde_json::from_str(&written(value.clone())).unwrap();
        prop_assert_eq!(read, reference(&value));
    }
}
