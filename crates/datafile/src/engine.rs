//! `ENGINE` and `ENGINE_*`, for every kind of data source. What DynamoDB adds is in `dynamodb.rs`.

use std::ops::Range;

use crate::code::Code;
use crate::column::ReadColumn;
use crate::diagnostic::Report;
use crate::lines::Instruction;
use crate::model::{Engine, Spanned};
use crate::sql_text::{Piece, normalise, tokenise, unquoted};
use crate::suggest::nearest;

/// The engine of a data source that names none.
pub(crate) const DEFAULT_ENGINE: &str = "MergeTree";
/// The only engine that can mirror a table.
pub(crate) const REPLACING: &str = "ReplacingMergeTree";

const ENGINES: [&str; 7] = [
    "MergeTree",
    REPLACING,
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "Null",
];

/// Puts an `ENGINE*` instruction where it belongs; `false` if it is another instruction.
pub(crate) fn read(
    engine: &mut Engine,
    instruction: &Instruction<'_>,
    report: &mut Report<'_>,
) -> bool {
    let slot = match instruction.name {
        "ENGINE" => {
            engine.name = instruction.value();
            return true;
        }
        "ENGINE_SORTING_KEY" => &mut engine.sorting_key,
        "ENGINE_PARTITION_KEY" => &mut engine.partition_key,
        "ENGINE_PRIMARY_KEY" => &mut engine.primary_key,
        "ENGINE_SAMPLING_KEY" => &mut engine.sampling_key,
        "ENGINE_TTL" => &mut engine.ttl,
        "ENGINE_SETTINGS" => &mut engine.settings,
        "ENGINE_VER" => &mut engine.ver,
        "ENGINE_IS_DELETED" => &mut engine.is_deleted,
        "ENGINE_SIGN" => &mut engine.sign,
        "ENGINE_VERSION" => &mut engine.version,
        "ENGINE_COLUMNS" => &mut engine.columns,
        _ => return false,
    };
    let mut value = instruction.value();
    if !value.value.is_empty() {
        if matches!(instruction.name, "ENGINE_VER" | "ENGINE_IS_DELETED") {
            value = without_backticks(value);
        }
        *slot = Some(value);
    } else if instruction.name != "ENGINE_TTL" && instruction.name != "ENGINE_PARTITION_KEY" {
        report.error(
            Code::ValueMissing,
            &instruction.line_span,
            format!("{} has no value", instruction.name),
            "expected a value",
            "write a value after it, or remove the line",
        );
        // It is there: nobody shall say that it is missing.
        *slot = Some(value);
    }
    true
}

fn without_backticks(value: Spanned<String>) -> Spanned<String> {
    let inner = value
        .value
        .strip_prefix('`')
        .and_then(|text| text.strip_suffix('`'));
    match inner {
        Some(inner) => Spanned::new(inner.to_owned(), value.span.start + 1..value.span.end - 1),
        None => value,
    }
}

/// Spells the engine's name as ClickHouse does, or says that there is no such engine.
pub(crate) fn check_name(engine: &mut Engine, report: &mut Report<'_>) -> bool {
    let written = engine.name.value.clone();
    let word = written.split('(').next().unwrap_or_default().trim();
    let Some(known) = ENGINES.iter().find(|name| name.eq_ignore_ascii_case(word)) else {
        let help = match nearest(word, ENGINES) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("write one of {}", ENGINES.join(", ")),
        };
        let shown: String = word.chars().take(60).collect();
        report.error(
            Code::EngineUnknown,
            &engine.name.span,
            format!("there is no engine {shown}"),
            "unknown engine",
            help,
        );
        return false;
    };
    let arguments = written
        .split_once('(')
        .map_or("", |(_, rest)| rest.trim_end_matches(')').trim());
    if !arguments.is_empty() {
        report.error(
            Code::EngineArguments,
            &engine.name.span,
            "ENGINE takes the name of an engine only",
            "has arguments",
            format!(
                "write `ENGINE {known}`, and the arguments as ENGINE_VER, ENGINE_IS_DELETED, \
                     ENGINE_SIGN, ENGINE_VERSION or ENGINE_COLUMNS"
            ),
        );
    }
    engine.name.value = (*known).to_owned();
    true
}

/// One element of a sorting key.
#[derive(Clone, Debug)]
pub(crate) struct KeyElement {
    /// The column, if the element is nothing else.
    pub(crate) column: Option<String>,
    /// The columns it mentions, with their places.
    pub(crate) mentions: Vec<Spanned<String>>,
    pub(crate) span: Range<usize>,
}

/// Cuts a sorting key into its elements; spans are those of the file where that can be told.
pub(crate) fn key_elements(key: &Spanned<String>) -> Vec<KeyElement> {
    let text = key.value.as_str();
    let mut range = 0..text.len();
    // `(a, b)` and `tuple(a, b)` are `a, b`.
    let tokens = tokenise(text, range.clone());
    match tokens.as_slice() {
        [group] if group.piece == Piece::Group => range = group.span.start + 1..group.span.end - 1,
        [word, group]
            if group.piece == Piece::Group
                && text[word.span.clone()].eq_ignore_ascii_case("tuple") =>
        {
            range = group.span.start + 1..group.span.end - 1;
        }
        _ => {}
    }
    let place = |span: Range<usize>| match key.span.len() == text.len() {
        true => key.span.start + span.start..key.span.start + span.end,
        false => key.span.clone(),
    };
    let tokens = tokenise(text, range);
    let mut elements = Vec::new();
    for tokens in tokens.split(|token| token.piece == Piece::Comma) {
        let Some((first, last)) = tokens.first().zip(tokens.last()) else {
            continue;
        };
        let span = first.span.start..last.span.end;
        let mentions = mentions(text, span.clone());
        let bare = tokens.len() == 1 && mentions.len() == 1 && mentions[0].span == span;
        elements.push(KeyElement {
            column: bare.then(|| mentions[0].value.clone()),
            mentions: mentions
                .into_iter()
                .map(|name| Spanned::new(name.value, place(name.span)))
                .collect(),
            span: place(span),
        });
    }
    elements
}

/// The identifiers of an expression that are not functions, keywords, numbers or strings.
fn mentions(text: &str, range: Range<usize>) -> Vec<Spanned<String>> {
    const KEYWORDS: [&str; 27] = [
        "AND", "OR", "NOT", "IN", "LIKE", "IS", "AS", "CASE", "WHEN", "THEN", "ELSE", "END",
        "NULL", "TRUE", "FALSE", "ASC", "DESC", "INTERVAL", "SECOND", "MINUTE", "HOUR", "DAY",
        "WEEK", "MONTH", "QUARTER", "YEAR", "DIV",
    ];
    let bytes = text.as_bytes();
    let starts = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b >= 0x80;
    let goes_on = |b: u8| starts(b) || b.is_ascii_digit() || b == b'.';
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let b = bytes[at];
        if b == b'\'' {
            at = closing_quote(bytes, at, range.end);
        } else if b == b'`' || b == b'"' {
            let end = closing_quote(bytes, at, range.end);
            found.push(Spanned::new(unquoted(&text[at..end]), at..end));
            at = end;
        } else if starts(b) {
            let end = (at..range.end)
                .find(|at| !goes_on(bytes[*at]))
                .unwrap_or(range.end);
            let word = &text[at..end];
            let called = text[end..range.end].trim_start().starts_with('(');
            if !called
                && !KEYWORDS
                    .iter()
                    .any(|keyword| word.eq_ignore_ascii_case(keyword))
            {
                found.push(Spanned::new(word.to_owned(), at..end));
            }
            at = end;
        } else if b.is_ascii_digit() {
            at = (at..range.end)
                .find(|at| !goes_on(bytes[*at]))
                .unwrap_or(range.end);
        } else {
            at += 1;
        }
    }
    found
}

/// The byte after the quote that closes the one at `at`, or the end.
fn closing_quote(bytes: &[u8], at: usize, end: usize) -> usize {
    bytes[at + 1..end]
        .iter()
        .position(|b| *b == bytes[at])
        .map_or(end, |length| at + length + 2)
}

/// Whether a sorting key is there but names nothing.
pub(crate) fn is_empty_key(key: &str) -> bool {
    let compact: String = key
        .chars()
        .filter(|c| !c.is_whitespace())
        .take(16)
        .collect();
    matches!(compact.to_ascii_lowercase().as_str(), "" | "tuple()" | "()")
}

/// Checks what holds for every data source: the key's columns exist and can be sorted by.
pub(crate) fn check_key(
    engine: &mut Engine,
    columns: &[ReadColumn],
    report: &mut Report<'_>,
) -> Vec<KeyElement> {
    let replacing = engine.name.value == REPLACING;
    let Some(key) = engine.sorting_key.clone() else {
        if replacing {
            missing_key(
                &engine.name.span,
                "ENGINE_SORTING_KEY is missing",
                "has no sorting key",
                report,
            );
        }
        return Vec::new();
    };
    if key.value.is_empty() || key.value.contains("{{") {
        return Vec::new();
    }
    if is_empty_key(&key.value) {
        if replacing {
            missing_key(
                &key.span,
                "ENGINE_SORTING_KEY names no column",
                "an empty key",
                report,
            );
        }
        return Vec::new();
    }
    let elements = key_elements(&key);
    for name in elements.iter().flat_map(|element| &element.mentions) {
        if !engine.sorting_columns.contains(&name.value) {
            engine.sorting_columns.push(name.value.clone());
        }
    }
    if columns.is_empty() {
        return elements;
    }
    for name in elements.iter().flat_map(|element| &element.mentions) {
        check_key_column(name, engine, columns, report);
    }
    elements
}

fn missing_key(span: &Range<usize>, message: &str, label: &str, report: &mut Report<'_>) {
    report.error(
        Code::SortingKeyMissing,
        span,
        message,
        label,
        "write `ENGINE_SORTING_KEY \"pk, sk\"` with the columns that identify a row",
    );
}

fn check_key_column(
    name: &Spanned<String>,
    engine: &Engine,
    columns: &[ReadColumn],
    report: &mut Report<'_>,
) {
    let span = &name.span;
    let Some(column) = find(columns, name) else {
        unknown_column(
            Code::SortingKeyColumnUnknown,
            "ENGINE_SORTING_KEY",
            name,
            columns,
            report,
        );
        return;
    };
    let ty = column.column.ty.as_str();
    if ty.starts_with("Nullable(") || ty.starts_with("LowCardinality(Nullable(") {
        report.error(
            Code::SortingKeyNullable,
            span,
            format!(
                "ENGINE_SORTING_KEY contains {}, which can be NULL",
                name.value
            ),
            format!("its type is {ty}"),
            format!("write the column as `{} {}`", name.value, not_nullable(ty)),
        );
    } else if ty.starts_with("AggregateFunction(") {
        report.error(
            Code::SortingKeyAggregate,
            span,
            format!(
                "ENGINE_SORTING_KEY contains {}, which is an aggregate state",
                name.value
            ),
            "cannot be sorted by",
            "remove it from the key",
        );
    }
    for (instruction, other) in [
        ("ENGINE_VER", &engine.ver),
        ("ENGINE_IS_DELETED", &engine.is_deleted),
    ] {
        if engine.name.value == REPLACING
            && other
                .as_ref()
                .is_some_and(|other| other.value == name.value)
        {
            report.error(
                Code::SortingKeyVersion,
                span,
                format!(
                    "ENGINE_SORTING_KEY contains {}, the column of {instruction}",
                    name.value
                ),
                "differs between the versions of a row, so none would replace another",
                "remove it from the key",
            );
        }
    }
}

fn not_nullable(ty: &str) -> String {
    match ty.strip_prefix("LowCardinality(") {
        Some(inner) => format!(
            "LowCardinality({})",
            not_nullable(inner.strip_suffix(')').unwrap_or(inner))
        ),
        None => {
            let inner = ty.strip_prefix("Nullable(").unwrap_or(ty);
            inner.strip_suffix(')').unwrap_or(inner).to_owned()
        }
    }
}

/// The column of that name.
pub(crate) fn find<'c>(columns: &'c [ReadColumn], name: &str) -> Option<&'c ReadColumn> {
    columns.iter().find(|column| column.column.name == name)
}

/// Says that an instruction names a column that is not there.
pub(crate) fn unknown_column(
    code: Code,
    instruction: &str,
    name: &Spanned<String>,
    columns: &[ReadColumn],
    report: &mut Report<'_>,
) {
    if name.value.is_empty() || name.value.contains("{{") {
        return;
    }
    let shown = normalise(&name.value, false)
        .chars()
        .take(60)
        .collect::<String>();
    let names = columns.iter().map(|column| column.column.name.as_str());
    let help = match nearest(&name.value, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("add a column {shown} to SCHEMA, or name one that is there"),
    };
    report.error(
        code,
        &name.span,
        format!("{instruction} names {shown}, which is not a column"),
        "not in SCHEMA",
        help,
    );
}
