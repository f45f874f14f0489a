//! Turns the text of a project's files into a [`Project`], and back.
//!
//! This room knows what a file says, not whether the table exists: no IO, no network, no SQL. Callers
//! hand in paths and texts ([`SourceFile`]) and get everything that could be read together with every
//! mistake ([`Diagnostic`]), each with its place and with what to write instead. Nothing panics, whatever
//! the text.
//!
//! # Grammar
//!
//! ```text
//! file        = { line }                       the resource's name is the file stem
//! line        = [ instruction ] [ "#" comment ]
//! instruction = NAME value                     NAME in any case
//!             | NAME ">" block
//! value       = token { token }                joined by one space; quotes around the whole are removed
//! token       = '"' text '"' | "'" text "'" | characters without space or "#"
//! block       = lines up to one that starts with an instruction in its first column;
//!               their common indentation is removed
//! secret      = "{{" "tb_secret(" string [ "," string | number ] ")" "}}"
//!               in DYNAMODB_ARN, DYNAMODB_REGION and IMPORT_*
//!
//! .connection   TYPE dynamodb, DYNAMODB_ARN, DYNAMODB_REGION, DESCRIPTION
//!
//! .datasource   SCHEMA > column { "," column } [ "," ]         "--" starts a comment
//!               column  = name type { path | DEFAULT expression | CODEC(...) }
//!               name    = word | "`" text "`"
//!               path    = "`json:$" { "." key | ".['" text "']" | "[:]" } "`"
//!               ENGINE, ENGINE_{SORTING,PARTITION,PRIMARY,SAMPLING}_KEY, ENGINE_TTL, ENGINE_SETTINGS,
//!               ENGINE_VER, ENGINE_IS_DELETED, ENGINE_SIGN, ENGINE_VERSION, ENGINE_COLUMNS
//!               INDEXES > one a line: [INDEX] name expression TYPE type [GRANULARITY n]
//!               IMPORT_CONNECTION_NAME, IMPORT_TABLE_ARN, IMPORT_EXPORT_BUCKET
//!               FORWARD_QUERY, BACKFILL skip, TOKEN name READ|APPEND, TAGS, SHARED_WITH, DESCRIPTION
//!
//! .pipe         DESCRIPTION, TOKEN name READ, TAGS
//!               { NODE name, [DESCRIPTION], SQL > query, [TYPE kind, options] }
//!               a query that starts with "%" is a template
//! ```
//!
//! Start reading in `project.rs`; `lines.rs` cuts a file into instructions, and there is a file for each
//! thing that is read from them.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arn;
mod code;
mod column;
mod column_type;
mod commands;
mod connection;
mod datasource;
mod diagnostic;
mod dynamodb;
mod engine;
mod format;
mod import;
mod index;
mod json_path;
mod lines;
mod model;
mod pipe;
mod project;
mod render;
mod schema;
mod secret_ref;
mod sharing;
mod sql_text;
mod suggest;
mod tokens;

pub use arn::{ArnError, RoleArn, TableArn, is_bucket_name, is_region};
pub use code::Code;
pub use diagnostic::{Diagnostic, Severity};
pub use format::{NotFormatted, format_file};
pub use json_path::{JsonPath, JsonPathError};
pub use model::{
    Column, Connection, Datasource, Engine, Import, Index, NodeKind, Parsed, Pipe, PipeNode,
    Project, SourceFile, Spanned, TokenGrant,
};
pub use project::parse_project;
pub use render::{render_connection, render_datasource, render_pipe};
pub use secret_ref::{MissingSecret, Template, TemplatePart};
