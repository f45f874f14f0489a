//! A resource back to text, in the layout the SDKs write. Reading the text gives the same resource.
//!
//! Comments are not part of a resource and are lost. There is no line end after the last line.

use std::fmt::Write;

use crate::column::is_modifier;
use crate::commands::{self, FileKind};
use crate::model::{Column, Connection, Datasource, Engine, NodeKind, Pipe, PipeNode, TokenGrant};
use crate::pipe::is_identifier;

/// The text of a `.connection` file.
pub fn render_connection(connection: &Connection) -> String {
    let mut sections = Vec::new();
    sections.extend(
        connection
            .description
            .as_deref()
            .map(|text| block("DESCRIPTION", text)),
    );
    sections.push(format!(
        "TYPE {}\nDYNAMODB_ARN {}\nDYNAMODB_REGION {}",
        connection.kind.value,
        bare(&connection.role_arn.to_string()),
        bare(&connection.region.to_string()),
    ));
    sections.join("\n\n")
}

/// The text of a `.datasource` file.
pub fn render_datasource(datasource: &Datasource) -> String {
    let mut sections = Vec::new();
    sections.extend(
        datasource
            .description
            .as_deref()
            .map(|text| block("DESCRIPTION", text)),
    );
    let columns: Vec<String> = datasource
        .columns
        .iter()
        .map(|column| render_column(column))
        .collect();
    sections.push(block("SCHEMA", &columns.join(",\n")));
    sections.push(render_engine(&datasource.engine));
    if !datasource.indexes.is_empty() {
        let mut lines = Vec::new();
        for index in &datasource.indexes {
            let mut line = format!("{} {} TYPE {}", index.name, index.expr, index.kind);
            if let Some(granularity) = index.granularity {
                write!(line, " GRANULARITY {granularity}").ok();
            }
            lines.push(line);
        }
        sections.push(block("INDEXES", &lines.join("\n")));
    }
    if datasource.skip_backfill {
        sections.push("BACKFILL skip".to_owned());
    }
    if let Some(import) = &datasource.import {
        sections.push(format!(
            "IMPORT_CONNECTION_NAME {}\nIMPORT_TABLE_ARN {}\nIMPORT_EXPORT_BUCKET {}",
            bare(&import.connection.to_string()),
            bare(&import.table_arn.to_string()),
            bare(&import.export_bucket.to_string()),
        ));
    }
    sections.extend(
        datasource
            .forward_query
            .as_deref()
            .map(|sql| block("FORWARD_QUERY", sql)),
    );
    sections.extend(render_tokens(&datasource.tokens));
    sections.extend(render_tags(&datasource.tags));
    if !datasource.shared_with.is_empty() {
        sections.push(block("SHARED_WITH", &datasource.shared_with.join(",\n")));
    }
    sections.join("\n\n")
}

/// The text of a `.pipe` file.
pub fn render_pipe(pipe: &Pipe) -> String {
    let mut sections = Vec::new();
    sections.extend(
        pipe.description
            .as_deref()
            .map(|text| block("DESCRIPTION", text)),
    );
    sections.extend(render_tokens(&pipe.tokens));
    sections.extend(render_tags(&pipe.tags));
    for node in &pipe.nodes {
        sections.push(render_node(node));
        sections.extend(render_publication(node));
    }
    sections.join("\n\n")
}

fn render_node(node: &PipeNode) -> String {
    let mut text = format!("NODE {}\n", node.name);
    if let Some(description) = &node.description {
        text.push_str(&block("DESCRIPTION", description));
        text.push('\n');
    }
    let sql = if node.is_template {
        format!("%\n{}", node.sql)
    } else {
        node.sql.clone()
    };
    text.push_str(&block("SQL", &sql));
    text
}

fn render_publication(node: &PipeNode) -> Option<String> {
    let kind = match node.kind {
        NodeKind::Standard => None,
        NodeKind::Endpoint => Some("TYPE endpoint"),
        NodeKind::Materialized => Some("TYPE MATERIALIZED"),
        NodeKind::Copy => Some("TYPE COPY"),
        NodeKind::Sink => Some("TYPE sink"),
    };
    let kind = kind.map(str::to_owned);
    let options = node
        .options
        .iter()
        .map(|(name, value)| format!("{name} {}", bare(value)));
    let lines: Vec<String> = kind.into_iter().chain(options).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn render_column(column: &Column) -> String {
    let mut line = format!("{} {}", column_name(&column.name), column.ty);
    if let Some(path) = &column.json_path {
        write!(line, " `json:{path}`").ok();
    }
    if let Some(default) = &column.default {
        write!(line, " DEFAULT {default}").ok();
    }
    if let Some(codec) = &column.codec {
        write!(line, " CODEC({codec})").ok();
    }
    line
}

/// The name in backticks where it could be read as something else without them.
fn column_name(name: &str) -> String {
    let reserved = is_modifier(name)
        || name.eq_ignore_ascii_case("INDEX")
        || commands::lookup(FileKind::Datasource, name).is_some();
    if is_identifier(name) && !reserved {
        name.to_owned()
    } else {
        format!("`{name}`")
    }
}

fn render_engine(engine: &Engine) -> String {
    let mut text = format!("ENGINE \"{}\"", engine.name.value);
    let arguments = [
        ("PARTITION_KEY", &engine.partition_key),
        ("SORTING_KEY", &engine.sorting_key),
        ("PRIMARY_KEY", &engine.primary_key),
        ("SAMPLING_KEY", &engine.sampling_key),
        ("TTL", &engine.ttl),
        ("VER", &engine.ver),
        ("IS_DELETED", &engine.is_deleted),
        ("SIGN", &engine.sign),
        ("VERSION", &engine.version),
        ("SUMMING_COLUMNS", &engine.columns),
        ("SETTINGS", &engine.settings),
    ];
    for (name, value) in arguments {
        if let Some(value) = value {
            write!(text, "\nENGINE_{name} {}", quoted(&value.value)).ok();
        }
    }
    text
}

fn render_tokens(tokens: &[TokenGrant]) -> Option<String> {
    let lines: Vec<String> = tokens
        .iter()
        .map(|token| format!("TOKEN {} {}", quoted(&token.name), token.permission))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn render_tags(tags: &[(String, Option<String>)]) -> Option<String> {
    let entry = |(key, value): &(String, Option<String>)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    };
    let entries: Vec<String> = tags.iter().map(entry).collect();
    (!entries.is_empty()).then(|| format!("TAGS {}", quoted(&entries.join(","))))
}

/// `NAME >` and the text, every line indented by four spaces.
fn block(name: &str, text: &str) -> String {
    let mut out = format!("{name} >");
    for line in text.lines() {
        out.push('\n');
        if !line.is_empty() {
            out.push_str("    ");
            out.push_str(line);
        }
    }
    out
}

/// The value in quotes it does not contain.
fn quoted(value: &str) -> String {
    let quote = if value.contains('"') && !value.contains('\'') {
        '\''
    } else {
        '"'
    };
    format!("{quote}{value}{quote}")
}

/// The value without quotes, if it is read back as it is.
fn bare(value: &str) -> String {
    let secret = value.contains("{{");
    let plain = !value.is_empty()
        && !value.contains(['"', '\'', '#', '\t', '\r'])
        && !value.contains("  ")
        && !value.starts_with([' ', '>'])
        && !value.ends_with(' ');
    if plain || secret {
        value.to_owned()
    } else {
        quoted(value)
    }
}
