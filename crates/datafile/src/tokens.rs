//! Lines, tokens, quotes and indentation: everything that does not depend on which instructions exist.

use std::ops::Range;

use crate::model::Spanned;
use crate::secret_ref::closing_braces;

/// The text inside the quotes around the whole.
pub(crate) fn unquote(text: &str) -> Option<&str> {
    let is_quote = |b: u8| matches!(b, b'"' | b'\'');
    let bytes = text.as_bytes();
    let quoted = bytes.len() >= 2 && is_quote(bytes[0]) && is_quote(bytes[bytes.len() - 1]);
    quoted.then(|| &text[1..text.len() - 1])
}

/// A block's text without the indentation its lines share and without empty lines around it.
pub(crate) fn dedent(block: &str) -> String {
    let lines: Vec<&str> = block.lines().map(str::trim_end).collect();
    let indent_of = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let shared = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(indent_of)
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.get(shared..).unwrap_or_default())
        .collect();
    let first = lines
        .iter()
        .position(|line| !line.is_empty())
        .unwrap_or(lines.len());
    let last = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(first, |at| at + 1);
    lines[first..last].join("\n")
}

/// The lines of a text, without their ends and without a byte order mark.
pub(crate) fn split_lines(text: &str) -> Vec<Range<usize>> {
    let mut start = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut lines = Vec::new();
    while start < text.len() {
        let rest = &text[start..];
        let length = rest.find('\n').unwrap_or(rest.len());
        let line = &rest[..length];
        lines.push(start..start + line.strip_suffix('\r').unwrap_or(line).len());
        start += length + 1;
    }
    lines
}

/// Splits a line at white space, as a shell would, but keeps the quotes; `#` starts a comment.
///
/// `{{ ... }}` is never split. Also gives the place of a quote that is not closed; the token then
/// starts after it.
pub(crate) fn tokenise(line: &str, base: usize) -> (Vec<Spanned<&str>>, Option<usize>) {
    let bytes = line.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\r' => at += 1,
            b'#' => break,
            quote @ (b'"' | b'\'') => {
                let Some(end) = quoted_end(line, at + 1, quote) else {
                    let rest = line[at + 1..].trim_end();
                    if !rest.is_empty() {
                        let start = base + at + 1;
                        tokens.push(Spanned::new(rest, start..start + rest.len()));
                    }
                    return (tokens, Some(base + at));
                };
                tokens.push(Spanned::new(&line[at..end], base + at..base + end));
                at = end;
            }
            _ => {
                let end = word_end(line, at);
                tokens.push(Spanned::new(&line[at..end], base + at..base + end));
                at = end;
            }
        }
    }
    (tokens, None)
}

/// The byte after the closing quote.
fn quoted_end(line: &str, start: usize, quote: u8) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        if bytes[at] == quote {
            return Some(at + 1);
        }
        at = past_braces(line, at).unwrap_or(at + 1);
    }
    None
}

/// The byte after a word that starts at `start`.
fn word_end(line: &str, start: usize) -> usize {
    let bytes = line.as_bytes();
    let mut at = start;
    while at < bytes.len() && !matches!(bytes[at], b' ' | b'\t' | b'\r' | b'#') {
        at = past_braces(line, at).unwrap_or(at + 1);
    }
    at
}

/// The byte after the `}}` that belongs to a `{{` at `at`.
fn past_braces(line: &str, at: usize) -> Option<usize> {
    line.as_bytes()[at..]
        .starts_with(b"{{")
        .then(|| closing_braces(line, at))
        .flatten()
        .map(|end| end + 2)
}
