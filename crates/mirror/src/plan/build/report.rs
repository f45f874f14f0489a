//! Collects diagnostics about one data source.

use std::ops::Range;

use datafile::{Code, Datasource, Diagnostic, Severity};

pub(super) struct Report<'a> {
    path: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(super) fn new(datasource: &'a Datasource) -> Self {
        Self {
            path: &datasource.path,
            found: Vec::new(),
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub(super) fn error(
        &mut self,
        code: Code,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let texts = (message.into(), label.into(), help.into());
        self.push(code, Severity::Error, span, texts);
    }

    pub(super) fn warning(
        &mut self,
        code: Code,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let texts = (message.into(), label.into(), help.into());
        self.push(code, Severity::Warning, span, texts);
    }

    fn push(
        &mut self,
        code: Code,
        severity: Severity,
        span: &Range<usize>,
        (message, label, help): (String, String, String),
    ) {
        self.found.push(Diagnostic {
            code,
            severity,
            path: self.path.to_owned(),
            span: span.clone(),
            message,
            label,
            help: Some(help),
        });
    }

    /// All diagnostics from top to bottom: as `Ok` if they are warnings.
    pub(super) fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        self.found.sort_by_key(|diagnostic| diagnostic.span.start);
        if self.has_errors() {
            Err(self.found)
        } else {
            Ok(self.found)
        }
    }
}
