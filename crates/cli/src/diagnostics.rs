//! Mistakes in files, shown where they are.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use datafile::{Diagnostic, Severity, SourceFile};
use serde_json::{Value, json};

use crate::table::Table;

/// A mistake in some text, borrowed from whoever found it.
struct Mistake<'a> {
    is_error: bool,
    code: Option<&'a str>,
    message: &'a str,
    path: &'a str,
    text: &'a str,
    span: Range<usize>,
    label: &'a str,
    help: Option<&'a str>,
}

/// All diagnostics, one block each, for a terminal.
pub(crate) fn human(
    diagnostics: &[Diagnostic],
    files: &[SourceFile],
    colour: bool,
    width: usize,
) -> String {
    let blocks = diagnostics.iter().map(|diagnostic| {
        let mistake = Mistake {
            is_error: diagnostic.severity == Severity::Error,
            code: Some(diagnostic.code.name()),
            message: &diagnostic.message,
            path: &diagnostic.path,
            text: text_of(&diagnostic.path, files),
            span: diagnostic.span.clone(),
            label: &diagnostic.label,
            help: diagnostic.help.as_deref(),
        };
        block(&mistake, colour, width)
    });
    blocks.collect::<Vec<_>>().join("\n\n")
}

/// A mistake in a text that is no datafile: a query, a settings file.
pub(crate) fn marked(
    message: &str,
    path: &str,
    text: &str,
    span: Range<usize>,
    label: &str,
    colour: bool,
    width: usize,
) -> String {
    let mistake = Mistake {
        is_error: true,
        code: None,
        message,
        path,
        text,
        span,
        label,
        help: None,
    };
    block(&mistake, colour, width)
}

/// A mistake that a server describes as `line:column: message [code]; help: advice`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    line: usize,
    column: usize,
    message: String,
    code: Option<String>,
    help: Option<String>,
}

impl Place {
    /// Reads it; other texts are no places.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (line, rest) = text.split_once(':')?;
        let (column, rest) = rest.split_once(':')?;
        let (message, help) = match rest.split_once("; help: ") {
            Some((message, help)) => (message, Some(help.to_owned())),
            None => (rest, None),
        };
        let message = message.trim();
        let coded = message.strip_suffix(']').and_then(|m| m.rsplit_once(" ["));
        let (message, code) = match coded {
            Some((message, code)) => (message, Some(code.to_owned())),
            None => (message, None),
        };
        Some(Self {
            line: line.parse().ok()?,
            column: column.parse().ok()?,
            message: message.to_owned(),
            code,
            help,
        })
    }

    /// The rest of the line, from the column on.
    fn span(&self, text: &str) -> Range<usize> {
        let lines = text.split_inclusive('\n');
        let start: usize = lines.take(self.line.saturating_sub(1)).map(str::len).sum();
        let line = text[start..].lines().next().unwrap_or_default();
        let column = line.char_indices().nth(self.column.saturating_sub(1));
        let from = column.map_or(line.len(), |(at, _)| at);
        start + from..start + line.trim_end().len().max(from)
    }
}

/// A mistake that a server found, shown where it is.
pub(crate) fn marked_place(
    place: &Place,
    path: &str,
    text: &str,
    colour: bool,
    width: usize,
) -> String {
    let mistake = Mistake {
        is_error: true,
        code: place.code.as_deref(),
        message: &place.message,
        path,
        text,
        span: place.span(text),
        label: "",
        help: place.help.as_deref(),
    };
    block(&mistake, colour, width)
}

/// All diagnostics for programs.
pub(crate) fn json(diagnostics: &[Diagnostic], files: &[SourceFile]) -> Value {
    let one = |diagnostic: &Diagnostic| {
        let (line, column) = diagnostic.line_column(text_of(&diagnostic.path, files));
        json!({
            "severity": if diagnostic.severity == Severity::Error { "error" } else { "warning" },
            "code": diagnostic.code.name(),
            "path": diagnostic.path,
            "line": line,
            "column": column,
            "message": diagnostic.message,
            "label": diagnostic.label,
            "help": diagnostic.help,
        })
    };
    Value::Array(diagnostics.iter().map(one).collect())
}

/// The list of [`json`] as a table.
pub(crate) fn table(list: &Value) -> Table {
    const COLUMNS: [&str; 8] = [
        "severity", "code", "path", "line", "column", "message", "label", "help",
    ];
    let mut table = Table::new(COLUMNS);
    for one in list.as_array().into_iter().flatten() {
        table.push(COLUMNS.iter().map(|column| one[*column].clone()).collect());
    }
    table
}

fn text_of<'a>(path: &str, files: &'a [SourceFile]) -> &'a str {
    files
        .iter()
        .find(|file| file.path == path)
        .map_or("", |file| &file.text)
}

fn block(mistake: &Mistake<'_>, colour: bool, width: usize) -> String {
    let level = if mistake.is_error {
        Level::ERROR
    } else {
        Level::WARNING
    };
    let mut title = level.primary_title(mistake.message);
    if let Some(code) = mistake.code {
        title = title.id(code);
    }
    let mut annotation = AnnotationKind::Primary.span(within(mistake.text, mistake.span.clone()));
    if !mistake.label.is_empty() {
        annotation = annotation.label(mistake.label);
    }
    let snippet = Snippet::source(mistake.text)
        .path(mistake.path)
        .annotation(annotation);
    let mut group: Group<'_> = title.element(snippet);
    if let Some(help) = mistake.help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer
        .decor_style(DecorStyle::Ascii)
        .term_width(width)
        .render(&[group])
}

/// The span, moved onto the text and onto character boundaries, and at least one character long if possible.
fn within(text: &str, span: Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    let end = floor(span.end).max(start);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_a_server_names_is_found() {
        let place = Place::parse(
            "2:14: the secret is not set [secret-not-set]; help: run: tb secret set x",
        );
        let Some(place) = place else {
            panic!("not read")
        };
        assert_eq!(place.help.as_deref(), Some("run: tb secret set x"));
        assert_eq!(
            (place.message.as_str(), place.code.as_deref()),
            ("the secret is not set", Some("secret-not-set"))
        );
        let text = "TYPE dynamodb\nDYNAMODB_ARN {{ x }}\nDYNAMODB_REGION y\n";
        assert_eq!(&text[place.span(text)], "{{ x }}");
        assert_eq!(place.span("short"), 5..5);
        assert_eq!(
            Place::parse("The DynamoDB table was not found. Check: it"),
            None
        );
    }

    #[test]
    fn a_mark_outside_the_text_is_moved_onto_it() {
        assert_eq!(within("añb", 2..99), 1..4);
        assert_eq!(within("", 5..9), 0..0);
        let shown = marked("wrong", "query", "", 5..9, "here", false, 80);
        assert!(shown.contains("wrong"), "{shown}");
    }
}
