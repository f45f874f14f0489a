//! A `.pipe` file. SQL and templates are kept as text; whoever runs them judges them.

use std::collections::HashSet;

use crate::code::Code;
use crate::commands::FileKind;
use crate::diagnostic::Report;
use crate::lines::{self, Body, Instruction};
use crate::model::{NodeKind, Pipe, PipeNode, SourceFile};
use crate::sharing;
use crate::suggest::nearest;

/// Reads a pipe; there always is one, however little of it could be read.
pub(crate) fn read(file: &SourceFile, name: &str, report: &mut Report<'_>) -> Pipe {
    let text = file.text.as_str();
    let mut pipe = Pipe {
        name: name.to_owned(),
        path: file.path.clone(),
        text: file.text.clone(),
        description: None,
        nodes: Vec::new(),
        tokens: Vec::new(),
        tags: Vec::new(),
    };
    let list = lines::read(text, FileKind::Pipe, report).list;
    let mut sections: Vec<Vec<Instruction<'_>>> = vec![Vec::new()];
    for instruction in list {
        match instruction.name {
            "TOKEN" => pipe
                .tokens
                .extend(sharing::token(&instruction, FileKind::Pipe, report)),
            "TAGS" => pipe.tags.extend(sharing::tags(&instruction)),
            "NODE" => sections.push(vec![instruction]),
            _ => sections
                .last_mut()
                .unwrap_or(&mut Vec::new())
                .push(instruction),
        }
    }
    let mut sections = sections.into_iter();
    let mut head = sections.next().unwrap_or_default();
    lines::drop_repeated(&mut head, &[], report);
    read_head(&head, text, &mut pipe, report);
    let mut names = HashSet::new();
    let mut published = false;
    for mut section in sections {
        lines::drop_repeated(&mut section, &[], report);
        let node = read_node(&section, text, &mut names, report);
        if node.kind != NodeKind::Standard && std::mem::replace(&mut published, true) {
            report.error(
                Code::SecondPublishedNode,
                &section[0].line_span,
                "a pipe publishes one node",
                "the second published node",
                "remove its TYPE, or move it to a pipe of its own",
            );
        }
        pipe.nodes.push(node);
    }
    if pipe.nodes.is_empty()
        && head
            .iter()
            .all(|instruction| instruction.name == "DESCRIPTION")
    {
        report.error(
            Code::NodeMissing,
            &(0..0),
            "the pipe has no node",
            "",
            "write `NODE name`, then `SQL >` with a query on the following lines, indented",
        );
    }
    pipe
}

/// What stands before the first node.
fn read_head(head: &[Instruction<'_>], text: &str, pipe: &mut Pipe, report: &mut Report<'_>) {
    let mut reported = false;
    for instruction in head {
        if instruction.name == "DESCRIPTION" {
            pipe.description = sharing::description(instruction, text);
        } else if !std::mem::replace(&mut reported, true) {
            report.error(
                Code::NodeMissing,
                &instruction.name_span,
                format!("{} stands before the first NODE", instruction.name),
                "belongs to no node",
                "write `NODE name` before it",
            );
        }
    }
}

fn read_node(
    section: &[Instruction<'_>],
    text: &str,
    names: &mut HashSet<String>,
    report: &mut Report<'_>,
) -> PipeNode {
    let first = &section[0];
    let name = first.value();
    let mut node = PipeNode {
        name: name.value.clone(),
        ..PipeNode::default()
    };
    if !is_identifier(&name.value) {
        report.error(
            Code::NodeNameInvalid,
            &name.span,
            "this is not the name of a node",
            "expected a name",
            "write letters, digits and `_`",
        );
    } else if !names.insert(name.value.clone()) {
        report.error(
            Code::DuplicateNode,
            &name.span,
            format!("there are two nodes named {}", name.value),
            "the second one",
            "give it another name",
        );
    }
    let mut sql = None;
    let mut kind_given = true;
    for instruction in &section[1..] {
        match instruction.name {
            "DESCRIPTION" => node.description = sharing::description(instruction, text),
            "SQL" => sql = Some(instruction),
            "TYPE" => match read_kind(instruction, report) {
                Some(kind) => node.kind = kind,
                None => kind_given = false,
            },
            option => node
                .options
                .push((option.to_owned(), instruction.value().value)),
        }
    }
    read_sql(first, sql, text, &mut node, report);
    if kind_given {
        check_options(section, node.kind, report);
    }
    node
}

/// Letters, digits and `_`, not starting with a digit.
pub(crate) fn is_identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn read_sql(
    first: &Instruction<'_>,
    sql: Option<&Instruction<'_>>,
    text: &str,
    node: &mut PipeNode,
    report: &mut Report<'_>,
) {
    let body = sql.map(|sql| sql.text(text)).unwrap_or_default();
    match body.strip_prefix('%') {
        Some(template) => {
            node.is_template = true;
            let after = template.trim_start_matches([' ', '\t']);
            node.sql = after.trim_start_matches('\n').to_owned();
        }
        None => node.sql = body,
    }
    if node.sql.trim().is_empty() {
        let at = sql.map_or(&first.line_span, |sql| &sql.name_span);
        report.error(
            Code::SqlMissing,
            at,
            format!("node {} has no SQL", node.name),
            "expected a query",
            "write `SQL >` and the query on the following lines, indented",
        );
    }
}

const KINDS: [(&str, NodeKind); 5] = [
    ("endpoint", NodeKind::Endpoint),
    ("materialized", NodeKind::Materialized),
    ("copy", NodeKind::Copy),
    ("sink", NodeKind::Sink),
    ("standard", NodeKind::Standard),
];

fn read_kind(instruction: &Instruction<'_>, report: &mut Report<'_>) -> Option<NodeKind> {
    let value = instruction.value();
    let found = KINDS
        .iter()
        .find(|(name, _)| value.eq_ignore_ascii_case(name));
    if found.is_none() {
        let help = match nearest(&value, KINDS.map(|(name, _)| name)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "write endpoint, materialized, copy, sink or standard".to_owned(),
        };
        report.error(
            Code::NodeTypeUnknown,
            &value.span,
            "TYPE names no type of node",
            "unknown type",
            help,
        );
    }
    found.map(|(_, kind)| *kind)
}

/// The options each kind of node has; the first ones are required.
fn options(kind: NodeKind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        NodeKind::Standard => (&[], &[]),
        NodeKind::Endpoint => (&[], &["CACHE"]),
        NodeKind::Materialized => (&["DATASOURCE"], &["DEPLOYMENT_METHOD"]),
        NodeKind::Copy => (
            &["TARGET_DATASOURCE"],
            &["COPY_SCHEDULE", "COPY_MODE", "MODE", "ON_DEMAND_COMPUTE"],
        ),
        NodeKind::Sink => (
            &["EXPORT_CONNECTION_NAME"],
            &[
                "EXPORT_SCHEDULE",
                "EXPORT_KAFKA_TOPIC",
                "EXPORT_BUCKET_URI",
                "EXPORT_FILE_TEMPLATE",
                "EXPORT_FORMAT",
                "EXPORT_COMPRESSION",
                "EXPORT_STRATEGY",
            ],
        ),
    }
}

fn check_options(section: &[Instruction<'_>], kind: NodeKind, report: &mut Report<'_>) {
    let (required, optional) = options(kind);
    let kind_name = KINDS
        .iter()
        .find(|(_, known)| *known == kind)
        .map_or("", |(name, _)| name);
    for instruction in &section[1..] {
        let name = instruction.name;
        if matches!(name, "DESCRIPTION" | "SQL" | "TYPE") {
            continue;
        }
        if !required.contains(&name) && !optional.contains(&name) {
            report.error(
                Code::OptionNotAllowed,
                &instruction.name_span,
                format!("{name} does not belong to a node of type {kind_name}"),
                "not an option of this node",
                "remove the line, or give the node the TYPE it belongs to",
            );
        } else if let Some((allowed, help)) = allowed_values(name)
            && !allowed
                .iter()
                .any(|value| instruction.value().eq_ignore_ascii_case(value))
        {
            report.error(
                Code::OptionValue,
                &instruction.value().span,
                format!("{name} cannot have this value"),
                "unknown value",
                help,
            );
        } else if matches!(&instruction.body, Body::Line(_)) && instruction.value().is_empty() {
            report.error(
                Code::ValueMissing,
                &instruction.line_span,
                format!("{name} has no value"),
                "expected a value",
                "write a value after it, or remove the line",
            );
        }
    }
    for name in required {
        if !section.iter().any(|instruction| instruction.name == *name) {
            report.error(
                Code::OptionMissing,
                &section[0].line_span,
                format!("{name} is missing"),
                format!("a node of type {kind_name} needs it"),
                format!("add `{name} name`"),
            );
        }
    }
}

fn allowed_values(option: &str) -> Option<(&'static [&'static str], &'static str)> {
    match option {
        "COPY_MODE" | "MODE" => Some((&["append", "replace"], "write `append` or `replace`")),
        "DEPLOYMENT_METHOD" => Some((
            &["alter"],
            "write `DEPLOYMENT_METHOD alter`, or remove the line",
        )),
        _ => None,
    }
}
