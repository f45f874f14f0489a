#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;

fn change() -> Value {
    json!({ "ApproximateCreationDateTime": 1_722_360_292, "Keys": { "pk": { "S": "a" } },
        "NewImage": { "pk": { "S": "a" } }, "SequenceNumber": "100000000093582842803" })
}

fn record() -> Value {
    json!({ "eventID": "e1", "eventName": "MODIFY", "dynamodb": change() })
}

fn with(path: &str, value: Value) -> Value {
    let mut record = record();
    *record.pointer_mut(path).unwrap() = value;
    record
}

fn without(path: &str) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    let mut record = record();
    let parent = record.pointer_mut(parent).unwrap();
    parent.as_object_mut().unwrap().remove(name);
    record
}

fn page_of(records: &[Value]) -> Result<StreamPage> {
    page(
        json!({ "Records": records, "NextShardIterator": "next" })
            .to_string()
            .into_bytes(),
    )
}

fn bytes<'a>(page: &'a StreamPage, range: &Range<usize>) -> &'a str {
    std::str::from_utf8(&page.buffer[range.clone()]).unwrap()
}

#[test]
fn images_are_slices_of_the_body_exactly_as_aws_wrote_them() {
    let keys = r#"{ "pk" : {"S":"\u0061"} }"#;
    let new = r#"{"z":{"N":"1.50"},"a":{"B":"AP8="},"pk":{"S":"a"},"s":{"SS":["b","a"]}}"#;
    let old = r#"{"pk":{"S":"é\"\\"}}"#;
    let text = format!(
        r#"{{"NextShardIterator":"n","Records":[{{"eventVersion":"9.9","more":{{}},"eventName":"MODIFY","eventID":"e1",
        "userIdentity":{{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}},"dynamodb":{{"OldImage":{old},
        "Keys":{keys},"SequenceNumber":"7","NewImage": {new},"ApproximateCreationDateTime":1.722360292E9}}}}]}}"#
    );
    let page = page(text.clone().into_bytes()).unwrap();
    assert_eq!(page.buffer, text.as_bytes());
    assert_eq!(page.next_iterator.as_deref(), Some("n"));
    let record = &page.records[0];
    assert_eq!(bytes(&page, &record.keys), keys);
    assert_eq!(bytes(&page, record.new_image.as_ref().unwrap()), new);
    assert_eq!(bytes(&page, record.old_image.as_ref().unwrap()), old);
    assert_eq!(record.kind, EventKind::Modify);
    assert_eq!(record.event_id, "e1");
    assert_eq!(record.sequence_number.as_str(), "7");
    assert_eq!(record.creation_ms, 1_722_360_292_000);
    let identity = ("Service".to_owned(), "dynamodb.amazonaws.com".to_owned());
    assert_eq!(record.user_identity, Some(identity));
}

#[test]
fn an_absent_iterator_is_the_end_and_an_absent_image_is_none() {
    let text = r#"{"Records":[{"eventName":"REMOVE","dynamodb":{"SequenceNumber":"7","Keys":{},"OldImage":null}}]}"#;
    let end = page(text.into()).unwrap();
    assert_eq!(end.next_iterator, None);
    assert_eq!(
        (&end.records[0].new_image, &end.records[0].old_image),
        (&None, &None)
    );
    let empty = page(br#"{"NextShardIterator":"n"}"#.to_vec()).unwrap();
    assert!(empty.records.is_empty() && empty.next_iterator.is_some());
}

#[test]
fn images_pass_whatever_is_in_them() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    for image in [
        r#"{"v":{"X":"?"}}"#,
        r#""no map""#,
        "17",
        r#"{"v":{"S":"\ud800"}}"#,
        &deep,
    ] {
        let text = record().to_string().replace(
            r#""NewImage":{"pk":{"S":"a"}}"#,
            &format!(r#""NewImage":{image}"#),
        );
        let page = page(format!(r#"{{"Records":[{text}]}}"#).into()).unwrap();
        assert_eq!(
            bytes(&page, page.records[0].new_image.as_ref().unwrap()),
            image
        );
    }
}

#[test]
fn a_record_that_is_not_understood_stands_whole_where_its_keys_should_and_others_go_on() {
    let strange = [
        with("/eventName", json!("REPLICATE")),
        with("/eventName", json!(7)),
        without("/eventName"),
        without("/dynamodb/Keys"),
        with("/dynamodb/Keys", Value::Null),
    ];
    for strange in strange {
        let page = page_of(&[record(), strange.clone(), record()]).unwrap();
        assert_eq!(page.records.len(), 3);
        let found = &page.records[1];
        assert_eq!(bytes(&page, &found.keys), strange.to_string());
        assert_eq!((&found.new_image, &found.old_image), (&None, &None));
        assert_eq!(found.sequence_number.as_str(), "100000000093582842803");
        assert!(page.records[2].new_image.is_some());
    }
}

#[test]
fn a_time_that_cannot_be_read_is_that_of_the_record_before() {
    let time = "/dynamodb/ApproximateCreationDateTime";
    for strange in [
        without(time),
        with(time, Value::Null),
        with(time, json!("soon")),
        with(time, json!(1e300)),
        with(time, json!({})),
    ] {
        let page = page_of(&[strange.clone(), record(), strange]).unwrap();
        let times: Vec<i64> = page
            .records
            .iter()
            .map(|record| record.creation_ms)
            .collect();
        assert_eq!(times, [0, 1_722_360_292_000, 1_722_360_292_000]);
    }
}

#[test]
fn lesser_members_of_the_wrong_type_are_left_out() {
    let mut strange = with("/eventID", json!([1]));
    strange["userIdentity"] = json!("root");
    let page = page_of(&[strange]).unwrap();
    assert_eq!(
        (
            page.records[0].event_id.as_str(),
            &page.records[0].user_identity
        ),
        ("", &None)
    );
}

#[test]
fn a_record_without_a_position_makes_the_page_corrupt_and_shows_no_value() {
    let number = "/dynamodb/SequenceNumber";
    for strange in [
        without(number),
        with(number, json!("hunter2")),
        with(number, json!(12)),
        without("/dynamodb"),
        json!("hunter2"),
    ] {
        let error = page_of(&[record(), strange]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Corrupt);
        let text = error.report();
        assert!(text.contains("after 100000000093582842803"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_is_no_answer_is_an_outage() {
    assert_eq!(
        page(vec![b'"', 0xff, b'"']).unwrap_err().kind,
        ErrorKind::Unavailable
    );
    for body in [
        "",
        "<html>hunter2</html>",
        r#"{"Records":7}"#,
        r#"{"Records":["#,
    ] {
        let error = page(body.into()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(!error.report().contains("hunter2"), "{}", error.report());
    }
}
