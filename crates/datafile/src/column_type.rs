//! Column types: refuses the few that ClickHouse would misread, and catches misspelled names.

use crate::code::Code;
use crate::column::ReadColumn;
use crate::diagnostic::Report;
use crate::suggest::nearest;

const TYPES: [&str; 57] = [
    "String",
    "FixedString",
    "UUID",
    "IPv4",
    "IPv6",
    "Bool",
    "Date",
    "Date32",
    "DateTime",
    "DateTime32",
    "DateTime64",
    "Time",
    "Time64",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Int128",
    "Int256",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UInt128",
    "UInt256",
    "Float32",
    "Float64",
    "BFloat16",
    "Decimal",
    "Decimal32",
    "Decimal64",
    "Decimal128",
    "Decimal256",
    "Enum",
    "Enum8",
    "Enum16",
    "Array",
    "Map",
    "Tuple",
    "Nested",
    "Nullable",
    "LowCardinality",
    "JSON",
    "Object",
    "Variant",
    "Dynamic",
    "Point",
    "Ring",
    "Polygon",
    "MultiPolygon",
    "LineString",
    "MultiLineString",
    "Geometry",
    "QBit",
    "Nothing",
    "AggregateFunction",
    "SimpleAggregateFunction",
];

/// Reports a type that is refused or misspelled.
pub(crate) fn check(column: &mut ReadColumn, report: &mut Report<'_>) {
    let whole = column.column.ty.as_str();
    let inner = innermost(whole);
    let (word, arguments) = match inner.split_once('(') {
        Some((word, rest)) => (word, rest.strip_suffix(')').unwrap_or(rest)),
        None => (inner, ""),
    };
    let refused = match word {
        "Boolean" => Some(("Boolean is not a type", "write `Bool`".to_owned())),
        "DateTime64" if arguments.is_empty() => Some((
            "DateTime64 needs a precision",
            "write `DateTime64(3)`".to_owned(),
        )),
        "Int" | "UInt" => Some((
            "an integer type needs a size",
            format!("write `{word}64`, or the size it has"),
        )),
        _ => None,
    };
    if let Some((message, help)) = refused {
        report.error(
            Code::ColumnTypeRefused,
            &column.type_span,
            message,
            "not accepted",
            help,
        );
        column.broken = true;
        return;
    }
    // ClickHouse knows more names, most of them SQL's in capitals; only near misses are mistakes.
    let foreign = TYPES.contains(&word)
        || word.starts_with("Interval")
        || !word.chars().any(|c| c.is_ascii_lowercase());
    let meant = (!foreign).then(|| nearest(word, TYPES)).flatten();
    if let Some(meant) = meant {
        let shown: String = word.chars().take(60).collect();
        report.error(
            Code::ColumnTypeUnknown,
            &column.type_span,
            format!("there is no type {shown}"),
            "unknown type",
            format!("did you mean `{meant}`?"),
        );
        column.broken = true;
    }
}

/// The type inside `Nullable(...)`, `LowCardinality(...)` and `Array(...)`.
fn innermost(mut ty: &str) -> &str {
    while let Some(inner) = ["Nullable(", "LowCardinality(", "Array("]
        .iter()
        .find_map(|wrapper| ty.strip_prefix(wrapper)?.strip_suffix(')'))
    {
        ty = inner;
    }
    ty
}
