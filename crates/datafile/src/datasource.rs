//! A `.datasource` file: reads its instructions and checks what one file alone can tell.

use std::collections::HashSet;
use std::ops::Range;

use crate::code::Code;
use crate::column::ReadColumn;
use crate::column_type;
use crate::commands::FileKind;
use crate::diagnostic::Report;
use crate::dynamodb;
use crate::engine::{self, DEFAULT_ENGINE, REPLACING};
use crate::import::{self, IMPORTS};
use crate::index;
use crate::lines::{self, Body, Instruction, Instructions};
use crate::model::{Datasource, Engine, SourceFile, Spanned};
use crate::schema::{Schema, read_schema};
use crate::sharing;

/// Reads a data source; there always is one, however little of it could be read.
pub(crate) fn read(file: &SourceFile, name: &str, report: &mut Report<'_>) -> Datasource {
    let text = file.text.as_str();
    let mut instructions = lines::read(text, FileKind::Datasource, report);
    lines::drop_repeated(&mut instructions.list, &["TOKEN"], report);
    let mut datasource = empty(file, name);
    let mut engine_given = false;
    let mut schema = None;
    for instruction in &instructions.list {
        check_secrets(instruction, report);
        engine_given |= instruction.name == "ENGINE";
        if engine::read(&mut datasource.engine, instruction, report) {
            continue;
        }
        match instruction.name {
            "SCHEMA" => {
                datasource.schema_span = schema_range(instruction, text);
                schema = Some(read_columns(instruction, text, report));
            }
            "DESCRIPTION" => datasource.description = sharing::description(instruction, text),
            "INDEXES" => datasource.indexes = index::read(instruction, text, report),
            "TOKEN" => {
                datasource
                    .tokens
                    .extend(sharing::token(instruction, FileKind::Datasource, report))
            }
            "TAGS" => datasource.tags = sharing::tags(instruction),
            "SHARED_WITH" => datasource.shared_with = sharing::shared_with(instruction, text),
            "FORWARD_QUERY" => {
                datasource.forward_query =
                    Some(instruction.text(text)).filter(|sql| !sql.is_empty());
            }
            "BACKFILL" => datasource.skip_backfill = read_backfill(instruction, report),
            _ => {}
        }
    }
    if schema.is_none() {
        report.error(
            Code::SchemaMissing,
            &(0..0),
            "SCHEMA is missing",
            "",
            "add `SCHEMA >` and the columns on the following lines, indented",
        );
    }
    let Schema {
        columns,
        holds_instructions,
    } = schema.unwrap_or_default();
    // What is missing stands in the schema, which was said.
    let mut silent = Report::new("");
    let report = if holds_instructions {
        &mut silent
    } else {
        report
    };
    read_import(
        &mut datasource,
        &instructions,
        &columns,
        engine_given,
        report,
    );
    datasource.columns = columns.into_iter().map(ReadColumn::into_column).collect();
    datasource
}

fn empty(file: &SourceFile, name: &str) -> Datasource {
    let engine = Engine {
        name: Spanned::unplaced(DEFAULT_ENGINE.to_owned()),
        ..Engine::default()
    };
    Datasource {
        name: name.to_owned(),
        path: file.path.clone(),
        text: file.text.clone(),
        description: None,
        columns: Vec::new(),
        schema_span: 0..0,
        engine,
        import: None,
        tokens: Vec::new(),
        tags: Vec::new(),
        indexes: Vec::new(),
        forward_query: None,
        shared_with: Vec::new(),
        skip_backfill: false,
    }
}

/// The columns' text without the white space around it.
fn schema_range(instruction: &Instruction<'_>, text: &str) -> Range<usize> {
    let Body::Block(range) = &instruction.body else {
        return 0..0;
    };
    let block = &text[range.clone()];
    let start = range.start + (block.len() - block.trim_start().len());
    start..(start + block.trim().len())
}

fn read_columns(instruction: &Instruction<'_>, text: &str, report: &mut Report<'_>) -> Schema {
    let range = match &instruction.body {
        Body::Block(range) => range.clone(),
        Body::Line(_) => instruction.value().span,
    };
    let mut schema = read_schema(text, range, report);
    let columns = &mut schema.columns;
    if columns.is_empty() {
        report.error(
            Code::SchemaEmpty,
            &instruction.name_span,
            "SCHEMA has no columns",
            "expected columns after this line",
            "write `name Type `json:$.path``, one column a line, with commas between them",
        );
    }
    let mut names = HashSet::new();
    columns.retain(|column| {
        let new = names.insert(column.column.name.clone());
        if !new {
            report.error(
                Code::DuplicateColumn,
                &column.name_span,
                format!("there are two columns named {}", column.column.name),
                "the second one",
                "rename one of them, or remove it",
            );
        }
        new
    });
    for column in columns {
        column_type::check(column, report);
    }
    schema
}

fn read_backfill(instruction: &Instruction<'_>, report: &mut Report<'_>) -> bool {
    let value = instruction.value();
    let skip = value.eq_ignore_ascii_case("skip");
    if !skip {
        report.error(
            Code::BackfillValue,
            &value.span,
            "BACKFILL knows one value, skip",
            "unknown value",
            "write `BACKFILL skip`, or remove the line",
        );
    }
    skip
}

/// Secrets are for what differs between environments, not for the shape of a table.
fn check_secrets(instruction: &Instruction<'_>, report: &mut Report<'_>) {
    let name = instruction.name;
    let allowed = IMPORTS.contains(&name) || matches!(name, "DESCRIPTION" | "FORWARD_QUERY");
    if allowed || !matches!(instruction.body, Body::Line(_)) {
        return;
    }
    let value = instruction.value();
    if value.contains("{{") {
        report.error(
            Code::SecretNotAllowed,
            &value.span,
            format!("{name} cannot hold a secret"),
            "written as it is",
            "write the value itself",
        );
    }
}

/// Reads the import and makes the checks that depend on whether there is one.
fn read_import(
    datasource: &mut Datasource,
    instructions: &Instructions<'_>,
    columns: &[ReadColumn],
    engine_given: bool,
    report: &mut Report<'_>,
) {
    let first = instructions
        .list
        .iter()
        .find(|instruction| IMPORTS.contains(&instruction.name));
    if let Some(foreign) = instructions.foreign.first() {
        report.error(
            Code::ImportNotSupported,
            &foreign.span,
            format!("{} imports from something else than DynamoDB, which is not supported", foreign.value),
            "not supported",
            "use IMPORT_CONNECTION_NAME, IMPORT_TABLE_ARN and IMPORT_EXPORT_BUCKET, or send rows over the API",
        );
    } else if first.is_some() {
        datasource.import = import::read(&instructions.list, report);
    }
    let mirror = first.is_some() && instructions.foreign.is_empty();
    let engine = &mut datasource.engine;
    if let Some(first) = first.filter(|_| !engine_given) {
        engine.name.span = first.name_span.clone();
    }
    if engine_given && engine.name.value.is_empty() {
        report.error(
            Code::ValueMissing,
            &engine.name.span,
            "ENGINE has no value",
            "expected a value",
            "write `ENGINE \"ReplacingMergeTree\"`",
        );
        return;
    }
    let known = check_engine_name(engine, mirror, report);
    let key = if known {
        engine::check_key(engine, columns, report)
    } else {
        Vec::new()
    };
    if mirror {
        dynamodb::check(engine, engine_given, &key, columns, report);
    } else {
        check_version_columns(engine, columns, report);
    }
}

/// Whether the engine is one there is. Where only one is possible, "not supported" says more than
/// "unknown", and is said later.
fn check_engine_name(engine: &mut Engine, mirror: bool, report: &mut Report<'_>) -> bool {
    if !mirror {
        return engine::check_name(engine, report);
    }
    let mut quiet = Report::new("");
    let known = engine::check_name(engine, &mut quiet);
    if engine.name.value == REPLACING {
        for found in quiet.finish() {
            let help = found.help.unwrap_or_default();
            report.error(found.code, &found.span, found.message, found.label, help);
        }
    }
    known
}

/// Without an import the columns of versions and deletions only have to be there.
fn check_version_columns(engine: &Engine, columns: &[ReadColumn], report: &mut Report<'_>) {
    if engine.name.value != REPLACING || columns.is_empty() {
        return;
    }
    let named = [
        (Code::EngineVerColumnUnknown, "ENGINE_VER", &engine.ver),
        (
            Code::EngineIsDeletedColumnUnknown,
            "ENGINE_IS_DELETED",
            &engine.is_deleted,
        ),
    ];
    for (code, instruction, name) in named {
        if let Some(name) = name
            .as_ref()
            .filter(|name| engine::find(columns, name).is_none())
        {
            engine::unknown_column(code, instruction, name, columns, report);
        }
    }
}
