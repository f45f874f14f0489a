//! Quoting: the only place where names and texts become SQL.

use mirror::error::{Error, ErrorKind, Result};

use crate::guard::check_expression;
use crate::tokens::{Token, Tokens, cut};

/// A name in backticks, whatever it holds.
pub(crate) fn identifier(name: &str) -> String {
    quoted(name, '`')
}

/// A text in single quotes.
pub(crate) fn literal(text: &str) -> String {
    quoted(text, '\'')
}

/// `database`.`table`.
pub(crate) fn table(database: &str, table: &str) -> String {
    format!("{}.{}", identifier(database), identifier(table))
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Checks that SQL taken over from a datafile (a type, a default, a key) stays where it is put.
///
/// Brackets must balance, quotes must end, and comments, semicolons, sub-selects and functions that read files
/// are refused. So `pk) AS SELECT * FROM other.secrets --` cannot turn a sorting key into something else.
pub(crate) fn fragment<'a>(what: &str, text: &'a str) -> Result<&'a str> {
    let trimmed = text.trim();
    match check_fragment(trimmed) {
        Ok(()) => Ok(trimmed),
        Err(problem) => Err(Error::new(
            ErrorKind::Permanent,
            format!("use {what} `{trimmed}` in a table: {problem}"),
        )),
    }
}

fn check_fragment(text: &str) -> std::result::Result<(), String> {
    let Tokens {
        tokens,
        has_comments,
    } = cut(text)?;
    if tokens.is_empty() {
        return Err("it is empty".to_owned());
    }
    if has_comments {
        return Err("comments are not allowed here".to_owned());
    }
    let mut open = Vec::new();
    for token in &tokens {
        match token {
            Token::Sign('(') => open.push(')'),
            Token::Sign('[') => open.push(']'),
            Token::Sign('{') => open.push('}'),
            Token::Sign(c @ (')' | ']' | '}')) if open.pop() != Some(*c) => {
                return Err("its brackets do not match".to_owned());
            }
            Token::Sign(';' | '#') => return Err("`;` and `#` are not allowed here".to_owned()),
            Token::Word(word) if word.eq_ignore_ascii_case("select") => {
                return Err("a sub-select is not allowed here".to_owned());
            }
            _ => {}
        }
    }
    if !open.is_empty() {
        return Err("its brackets do not match".to_owned());
    }
    check_expression(&tokens)
}

/// Cuts `a = 1, b = 'x,y'` into its settings: name, and the setting as written.
pub(crate) fn settings(text: &str) -> Result<Vec<(String, String)>> {
    let text = fragment("ENGINE_SETTINGS", text)?;
    let mut parts = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    let mut quote = None;
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, ',') => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((name, _)) if is_setting_name(name.trim()) => {
                Ok((name.trim().to_owned(), part.to_owned()))
            }
            _ => Err(Error::new(
                ErrorKind::Permanent,
                format!("use ENGINE_SETTINGS `{text}`: `{part}` is not of the form name = value"),
            )),
        })
        .collect()
}

fn is_setting_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// SQL of a user without white space and semicolons at its end.
pub(crate) fn without_trailing_semicolons(sql: &str) -> &str {
    sql.trim()
        .trim_end_matches(|c: char| c == ';' || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_and_texts_cannot_end_their_quotes() {
        assert_eq!(identifier("a`b\\c.d'\"é"), "`a\\`b\\\\c.d'\"é`");
        assert_eq!(literal("it's \\ `x`"), "'it\\'s \\\\ `x`'");
    }

    #[test]
    fn fragments_that_leave_their_place_are_refused() {
        for good in [
            "pk, sk",
            "toDate(ts)",
            "concat('it''s', \"b)\", `c(`)",
            "ts + INTERVAL 1 DAY DELETE",
            "Map(String, Array(UInt8))",
            "'--'",
            "pk, file",
            "[1, 2]",
        ] {
            assert_eq!(fragment("x", good).unwrap(), good);
        }
        for bad in [
            "",
            "pk) AS SELECT * FROM b.c",
            "(SELECT 1)",
            "pk -- x",
            "pk /* x */",
            "a; b",
            "'open",
            "f(]",
            "(",
            "a # b",
            "$x$ ) $x$",
            "file('/etc/passwd')",
            "arrayMap(file, ['/etc/passwd'])",
        ] {
            assert!(fragment("x", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_cut_at_commas_outside_quotes() {
        let cut = settings("a = 1, b='x,y' , c=2").unwrap();
        let names: Vec<_> = cut.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(cut[1].1, "b='x,y'");
        assert!(settings("a").is_err());
    }

    #[test]
    fn trailing_semicolons_go() {
        assert_eq!(
            without_trailing_semicolons(" SELECT ';' ; ;\n"),
            "SELECT ';'"
        );
    }
}
