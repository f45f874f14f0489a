//! Keys of the table against columns of the data source: every item must be a row of its own, for ever.

use std::ops::Range;

use datafile::{Code, Datasource, JsonPath};

use super::report::Report;
use crate::column_type::ScalarType;
use crate::plan::{PlanColumn, RecordPath};
use crate::table::{KeyAttribute, KeyType};

/// Whether a column holds the whole key attribute `name`.
pub(super) fn is_whole_key(path: &RecordPath, name: &str) -> bool {
    match path {
        RecordPath::Item(path) | RecordPath::Keys(path) => {
            matches!(path.as_slice(), [only] if only == name)
        }
        _ => false,
    }
}

pub(super) fn check_keys(
    datasource: &Datasource,
    columns: &[PlanColumn],
    spans: &[Range<usize>],
    sorting_columns: &[usize],
    keys: &[KeyAttribute],
    report: &mut Report<'_>,
) {
    check_coverage(datasource, columns, sorting_columns, keys, report);
    for key in keys {
        for (column, span) in columns.iter().zip(spans) {
            if is_whole_key(&column.path, &key.name) {
                check_type(column, span, key, report);
            }
        }
    }
    for index in sorting_columns {
        let column = &columns[*index];
        if !column.is_key {
            refuse_changing_column(datasource, column, report);
        }
    }
}

fn check_coverage(
    datasource: &Datasource,
    columns: &[PlanColumn],
    sorting_columns: &[usize],
    keys: &[KeyAttribute],
    report: &mut Report<'_>,
) {
    let covers = |key: &KeyAttribute| {
        sorting_columns
            .iter()
            .any(|index| is_whole_key(&columns[*index].path, &key.name))
    };
    let missing: Vec<&str> = keys
        .iter()
        .filter(|key| !covers(key))
        .map(|key| key.name.as_str())
        .collect();
    if missing.is_empty() {
        return;
    }
    let mut names = Vec::new();
    let mut new_columns = Vec::new();
    for key in keys {
        let column = columns.iter().find(|c| is_whole_key(&c.path, &key.name));
        let name = match column {
            Some(column) => column.name.clone(),
            None => {
                let name = new_column_name(&key.name, columns);
                let path = JsonPath {
                    segments: vec!["Item".to_owned(), key.name.clone()],
                };
                new_columns.push(format!("{name} String `json:{path}`"));
                name
            }
        };
        names.push(name);
    }
    let mut help = format!("ENGINE_SORTING_KEY \"{}\"", names.join(", "));
    if !new_columns.is_empty() {
        help.push_str(", with this in the schema: ");
        help.push_str(&new_columns.join(", "));
    }
    let engine = &datasource.engine;
    let span = match &engine.sorting_key {
        Some(key) => &key.span,
        None => &engine.name.span,
    };
    report.error(
        Code::SortingKeyMissesKey,
        span,
        "the sorting key must contain every key attribute of the DynamoDB table, or different items become one row",
        format!("{} is missing", quoted_list(&missing)),
        help,
    );
}

fn quoted_list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" and ")
}

/// A column name that ClickHouse and the datafile take without quotes, and that is still free.
fn new_column_name(key: &str, columns: &[PlanColumn]) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name: String = key
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    while columns.iter().any(|column| column.name == name) {
        name.push_str("_key");
    }
    name
}

fn check_type(
    column: &PlanColumn,
    span: &Range<usize>,
    key: &KeyAttribute,
    report: &mut Report<'_>,
) {
    let name = &column.name;
    let declared = &column.declared_type;
    let scalar = &column.column_type.scalar;
    let as_string = format!("declare the column as: {name} String");
    let letter = match key.key_type {
        KeyType::S => "S",
        KeyType::N => "N",
        KeyType::B => "B",
    };
    let holds = match (key.key_type, scalar) {
        (_, ScalarType::String) => true,
        (KeyType::S, ScalarType::DateTime | ScalarType::DateTime64 { .. }) => true,
        (KeyType::N, ScalarType::Bool) => false,
        (KeyType::N, _) => true,
        _ => false,
    };
    if !holds {
        report.error(
            Code::KeyTypeDoesNotFit,
            span,
            format!(
                "key attribute `{}` has DynamoDB type {letter}, which does not go into a column of type {declared}",
                key.name
            ),
            format!("`{name}` cannot hold it"),
            as_string.as_str(),
        );
    }
    if column.is_key && column.column_type.nullable {
        report.error(
            Code::KeyColumnNullable,
            span,
            format!("`{name}` is in the sorting key, which cannot be Nullable"),
            "a key is never NULL",
            format!(
                "declare it without Nullable: {}",
                declared.replace("Nullable(", "").replacen(')', "", 1)
            ),
        );
    }
    if holds && column.is_key {
        warn_of_quarantine(column, span, key, &as_string, report);
    }
}

fn warn_of_quarantine(
    column: &PlanColumn,
    span: &Range<usize>,
    key: &KeyAttribute,
    as_string: &str,
    report: &mut Report<'_>,
) {
    let name = &column.name;
    let declared = &column.declared_type;
    match (key.key_type, &column.column_type.scalar) {
        (KeyType::N, ScalarType::Float(_)) => report.warning(
            Code::KeyInFloat,
            span,
            format!(
                "a key of type N has up to 38 digits, {declared} keeps fewer; items whose `{}` does not survive go to quarantine",
                key.name
            ),
            format!("`{name}` is a float"),
            as_string,
        ),
        (KeyType::S, ScalarType::DateTime | ScalarType::DateTime64 { .. }) => report.warning(
            Code::KeyInTime,
            span,
            format!(
                "only keys written as 2026-01-02T03:04:05Z with exactly the digits of {declared} are kept apart by their time; items with another text in `{}` go to quarantine",
                key.name
            ),
            format!("`{name}` is a time"),
            as_string,
        ),
        _ => {}
    }
}

fn refuse_changing_column(datasource: &Datasource, column: &PlanColumn, report: &mut Report<'_>) {
    let Some(sorting_key) = &datasource.engine.sorting_key else {
        return;
    };
    report.error(
        Code::SortingKeyChanges,
        &sorting_key.span,
        format!(
            "`{}` is not a key attribute of the table; when it changes, or the item is deleted, the old row stays",
            column.name
        ),
        "rows are replaced only if their whole sorting key is equal",
        "sort by the key attributes only, and use a skip index or a materialized pipe for other columns",
    );
}
