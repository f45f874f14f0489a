//! The block of `SCHEMA`: name, ClickHouse type, json path, default and codec of each column.

use std::ops::Range;

use crate::commands::{self, FileKind};
use crate::diagnostic::Report;
use crate::json_path::JsonPath;
use crate::lines::unknown_instruction;
use crate::model::{Column, Spanned};
use crate::sql_text::{Piece, Token, normalise, tokenise, unquoted};
use crate::suggest::nearest;

/// A column with what the checks need to know about it.
#[derive(Clone, Debug)]
pub(crate) struct ReadColumn {
    pub(crate) column: Column,
    pub(crate) span: Range<usize>,
    pub(crate) name_span: Range<usize>,
    pub(crate) type_span: Range<usize>,
    /// The path without its backticks and without `json:`.
    pub(crate) path_span: Option<Range<usize>>,
    /// Something about it was already reported; what is missing may be a consequence.
    pub(crate) broken: bool,
}

impl ReadColumn {
    pub(crate) fn into_column(self) -> Spanned<Column> {
        Spanned::new(self.column, self.span)
    }
}

/// Reads all columns of a schema that stands at `range` of the file.
pub(crate) fn read_schema(
    text: &str,
    range: Range<usize>,
    report: &mut Report<'_>,
) -> Vec<ReadColumn> {
    let tokens = tokenise(text, range);
    let mut reader = SchemaReader {
        text,
        tokens,
        at: 0,
        columns: Vec::new(),
        report,
    };
    while reader.at < reader.tokens.len() && !reader.report.is_full() {
        reader.item();
    }
    reader.columns
}

/// An index with more tokens is not recognised as one; the bound keeps reading linear.
const LONGEST_INDEX: usize = 32;

struct SchemaReader<'t, 'r, 'p> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    columns: Vec<ReadColumn>,
    report: &'r mut Report<'p>,
}

impl<'t> SchemaReader<'t, '_, '_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn text_of(&self, token: &Token) -> &'t str {
        &self.text[token.span.clone()]
    }

    /// The current token if it is a word.
    fn word(&self) -> Option<&'t str> {
        self.peek()
            .filter(|token| token.piece == Piece::Word)
            .map(|token| self.text_of(token))
    }

    fn is_word(&self, wanted: &str) -> bool {
        self.word()
            .is_some_and(|word| word.eq_ignore_ascii_case(wanted))
    }

    fn end_of_item(&self) -> bool {
        self.peek().is_none_or(|token| token.piece == Piece::Comma)
    }

    fn skip_item(&mut self) {
        while !self.end_of_item() {
            self.at += 1;
        }
    }

    /// Moves past the rest of the line; a comma is an item's end only when it closes the line.
    fn skip_line(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|token| !token.first_on_line) {
            self.at += 1;
        }
    }

    fn item(&mut self) {
        let Some(token) = self.peek().cloned() else {
            return;
        };
        if token.piece == Piece::Comma {
            self.report.error(
                "column-syntax",
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
                "comment-in-schema",
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
                "index-in-schema",
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
                "instruction-in-schema",
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
        self.skip_line();
        true
    }

    fn column(&mut self, first: &Token) {
        let start = first.span.start;
        let Some(name) = self.name(first) else {
            self.skip_item();
            return;
        };
        let end = first.span.end;
        self.columns.push(ReadColumn {
            column: Column {
                name,
                ..Column::default()
            },
            span: start..end,
            name_span: first.span.clone(),
            type_span: end..end,
            path_span: None,
            broken: false,
        });
        self.at += 1;
        self.column_type();
        while !self.end_of_item() && self.modifier() {}
        let end = self.tokens[self.at - 1].span.end;
        if let Some(column) = self.columns.last_mut() {
            column.span.end = end;
        }
    }

    fn name(&mut self, token: &Token) -> Option<String> {
        let text = self.text_of(token);
        let name = match token.piece {
            Piece::Backtick => unquoted(text),
            Piece::Word => text.to_owned(),
            _ => String::new(),
        };
        // An unquoted name is as free as the official parser lets it be.
        let free =
            |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '*' | '<' | '>' | '+' | '-');
        let valid = !name.is_empty()
            && !name.starts_with("json:")
            && (token.piece == Piece::Backtick || name.chars().all(free));
        if !valid {
            let unclosed = token.piece == Piece::Unclosed;
            self.report.error(
                if unclosed {
                    "quote-not-closed"
                } else {
                    "column-name-invalid"
                },
                &token.span,
                if unclosed {
                    "a quote or parenthesis is not closed"
                } else {
                    "this is not a column name"
                },
                "expected the name of a column",
                "write letters, digits and `_`, or put the name in backticks",
            );
        }
        valid.then_some(name)
    }

    /// `String`, `Decimal(10, 2)`: a word and maybe a group.
    fn column_type(&mut self) {
        let word = self
            .word()
            .filter(|word| !is_modifier(word) && !word.starts_with("json:"));
        let (Some(_), Some(token)) = (word, self.peek().cloned()) else {
            self.missing_type();
            return;
        };
        self.at += 1;
        let mut span = token.span;
        if let Some(next) = self.peek().filter(|next| next.piece == Piece::Group) {
            span.end = next.span.end;
            self.at += 1;
        }
        let ty = normalise(&self.text[span.clone()], true);
        if let Some(column) = self.columns.last_mut() {
            column.column.ty = ty;
            column.type_span = span;
        }
    }

    fn missing_type(&mut self) {
        let Some(column) = self.columns.last_mut() else {
            return;
        };
        column.broken = true;
        let name = &column.column.name;
        self.report.error(
            "column-type-missing",
            &column.name_span,
            format!("column {name} has no type"),
            "expected a type after the name",
            format!("write `{name} String`, or the type it has"),
        );
    }

    /// One of the things after the type; `false` when the column is over.
    fn modifier(&mut self) -> bool {
        let Some(token) = self.peek().cloned() else {
            return false;
        };
        if token.piece == Piece::Backtick {
            self.at += 1;
            self.json_path(&token);
        } else if self.is_word("DEFAULT") {
            self.at += 1;
            let default = self.expression(&token);
            if let Some(column) = self.columns.last_mut() {
                column.column.default = default;
            }
        } else if self.is_word("CODEC") {
            self.at += 1;
            self.codec(&token);
        } else if self.word().is_some_and(is_modifier) {
            self.rejected(&token);
        } else if token.first_on_line
            && matches!(token.piece, Piece::Word)
            && !self.word().is_some_and(|word| word.starts_with('#'))
        {
            self.missing_comma(&token);
            return false;
        } else {
            return self.unexpected(&token);
        }
        true
    }

    fn json_path(&mut self, token: &Token) {
        let inner = token.span.start + 1..token.span.end - 1;
        let written = &self.text[inner.clone()];
        let Some(path) = written.strip_prefix("json:") else {
            let help = match written.trim_start_matches(['$', '.']) {
                "" => "write `json:$.name` in backticks".to_owned(),
                rest => format!("write `json:$.{rest}` in backticks"),
            };
            self.broken(
                "json-path-invalid",
                &inner,
                "a json path starts with `json:`",
                "not a json path",
                help,
            );
            return;
        };
        let span = inner.end - path.len()..inner.end;
        match JsonPath::parse(path) {
            Ok(path) => {
                let Some(column) = self.columns.last_mut() else {
                    return;
                };
                if column.path_span.is_none() {
                    column.column.json_path = Some(path);
                    column.path_span = Some(span);
                } else {
                    self.broken(
                        "column-syntax",
                        &inner,
                        "the column has a second json path",
                        "the first one counts",
                        "keep one of them",
                    );
                }
            }
            Err(error) => {
                let at = (span.start + error.at).min(span.end);
                let help = match path.strip_prefix('$') {
                    None => format!("write `json:$.{path}`"),
                    Some(_) => {
                        "write keys after dots, `json:$.Item.name`, and quote unusual ones, \
                                `json:$.Item.['a.b']`"
                            .to_owned()
                    }
                };
                self.broken(
                    "json-path-invalid",
                    &(at..span.end),
                    "the json path cannot be read",
                    error.reason,
                    help,
                );
            }
        }
    }

    /// Reports a mistake in the column that is being read.
    fn broken(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        message: &str,
        label: &str,
        help: impl Into<String>,
    ) {
        self.report.error(code, span, message, label, help);
        if let Some(column) = self.columns.last_mut() {
            column.broken = true;
        }
    }

    /// Everything up to the json path, the next keyword or the end of the item.
    fn expression(&mut self, keyword: &Token) -> Option<String> {
        let start = self.at;
        while !self.end_of_item() {
            let Some(token) = self.peek() else { break };
            let text = self.text_of(token);
            let ends = match token.piece {
                Piece::Backtick => text.starts_with("`json:"),
                Piece::Word => {
                    is_modifier(text)
                        && !text.eq_ignore_ascii_case("NULL")
                        && !text.eq_ignore_ascii_case("NOT")
                }
                _ => false,
            };
            if ends {
                break;
            }
            self.at += 1;
        }
        let tokens = &self.tokens[start..self.at];
        let Some((first, last)) = tokens.first().zip(tokens.last()) else {
            self.broken(
                "column-syntax",
                &keyword.span,
                "nothing follows the keyword",
                "expected an expression",
                "write an expression after it, or remove it",
            );
            return None;
        };
        if let Some(unclosed) = tokens.iter().find(|token| token.piece == Piece::Unclosed) {
            let span = unclosed.span.clone();
            self.unclosed(&span);
            return None;
        }
        Some(normalise(
            &self.text[first.span.start..last.span.end],
            false,
        ))
    }

    fn codec(&mut self, keyword: &Token) {
        let Some(token) = self
            .peek()
            .filter(|token| token.piece == Piece::Group)
            .cloned()
        else {
            self.broken(
                "column-syntax",
                &keyword.span,
                "CODEC has no list of codecs",
                "expected parentheses",
                "write `CODEC(ZSTD(1))`",
            );
            return;
        };
        self.at += 1;
        let codec = normalise(&self.text[token.span.start + 1..token.span.end - 1], true);
        if let Some(column) = self.columns.last_mut() {
            column.column.codec = Some(codec);
        }
    }

    /// Forms that ClickHouse knows and a schema does not.
    fn rejected(&mut self, token: &Token) {
        let word = self.text_of(token).to_ascii_uppercase();
        self.at += 1;
        let mut span = token.span.clone();
        let (form, help) = match word.as_str() {
            "NULL" => ("NULL", "write the type as `Nullable(...)`"),
            "NOT" => {
                if let (true, Some(next)) = (self.is_word("NULL"), self.peek()) {
                    span.end = next.span.end;
                    self.at += 1;
                }
                (
                    "NOT NULL",
                    "remove it; a type without `Nullable(...)` is never NULL",
                )
            }
            "TTL" => (
                "a TTL of a column",
                "remove it; `ENGINE_TTL` is for whole rows",
            ),
            "COMMENT" => ("COMMENT", "write it after `--` or in DESCRIPTION"),
            _ => (
                "a computed column",
                "remove it; compute the value in a pipe, or use DEFAULT",
            ),
        };
        if !matches!(word.as_str(), "NULL" | "NOT") {
            while !self.end_of_item()
                && !self
                    .peek()
                    .is_some_and(|next| next.piece == Piece::Backtick)
            {
                self.at += 1;
            }
        }
        self.broken(
            "column-form-not-supported",
            &span,
            &format!("{form} is not supported in SCHEMA"),
            "not supported",
            help,
        );
    }

    fn missing_comma(&mut self, token: &Token) {
        let span = self.tokens[self.at - 1].span.clone();
        // The next line may be a comment, an instruction or an index: those say so themselves.
        let word = self.text_of(token);
        if token.first_on_line && self.stray_instruction(token, word) {
            return;
        }
        self.report.error(
            "comma-missing",
            &span,
            "there is no comma between two columns",
            "expected a comma after this",
            "end the line with `,`",
        );
    }

    /// Text that fits nowhere; `false` when the rest of the item was skipped.
    fn unexpected(&mut self, token: &Token) -> bool {
        let text = self.text_of(token);
        if text.starts_with('#') {
            self.report.warning(
                "comment-in-schema",
                &token.span,
                "`#` does not start a comment in SCHEMA",
                "",
                "write `--`",
            );
            self.skip_line();
            return true;
        }
        if token.piece == Piece::Unclosed {
            self.at += 1;
            self.unclosed(&token.span);
            return true;
        }
        if text.starts_with("json:") || text.starts_with("$.") {
            let path = text.strip_prefix("json:").unwrap_or(text);
            let help = format!("write \\`json:{path}\\`").replace('\\', "");
            self.broken(
                "json-path-invalid",
                &token.span,
                "a json path stands in backticks",
                "no backticks around it",
                help,
            );
        } else {
            self.broken(
                "column-syntax",
                &token.span,
                "this is not part of a column",
                "expected a json path, DEFAULT, CODEC or a comma",
                "write `name Type `json:$.path` DEFAULT value CODEC(...)`",
            );
        }
        self.skip_item();
        false
    }

    fn unclosed(&mut self, span: &Range<usize>) {
        self.broken(
            "quote-not-closed",
            &(span.start..span.start + 1),
            "a quote, backtick or parenthesis has no partner",
            "no partner",
            "close it on the same line, or remove it",
        );
    }
}

/// Whether a word has a meaning after a column's type.
pub(crate) fn is_modifier(word: &str) -> bool {
    const WORDS: [&str; 9] = [
        "DEFAULT",
        "CODEC",
        "NULL",
        "NOT",
        "MATERIALIZED",
        "ALIAS",
        "EPHEMERAL",
        "TTL",
        "COMMENT",
    ];
    WORDS
        .iter()
        .any(|modifier| word.eq_ignore_ascii_case(modifier))
}
