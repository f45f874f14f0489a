//! Plans with every kind of column, and what a row must be: the slow way, from [`crate::reference`].

use datafile::JsonPath;
use mirror::batch::{Batch, ColumnData};
use mirror::change::{ChangeRecord, EventKind};
use mirror::column_type::{ColumnType, ScalarType};
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::projection::{Projection, RowError};
use mirror::table::{KeyAttribute, KeyType};

use crate::reference::{Attribute, Item};
use crate::reference_time::iso_nanos;
use crate::row_bytes::{number_bytes, precision, time_bytes};

/// Name, type, json path.
type ColumnText = (&'static str, &'static str, &'static str);

/// Nothing here can refuse a value: what is compared is texts, names and missing values.
const TEXTS: &[ColumnText] = &[
    ("record", "String", "$.NewImage"),
    ("item", "Nullable(String)", "$.Item"),
    ("keys", "String", "$.Keys"),
    ("old", "Nullable(String)", "$.OldImage"),
    ("old_or_empty", "String", "$.OldImage"),
    ("pk", "String", "$.Item.pk"),
    ("sk", "Nullable(String)", "$.Keys['s\"k\\\\']"),
    ("a", "LowCardinality(String)", "$.Item.a"),
    ("b", "Nullable(String)", "$.NewImage.b"),
    ("below", "String", "$.Item.m.m.x"),
    (
        "hostile",
        "Nullable(String)",
        "$.Item.m['a.b\\u0000\"\\u000a']",
    ),
    ("was", "Nullable(String)", "$.OldImage.a"),
    ("was_below", "String", "$.OldImage.m.m.x"),
    ("version", "Int64", "$.ApproximateCreationDateTime"),
    ("event", "LowCardinality(String)", "$.eventName"),
    ("deleted", "UInt8", "$._is_deleted"),
    ("event_id", "String", "$.eventID"),
    ("sequence_number", "String", "$.SequenceNumber"),
    ("region", "String", "$.awsRegion"),
    ("who", "Nullable(String)", "$.userIdentity.type"),
    (
        "principal",
        "Nullable(String)",
        "$.userIdentity.principalId",
    ),
];

/// Every type, each from an attribute of its own, so that one misfit hides no other.
const TYPES: &[ColumnText] = &[
    ("pk", "String", "$.Item.pk"),
    ("t", "Nullable(Bool)", "$.Item.t"),
    ("u1", "UInt8", "$.Item.u1"),
    ("u2", "Nullable(UInt16)", "$.Item.u2"),
    ("u4", "UInt32", "$.Item.u4"),
    ("u8", "Nullable(UInt64)", "$.Item.u8"),
    ("i1", "Int8", "$.Item.i1"),
    ("i2", "Int16", "$.Item.i2"),
    ("i4", "Nullable(Int32)", "$.Item.i4"),
    ("i8", "Int64", "$.Item.i8"),
    ("i16", "Int128", "$.Item.i16"),
    ("f4", "Float32", "$.Item.f4"),
    ("f8", "Nullable(Float64)", "$.Item.f8"),
    ("d4", "Decimal(9, 2)", "$.Item.d4"),
    ("d8", "Decimal(18, 18)", "$.Item.d8"),
    ("d16", "Nullable(Decimal(38, 10))", "$.Item.d16"),
    ("s", "DateTime", "$.Item.s"),
    ("ms", "DateTime64(3)", "$.Item.ms"),
    ("ns", "Nullable(DateTime64(9))", "$.Item.ns"),
    ("x", "Int64", "$.Item.m.x"),
    ("was", "Nullable(Int64)", "$.OldImage.x"),
];

/// Keys that are not text, for which exactness is asked: two keys must never become one row.
const KEYS: &[ColumnText] = &[
    ("pk", "Float64", "$.Item.pk"),
    ("sk", "DateTime64(3)", "$.Keys['s\"k\\\\']"),
];
const SMALL_KEYS: &[ColumnText] = &[
    ("pk", "Float32", "$.Item.pk"),
    ("sk", "DateTime", "$.Keys['s\"k\\\\']"),
];

/// The table's key attributes, the second with a name that must be escaped.
const KEY_NAMES: [&str; 2] = ["pk", "s\"k\\"];

/// The plans that every record goes through.
pub(crate) fn plans() -> Vec<MirrorPlan> {
    vec![
        plan(TEXTS, false),
        plan(TYPES, true),
        plan(KEYS, true),
        plan(SMALL_KEYS, true),
    ]
}

fn plan(columns: &[ColumnText], exact_keys: bool) -> MirrorPlan {
    let columns = columns.iter().map(|column| plan_column(column, exact_keys));
    MirrorPlan {
        database: "db".to_owned(),
        table: "t".to_owned(),
        columns: columns.collect(),
        sorting_key: "pk".to_owned(),
        sorting_columns: vec![0],
        version_column: "version".to_owned(),
        is_deleted_column: "deleted".to_owned(),
        partition_key: None,
        primary_key: None,
        sampling_key: None,
        ttl: None,
        settings: None,
        indexes: Vec::new(),
        keys: KEY_NAMES
            .map(|name| KeyAttribute {
                name: name.to_owned(),
                key_type: KeyType::S,
            })
            .to_vec(),
    }
}

fn plan_column((name, declared, path): &ColumnText, exact_keys: bool) -> PlanColumn {
    let path = record_path(path);
    let is_key = match &path {
        RecordPath::Item(path) | RecordPath::Keys(path) => {
            matches!(path.as_slice(), [name] if KEY_NAMES.contains(&name.as_str()))
        }
        _ => false,
    };
    let column_type = ColumnType::parse(declared);
    PlanColumn {
        name: (*name).to_owned(),
        declared_type: (*declared).to_owned(),
        column_type: column_type.unwrap_or_else(|error| panic!("{error}")),
        path,
        default: None,
        codec: None,
        is_key: is_key && exact_keys,
    }
}

fn record_path(text: &str) -> RecordPath {
    let path = JsonPath::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let names: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let below = || path.segments[1..].to_vec();
    match names.as_slice() {
        ["Item", ..] => RecordPath::Item(below()),
        ["Keys", ..] => RecordPath::Keys(below()),
        ["NewImage", ..] => RecordPath::NewImage(below()),
        ["OldImage", ..] => RecordPath::OldImage(below()),
        ["ApproximateCreationDateTime"] => RecordPath::Version,
        ["eventName"] => RecordPath::EventName,
        ["_is_deleted"] => RecordPath::IsDeleted,
        ["eventID"] => RecordPath::EventId,
        ["SequenceNumber"] => RecordPath::SequenceNumber,
        ["awsRegion"] => RecordPath::AwsRegion,
        ["userIdentity", "type"] => RecordPath::UserIdentityType,
        ["userIdentity", "principalId"] => RecordPath::UserIdentityPrincipal,
        _ => panic!("{text} is no path of a record"),
    }
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// NULL, or missing and left to the column's DEFAULT.
    Null,
    Text(String),
    Fixed(Vec<u8>),
}

/// The column that must refuse the record; empty if the record itself is broken.
pub(crate) type Refusal = String;

/// A record, read the slow way. `None`: the image is there and is no item.
pub(crate) struct SlowRecord {
    pub(crate) keys: Option<Item>,
    pub(crate) new: Option<Option<Item>>,
    pub(crate) old: Option<Option<Item>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Keys,
    New,
    Old,
}

fn source(path: &RecordPath) -> Option<(Source, &[String])> {
    Some(match path {
        RecordPath::Item(path) if matches!(path.as_slice(), [name] if KEY_NAMES.contains(&name.as_str())) => {
            (Source::Keys, path)
        }
        RecordPath::Item(path) | RecordPath::NewImage(path) => (Source::New, path),
        RecordPath::Keys(path) => (Source::Keys, path),
        RecordPath::OldImage(path) => (Source::Old, path),
        _ => return None,
    })
}

/// The row that must come out, or the refusal.
pub(crate) fn expected(
    plan: &MirrorPlan,
    change: &ChangeRecord<'_>,
    record: &SlowRecord,
) -> Result<Vec<Cell>, Refusal> {
    let export = change.kind == EventKind::Export;
    let needs = |wanted| {
        let mut sources = plan
            .columns
            .iter()
            .filter_map(|column| source(&column.path));
        sources.any(|(source, _)| source == wanted)
    };
    let broken = if export {
        matches!(record.new, Some(None))
    } else {
        (needs(Source::Keys) && record.keys.is_none())
            || (needs(Source::New) && matches!(record.new, Some(None)))
            || (needs(Source::Old) && matches!(record.old, Some(None)))
    };
    if broken {
        return Err(String::new());
    }
    let row = plan
        .columns
        .iter()
        .map(|column| cell(column, change, record).ok_or_else(|| column.name.clone()));
    row.collect()
}

/// `None`: refused.
fn cell(column: &PlanColumn, change: &ChangeRecord<'_>, record: &SlowRecord) -> Option<Cell> {
    let Some((source, path)) = source(&column.path) else {
        return Some(envelope_cell(column, change));
    };
    let export = change.kind == EventKind::Export;
    let changed = matches!(change.kind, EventKind::Insert | EventKind::Modify);
    if source == Source::New && changed && record.new.is_none() {
        return None;
    }
    let new = record.new.as_ref().and_then(Option::as_ref);
    let item = match source {
        Source::Keys if export => new,
        Source::Keys => record.keys.as_ref(),
        Source::New if change.kind == EventKind::Remove => None,
        Source::New => new,
        Source::Old if export => None,
        Source::Old => record.old.as_ref().and_then(Option::as_ref),
    };
    let nullable = column.column_type.nullable;
    if path.is_empty() {
        return Some(match item {
            Some(item) if source == Source::Keys && export => {
                Cell::Text(item.only(&KEY_NAMES.map(str::to_owned)).plain())
            }
            Some(item) => Cell::Text(item.plain()),
            None if nullable => Cell::Null,
            None => Cell::Text(String::new()),
        });
    }
    match item.and_then(|item| item.at(path)) {
        None | Some(Attribute::Null) => (!column.is_key).then_some(Cell::Null),
        Some(value) => typed_cell(value, &column.column_type.scalar, column.is_key),
    }
}

fn envelope_cell(column: &PlanColumn, change: &ChangeRecord<'_>) -> Cell {
    let text = |text: &str| Cell::Text(text.to_owned());
    let optional = |value: Option<&str>| value.map_or(Cell::Null, text);
    match &column.path {
        RecordPath::Version => Cell::Fixed(change.version_ms.to_le_bytes().to_vec()),
        RecordPath::IsDeleted => Cell::Fixed(vec![u8::from(change.kind == EventKind::Remove)]),
        RecordPath::EventName => text(change.kind.name()),
        RecordPath::EventId => text(change.event_id),
        RecordPath::SequenceNumber => text(change.sequence_number),
        RecordPath::AwsRegion => text(change.aws_region),
        RecordPath::UserIdentityType => optional(change.user_identity.map(|(kind, _)| kind)),
        _ => optional(change.user_identity.map(|(_, principal)| principal)),
    }
}

fn typed_cell(value: &Attribute, scalar: &ScalarType, exact: bool) -> Option<Cell> {
    let bytes = match (scalar, value) {
        (ScalarType::String, value) => return Some(Cell::Text(value.column_text())),
        (ScalarType::Bool, Attribute::Bool(value)) => vec![u8::from(*value)],
        (ScalarType::DateTime | ScalarType::DateTime64 { .. }, Attribute::S(text)) => {
            let (nanos, strict_digits) = iso_nanos(text)?;
            if exact && strict_digits != Some(usize::from(precision(scalar))) {
                return None;
            }
            time_bytes(nanos, scalar)?
        }
        (ScalarType::Bool, _) => return None,
        (_, Attribute::N(text)) => number_bytes(text, scalar, exact)?,
        _ => return None,
    };
    Some(Cell::Fixed(bytes))
}

/// Every column has as many values as the batch has rows.
pub(crate) fn check_rectangle(plan: &MirrorPlan, batch: &Batch) {
    assert_eq!(batch.columns.len(), plan.columns.len());
    for (described, column) in plan.columns.iter().zip(&batch.columns) {
        let name = &described.name;
        assert_eq!(column.nulls.len(), batch.rows, "{name}");
        assert_eq!(column.has_nulls, column.nulls.contains(&1), "{name}");
        match (&column.data, described.column_type.scalar.width()) {
            (ColumnData::Strings { bytes, ends }, None) => {
                assert_eq!(ends.len(), batch.rows, "{name}");
                assert!(ends.is_sorted(), "{name}");
                assert_eq!(ends.last().copied().unwrap_or(0), bytes.len(), "{name}");
            }
            (ColumnData::Fixed { width, bytes }, Some(wanted)) => {
                assert_eq!(
                    (*width, bytes.len()),
                    (wanted, batch.rows * wanted),
                    "{name}"
                );
            }
            _ => panic!("{name} has another kind of data than its type"),
        }
    }
}

fn actual(batch: &Batch, column: usize, row: usize) -> Cell {
    let data = &batch.columns[column];
    if data.nulls[row] == 1 {
        return Cell::Null;
    }
    match &data.data {
        ColumnData::Strings { .. } => {
            let text = std::str::from_utf8(data.text(row));
            Cell::Text(text.unwrap_or_else(|error| panic!("{error}")).to_owned())
        }
        ColumnData::Fixed { width, bytes } => {
            Cell::Fixed(bytes[row * width..(row + 1) * width].to_vec())
        }
    }
}

/// A record that every plan takes.
const GOOD: &[u8] =
    br#"{"pk":{"N":"1"},"s\"k\\":{"N":"2"},"a":{"S":"good"},"m":{"M":{"x":{"N":"3"}}}}"#;

/// Projects a good record, the one in question and the good one again; all three rows, or the lack of the one in
/// the middle, must be as expected.
pub(crate) fn check_row(
    plan: &MirrorPlan,
    expected_row: &Result<Vec<Cell>, Refusal>,
    input_bytes: usize,
    project: impl FnOnce(&mut Projection, &mut Batch) -> Result<(), RowError>,
) {
    let good = ChangeRecord {
        kind: EventKind::Insert,
        keys: GOOD,
        new_image: Some(GOOD),
        old_image: None,
        version_ms: 1,
        event_id: "e",
        sequence_number: "1",
        aws_region: "eu-west-1",
        user_identity: None,
    };
    let mut projection = Projection::new(plan);
    let mut batch = plan.new_batch();
    let refused = |error: RowError| -> () { panic!("the good record was refused: {error}") };
    projection
        .project(&good, &mut batch)
        .unwrap_or_else(refused);
    check_rectangle(plan, &batch);
    let before = batch.clone();
    let outcome = project(&mut projection, &mut batch);
    check_rectangle(plan, &batch);
    match (&outcome, expected_row) {
        (Ok(()), Ok(row)) => {
            assert_eq!(batch.rows, 2);
            for (at, wanted) in row.iter().enumerate() {
                assert_eq!(
                    actual(&batch, at, 1),
                    *wanted,
                    "column {}",
                    plan.columns[at].name
                );
            }
            // Plain JSON is never longer than typed JSON, and each column holds an image once at most.
            let most = (input_bytes + 64) * plan.columns.len();
            assert!(batch.bytes() - before.bytes() <= most);
        }
        (Err(error), Err(column)) => {
            assert_eq!(batch, before, "a refused record left something behind");
            assert_eq!(&error.column, column, "{error}");
            assert!(error.to_string().len() < 400, "{error}");
        }
        (Ok(()), Err(column)) => panic!("column {column:?} must refuse the record"),
        (Err(error), Ok(_)) => panic!("a good record was refused: {error}"),
    }
    let rows = batch.rows;
    projection
        .project(&good, &mut batch)
        .unwrap_or_else(refused);
    check_rectangle(plan, &batch);
    for at in 0..plan.columns.len() {
        assert_eq!(
            actual(&batch, at, rows),
            actual(&batch, at, 0),
            "the row behind"
        );
    }
}
