//! A mistake, told so that a stranger can fix it: what, where, and what to write instead.

use std::ops::Range;

use crate::code::Code;

/// At most this many mistakes are kept for a file; a file with more is not the file it should be.
pub(crate) const MAX_PER_FILE: usize = 200;

/// Whether the project can be deployed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but something is ignored or will surprise.
    Warning,
}

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What it is called: `engine-not-supported`.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// The file, as given by the caller.
    pub path: String,
    /// The bytes of the file it is about, on character boundaries.
    pub span: Range<usize>,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
    /// What to print under the marked text; may be empty.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Where the span starts: line and column, both counted from 1, the column in characters.
    pub fn line_column(&self, text: &str) -> (usize, usize) {
        let start = floor_char_boundary(text, self.span.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The whole diagnostic on one line: `orders.datasource:12:16: message. label [code]; help: ...`.
    pub fn one_line(&self, text: &str) -> String {
        let (line, column) = self.line_column(text);
        let mut out = format!("{}:{line}:{column}: {}", self.path, self.message);
        if !self.label.is_empty() {
            out.push_str(". ");
            out.push_str(&self.label);
        }
        out.push_str(" [");
        out.push_str(self.code.name());
        out.push(']');
        if let Some(help) = &self.help {
            out.push_str("; help: ");
            out.push_str(help);
        }
        out.replace('\n', " ")
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Collects the mistakes of one file.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    path: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(path: &'a str) -> Self {
        Self {
            path,
            found: Vec::new(),
        }
    }

    pub(crate) fn error(
        &mut self,
        code: Code,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(
            Severity::Error,
            code,
            span,
            message.into(),
            label.into(),
            help.into(),
        );
    }

    pub(crate) fn warning(
        &mut self,
        code: Code,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(
            Severity::Warning,
            code,
            span,
            message.into(),
            label.into(),
            help.into(),
        );
    }

    fn push(
        &mut self,
        severity: Severity,
        code: Code,
        span: &Range<usize>,
        message: String,
        label: String,
        help: String,
    ) {
        if !self.is_full() {
            self.found.push(Diagnostic {
                code,
                severity,
                path: self.path.to_owned(),
                span: span.clone(),
                message,
                label,
                help: (!help.is_empty()).then_some(help),
            });
        }
    }

    /// Whether further mistakes would be dropped.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MAX_PER_FILE
    }

    /// The mistakes from top to bottom.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| diagnostic.span.start);
        self.found
    }
}
