//! Plans from datafiles.

use datafile::{Datasource, Diagnostic, Severity, SourceFile, parse_project};
use mirror::column_type::ScalarType;
use mirror::plan::{MirrorPlan, RecordPath, build_plan};
use mirror::table::{KeyAttribute, KeyType};

const SCHEMA: &str = "pk String `json:$.Item.pk`,
    sk String `json:$.Item.sk`,
    _record String `json:$.NewImage`,
    _old_record Nullable(String) `json:$.OldImage`,
    _timestamp DateTime64(3) `json:$.ApproximateCreationDateTime`,
    _event_name LowCardinality(String) `json:$.eventName`,
    _is_deleted UInt8 `json:$._is_deleted`";

fn datasource(schema: &str, sorting_key: &str) -> Datasource {
    let text = format!(
        "SCHEMA >\n    {schema}\n\nENGINE \"ReplacingMergeTree\"\nENGINE_SORTING_KEY \"{sorting_key}\"\nENGINE_VER \"_timestamp\"\nENGINE_IS_DELETED \"_is_deleted\"\n"
    );
    let path = "datasources/orders.datasource".to_owned();
    let mut parsed = parse_project(&[SourceFile { path, text }]);
    parsed.project.datasources.remove(0)
}

fn key(name: &str, key_type: KeyType) -> KeyAttribute {
    KeyAttribute {
        name: name.to_owned(),
        key_type,
    }
}

fn both_keys() -> Vec<KeyAttribute> {
    vec![key("pk", KeyType::S), key("sk", KeyType::S)]
}

fn planned(
    schema: &str,
    sorting_key: &str,
    keys: &[KeyAttribute],
) -> (MirrorPlan, Vec<Diagnostic>) {
    build_plan("db", &datasource(schema, sorting_key), keys).unwrap()
}

/// The only diagnostic, and the text it marks.
fn refusal(schema: &str, sorting_key: &str, keys: &[KeyAttribute]) -> (Diagnostic, String) {
    let datasource = datasource(schema, sorting_key);
    let mut found = build_plan("db", &datasource, keys).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    let diagnostic = found.remove(0);
    let marked = datasource.text[diagnostic.span.clone()].to_owned();
    (diagnostic, marked)
}

#[test]
fn the_wizards_file_is_a_plan() {
    let (plan, warnings) = planned(SCHEMA, "pk, sk", &both_keys());
    assert_eq!(warnings, []);
    assert_eq!(
        (plan.database.as_str(), plan.table.as_str()),
        ("db", "orders")
    );
    assert_eq!(plan.sorting_key, "pk, sk");
    assert_eq!(plan.sorting_columns, [0, 1]);
    assert_eq!(
        (
            plan.version_column.as_str(),
            plan.is_deleted_column.as_str()
        ),
        ("_timestamp", "_is_deleted")
    );
    let keys: Vec<bool> = plan.columns.iter().map(|column| column.is_key).collect();
    assert_eq!(keys, [true, true, false, false, false, false, false]);
    assert_eq!(
        plan.columns[0].path,
        RecordPath::Item(vec!["pk".to_owned()])
    );
    assert_eq!(plan.columns[2].path, RecordPath::NewImage(Vec::new()));
    assert!(plan.columns[3].column_type.nullable);
    assert_eq!(
        plan.columns[4].column_type.scalar,
        ScalarType::DateTime64 { precision: 3 }
    );
    assert_eq!(plan.columns[5].column_type.scalar, ScalarType::String);
    assert_eq!(plan.keys, both_keys());
}

#[test]
fn sorting_keys_are_understood_however_they_are_written() {
    for sorting_key in [
        "(pk, sk)",
        "tuple(pk,sk)",
        "`pk` , sk",
        "cityHash64(pk, sk), pk, sk",
    ] {
        let (plan, _) = planned(SCHEMA, sorting_key, &both_keys());
        assert_eq!(plan.sorting_columns, [0, 1], "{sorting_key}");
    }
}

#[test]
fn a_sorting_key_without_a_key_attribute_is_refused_with_the_line_to_write() {
    for sorting_key in [
        "pk",
        "pk, cityHash64(sk)",
        "cityHash64(pk), sk",
        "sk, lower(pk)",
        "tuple()",
    ] {
        let (diagnostic, marked) = refusal(SCHEMA, sorting_key, &both_keys());
        assert_eq!(diagnostic.code.name(), "sorting-key-misses-key");
        assert!(marked.contains(sorting_key), "{marked}");
        assert_eq!(
            diagnostic.help.as_deref(),
            Some("ENGINE_SORTING_KEY \"pk, sk\"")
        );
    }
}

#[test]
fn a_missing_key_column_comes_with_its_schema_line() {
    let keys = [key("pk", KeyType::S), key("order id", KeyType::N)];
    let (diagnostic, _) = refusal(SCHEMA, "pk", &keys);
    assert_eq!(diagnostic.label, "`order id` is missing");
    assert_eq!(
        diagnostic.help.as_deref(),
        Some(
            "ENGINE_SORTING_KEY \"pk, order_id\", with this in the schema: order_id String `json:$.Item.['order id']`"
        )
    );
}

#[test]
fn keys_are_not_checked_before_aws_was_asked() {
    let (plan, warnings) = planned(SCHEMA, "pk", &[]);
    assert_eq!(warnings, []);
    assert!(plan.columns.iter().all(|column| !column.is_key));
}

#[test]
fn key_columns_must_be_able_to_hold_the_key() {
    let with = |ty: &str| SCHEMA.replacen("pk String", &format!("pk {ty}"), 1);
    let keys = |key_type| [key("pk", key_type), key("sk", KeyType::S)];
    for (key_type, ty, code) in [
        (KeyType::S, "UInt64", Some("key-type-does-not-fit")),
        (KeyType::S, "Float64", Some("key-type-does-not-fit")),
        (KeyType::S, "Bool", Some("key-type-does-not-fit")),
        (KeyType::B, "Int32", Some("key-type-does-not-fit")),
        (KeyType::B, "DateTime", Some("key-type-does-not-fit")),
        (KeyType::N, "Bool", Some("key-type-does-not-fit")),
        (KeyType::S, "Nullable(String)", Some("key-column-nullable")),
        (KeyType::B, "String", None),
        (KeyType::N, "String", None),
        (KeyType::N, "Decimal(38, 0)", None),
        (KeyType::N, "UInt64", None),
        (KeyType::S, "LowCardinality(String)", None),
    ] {
        match code {
            Some(code) => {
                let (diagnostic, marked) = refusal(&with(ty), "pk, sk", &keys(key_type));
                assert_eq!(diagnostic.code.name(), code, "{key_type:?} {ty}");
                assert!(marked.starts_with("pk "), "{marked}");
            }
            None => assert_eq!(
                planned(&with(ty), "pk, sk", &keys(key_type)).1,
                [],
                "{key_type:?} {ty}"
            ),
        }
    }
}

#[test]
fn keys_that_may_not_survive_are_a_warning() {
    for (key_type, ty, code) in [
        (KeyType::N, "Float64", "key-in-float"),
        (KeyType::N, "Float32", "key-in-float"),
        (KeyType::S, "DateTime64(3)", "key-in-time"),
    ] {
        let schema = SCHEMA.replacen("pk String", &format!("pk {ty}"), 1);
        let keys = [key("pk", key_type), key("sk", KeyType::S)];
        let (_, warnings) = planned(&schema, "pk, sk", &keys);
        assert_eq!(warnings.len(), 1);
        assert_eq!(
            (warnings[0].code.name(), warnings[0].severity),
            (code, Severity::Warning)
        );
    }
}

#[test]
fn sorting_by_what_can_change_is_refused() {
    let schema = format!("status String `json:$.Item.status`,\n    {SCHEMA}");
    let (refusal, _) = refusal(&schema, "status, pk, sk", &both_keys());
    assert_eq!(refusal.code.name(), "sorting-key-changes");
}

#[test]
fn columns_that_cannot_be_filled_are_refused() {
    for (column, code) in [
        (
            "x Array(String) `json:$.Item.x`",
            "column-type-not-supported",
        ),
        ("x String `json:$.nope`", "record-path-not-supported"),
        ("x String `json:$.eventName.x`", "record-path-not-supported"),
        (
            "x String `json:$.userIdentity`",
            "record-path-not-supported",
        ),
        ("x String `json:$.Item.l[:]`", "record-path-not-supported"),
        ("x Int32 `json:$.NewImage`", "column-type-does-not-fit-path"),
        (
            "x String `json:$.ApproximateCreationDateTime`",
            "column-type-does-not-fit-path",
        ),
        (
            "x UInt8 `json:$.eventName`",
            "column-type-does-not-fit-path",
        ),
        (
            "x Float64 `json:$._is_deleted`",
            "column-type-does-not-fit-path",
        ),
        ("x String", "column-without-path"),
    ] {
        let schema = format!("{SCHEMA},\n    {column}");
        let (diagnostic, marked) = refusal(&schema, "pk, sk", &both_keys());
        assert_eq!(diagnostic.code.name(), code, "{column}");
        assert!(marked.starts_with("x "), "{marked}");
    }
}

#[test]
fn the_version_must_be_the_records_own_milliseconds() {
    for ty in ["DateTime", "DateTime64(0)", "Nullable(DateTime64(3))"] {
        let schema = SCHEMA.replace("DateTime64(3)", ty);
        let (diagnostic, _) = refusal(&schema, "pk, sk", &both_keys());
        assert_eq!(diagnostic.code.name(), "engine-ver-not-a-version", "{ty}");
    }
    let schema = SCHEMA.replace("_is_deleted UInt8", "_is_deleted UInt16");
    let (diagnostic, _) = refusal(&schema, "pk, sk", &both_keys());
    assert_eq!(diagnostic.code.name(), "engine-is-deleted-not-a-mark");
}

#[test]
fn missing_engine_options_are_all_reported() {
    let mut datasource = datasource(SCHEMA, "pk, sk");
    datasource.engine.ver = None;
    datasource.engine.is_deleted = None;
    let found = build_plan("db", &datasource, &both_keys()).unwrap_err();
    let codes: Vec<&str> = found
        .iter()
        .map(|diagnostic| diagnostic.code.name())
        .collect();
    assert_eq!(codes, ["engine-ver-missing", "engine-is-deleted-missing"]);
}
