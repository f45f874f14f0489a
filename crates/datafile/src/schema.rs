//! The block of `SCHEMA`: one column after the other, and what else people put there.
//!
//! How a column is read is in `column.rs`.

use std::ops::Range;

use crate::code::Code;
use crate::column::ReadColumn;
use crate::commands::{self, FileKind};
use crate::diagnostic::Report;
use crate::lines::unknown_instruction;
use crate::model::Spanned;
use crate::sql_text::{Piece, Token, open_quotes, tokenise};
use crate::suggest::nearest;

/// What stands in the block of `SCHEMA`.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) columns: Vec<ReadColumn>,
    /// Instructions ended up in the block and were reported: they are missing elsewhere.
    pub(crate) holds_instructions: bool,
}

/// Reads all columns of a schema that stands at `range` of the file.
pub(crate) fn read_schema(text: &str, range: Range<usize>, report: &mut Report<'_>) -> Schema {
    let tokens = tokenise(text, range);
    let mut reader = SchemaReader {
        text,
        tokens,
        at: 0,
        schema: Schema::default(),
        report,
    };
    while reader.at < reader.tokens.len() && !reader.report.is_full() {
        reader.item();
    }
    reader.open_quotes();
    reader.schema
}

/// An index with more tokens is not recognised as one; the bound keeps reading linear.
const LONGEST_INDEX: usize = 32;

pub(crate) struct SchemaReader<'t, 'r, 'p> {
    pub(crate) text: &'t str,
    pub(crate) tokens: Vec<Token>,
    pub(crate) at: usize,
    pub(crate) schema: Schema,
    pub(crate) report: &'r mut Report<'p>,
}

impl<'t> SchemaReader<'t, '_, '_> {
    pub(crate) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(crate) fn text_of(&self, token: &Token) -> &'t str {
        &self.text[token.span.clone()]
    }

    /// The current token if it is a word.
    pub(crate) fn word(&self) -> Option<&'t str> {
        self.peek()
            .filter(|token| token.piece == Piece::Word)
            .map(|token| self.text_of(token))
    }

    pub(crate) fn is_word(&self, wanted: &str) -> bool {
        self.word()
            .is_some_and(|word| word.eq_ignore_ascii_case(wanted))
    }

    pub(crate) fn end_of_item(&self) -> bool {
        self.peek().is_none_or(|token| token.piece == Piece::Comma)
    }

    pub(crate) fn skip_item(&mut self) {
        while !self.end_of_item() {
            self.at += 1;
        }
    }

    /// Moves past the rest of the line; a comma is an item's end only when it closes the line.
    pub(crate) fn skip_line(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|token| !token.first_on_line) {
            self.at += 1;
        }
    }

    /// Quotes left open in a pair of parentheses, which hides them from whoever reads the column.
    fn open_quotes(&mut self) {
        let groups = self
            .tokens
            .iter()
            .filter(|token| token.piece == Piece::Group);
        let text = self.text;
        let open = groups.flat_map(|group| open_quotes(text, group.span.clone()));
        let mut columns = self.schema.columns.iter_mut().peekable();
        for at in open {
            let quote = match self.text.as_bytes()[at] {
                b'`' => "a backtick",
                b'"' => "a double quote",
                _ => "a quote",
            };
            self.report.error(
                Code::QuoteNotClosed,
                &(at..at + 1),
                format!("{quote} is not closed"),
                "opened here",
                "close it on the same line, or remove it",
            );
            // Both go down the file.
            while columns.next_if(|column| column.span.end <= at).is_some() {}
            if let Some(column) = columns.peek_mut().filter(|column| column.span.start <= at) {
                column.broken = true;
            }
        }
    }

    fn item(&mut self) {
        let Some(token) = self.peek().cloned() else {
            return;
        };
        if token.piece == Piece::Comma {
            self.report.error(
                Code::ColumnSyntax,
                &token.span,
                "there is no column before this comma",
                "expected a column",
                "remove the comma",
            );
            self.at += 1;
            return;
        }
        if self.not_a_column(&token) {
            return;
        }
        self.column(&token);
        if self.peek().is_some_and(|token| token.piece == Piece::Comma) {
            self.at += 1;
        }
    }

    /// Comments, instructions and indexes that ended up among the columns.
    fn not_a_column(&mut self, token: &Token) -> bool {
        let Some(word) = self.word() else {
            return false;
        };
        if word.starts_with('#') {
            self.report.warning(
                Code::CommentInSchema,
                &token.span,
                "`#` does not start a comment in SCHEMA",
                "",
                "write `--`",
            );
            self.skip_line();
            return true;
        }
        if token.first_on_line && self.stray_instruction(token, word) {
            return true;
        }
        let indexed = word.eq_ignore_ascii_case("INDEX")
            && self.tokens[self.at..]
                .iter()
                .take(LONGEST_INDEX)
                .take_while(|token| token.piece != Piece::Comma)
                .any(|token| self.text_of(token).eq_ignore_ascii_case("TYPE"));
        if indexed {
            self.report.error(
                Code::IndexInSchema,
                &token.span,
                "an index cannot stand in SCHEMA",
                "",
                "put it in a block of its own, `INDEXES >`",
            );
            self.skip_item();
            self.at += 1;
        }
        indexed
    }

    /// A line that was meant to be an instruction: indented by mistake, or misspelled.
    fn stray_instruction(&mut self, token: &Token, word: &'t str) -> bool {
        let shouted = word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let mut line = self.tokens[self.at + 1..]
            .iter()
            .take_while(|token| !token.first_on_line);
        // What has a json path is a column, whatever its name.
        if !shouted || line.any(|token| token.piece == Piece::Backtick) {
            return false;
        }
        let known = commands::lookup(FileKind::Datasource, word).is_some();
        let start = token.span.start;
        let at_line_start = start == 0 || self.text.as_bytes()[start - 1] == b'\n';
        if known && (word.starts_with("ENGINE") || word.starts_with("IMPORT_")) {
            self.report.error(
                Code::InstructionInSchema,
                &token.span,
                format!("{word} stands among the columns of SCHEMA"),
                "part of the block because it is indented",
                "start the line without spaces",
            );
        } else if at_line_start && nearest(word, commands::names(FileKind::Datasource)).is_some() {
            let word = Spanned::new(word, token.span.clone());
            unknown_instruction(FileKind::Datasource, &word, self.report);
        } else {
            return false;
        }
        self.schema.holds_instructions = true;
        self.skip_line();
        true
    }

    pub(crate) fn missing_comma(&mut self, token: &Token) {
        let span = self.tokens[self.at - 1].span.clone();
        // The next line may be a comment, an instruction or an index: those say so themselves.
        let word = self.text_of(token);
        if token.first_on_line && self.stray_instruction(token, word) {
            return;
        }
        self.report.error(
            Code::CommaMissing,
            &span,
            "there is no comma between two columns",
            "expected a comma after this",
            "end the line with `,`",
        );
    }
}
