//! Plans made by hand, and rows read back out of batches.

use datafile::JsonPath;
use mirror::batch::{Batch, ColumnData};
use mirror::change::{ChangeRecord, EventKind};
use mirror::column_type::{ColumnType, ScalarType};
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::projection::{Projection, RowError};
use mirror::table::{KeyAttribute, KeyType};

/// Name, type, json path.
pub(crate) type ColumnText<'a> = (&'a str, &'a str, &'a str);

/// A plan for a table with keys `pk` and `sk`; columns that hold them are keys.
pub(crate) fn plan(columns: &[ColumnText<'_>]) -> MirrorPlan {
    let columns: Vec<PlanColumn> = columns
        .iter()
        .map(|(name, declared, path)| {
            let path = record_path(path);
            let is_key = match &path {
                RecordPath::Item(path) | RecordPath::Keys(path) => {
                    path.len() == 1 && ["pk", "sk"].contains(&path[0].as_str())
                }
                _ => false,
            };
            PlanColumn {
                name: (*name).to_owned(),
                declared_type: (*declared).to_owned(),
                column_type: ColumnType::parse(declared).unwrap(),
                path,
                default: None,
                codec: None,
                is_key,
            }
        })
        .collect();
    let key = |name: &str| KeyAttribute {
        name: name.to_owned(),
        key_type: KeyType::S,
    };
    MirrorPlan {
        database: "db".to_owned(),
        table: "orders".to_owned(),
        sorting_key: "pk, sk".to_owned(),
        sorting_columns: (0..columns.len())
            .filter(|index| columns[*index].is_key)
            .collect(),
        columns,
        version_column: "ver".to_owned(),
        is_deleted_column: "del".to_owned(),
        partition_key: None,
        primary_key: None,
        sampling_key: None,
        ttl: None,
        settings: None,
        indexes: Vec::new(),
        keys: vec![key("sk"), key("pk")],
    }
}

fn record_path(text: &str) -> RecordPath {
    let segments = JsonPath::parse(text).unwrap().segments;
    let below = segments[1..].to_vec();
    match segments[0].as_str() {
        "Item" => RecordPath::Item(below),
        "Keys" => RecordPath::Keys(below),
        "NewImage" => RecordPath::NewImage(below),
        "OldImage" => RecordPath::OldImage(below),
        "ApproximateCreationDateTime" => RecordPath::Version,
        "eventName" => RecordPath::EventName,
        "_is_deleted" => RecordPath::IsDeleted,
        "eventID" => RecordPath::EventId,
        "SequenceNumber" => RecordPath::SequenceNumber,
        "awsRegion" => RecordPath::AwsRegion,
        "userIdentity" if below == ["type"] => RecordPath::UserIdentityType,
        "userIdentity" => RecordPath::UserIdentityPrincipal,
        other => panic!("unknown path {other}"),
    }
}

pub(crate) fn export(item: &str) -> ChangeRecord<'_> {
    ChangeRecord {
        kind: EventKind::Export,
        keys: item.as_bytes(),
        new_image: Some(item.as_bytes()),
        old_image: None,
        version_ms: 1_767_323_045_678,
        event_id: "",
        sequence_number: "",
        aws_region: "eu-west-1",
        user_identity: None,
    }
}

pub(crate) fn stream<'a>(
    kind: EventKind,
    keys: &'a str,
    new_image: Option<&'a str>,
    old_image: Option<&'a str>,
) -> ChangeRecord<'a> {
    ChangeRecord {
        kind,
        keys: keys.as_bytes(),
        new_image: new_image.map(str::as_bytes),
        old_image: old_image.map(str::as_bytes),
        event_id: "e1",
        sequence_number: "100",
        ..export("")
    }
}

/// One row as texts; `None` is NULL or missing.
pub(crate) fn row(
    columns: &[ColumnText<'_>],
    change: &ChangeRecord<'_>,
) -> Result<Vec<Option<String>>, RowError> {
    let plan = plan(columns);
    let mut batch = plan.new_batch();
    let outcome = Projection::new(&plan).project(change, &mut batch);
    if outcome.is_err() {
        assert_eq!(batch, plan.new_batch());
    }
    outcome?;
    assert_eq!(batch.rows, 1);
    Ok((0..columns.len())
        .map(|column| cell(&plan, &batch, column, 0))
        .collect())
}

/// The value of one cell as ClickHouse would show the number below it.
pub(crate) fn cell(plan: &MirrorPlan, batch: &Batch, column: usize, row: usize) -> Option<String> {
    let data = &batch.columns[column];
    if data.nulls[row] == 1 {
        return None;
    }
    let ColumnData::Fixed { width, bytes } = &data.data else {
        return Some(String::from_utf8(data.text(row).to_vec()).unwrap());
    };
    let bytes = &bytes[row * width..(row + 1) * width];
    let scalar = &plan.columns[column].column_type.scalar;
    if let ScalarType::Float(_) = scalar {
        return Some(match width {
            4 => f32::from_le_bytes(bytes.try_into().unwrap()).to_string(),
            _ => f64::from_le_bytes(bytes.try_into().unwrap()).to_string(),
        });
    }
    let unsigned = matches!(
        scalar,
        ScalarType::UInt(_) | ScalarType::Bool | ScalarType::DateTime
    );
    let sign = if !unsigned && bytes[width - 1] >= 0x80 {
        0xFF
    } else {
        0
    };
    let mut wide = [sign; 16];
    wide[..*width].copy_from_slice(bytes);
    Some(i128::from_le_bytes(wide).to_string())
}
