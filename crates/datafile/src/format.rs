//! The canonical text of a file, where nothing that somebody wrote gets lost by it.

use crate::code::Code;
use crate::commands::FileKind;
use crate::diagnostic::Report;
use crate::lines::{self, Body};
use crate::model::{Connection, Datasource, Pipe, SourceFile};
use crate::project::{name_and_extension, parse_project};
use crate::render::{render_connection, render_datasource, render_pipe};
use crate::tokens::{split_lines, tokenise};

/// Why a file is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFormatted {
    /// It holds no resource that could be read whole.
    Mistakes,
    /// It has a comment, for which the canonical form has no place.
    Comment {
        /// In which line, from 1.
        line: usize,
    },
    /// Its canonical text would not say the same. A mistake of ours, and nobody's file should pay for it.
    Differs,
}

/// What a file holds.
#[derive(Debug, PartialEq)]
enum Resource {
    Connection(Connection),
    Datasource(Box<Datasource>),
    Pipe(Pipe),
}

/// The file in canonical form. Formatting that again changes nothing.
///
/// Looks at this file alone: whether what it refers to exists is for [`parse_project`] to say.
///
/// # Errors
/// [`NotFormatted`] says why the file has to stay as it is.
pub fn format_file(file: &SourceFile) -> Result<String, NotFormatted> {
    let before = read(file).ok_or(NotFormatted::Mistakes)?;
    let (_, extension) = name_and_extension(&file.path);
    let kind = FileKind::from_extension(extension).ok_or(NotFormatted::Mistakes)?;
    if let Some(line) = comment(&file.text, kind, &file.path) {
        return Err(NotFormatted::Comment { line });
    }
    let mut text = match &before {
        Resource::Connection(connection) => render_connection(connection),
        Resource::Datasource(datasource) => render_datasource(datasource),
        Resource::Pipe(pipe) => render_pipe(pipe),
    };
    text.push('\n');
    let after = read(&SourceFile {
        path: file.path.clone(),
        text: text.clone(),
    });
    if after.as_ref() != Some(&before) {
        return Err(NotFormatted::Differs);
    }
    Ok(text)
}

/// The one resource of a file, without its text and its places. Mistakes that can only be seen in this file count;
/// that a connection is in no file of this project does not.
fn read(file: &SourceFile) -> Option<Resource> {
    let parsed = parse_project(std::slice::from_ref(file));
    let broken = parsed.diagnostics.iter().any(|diagnostic| {
        diagnostic.severity == crate::Severity::Error && diagnostic.code != Code::ConnectionNotFound
    });
    if broken {
        return None;
    }
    let project = parsed.project;
    if let Some(mut connection) = project.connections.into_iter().next() {
        connection.text.clear();
        return Some(Resource::Connection(connection));
    }
    if let Some(mut datasource) = project.datasources.into_iter().next() {
        datasource.text.clear();
        datasource.schema_span = 0..0;
        return Some(Resource::Datasource(Box::new(datasource)));
    }
    let mut pipe = project.pipes.into_iter().next()?;
    pipe.text.clear();
    Some(Resource::Pipe(pipe))
}

/// The first line with a comment that rendering would lose: outside of blocks, and in a SCHEMA. What stands in the
/// SQL of a query is part of it.
fn comment(text: &str, kind: FileKind, path: &str) -> Option<usize> {
    let mut report = Report::new(path);
    let found = lines::read(text, kind, &mut report);
    let blocks: Vec<_> = found
        .list
        .iter()
        .filter_map(|instruction| match &instruction.body {
            Body::Block(range) => Some((instruction.name, range.clone())),
            Body::Line(_) => None,
        })
        .collect();
    for (at, line) in split_lines(text).into_iter().enumerate() {
        let block = blocks
            .iter()
            .find(|(_, range)| range.start <= line.start && line.end <= range.end);
        let has_comment = match block {
            Some(("SCHEMA" | "INDEXES" | "SHARED_WITH", _)) => {
                has_block_comment(&text[line.clone()])
            }
            Some(_) => false,
            None => {
                let (tokens, _) = tokenise(&text[line.clone()], line.start);
                let end = tokens.last().map_or(line.start, |token| token.span.end);
                text[end..line.end].contains('#')
            }
        };
        if has_comment {
            return Some(at + 1);
        }
    }
    None
}

/// Whether `--`, `/*` or `#` stand outside of quotes.
fn has_block_comment(line: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            None if c == '#' || (before, c) == ('-', '-') || (before, c) == ('/', '*') => {
                return true;
            }
            None => {}
        }
        before = c;
    }
    false
}
