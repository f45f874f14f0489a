//! From a `.datasource` file and the table's keys to a [`MirrorPlan`], or to everything that is in the way.

mod key_columns;
mod report;
mod sorting_key;

use datafile::{Code, Column, Datasource, Diagnostic, JsonPath, Spanned};

use super::{MirrorPlan, PlanColumn, PlanIndex, RecordPath};
use crate::column_type::{ColumnType, ScalarType};
use crate::table::KeyAttribute;

use key_columns::check_keys;
use report::Report;

/// The paths a column may have, for messages.
const KNOWN_PATHS: &str = "$.Item.<attribute>, $.Keys, $.NewImage, $.OldImage, $.ApproximateCreationDateTime, $.eventName, $._is_deleted, $.eventID, $.SequenceNumber, $.awsRegion, $.userIdentity.type or $.userIdentity.principalId";

/// Plans the table behind `datasource`. `keys` are the key attributes of the DynamoDB table as AWS describes
/// them; without any (nobody has asked AWS yet) the columns are not checked against them.
///
/// Gives the plan with its warnings, or all diagnostics if one of them is an error. They point into the
/// data source's file, top to bottom.
pub fn build_plan(
    database: &str,
    datasource: &Datasource,
    keys: &[KeyAttribute],
) -> Result<(MirrorPlan, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut report = Report::new(datasource);
    // Columns that could not be understood stay out; their diagnostics stop the plan.
    let mut columns = Vec::new();
    let mut spans = Vec::new();
    for column in &datasource.columns {
        if let Some(planned) = plan_column(column, &mut report) {
            spans.push(column.span.clone());
            columns.push(planned);
        }
    }
    let sorting_key = datasource.engine.sorting_key.as_ref();
    let sorting_text = sorting_key.map_or("", |key| key.value.as_str());
    let sorting_columns = sorting_key::columns(sorting_text, &columns);
    for index in &sorting_columns {
        let column = &mut columns[*index];
        column.is_key = keys
            .iter()
            .any(|key| key_columns::is_whole_key(&column.path, &key.name));
    }
    let version_column = check_version(datasource, &columns, &mut report);
    let is_deleted_column = check_is_deleted(datasource, &columns, &mut report);
    if !report.has_errors() && !keys.is_empty() {
        check_keys(
            datasource,
            &columns,
            &spans,
            &sorting_columns,
            keys,
            &mut report,
        );
    }
    let diagnostics = report.finish()?;
    let engine = &datasource.engine;
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.value.clone());
    let plan = MirrorPlan {
        database: database.to_owned(),
        table: datasource.name.clone(),
        columns,
        sorting_key: sorting_key::unwrapped(sorting_text).to_owned(),
        sorting_columns,
        version_column,
        is_deleted_column,
        partition_key: text(&engine.partition_key),
        primary_key: text(&engine.primary_key),
        sampling_key: text(&engine.sampling_key),
        ttl: text(&engine.ttl),
        settings: text(&engine.settings),
        indexes: datasource.indexes.iter().map(plan_index).collect(),
        keys: keys.to_vec(),
    };
    Ok((plan, diagnostics))
}

fn plan_index(index: &datafile::Index) -> PlanIndex {
    PlanIndex {
        name: index.name.clone(),
        expression: index.expr.clone(),
        kind: index.kind.clone(),
        granularity: index.granularity,
    }
}

fn plan_column(column: &Spanned<Column>, report: &mut Report<'_>) -> Option<PlanColumn> {
    let name = &column.name;
    let column_type = match ColumnType::parse(&column.ty) {
        Ok(column_type) => column_type,
        Err(unsupported) => {
            report.error(
                Code::ColumnTypeNotSupported,
                &column.span,
                unsupported.to_string(),
                format!("`{name}` cannot be filled"),
                format!("write `{name} String` and convert it in a pipe"),
            );
            return None;
        }
    };
    let Some(json_path) = &column.json_path else {
        report.error(
            Code::ColumnWithoutPath,
            &column.span,
            format!("column `{name}` has no json path, so nothing would ever fill it"),
            "no `json:` path",
            format!("{name} {} `json:$.Item.{name}`", column.ty),
        );
        return None;
    };
    let Some(path) = record_path(json_path) else {
        report.error(
            Code::RecordPathNotSupported,
            &column.span,
            format!("`{json_path}` is nothing that a DynamoDB record has"),
            format!("the path of `{name}`"),
            format!("use {KNOWN_PATHS}"),
        );
        return None;
    };
    if let Some(wanted) = wanted_type(&path).filter(|wanted| !wanted.allows(&column_type.scalar)) {
        report.error(
            Code::ColumnTypeDoesNotFitPath,
            &column.span,
            format!(
                "`{json_path}` does not go into a column of type {}",
                column.ty
            ),
            format!("`{name}` must be {}", wanted.text()),
            format!("{name} {} `json:{json_path}`", wanted.example()),
        );
        return None;
    }
    Some(PlanColumn {
        name: name.clone(),
        declared_type: column.ty.clone(),
        column_type,
        path,
        default: column.default.clone(),
        codec: column.codec.clone(),
        is_key: false,
    })
}

/// What a path of a datafile means in a record; `None` if nothing.
fn record_path(path: &JsonPath) -> Option<RecordPath> {
    let (root, below) = path.segments.split_first()?;
    // Elements of lists cannot become a column: a list is read whole.
    if below.iter().any(|segment| segment == "[:]") {
        return None;
    }
    let names: Vec<&str> = below.iter().map(String::as_str).collect();
    Some(match (root.as_str(), names.as_slice()) {
        ("Item", _) => RecordPath::Item(below.to_vec()),
        ("Keys", _) => RecordPath::Keys(below.to_vec()),
        ("NewImage", _) => RecordPath::NewImage(below.to_vec()),
        ("OldImage", _) => RecordPath::OldImage(below.to_vec()),
        ("ApproximateCreationDateTime", []) => RecordPath::Version,
        ("eventName", []) => RecordPath::EventName,
        ("_is_deleted", []) => RecordPath::IsDeleted,
        ("eventID", []) => RecordPath::EventId,
        ("SequenceNumber", []) => RecordPath::SequenceNumber,
        ("awsRegion", []) => RecordPath::AwsRegion,
        ("userIdentity", ["type"]) => RecordPath::UserIdentityType,
        ("userIdentity", ["principalId"]) => RecordPath::UserIdentityPrincipal,
        _ => return None,
    })
}

/// Which types a path that is not an attribute needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Text,
    Time,
    Mark,
}

fn wanted_type(path: &RecordPath) -> Option<Wanted> {
    match path {
        RecordPath::Item(below)
        | RecordPath::Keys(below)
        | RecordPath::NewImage(below)
        | RecordPath::OldImage(below) => below.is_empty().then_some(Wanted::Text),
        RecordPath::Version => Some(Wanted::Time),
        RecordPath::IsDeleted => Some(Wanted::Mark),
        RecordPath::EventName
        | RecordPath::EventId
        | RecordPath::SequenceNumber
        | RecordPath::AwsRegion
        | RecordPath::UserIdentityType
        | RecordPath::UserIdentityPrincipal => Some(Wanted::Text),
    }
}

impl Wanted {
    fn allows(self, scalar: &ScalarType) -> bool {
        match self {
            Self::Text => *scalar == ScalarType::String,
            Self::Time => matches!(
                scalar,
                ScalarType::DateTime
                    | ScalarType::DateTime64 { .. }
                    | ScalarType::UInt(8)
                    | ScalarType::Int(8 | 16)
            ),
            Self::Mark => matches!(
                scalar,
                ScalarType::Bool | ScalarType::UInt(_) | ScalarType::Int(_)
            ),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Text => "String or LowCardinality(String)",
            Self::Time => "DateTime64(3), DateTime, UInt64 or Int64",
            Self::Mark => "UInt8",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Text => "String",
            Self::Time => "DateTime64(3)",
            Self::Mark => "UInt8",
        }
    }
}

/// The version column must hold milliseconds of the record's own clock: with anything coarser, or anything
/// else, an old row could win over a newer one.
fn check_version(
    datasource: &Datasource,
    columns: &[PlanColumn],
    report: &mut Report<'_>,
) -> String {
    let engine = &datasource.engine;
    let Some(name) = &engine.ver else {
        report.error(
            Code::EngineVerMissing,
            &engine.name.span,
            "a mirror needs ENGINE_VER, so that the newest change of an item wins",
            "no ENGINE_VER",
            "ENGINE_VER \"_timestamp\"",
        );
        return String::new();
    };
    let column = columns.iter().find(|column| column.name == name.value);
    let fits = column.is_some_and(|column| {
        let fine = match column.column_type.scalar {
            ScalarType::DateTime64 { precision } => precision >= 3,
            ScalarType::UInt(_) => true,
            _ => false,
        };
        fine && column.path == RecordPath::Version && !column.column_type.nullable
    });
    if !fits && !report.has_errors() {
        report.error(
            Code::EngineVerNotAVersion,
            &name.span,
            format!("`{}` cannot be the version of a row", name.value),
            "needs milliseconds of `$.ApproximateCreationDateTime`",
            format!(
                "declare it in the schema as: {} DateTime64(3) `json:$.ApproximateCreationDateTime`",
                name.value
            ),
        );
    }
    name.value.clone()
}

fn check_is_deleted(
    datasource: &Datasource,
    columns: &[PlanColumn],
    report: &mut Report<'_>,
) -> String {
    let engine = &datasource.engine;
    let Some(name) = &engine.is_deleted else {
        report.error(
            Code::EngineIsDeletedMissing,
            &engine.name.span,
            "a mirror needs ENGINE_IS_DELETED, so that deleted items disappear",
            "no ENGINE_IS_DELETED",
            "ENGINE_IS_DELETED \"_is_deleted\"",
        );
        return String::new();
    };
    let fits = columns.iter().any(|column| {
        column.name == name.value
            && column.path == RecordPath::IsDeleted
            && matches!(
                column.column_type.scalar,
                ScalarType::UInt(1) | ScalarType::Bool
            )
            && !column.column_type.nullable
    });
    if !fits && !report.has_errors() {
        report.error(
            Code::EngineIsDeletedNotAMark,
            &name.span,
            format!("`{}` cannot mark deleted items", name.value),
            "needs a UInt8 column with `$._is_deleted`",
            format!(
                "declare it in the schema as: {} UInt8 `json:$._is_deleted`",
                name.value
            ),
        );
    }
    name.value.clone()
}
