//! What a data source with a DynamoDB table behind it must say so that no row is ever lost.

use crate::arn::{TableArn, is_bucket_name};
use crate::column::ReadColumn;
use crate::diagnostic::Report;
use crate::engine::{KeyElement, REPLACING, find, unknown_column};
use crate::json_path::{EVERY_ELEMENT, JsonPath};
use crate::lines::Instruction;
use crate::model::{Engine, Import, Spanned};
use crate::secret_ref::{Template, TemplatePart};
use crate::suggest::{list, nearest};

/// The instructions that name the table; all or none.
pub(crate) const IMPORTS: [&str; 3] = [
    "IMPORT_CONNECTION_NAME",
    "IMPORT_TABLE_ARN",
    "IMPORT_EXPORT_BUCKET",
];

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

/// Reads a value that may hold secrets; a mistake in one is reported.
pub(crate) fn template(
    instruction: &Instruction<'_>,
    report: &mut Report<'_>,
) -> Option<Spanned<Template>> {
    let value = instruction.value();
    if value.value.is_empty() {
        report.error(
            "value-missing",
            &instruction.line_span,
            format!("{} has no value", instruction.name),
            "expected a value",
            "write a value after it",
        );
        return None;
    }
    match Template::parse(&value.value) {
        Ok(template) => Some(Spanned::new(template, value.span)),
        Err(error) => {
            let span = part_of(&value, error.span);
            report.error(
                "secret-syntax",
                &span,
                format!("{} has braces that are not a secret", instruction.name),
                error.label,
                "write `{{ tb_secret(\"name\") }}` or `{{ tb_secret(\"name\", \"default\") }}`",
            );
            None
        }
    }
}

/// A range of the value as a range of the file; the whole value where spaces were joined.
fn part_of(value: &Spanned<String>, part: std::ops::Range<usize>) -> std::ops::Range<usize> {
    if value.span.len() == value.value.len() {
        value.span.start + part.start..value.span.start + part.end
    } else {
        value.span.clone()
    }
}

/// Reads the three IMPORT_ instructions; `None` if there are none or they are not usable.
pub(crate) fn read_import(
    instructions: &[Instruction<'_>],
    report: &mut Report<'_>,
) -> Option<Import> {
    let given = |name: &str| {
        instructions
            .iter()
            .find(|instruction| instruction.name == name)
    };
    let [connection, table_arn, export_bucket] = IMPORTS.map(given);
    let first = [connection, table_arn, export_bucket]
        .into_iter()
        .flatten()
        .next()?;
    let missing: Vec<&str> = IMPORTS
        .into_iter()
        .filter(|name| given(name).is_none())
        .collect();
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let lines: Vec<String> = missing
            .iter()
            .map(|name| format!("`{} {}`", name, example(name)))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        report.error(
            "import-incomplete",
            &first.name_span,
            format!("{} {verb} missing", list(&missing)),
            "the import starts here",
            format!("add {}", list(&lines)),
        );
    }
    let mut read = |instruction: Option<&Instruction<'_>>| template(instruction?, report);
    let (connection, table_arn, export_bucket) =
        (read(connection), read(table_arn), read(export_bucket));
    if let Some(table_arn) = &table_arn {
        check_table_arn(table_arn, report);
    }
    if let Some(bucket) = &export_bucket {
        check_bucket(bucket, report);
    }
    Some(Import {
        connection: connection?,
        table_arn: table_arn?,
        export_bucket: export_bucket?,
    })
}

fn example(instruction: &str) -> &'static str {
    match instruction {
        "IMPORT_CONNECTION_NAME" => "my_connection",
        "IMPORT_TABLE_ARN" => "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
        _ => "my-exports-bucket",
    }
}

fn check_table_arn(arn: &Spanned<Template>, report: &mut Report<'_>) {
    let Some(text) = arn.literal() else { return };
    if let Err(error) = TableArn::parse(&text) {
        let help = match text.split_once(":table/") {
            Some((head, rest)) if rest.contains('/') && head.starts_with("arn:") => {
                format!(
                    "write `{head}:table/{}`",
                    rest.split('/').next().unwrap_or_default()
                )
            }
            _ => format!("write `{}`", example("IMPORT_TABLE_ARN")),
        };
        report.error(
            "table-arn-invalid",
            &arn.span,
            "IMPORT_TABLE_ARN is not the ARN of a table",
            error.reason,
            help,
        );
    }
}

fn check_bucket(bucket: &Spanned<Template>, report: &mut Report<'_>) {
    // What follows from a secret can only be seen when it is used.
    let starts_with_secret = matches!(bucket.parts.first(), Some(TemplatePart::Secret { .. }));
    let Some(text) = bucket.literal() else {
        let literal = bucket.parts.first().map(|part| match part {
            TemplatePart::Literal(text) => text.as_str(),
            TemplatePart::Secret { .. } => "",
        });
        if !starts_with_secret && literal.is_some_and(|text| text.starts_with("s3://")) {
            bucket_scheme(&(bucket.span.start..bucket.span.start + 5), "", report);
        }
        return;
    };
    let start = bucket.span.start;
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.len() + 3, rest),
        None => (0, text.as_str()),
    };
    let name = rest.split('/').next().unwrap_or_default();
    if scheme > 0 {
        bucket_scheme(&(start..start + scheme), name, report);
    }
    if name.len() < rest.len() {
        report.error(
            "bucket-has-path",
            &(start + scheme + name.len()..bucket.span.end),
            "IMPORT_EXPORT_BUCKET is a bucket, not a path in one",
            "remove this",
            format!("write `IMPORT_EXPORT_BUCKET {name}`"),
        );
    }
    if !is_bucket_name(name) {
        report.error(
            "bucket-name-invalid",
            &(start + scheme..start + scheme + name.len()),
            "IMPORT_EXPORT_BUCKET is not the name of a bucket",
            "not a bucket name",
            "write 3 to 63 lower case letters, digits, `-` and `.`, as S3 shows it",
        );
    }
}

fn bucket_scheme(span: &std::ops::Range<usize>, name: &str, report: &mut Report<'_>) {
    let help = match name {
        "" => "write the bucket's name only".to_owned(),
        name => format!("write `IMPORT_EXPORT_BUCKET {name}`"),
    };
    report.error(
        "bucket-has-scheme",
        span,
        "IMPORT_EXPORT_BUCKET is a name, not a URL",
        "remove this",
        help,
    );
}

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
    let help = "write `ENGINE \"ReplacingMergeTree\"`, `ENGINE_VER \"_timestamp\"` and `ENGINE_IS_DELETED \"_is_deleted\"`";
    if given {
        let name = &engine.name.value;
        report.error(
            "engine-not-supported",
            &engine.name.span,
            format!("DynamoDB data sources do not support the {name} engine; ReplacingMergeTree is the only option"),
            "not supported with DynamoDB",
            help,
        );
    } else {
        report.error(
            "engine-missing",
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
            "engine-ver-missing",
            &engine.name.span,
            "ENGINE_VER is missing; without it an older change can replace a newer one",
            "does not say which row is newer",
            "add `ENGINE_VER \"_timestamp\"`",
        );
        return;
    };
    let Some(column) = column_of(
        "engine-ver-column-unknown",
        "ENGINE_VER",
        ver,
        columns,
        report,
    ) else {
        return;
    };
    if !column.broken && !is_version_type(&column.column.ty) {
        report.error(
            "engine-ver-type",
            &column.type_span,
            format!(
                "{} is the column of ENGINE_VER and cannot be {}",
                ver.value, column.column.ty
            ),
            "expected DateTime64(3), UInt64 or Int64",
            help,
        );
    }
    check_source("engine-ver-path", "ENGINE_VER", TIME_PATH, column, report);
}

fn check_deleted(engine: &Engine, columns: &[ReadColumn], report: &mut Report<'_>) {
    let Some(deleted) = &engine.is_deleted else {
        report.error(
            "engine-is-deleted-missing",
            &engine.name.span,
            "ENGINE_IS_DELETED is missing; without it deleted items would stay",
            "does not say which rows are deleted",
            "add `ENGINE_IS_DELETED \"_is_deleted\"`",
        );
        return;
    };
    let code = "engine-is-deleted-column-unknown";
    let Some(column) = column_of(code, "ENGINE_IS_DELETED", deleted, columns, report) else {
        return;
    };
    if !column.broken && column.column.ty != "UInt8" {
        report.error(
            "engine-is-deleted-type",
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
        "engine-is-deleted-path",
        "ENGINE_IS_DELETED",
        DELETED_PATH,
        column,
        report,
    );
}

fn column_of<'c>(
    code: &'static str,
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
    code: &'static str,
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
            "json-path-missing",
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
        "json-path-not-offered",
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
    for element in key {
        check_element(element, &bare, &is_attribute, engine, columns, report);
    }
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
            "sorting-key-without-item-key",
            &whole.span,
            "ENGINE_SORTING_KEY contains no key of the DynamoDB table",
            "no column here is read from `$.Item.<name>`",
            "add the columns of the table's partition key and sort key, `pk String `json:$.Item.pk``",
        );
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
                "sorting-key-expression",
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
        if !special && !matches!(root, "Item" | "Keys") {
            report.warning(
                "sorting-key-changes",
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
