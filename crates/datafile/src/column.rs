//! One column of a `SCHEMA`: name, ClickHouse type, json path, default and codec.

use std::ops::Range;

use crate::code::Code;
use crate::json_path::JsonPath;
use crate::model::{Column, Spanned};
use crate::schema::SchemaReader;
use crate::sql_text::{Piece, Token, normalise, unquoted};

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

impl SchemaReader<'_, '_, '_> {
    /// Reads one column, up to its comma.
    pub(crate) fn column(&mut self, first: &Token) {
        let start = first.span.start;
        let Some(name) = self.name(first) else {
            self.skip_item();
            return;
        };
        let end = first.span.end;
        self.schema.columns.push(ReadColumn {
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
        if let Some(column) = self.schema.columns.last_mut() {
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
            if token.piece == Piece::Unclosed {
                let (code, message, help) = unclosed(text);
                let span = token.span.start..token.span.start + 1;
                self.report.error(code, &span, message, "no partner", help);
                return None;
            }
            self.report.error(
                Code::ColumnNameInvalid,
                &token.span,
                "this is not a column name",
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
        if let Some(column) = self.schema.columns.last_mut() {
            column.column.ty = ty;
            column.type_span = span;
        }
    }

    fn missing_type(&mut self) {
        let Some(column) = self.schema.columns.last_mut() else {
            return;
        };
        column.broken = true;
        let name = &column.column.name;
        self.report.error(
            Code::ColumnTypeMissing,
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
            if let Some(column) = self.schema.columns.last_mut() {
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
                Code::JsonPathInvalid,
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
                let Some(column) = self.schema.columns.last_mut() else {
                    return;
                };
                if column.path_span.is_none() {
                    column.column.json_path = Some(path);
                    column.path_span = Some(span);
                } else {
                    self.broken(
                        Code::ColumnSyntax,
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
                    Code::JsonPathInvalid,
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
        code: Code,
        span: &Range<usize>,
        message: &str,
        label: &str,
        help: impl Into<String>,
    ) {
        self.report.error(code, span, message, label, help);
        if let Some(column) = self.schema.columns.last_mut() {
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
                Code::ColumnSyntax,
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
        let span = first.span.start..last.span.end;
        if self.text[span.clone()].contains("{{") {
            self.broken(
                Code::SecretNotAllowed,
                &span,
                "SCHEMA cannot hold a secret",
                "written as it is",
                "write the value itself",
            );
            return None;
        }
        Some(normalise(&self.text[span], false))
    }

    fn codec(&mut self, keyword: &Token) {
        let Some(token) = self
            .peek()
            .filter(|token| token.piece == Piece::Group)
            .cloned()
        else {
            self.broken(
                Code::ColumnSyntax,
                &keyword.span,
                "CODEC has no list of codecs",
                "expected parentheses",
                "write `CODEC(ZSTD(1))`",
            );
            return;
        };
        self.at += 1;
        let codec = normalise(&self.text[token.span.start + 1..token.span.end - 1], true);
        if let Some(column) = self.schema.columns.last_mut() {
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
            Code::ColumnFormNotSupported,
            &span,
            &format!("{form} is not supported in SCHEMA"),
            "not supported",
            help,
        );
    }

    /// Text that fits nowhere; `false` when the rest of the item was skipped.
    fn unexpected(&mut self, token: &Token) -> bool {
        let text = self.text_of(token);
        if text.starts_with('#') {
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
        if token.piece == Piece::Unclosed {
            self.at += 1;
            self.unclosed(&token.span);
            return true;
        }
        if text.starts_with("json:") || text.starts_with("$.") {
            let path = text.strip_prefix("json:").unwrap_or(text);
            let help = format!("write `json:{path}`");
            self.broken(
                Code::JsonPathInvalid,
                &token.span,
                "a json path stands in backticks",
                "no backticks around it",
                help,
            );
        } else {
            self.broken(
                Code::ColumnSyntax,
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
        let (code, message, help) = unclosed(&self.text[span.clone()]);
        self.broken(
            code,
            &(span.start..span.start + 1),
            message,
            "no partner",
            help,
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

/// What to say about a quote or parenthesis without a partner.
fn unclosed(text: &str) -> (Code, &'static str, &'static str) {
    let help = "close it on the same line, or remove it";
    match text.as_bytes().first() {
        Some(b'`') => (Code::QuoteNotClosed, "a backtick is not closed", help),
        Some(b'(' | b'[') => (
            Code::ParenthesisNotClosed,
            "a parenthesis is not closed",
            help,
        ),
        Some(b')' | b']') => (
            Code::ParenthesisNotOpened,
            "a parenthesis is closed that was never opened",
            "remove it",
        ),
        _ => (Code::QuoteNotClosed, "a quote is not closed", help),
    }
}
