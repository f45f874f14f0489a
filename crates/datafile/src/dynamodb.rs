//! What engine, key and columns of a mirrored table must be so that no row is ever lost.
//!
//! Which table it is stands in `import.rs`.

use crate::code::Code;
use crate::column::ReadColumn;
use crate::diagnostic::Report;
use crate::engine::{KeyElement, REPLACING, find, unknown_column};
use crate::json_path::{EVERY_ELEMENT, JsonPath};
use crate::model::{Engine, Spanned};
use crate::suggest::{list, nearest};

/// Records offer these as they are.
const SCALARS: [&str; 8] = [
    "$.ApproximateCreationDateTime",
    "$.eventName",
    "$._is_deleted",
    "$.eventID",
    "$.SequenceNumber",
    "$.awsRegion",
    "$.userIdentity.type",
    "$.userIdentity.principalId",
];
/// And these whole or key by key.
const IMAGES: [&str; 4] = ["Item", "NewImage", "OldImage", "Keys"];

const TIME_PATH: &str = "$.ApproximateCreationDateTime";
const DELETED_PATH: &str = "$._is_deleted";

/// Checks engine, versions, key and columns of a mirror.
pub(crate) fn check(
    engine: &Engine,
    engine_given: bool,
    key: &[KeyElement],
    columns: &[ReadColumn],
    report: &mut Report<'_>,
) {
    for column in columns {
        check_column(column, report);
    }
    if engine.name.value != REPLACING {
        engine_not_supported(engine, engine_given, report);
        return;
    }
    check_version(engine, columns, report);
    check_deleted(engine, columns, report);
    check_key(engine, key, columns, report);
}

fn engine_not_supported(engine: &Engine, given: bool, report: &mut Report<'_>) {
    let mut lines = vec!["`ENGINE \"ReplacingMergeTree\"`"];
    if engine.ver.is_none() {
        lines.push("`ENGINE_VER \"_timestamp\"`");
    }
    if engine.is_deleted.is_none() {
        lines.push("`ENGINE_IS_DELETED \"_is_deleted\"`");
    }
    let help = format!("write {}", list(&lines));
    if given {
        let name = &engine.name.value;
        report.error(
            Code::EngineNotSupported,
            &engine.name.span,
            format!("DynamoDB data sources do not support the {name} engine; ReplacingMergeTree is the only option"),
            "not supported with DynamoDB",
            help,
        );
    } else {
        report.error(
            Code::EngineMissing,
            &engine.name.span,
            "ENGINE is missing; ReplacingMergeTree is the only option for DynamoDB data sources",
            "a mirror needs an engine",
            help,
        );
    }
}

fn check_version(engine: &Engine, columns: &[ReadColumn], report: &mut Report<'_>) {
    let help =
        "write the column as `_timestamp DateTime64(3) `json:$.ApproximateCreationDateTime``";
    let Some(ver) = &engine.ver else {
        report.error(
            Code::EngineVerMissing,
            &engine.name.span,
            "ENGINE_VER is missing; without it an older change can replace a newer one",
            "does not say which row is newer",
            "add `ENGINE_VER \"_timestamp\"`",
        );
        return;
    };
    let Some(column) = column_of(
        Code::EngineVerColumnUnknown,
        "ENGINE_VER",
        ver,
        columns,
        report,
    ) else {
        return;
    };
    if !column.broken && !is_version_type(&column.column.ty) {
        report.error(
            Code::EngineVerType,
            &column.type_span,
            format!(
                "{} is the column of ENGINE_VER and cannot be {}",
                ver.value, column.column.ty
            ),
            "expected DateTime64(3), UInt64 or Int64",
            help,
        );
    }
    check_source(Code::EngineVerPath, "ENGINE_VER", TIME_PATH, column, report);
}

fn check_deleted(engine: &Engine, columns: &[ReadColumn], report: &mut Report<'_>) {
    let Some(deleted) = &engine.is_deleted else {
        report.error(
            Code::EngineIsDeletedMissing,
            &engine.name.span,
            "ENGINE_IS_DELETED is missing; without it deleted items would stay",
            "does not say which rows are deleted",
            "add `ENGINE_IS_DELETED \"_is_deleted\"`",
        );
        return;
    };
    let code = Code::EngineIsDeletedColumnUnknown;
    let Some(column) = column_of(code, "ENGINE_IS_DELETED", deleted, columns, report) else {
        return;
    };
    if !column.broken && column.column.ty != "UInt8" {
        report.error(
            Code::EngineIsDeletedType,
            &column.type_span,
            format!(
                "{} is the column of ENGINE_IS_DELETED and cannot be {}",
                deleted.value, column.column.ty
            ),
            "expected UInt8",
            "write the column as `_is_deleted UInt8 `json:$._is_deleted``",
        );
    }
    check_source(
        Code::EngineIsDeletedPath,
        "ENGINE_IS_DELETED",
        DELETED_PATH,
        column,
        report,
    );
}

fn column_of<'c>(
    code: Code,
    instruction: &str,
    name: &Spanned<String>,
    columns: &'c [ReadColumn],
    report: &mut Report<'_>,
) -> Option<&'c ReadColumn> {
    let found = find(columns, name);
    if found.is_none() && !columns.is_empty() {
        unknown_column(code, instruction, name, columns, report);
    }
    found
}

/// Reports a column that is filled from another place than it must be.
fn check_source(
    code: Code,
    instruction: &str,
    wanted: &str,
    column: &ReadColumn,
    report: &mut Report<'_>,
) {
    // A column without a path, or with one that is not offered, was reported as such.
    let (Some(path), Some(span)) = (&column.column.json_path, &column.path_span) else {
        return;
    };
    let path = path.to_string();
    if path != wanted && is_offered(&path, column.column.json_path.as_ref()) {
        report.error(
            code,
            span,
            format!(
                "{} is the column of {instruction} and must be read from {wanted}",
                column.column.name
            ),
            format!("expected {wanted}"),
            format!("write `json:{wanted}` in backticks"),
        );
    }
}

fn is_version_type(ty: &str) -> bool {
    let Some(arguments) = ty
        .strip_prefix("DateTime64(")
        .and_then(|rest| rest.strip_suffix(')'))
    else {
        return matches!(ty, "UInt64" | "Int64");
    };
    let precision = arguments.split(',').next().unwrap_or_default().trim();
    matches!(precision.parse::<u8>(), Ok(3..=9))
}

fn is_offered(text: &str, path: Option<&JsonPath>) -> bool {
    let image = path.is_some_and(|path| {
        path.segments
            .first()
            .is_some_and(|first| IMAGES.contains(&first.as_str()))
            && !path.segments.iter().any(|segment| segment == EVERY_ELEMENT)
    });
    image || SCALARS.contains(&text)
}

fn check_column(column: &ReadColumn, report: &mut Report<'_>) {
    if column.broken {
        return;
    }
    let name = &column.column.name;
    let (Some(path), Some(span)) = (&column.column.json_path, &column.path_span) else {
        report.error(
            Code::JsonPathMissing,
            &column.span,
            format!(
                "column {name} has no json path; a DynamoDB data source reads every column from one"
            ),
            "expected a json path",
            format!(
                "write `json:{}` in backticks after the type",
                JsonPath {
                    segments: vec!["Item".to_owned(), name.clone()]
                }
            ),
        );
        return;
    };
    let text = path.to_string();
    if is_offered(&text, Some(path)) {
        return;
    }
    report.error(
        Code::JsonPathNotOffered,
        span,
        format!("column {name} is read from {text}, which records do not have"),
        "not part of a record",
        match suggest_path(path, &text) {
            Some(suggestion) => format!("did you mean `json:{suggestion}`?"),
            None => "write `json:$.Item.name`, `json:$.NewImage`, `json:$.OldImage`, `json:$.Keys` or one of the \
                     record's own fields, such as `json:$.eventName`"
                .to_owned(),
        },
    );
}

fn suggest_path(path: &JsonPath, text: &str) -> Option<String> {
    let (first, rest) = path.segments.split_first()?;
    let below = |root: &str| {
        let mut segments = vec![root.to_owned()];
        segments.extend(
            rest.iter()
                .filter(|segment| *segment != EVERY_ELEMENT)
                .cloned(),
        );
        JsonPath { segments }.to_string()
    };
    if IMAGES.contains(&first.as_str()) {
        return Some(below(first));
    }
    // The nesting of a stream record as AWS shows it: `$.dynamodb.NewImage`.
    if first == "dynamodb" && !rest.is_empty() {
        let inner = JsonPath {
            segments: rest.to_vec(),
        };
        let text = inner.to_string();
        return is_offered(&text, Some(&inner)).then_some(text);
    }
    if let Some(scalar) = nearest(text, SCALARS) {
        return Some(scalar.to_owned());
    }
    if let Some(image) = nearest(first, IMAGES) {
        return Some(below(image));
    }
    // `$.pk` is what the SDKs write for a column without an explicit path.
    rest.is_empty().then(|| {
        JsonPath {
            segments: vec!["Item".to_owned(), first.clone()],
        }
        .to_string()
    })
}

fn check_key(engine: &Engine, key: &[KeyElement], columns: &[ReadColumn], report: &mut Report<'_>) {
    let is_attribute = |name: &str| {
        find(columns, name).is_some_and(|column| {
            let path = column.column.json_path.as_ref();
            path.is_some_and(|path| path.segments.len() == 2 && path.segments[0] == "Item")
        })
    };
    let bare: Vec<&str> = key
        .iter()
        .filter_map(|element| element.column.as_deref())
        .collect();
    let Some(whole) = engine.sorting_key.as_ref().filter(|_| !key.is_empty()) else {
        return;
    };
    // A column that is not there, or whose path could not be read, was reported before.
    let all_known = engine
        .sorting_columns
        .iter()
        .all(|name| find(columns, name).is_some_and(|c| !c.broken));
    if all_known && !engine.sorting_columns.iter().any(|name| is_attribute(name)) {
        report.error(
            Code::SortingKeyWithoutItemKey,
            &whole.span,
            "ENGINE_SORTING_KEY contains no key of the DynamoDB table",
            "no column here is read from `$.Item.<name>`",
            "add the columns of the table's partition key and sort key, `pk String `json:$.Item.pk``",
        );
        return;
    }
    for element in key {
        check_element(element, &bare, &is_attribute, engine, columns, report);
    }
}

fn check_element(
    element: &KeyElement,
    bare: &[&str],
    is_attribute: &dyn Fn(&str) -> bool,
    engine: &Engine,
    columns: &[ReadColumn],
    report: &mut Report<'_>,
) {
    if element.column.is_none() {
        let lost = element
            .mentions
            .iter()
            .find(|name| is_attribute(&name.value) && !bare.contains(&name.value.as_str()));
        if let Some(name) = lost {
            report.error(
                Code::SortingKeyExpression,
                &element.span,
                format!("ENGINE_SORTING_KEY has {} only inside an expression; items with the same result would become one row", name.value),
                "an expression",
                format!("write `{}` by itself", name.value),
            );
        }
        return;
    }
    for name in &element.mentions {
        let special = [&engine.ver, &engine.is_deleted];
        let special = special.iter().any(|other| {
            other
                .as_ref()
                .is_some_and(|other| other.value == name.value)
        });
        let path = find(columns, name).and_then(|column| column.column.json_path.as_ref());
        let root = path
            .and_then(|path| path.segments.first())
            .map_or("Item", String::as_str);
        let offered = path.is_some_and(|path| is_offered(&path.to_string(), Some(path)));
        if offered && !special && !matches!(root, "Item" | "Keys") {
            report.error(
                Code::SortingKeyChanges,
                &name.span,
                format!(
                    "ENGINE_SORTING_KEY contains {}, which differs between the changes of one item",
                    name.value
                ),
                "older changes of an item are not replaced",
                "keep only the table's key in ENGINE_SORTING_KEY",
            );
        }
    }
}
