//! Just enough of ClickHouse's lexis to cut types, expressions and keys apart: words, quotes,
//! parentheses and comments. It never judges SQL.

use std::ops::Range;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A run of characters between the others.
    Word,
    /// `` `name` ``, the backticks included.
    Backtick,
    /// `'text'` or `"text"`, the quotes included.
    Quoted,
    /// `( ... )` or `[ ... ]` with everything inside.
    Group,
    /// `,`.
    Comma,
    /// A quote, backtick or parenthesis without its partner.
    Unclosed,
}

/// A piece with its place.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) piece: Piece,
    pub(crate) span: Range<usize>,
    /// Nothing stands before it on its line.
    pub(crate) first_on_line: bool,
}

/// The quotes inside a group that nothing on their line closes: where each of them is opened.
///
/// A group takes the rest of such a line for text, and goes on below it.
pub(crate) fn open_quotes(text: &str, group: Range<usize>) -> Vec<usize> {
    let mut open = Vec::new();
    let bytes = text.as_bytes();
    let mut at = group.start;
    while at < group.end {
        at = match bytes[at] {
            b'`' | b'"' | b'\'' => quote_end(bytes, at, group.end).unwrap_or_else(|| {
                open.push(at);
                line_end(bytes, at, group.end)
            }),
            b'-' if bytes[at..group.end].starts_with(b"--") => line_end(bytes, at, group.end),
            _ => at + 1,
        };
    }
    open
}

/// Splits `text[range]` into pieces; spans are those of `text`. `--` comments are left out.
///
/// A quote ends with its line. An opening parenthesis without a partner swallows only its own line.
pub(crate) fn tokenise(text: &str, range: Range<usize>) -> Vec<Token> {
    let end = range.end;
    let partners = partners(text, range.clone());
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = range.start;
    let mut first_on_line = true;
    while at < end {
        let (piece, stop) = match bytes[at] {
            b'\n' => {
                first_on_line = true;
                at += 1;
                continue;
            }
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if bytes[at..end].starts_with(b"--") => {
                at = line_end(bytes, at, end);
                continue;
            }
            b',' => (Piece::Comma, at + 1),
            b'(' | b'[' => match partners.binary_search_by_key(&at, |(open, _)| *open) {
                Ok(found) => (Piece::Group, partners[found].1 + 1),
                Err(_) => (Piece::Unclosed, unclosed_end(bytes, at, end)),
            },
            b')' | b']' => (Piece::Unclosed, at + 1),
            b @ (b'`' | b'"' | b'\'') => match quote_end(bytes, at, end) {
                Some(stop) if b == b'`' => (Piece::Backtick, stop),
                Some(stop) => (Piece::Quoted, stop),
                None => (Piece::Unclosed, unclosed_end(bytes, at, end)),
            },
            _ => (Piece::Word, word_end(bytes, at, end)),
        };
        tokens.push(Token {
            piece,
            span: at..stop,
            first_on_line,
        });
        first_on_line = false;
        at = stop;
    }
    tokens
}

/// The text with white space collapsed and comments removed, quoted text untouched.
///
/// With `tidy`, also without spaces inside parentheses and with one space after each comma.
pub(crate) fn normalise(text: &str, tidy: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut space = false;
    // Up to here a quote was searched for in vain.
    let mut no_quote_before = 0;
    let mut at = 0;
    while at < bytes.len() {
        let b = bytes[at];
        if b.is_ascii_whitespace() {
            space = true;
            at += 1;
            continue;
        }
        if bytes[at..].starts_with(b"--") {
            space = true;
            at = line_end(bytes, at, bytes.len());
            continue;
        }
        let quoted = at >= no_quote_before && matches!(b, b'`' | b'"' | b'\'');
        let stop = if quoted {
            quote_end(bytes, at, bytes.len())
        } else {
            None
        };
        if quoted && stop.is_none() {
            no_quote_before = line_end(bytes, at, bytes.len());
        }
        let stop = stop.unwrap_or(at + utf8_length(b));
        let wanted = space || (tidy && out.ends_with(','));
        let glued = tidy && (matches!(b, b',' | b')' | b'(') || out.ends_with('('));
        if wanted && !glued && !out.is_empty() {
            out.push(' ');
        }
        space = false;
        out.push_str(&text[at..stop]);
        at = stop;
    }
    out
}

/// The inside of a quoted piece with doubled and escaped quotes undone; backticks know no escapes.
pub(crate) fn unquoted(text: &str) -> String {
    let mut chars = text.chars();
    let quote = chars.next();
    let inner = chars.as_str();
    let inner = inner.strip_suffix(|c| Some(c) == quote).unwrap_or(inner);
    if quote == Some('`') {
        return inner.to_owned();
    }
    let mut out = String::new();
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        let escape = c == '\\' || (Some(c) == quote && chars.peek().copied() == quote);
        match escape.then(|| chars.next()).flatten() {
            Some(escaped) => out.push(escaped),
            None => out.push(c),
        }
    }
    out
}

fn utf8_length(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

fn line_end(bytes: &[u8], at: usize, end: usize) -> usize {
    bytes[at..end]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(end, |length| at + length)
}

/// Where something that is never closed stops: the end of its line, without a last comma.
fn unclosed_end(bytes: &[u8], at: usize, end: usize) -> usize {
    let mut stop = line_end(bytes, at, end);
    while stop > at + 1 && bytes[stop - 1].is_ascii_whitespace() {
        stop -= 1;
    }
    if stop > at + 1 && bytes[stop - 1] == b',' {
        stop - 1
    } else {
        stop
    }
}

/// The byte after the quote that closes the one at `at`, on the same line.
fn quote_end(bytes: &[u8], at: usize, end: usize) -> Option<usize> {
    let quote = bytes[at];
    let mut next = at + 1;
    while next < end {
        match bytes[next] {
            b'\n' => return None,
            // Backslashes inside a json path belong to the path, which has no backtick in it.
            b'\\' if quote != b'`' => next += 1,
            b if b == quote && bytes.get(next + 1) == Some(&quote) && quote != b'`' => next += 1,
            b if b == quote => return Some(next + 1),
            _ => {}
        }
        next += 1;
    }
    None
}

fn word_end(bytes: &[u8], at: usize, end: usize) -> usize {
    let mut next = at;
    while next < end {
        let stops = matches!(
            bytes[next],
            b',' | b'('
                | b')'
                | b'['
                | b']'
                | b'`'
                | b'"'
                | b'\''
                | b' '
                | b'\t'
                | b'\n'
                | b'\r'
                | 0x0c
        );
        if stops || (next > at && bytes[next..end].starts_with(b"--")) {
            break;
        }
        next += 1;
    }
    next
}

/// Pairs of opening and closing parentheses, by the place of the opening one.
fn partners(text: &str, range: Range<usize>) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let mut pairs = Vec::new();
    let mut at = range.start;
    while at < range.end {
        match bytes[at] {
            b'(' | b'[' => open.push(at),
            b')' | b']' => pairs.extend(open.pop().map(|start| (start, at))),
            b'`' | b'"' | b'\'' => {
                let stop = quote_end(bytes, at, range.end);
                at = stop.unwrap_or_else(|| line_end(bytes, at, range.end));
                continue;
            }
            b'-' if bytes[at..range.end].starts_with(b"--") => {
                at = line_end(bytes, at, range.end);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<(Piece, &str)> {
        let tokens = tokenise(text, 0..text.len());
        tokens
            .iter()
            .map(|token| (token.piece, &text[token.span.clone()]))
            .collect()
    }

    #[test]
    fn comments_and_groups_are_cut_apart() {
        assert_eq!(
            pieces("a Decimal(10, 2) -- it's, (\n, `json:$.a--b`"),
            [
                (Piece::Word, "a"),
                (Piece::Word, "Decimal"),
                (Piece::Group, "(10, 2)"),
                (Piece::Comma, ","),
                (Piece::Backtick, "`json:$.a--b`"),
            ]
        );
    }

    #[test]
    fn an_open_parenthesis_swallows_one_line() {
        assert_eq!(
            pieces("a Decimal(10, 2,\nb Array(String)"),
            [
                (Piece::Word, "a"),
                (Piece::Word, "Decimal"),
                (Piece::Unclosed, "(10, 2"),
                (Piece::Comma, ","),
                (Piece::Word, "b"),
                (Piece::Word, "Array"),
                (Piece::Group, "(String)"),
            ]
        );
    }

    #[test]
    fn spaces_are_normalised_outside_quotes() {
        assert_eq!(normalise("Decimal( 10,2 )", true), "Decimal(10, 2)");
        assert_eq!(
            normalise("Enum8('a  b' = 1,\n 'c'=2)", true),
            "Enum8('a  b' = 1, 'c'=2)"
        );
        assert_eq!(normalise("now()  -- today\n + 1", false), "now() + 1");
        assert_eq!(unquoted("'it''s'"), "it's");
    }
}
