//! `INDEXES`: one data skipping index a line, `[INDEX] name expr TYPE type(args) [GRANULARITY n]`.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::Report;
use crate::lines::{Body, Instruction};
use crate::model::Index;
use crate::sql_text::{Piece, Token, normalise, tokenise, unquoted};

/// Reads all indexes.
pub(crate) fn read(
    instruction: &Instruction<'_>,
    file: &str,
    report: &mut Report<'_>,
) -> Vec<Index> {
    let range = match &instruction.body {
        Body::Block(range) => range.clone(),
        Body::Line(_) => instruction.value().span,
    };
    let mut indexes = Vec::new();
    let mut start = range.start;
    for line in file[range].split_inclusive('\n') {
        let span = start..start + line.trim_end().len();
        start += line.len();
        let comment = line.trim_start().starts_with(['#']);
        let tokens = tokenise(file, span.clone());
        if comment || tokens.is_empty() {
            continue;
        }
        let span = tokens[0].span.start..span.end;
        match read_line(file, &tokens) {
            Some(index) => indexes.push(index),
            None => report.error(
                Code::IndexSyntax,
                &span,
                "this is not an index",
                "expected a name, an expression, TYPE and a type",
                "write `name expression TYPE minmax GRANULARITY 1`",
            ),
        }
    }
    indexes
}

fn read_line(file: &str, tokens: &[Token]) -> Option<Index> {
    let text = |token: &Token| &file[token.span.clone()];
    let is = |token: &Token, word: &str| text(token).eq_ignore_ascii_case(word);
    let skip = usize::from(is(&tokens[0], "INDEX"));
    let tokens = tokens.get(skip..)?;
    let tokens = match tokens.split_last() {
        Some((last, rest)) if last.piece == Piece::Comma => rest,
        _ => tokens,
    };
    let at = tokens.iter().rposition(|token| is(token, "TYPE"))?;
    let (name, expr) = tokens[..at].split_first()?;
    let rest = &tokens[at + 1..];
    let (kind, granularity) = match rest.iter().position(|token| is(token, "GRANULARITY")) {
        Some(at) => {
            let [_, number] = &rest[at..] else {
                return None;
            };
            (&rest[..at], Some(text(number).parse::<u64>().ok()?))
        }
        None => (rest, None),
    };
    let whole = |tokens: &[Token]| -> Option<Range<usize>> {
        Some(tokens.first()?.span.start..tokens.last()?.span.end)
    };
    if tokens.iter().any(|token| token.piece == Piece::Unclosed) || kind.len() > 2 {
        return None;
    }
    let name_text = text(name);
    Some(Index {
        name: if name.piece == Piece::Backtick {
            unquoted(name_text)
        } else {
            name_text.to_owned()
        },
        expr: normalise(&file[whole(expr)?], false),
        kind: normalise(&file[whole(kind)?], true),
        granularity,
    })
}
