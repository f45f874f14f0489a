//! Everything that is printed goes through here: data to stdout, all else to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use dialoguer::console::Term;
use serde_json::Value;

use crate::failure::Failure;
use crate::table::Table;
use crate::text;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// Where a stream goes and what it may look like.
#[derive(Clone, Copy, Debug)]
struct Stream {
    colour: bool,
    terminal: bool,
}

/// Prints for one command.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    /// The format of data.
    pub(crate) output: Output,
    /// Whether `-v` was given.
    pub(crate) verbose: bool,
    out: Stream,
    err: Stream,
}

/// ANSI colours of what we print ourselves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    Red,
    Green,
    Yellow,
    Cyan,
    Bold,
    Dim,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Red => "1;31",
            Self::Green => "32",
            Self::Yellow => "1;33",
            Self::Cyan => "1;36",
            Self::Bold => "1",
            Self::Dim => "2",
        }
    }
}

impl Printer {
    /// A printer that uses colour where a terminal takes it, unless `colour` is false.
    pub(crate) fn new(output: Output, colour: bool, verbose: bool) -> Self {
        let stream = |terminal: bool| Stream {
            colour: colour && terminal,
            terminal,
        };
        Self {
            output,
            verbose,
            out: stream(io::stdout().is_terminal()),
            err: stream(io::stderr().is_terminal()),
        }
    }

    /// Whether stderr is a terminal, where lines may move.
    pub(crate) fn err_is_terminal(&self) -> bool {
        self.err.terminal
    }

    /// Whether stdout is a terminal.
    pub(crate) fn out_is_terminal(&self) -> bool {
        self.out.terminal
    }

    /// Whether stderr takes colour.
    pub(crate) fn err_colour(&self) -> bool {
        self.err.colour
    }

    /// Columns of the terminal behind stdout; `None` when it is not one and nothing needs to fit.
    pub(crate) fn width(&self) -> Option<usize> {
        self.out
            .terminal
            .then(|| Term::stdout().size_checked())
            .flatten()
            .map(|(_, columns)| usize::from(columns).max(20))
    }

    /// Columns for texts on stderr.
    pub(crate) fn err_width(&self) -> usize {
        let columns = Term::stderr()
            .size_checked()
            .map(|(_, columns)| usize::from(columns));
        columns
            .filter(|_| self.err.terminal)
            .unwrap_or(100)
            .clamp(20, 140)
    }

    /// `text` painted for stdout, if it takes colour.
    pub(crate) fn paint(&self, paint: Paint, text: impl Display) -> String {
        painted(self.out.colour, paint, text)
    }

    /// `text` painted for stderr, if it takes colour.
    pub(crate) fn paint_err(&self, paint: Paint, text: impl Display) -> String {
        painted(self.err.colour, paint, text)
    }

    /// Data, and a line feed.
    pub(crate) fn data(&self, text: impl Display) {
        write_all(&mut io::stdout().lock(), format!("{text}\n").as_bytes());
    }

    /// Data as it is.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        write_all(&mut io::stdout().lock(), bytes);
    }

    /// A JSON document.
    pub(crate) fn json(&self, value: &Value) {
        self.data(format_args!("{value:#}"));
    }

    /// A table in the format that was asked for.
    pub(crate) fn table(&self, table: &Table) {
        match self.output {
            Output::Human => self.data(table.human(self.width(), self.out.colour)),
            Output::Json => self.json(&table.json()),
            Output::Csv => self.bytes(table.csv().as_bytes()),
        }
    }

    /// Something worth knowing; a plain line on stderr.
    pub(crate) fn note(&self, text: impl Display) {
        write_all(&mut io::stderr().lock(), format!("{text}\n").as_bytes());
    }

    /// Something only `-v` wants to know.
    pub(crate) fn detail(&self, text: impl Display) {
        if self.verbose {
            self.note(self.paint_err(Paint::Dim, text));
        }
    }

    /// Done.
    pub(crate) fn success(&self, text: impl Display) {
        self.note(format_args!("{} {text}", self.paint_err(Paint::Green, "✓")));
    }

    /// Something that stops nothing.
    pub(crate) fn warning(&self, text: impl Display) {
        self.labelled(Paint::Yellow, "warning", &text.to_string());
    }

    /// One of several errors.
    pub(crate) fn error(&self, text: impl Display) {
        self.labelled(Paint::Red, "error", &text.to_string());
    }

    /// What to do next.
    pub(crate) fn hint(&self, text: impl Display) {
        self.labelled(Paint::Cyan, "hint", &text.to_string());
    }

    /// The end of a command that failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if !failure.problem.is_empty() {
            self.error(&failure.problem);
        }
        for cause in &failure.causes {
            self.note(format_args!("  caused by: {}", text::printable(cause)));
        }
        if let Some(hint) = &failure.hint {
            self.hint(hint);
        }
    }

    fn labelled(&self, paint: Paint, label: &str, text: &str) {
        let text = text::printable(text);
        self.note(format_args!(
            "{}: {}",
            self.paint_err(paint, label),
            text.trim_end()
        ));
    }
}

fn painted(colour: bool, paint: Paint, text: impl Display) -> String {
    if colour {
        format!("\x1b[{}m{text}\x1b[0m", paint.code())
    } else {
        text.to_string()
    }
}

/// Nobody reads any more (`tb ... | head`): nothing is left to say, and nobody to say it to.
fn write_all(stream: &mut dyn Write, bytes: &[u8]) {
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
}
