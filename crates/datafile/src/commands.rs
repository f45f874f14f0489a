//! Which instructions each kind of file knows.

/// The three kinds of files a project has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Connection,
    Datasource,
    Pipe,
}

impl FileKind {
    /// The kind a file's extension stands for.
    pub(crate) fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "connection" => Some(Self::Connection),
            "datasource" => Some(Self::Datasource),
            "pipe" => Some(Self::Pipe),
            _ => None,
        }
    }

    /// The extension, which is also how messages call the kind.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Datasource => "datasource",
            Self::Pipe => "pipe",
        }
    }
}

/// Where an instruction's value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// On its own line.
    Line,
    /// In an indented block after `>`.
    Block,
    /// Either way.
    Either,
}

/// What to do about an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Read it, under this name.
    Use(&'static str, Shape),
    /// Say that it has no effect.
    Ignored,
    /// Say what to write instead.
    Refused(&'static str),
    /// It belongs to a kind of connection or import that is not supported.
    Foreign,
}

use Shape::{Block, Either, Line};

const CONNECTION: &[(&str, Shape)] = &[
    ("TYPE", Line),
    ("DESCRIPTION", Either),
    ("DYNAMODB_ARN", Line),
    ("DYNAMODB_REGION", Line),
];

const DATASOURCE: &[(&str, Shape)] = &[
    ("DESCRIPTION", Either),
    ("SCHEMA", Block),
    ("ENGINE", Line),
    ("ENGINE_SORTING_KEY", Line),
    ("ENGINE_PARTITION_KEY", Line),
    ("ENGINE_PRIMARY_KEY", Line),
    ("ENGINE_SAMPLING_KEY", Line),
    ("ENGINE_TTL", Line),
    ("ENGINE_SETTINGS", Line),
    ("ENGINE_VER", Line),
    ("ENGINE_IS_DELETED", Line),
    ("ENGINE_SIGN", Line),
    ("ENGINE_VERSION", Line),
    ("ENGINE_COLUMNS", Line),
    ("INDEXES", Either),
    ("IMPORT_CONNECTION_NAME", Line),
    ("IMPORT_TABLE_ARN", Line),
    ("IMPORT_EXPORT_BUCKET", Line),
    ("TOKEN", Line),
    ("TAGS", Line),
    ("SHARED_WITH", Either),
    ("FORWARD_QUERY", Either),
    ("BACKFILL", Line),
];

const PIPE: &[(&str, Shape)] = &[
    ("DESCRIPTION", Either),
    ("TOKEN", Line),
    ("TAGS", Line),
    ("NODE", Line),
    ("SQL", Block),
    ("TYPE", Line),
    ("CACHE", Line),
    ("DATASOURCE", Line),
    ("DEPLOYMENT_METHOD", Line),
    ("TARGET_DATASOURCE", Line),
    ("COPY_SCHEDULE", Line),
    ("COPY_MODE", Line),
    ("MODE", Line),
    ("ON_DEMAND_COMPUTE", Line),
    ("EXPORT_CONNECTION_NAME", Line),
    ("EXPORT_SCHEDULE", Line),
    ("EXPORT_KAFKA_TOPIC", Line),
    ("EXPORT_BUCKET_URI", Line),
    ("EXPORT_FILE_TEMPLATE", Line),
    ("EXPORT_FORMAT", Line),
    ("EXPORT_COMPRESSION", Line),
    ("EXPORT_STRATEGY", Line),
];

/// Older spellings, and one that the SDKs write.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("SORTING_KEY", "ENGINE_SORTING_KEY"),
    ("PARTITION_KEY", "ENGINE_PARTITION_KEY"),
    ("PRIMARY_KEY", "ENGINE_PRIMARY_KEY"),
    ("SAMPLING_KEY", "ENGINE_SAMPLING_KEY"),
    ("TTL", "ENGINE_TTL"),
    ("VER", "ENGINE_VER"),
    ("IS_DELETED", "ENGINE_IS_DELETED"),
    ("SIGN", "ENGINE_SIGN"),
    ("COLUMNS", "ENGINE_COLUMNS"),
    ("ENGINE_SUMMING_COLUMNS", "ENGINE_COLUMNS"),
];

const IGNORED: &[&str] = &[
    "VERSION",
    "IMPORT_SERVICE",
    "IMPORT_EXTERNAL_DATASOURCE",
    "KAFKA_TARGET_PARTITIONS",
    "EXPORT_SERVICE",
];

const REFUSED: &[(&str, &str)] = &[
    ("SETTINGS", "write `ENGINE_SETTINGS`"),
    (
        "INCLUDE",
        "copy the text of the included file to this place",
    ),
    ("IMPORT_STRATEGY", "remove the line"),
    ("SOURCE", "remove the line"),
    ("KAFKA_STORE_BINARY_HEADERS", "remove the line"),
];

const FOREIGN_PREFIXES: &[&str] = &["KAFKA_", "S3_", "GCS_", "GCP_", "PG_", "SNOWFLAKE_"];
const FOREIGN: &[&str] = &[
    "IMPORT_BUCKET_URI",
    "IMPORT_SCHEDULE",
    "IMPORT_FORMAT",
    "IMPORT_FROM_TIMESTAMP",
    "IMPORT_TABLE_NAME",
    "IMPORT_QUERY",
];

fn table(kind: FileKind) -> &'static [(&'static str, Shape)] {
    match kind {
        FileKind::Connection => CONNECTION,
        FileKind::Datasource => DATASOURCE,
        FileKind::Pipe => PIPE,
    }
}

/// The instructions of a kind of file.
pub(crate) fn names(kind: FileKind) -> impl Iterator<Item = &'static str> {
    table(kind).iter().map(|(name, _)| *name)
}

/// What the first word of a line means, in any case.
pub(crate) fn lookup(kind: FileKind, word: &str) -> Option<Meaning> {
    // The longest known word is far shorter; this keeps a megabyte of letters from being copied.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_uppercase();
    let exact = |wanted: &str| table(kind).iter().find(|(name, _)| *name == wanted);
    if let Some((name, shape)) = exact(&word) {
        return Some(Meaning::Use(name, *shape));
    }
    if let Some((_, name)) = OTHER_NAMES.iter().find(|(other, _)| *other == word)
        && let Some((name, shape)) = exact(name)
    {
        return Some(Meaning::Use(name, *shape));
    }
    if IGNORED.contains(&word.as_str()) {
        return Some(Meaning::Ignored);
    }
    if let Some((_, help)) = REFUSED.iter().find(|(name, _)| *name == word) {
        return Some(Meaning::Refused(help));
    }
    let foreign = FOREIGN.contains(&word.as_str())
        || FOREIGN_PREFIXES
            .iter()
            .any(|prefix| word.starts_with(prefix));
    (kind != FileKind::Pipe && foreign).then_some(Meaning::Foreign)
}
