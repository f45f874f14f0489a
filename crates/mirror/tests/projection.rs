//! Which part of a record a column reads.

use mirror::change::EventKind;
use mirror::projection::Projection;
use proptest::prelude::*;

use crate::items::{Attribute, item, number, text, write_plainly, write_wildly};
use crate::rows::{ColumnText, export, plan, row, stream};

const KEYS: &str = r#"{"sk":{"S":"s"},"pk":{"S":"p"}}"#;
const NEW: &str = r#"{"sk":{"S":"s"},"n":{"N":"2"},"pk":{"S":"p"},"m":{"M":{"x":{"S":"in"}}}}"#;
const OLD: &str = r#"{"sk":{"S":"s"},"n":{"N":"1"},"pk":{"S":"p"}}"#;
const NEW_PLAIN: &str = r#"{"m":{"x":"in"},"n":2,"pk":"p","sk":"s"}"#;
const OLD_PLAIN: &str = r#"{"n":1,"pk":"p","sk":"s"}"#;
const KEYS_PLAIN: &str = r#"{"pk":"p","sk":"s"}"#;

/// One line of the table: type, path, and the value for EXPORT, INSERT, MODIFY and REMOVE.
type Case<'a> = (&'a str, &'a str, [Option<&'a str>; 4]);

const VERSION: Option<&str> = Some("1767323045678");

const CASES: &[Case<'_>] = &[
    ("String", "$.Item.pk", [Some("p"); 4]),
    ("LowCardinality(String)", "$.Keys.sk", [Some("s"); 4]),
    ("String", "$.Keys", [Some(KEYS_PLAIN); 4]),
    (
        "String",
        "$.NewImage",
        [Some(NEW_PLAIN), Some(NEW_PLAIN), Some(NEW_PLAIN), Some("")],
    ),
    (
        "Nullable(String)",
        "$.NewImage",
        [Some(NEW_PLAIN), Some(NEW_PLAIN), Some(NEW_PLAIN), None],
    ),
    (
        "String",
        "$.Item",
        [Some(NEW_PLAIN), Some(NEW_PLAIN), Some(NEW_PLAIN), Some("")],
    ),
    (
        "Nullable(String)",
        "$.OldImage",
        [None, None, Some(OLD_PLAIN), Some(OLD_PLAIN)],
    ),
    (
        "String",
        "$.OldImage",
        [Some(""), Some(""), Some(OLD_PLAIN), Some(OLD_PLAIN)],
    ),
    ("Int64", "$.Item.n", [Some("2"), Some("2"), Some("2"), None]),
    (
        "Nullable(Int64)",
        "$.Item.n",
        [Some("2"), Some("2"), Some("2"), None],
    ),
    (
        "Int64",
        "$.NewImage.n",
        [Some("2"), Some("2"), Some("2"), None],
    ),
    ("Int64", "$.OldImage.n", [None, None, Some("1"), Some("1")]),
    (
        "String",
        "$.Item.m.x",
        [Some("in"), Some("in"), Some("in"), None],
    ),
    (
        "String",
        "$.Item.m",
        [
            Some(r#"{"x":"in"}"#),
            Some(r#"{"x":"in"}"#),
            Some(r#"{"x":"in"}"#),
            None,
        ],
    ),
    ("String", "$.Item.m.y", [None; 4]),
    ("String", "$.Item.pk.y", [None; 4]),
    ("String", "$.Item.absent", [None; 4]),
    (
        "DateTime64(3)",
        "$.ApproximateCreationDateTime",
        [VERSION; 4],
    ),
    (
        "DateTime64(6)",
        "$.ApproximateCreationDateTime",
        [Some("1767323045678000"); 4],
    ),
    (
        "DateTime64(0)",
        "$.ApproximateCreationDateTime",
        [Some("1767323045"); 4],
    ),
    (
        "DateTime",
        "$.ApproximateCreationDateTime",
        [Some("1767323045"); 4],
    ),
    ("UInt64", "$.ApproximateCreationDateTime", [VERSION; 4]),
    ("Int64", "$.ApproximateCreationDateTime", [VERSION; 4]),
    (
        "String",
        "$.eventName",
        [
            Some("EXPORT"),
            Some("INSERT"),
            Some("MODIFY"),
            Some("REMOVE"),
        ],
    ),
    (
        "UInt8",
        "$._is_deleted",
        [Some("0"), Some("0"), Some("0"), Some("1")],
    ),
    (
        "Bool",
        "$._is_deleted",
        [Some("0"), Some("0"), Some("0"), Some("1")],
    ),
    (
        "String",
        "$.eventID",
        [Some(""), Some("e1"), Some("e1"), Some("e1")],
    ),
    (
        "String",
        "$.SequenceNumber",
        [Some(""), Some("100"), Some("100"), Some("100")],
    ),
    ("String", "$.awsRegion", [Some("eu-west-1"); 4]),
    (
        "Nullable(String)",
        "$.userIdentity.type",
        [None, None, None, Some("Service")],
    ),
    (
        "String",
        "$.userIdentity.principalId",
        [None, None, None, Some("dynamodb.amazonaws.com")],
    ),
];

#[test]
fn every_path_reads_what_the_design_says() {
    let mut remove = stream(EventKind::Remove, KEYS, None, Some(OLD));
    remove.user_identity = Some(("Service", "dynamodb.amazonaws.com"));
    let changes = [
        export(NEW),
        stream(EventKind::Insert, KEYS, Some(NEW), None),
        stream(EventKind::Modify, KEYS, Some(NEW), Some(OLD)),
        remove,
    ];
    for (declared, path, expected) in CASES {
        for (change, expected) in changes.iter().zip(expected) {
            let row = row(&[("c", declared, path)], change).unwrap();
            assert_eq!(
                row[0].as_deref(),
                *expected,
                "{declared} {path} {:?}",
                change.kind
            );
        }
    }
}

#[test]
fn all_columns_are_filled_in_one_row() {
    let columns: Vec<ColumnText<'_>> = CASES
        .iter()
        .map(|(ty, path, _)| ("c", *ty, *path))
        .collect();
    let modify = stream(EventKind::Modify, KEYS, Some(NEW), Some(OLD));
    let row = row(&columns, &modify).unwrap();
    for (cell, (_, path, expected)) in row.iter().zip(CASES) {
        if !path.starts_with("$.userIdentity") {
            assert_eq!(cell.as_deref(), expected[2], "{path}");
        }
    }
}

#[test]
fn export_lines_and_export_records_give_the_same_rows() {
    let columns: Vec<ColumnText<'_>> = CASES
        .iter()
        .map(|(ty, path, _)| ("c", *ty, *path))
        .collect();
    let plan = plan(&columns);
    let mut by_record = plan.new_batch();
    let mut by_line = plan.new_batch();
    let mut projection = Projection::new(&plan);
    let change = export(NEW);
    projection.project(&change, &mut by_record).unwrap();
    for line in [
        format!("{{\"Item\":{NEW}}}\n"),
        format!(" {{\"x\":1, \"Item\" : {NEW} }}"),
    ] {
        by_line.clear();
        projection
            .project_export_line(
                line.as_bytes(),
                change.version_ms,
                change.aws_region,
                &mut by_line,
            )
            .unwrap();
        assert_eq!(by_line, by_record);
    }
    // An export record need not repeat the item as its new image.
    let bare = mirror::change::ChangeRecord {
        new_image: None,
        ..change
    };
    by_line.clear();
    projection.project(&bare, &mut by_line).unwrap();
    assert_eq!(by_line, by_record);
}

#[test]
fn a_key_must_be_there() {
    for keys in [
        r#"{"sk":{"S":"s"}}"#,
        r#"{"sk":{"S":"s"},"pk":{"NULL":true}}"#,
    ] {
        for change in [export(keys), stream(EventKind::Remove, keys, None, None)] {
            let error = row(&[("key", "String", "$.Item.pk")], &change).unwrap_err();
            assert_eq!(error.column, "key");
            assert_eq!(
                error.reason,
                "the record has no value for this key attribute"
            );
        }
    }
}

#[test]
fn a_change_without_its_new_image_is_refused() {
    for path in ["$.NewImage", "$.Item.n"] {
        let change = stream(EventKind::Modify, KEYS, None, None);
        let error = row(
            &[("pk", "String", "$.Item.pk"), ("c", "String", path)],
            &change,
        )
        .unwrap_err();
        assert_eq!(error.column, "c");
        assert!(
            error.reason.starts_with("the record has no new image"),
            "{}",
            error.reason
        );
    }
}

#[test]
fn broken_records_are_refused_without_a_column() {
    let change = stream(
        EventKind::Insert,
        KEYS,
        Some(r#"{"a":{"Q":"secret"}}"#),
        None,
    );
    let error = row(&[("c", "String", "$.NewImage")], &change).unwrap_err();
    assert_eq!(error.column, "");
    assert_eq!(
        error.reason,
        "the record is not DynamoDB JSON: unknown type descriptor at byte 6"
    );
}

#[test]
fn hostile_names_are_found() {
    let item = r#"{"a.b":{"M":{"it's \"x\"":{"M":{"\u000a\ud83e\udd80":{"N":"7"}}}}},"sk":{"S":""},"pk":{"S":""}}"#;
    let path = r#"$.Item.['a.b'].['it\'s "x"'].['\u000a🦀']"#;
    assert_eq!(
        row(&[("c", "UInt8", path)], &export(item)).unwrap()[0].as_deref(),
        Some("7")
    );
}

fn key() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        text().prop_map(Attribute::S),
        number().prop_map(Attribute::N),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Attribute::B),
    ]
}

proptest! {
    #[test]
    fn a_key_has_the_same_bytes_from_export_and_stream(
        mut item in item(), pk in key(), sk in key(), seed in any::<u64>()
    ) {
        item.retain(|(name, _)| name != "pk" && name != "sk");
        let keys = vec![("pk".to_owned(), pk), ("sk".to_owned(), sk)];
        item.extend(keys.clone());
        let columns = [
            ("pk", "String", "$.Item.pk"),
            ("sk", "String", "$.Keys.sk"),
            ("keys", "String", "$.Keys"),
            ("record", "String", "$.NewImage"),
        ];
        let exported = write_plainly(&item);
        let (streamed, keys) = (write_wildly(&item, seed), write_wildly(&keys, !seed));
        let from_export = row(&columns, &export(&exported)).unwrap();
        let from_stream = row(&columns, &stream(EventKind::Modify, &keys, Some(&streamed), None)).unwrap();
        prop_assert_eq!(&from_export, &from_stream);
        let removed = row(&columns[..3], &stream(EventKind::Remove, &keys, None, Some(&streamed))).unwrap();
        prop_assert_eq!(&from_export[..3], &removed[..]);
    }
}
