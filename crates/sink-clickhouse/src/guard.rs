//! What users' SQL may not say although ClickHouse would do it.
//!
//! ClickHouse's grants keep a reader in its database. Three things they do not cover in this engine, each
//! tried: the function `file('/etc/passwd')` reads any file the process can read and asks for no grant
//! (also as `arrayMap(file, ...)` and `APPLY(file)`); SETTINGS of a sub-query are not checked against
//! `readonly` and constraints; some SYSTEM statements are accepted and do nothing.

use crate::tokens::{Token, Tokens, cut};

/// ClickHouse's code READONLY.
pub(crate) const READONLY: u32 = 164;

/// Statements that read.
const STATEMENTS: &[&str] = &[
    "SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS",
];

/// The function that reads files. Its name is a common name of columns too, so a column must be written with its table.
const FILE: &str = "file";

/// Functions that reach models, the network, or our own request.
const FUNCTIONS: &[&str] = &[
    "aiclassify",
    "aiembed",
    "aiextract",
    "aigenerate",
    "aitranslate",
    "catboostevaluate",
    "getclienthttpheader",
    "getmacro",
];

/// Checks a user's query. `confined` says that it runs as a user that may only read its own
/// database; otherwise SETTINGS, which could lift `readonly` again, are refused as a whole.
pub(crate) fn check_query(sql: &str, confined: bool) -> Result<(), String> {
    let Tokens { tokens, .. } =
        cut(sql).map_err(|problem| format!("the query cannot be read: {problem}"))?;
    let first = tokens.iter().find(|token| **token != Token::Sign('('));
    let reads = matches!(first, Some(Token::Word(word)) if STATEMENTS.iter().any(|s| s.eq_ignore_ascii_case(word)));
    if !reads {
        return Err(format!("only {} can be run here", STATEMENTS.join(", ")));
    }
    let mut depth = 0_usize;
    let mut settings_seen = false;
    for (at, token) in tokens.iter().enumerate() {
        let (before, next) = (
            at.checked_sub(1).map(|at| tokens[at]),
            tokens.get(at + 1).copied(),
        );
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            Token::Word(word) if is_settings(word, &tokens[at + 1..]) => {
                if !confined {
                    return Err("SETTINGS cannot be used on this ClickHouse server".to_owned());
                }
                if depth > 0 {
                    return Err(
                        "SETTINGS can only be used at the end of the whole query".to_owned()
                    );
                }
                settings_seen = true;
            }
            Token::Word(word) if settings_seen && is_set_operation(word) => {
                return Err("SETTINGS can only be used at the end of the whole query".to_owned());
            }
            Token::Word(name) | Token::Quoted(name) => check_name(name, before, next)?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks names in an expression of a datafile: a DEFAULT, a key, a TTL.
pub(crate) fn check_expression(tokens: &[Token<'_>]) -> Result<(), String> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).copied();
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            // A key that is a column named `file`.
            Token::Word(FILE) | Token::Quoted(FILE)
                if depth == 0 && next != Some(Token::Sign('(')) => {}
            Token::Word(name) | Token::Quoted(name) => {
                check_name(name, at.checked_sub(1).map(|at| tokens[at]), next)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_name(
    name: &str,
    before: Option<Token<'_>>,
    next: Option<Token<'_>>,
) -> Result<(), String> {
    let called = next == Some(Token::Sign('('));
    // `t.file` and `x AS file` are no functions.
    let qualified = before == Some(Token::Sign('.'))
        || matches!(before, Some(Token::Word(word)) if word.eq_ignore_ascii_case("AS"));
    if name == FILE && (called || !qualified) {
        return Err(
            "the function file is not allowed; write a column of that name with its table: t.file"
                .to_owned(),
        );
    }
    if FUNCTIONS
        .iter()
        .any(|function| function.eq_ignore_ascii_case(name))
    {
        return Err(format!("the function {name} is not allowed"));
    }
    Ok(())
}

/// `SETTINGS name = value`, unlike a column named `settings`.
fn is_settings(word: &str, following: &[Token<'_>]) -> bool {
    word.eq_ignore_ascii_case("SETTINGS")
        && matches!(
            following,
            [
                Token::Word(_) | Token::Quoted(_),
                Token::Sign('=' | '.'),
                ..
            ]
        )
}

fn is_set_operation(word: &str) -> bool {
    ["UNION", "INTERSECT", "EXCEPT"]
        .iter()
        .any(|operation| operation.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_that_read_pass() {
        for sql in [
            "SELECT 1",
            " -- what for\n/* and */ (SELECT 'file(' , t.file, x AS file FROM t)",
            "with x as (select settings from t) select settings = 1 from x settings join_use_nulls = 1 format JSON",
            "FROM t SELECT profile",
            "SELECT filename, `file name` FROM t WHERE a = 'it''s \\' file('",
            "EXPLAIN SELECT 1",
        ] {
            assert_eq!(check_query(sql, true), Ok(()), "{sql}");
        }
    }

    #[test]
    fn the_function_file_is_refused_in_every_form() {
        for sql in [
            "SELECT file('/etc/passwd')",
            "SELECT file /* x */ ('/etc/passwd')",
            "SELECT `file`('/etc/passwd')",
            "SELECT \"file\"('/etc/passwd')",
            "SELECT `fi\\x6ce`('/etc/passwd')",
            "SELECT arrayMap(file, ['/etc/passwd'])",
            "SELECT * APPLY(file) FROM t",
            "SELECT * APPLY file FROM t",
            "SELECT * APPLY(x -> file(x)) FROM t",
            "SELECT 1 WHERE 'x' IN file('/etc/passwd')",
            "EXPLAIN SELECT file('/etc/passwd')",
            "SELECT 'a' '' , '\\\\', file('/etc/passwd')",
            "SELECT 1 -- '\n, file('x') -- '",
            "SELECT 1 # '\n, file('x')",
            "SELECT $x$ ' $x$, file('x')",
            "SELECT \u{2018}' \u{2019}, file('x')",
            "SELECT aiGenerate('x')",
        ] {
            assert!(check_query(sql, true).is_err(), "{sql}");
        }
    }

    #[test]
    fn settings_that_escape_the_check_are_refused() {
        for sql in [
            "SELECT * FROM (SELECT 1 SETTINGS readonly = 0)",
            "SELECT 1 SETTINGS max_memory_usage = 0 UNION ALL SELECT 1",
            "WITH t AS (SELECT 1 settings `readonly`=0) SELECT * FROM t",
        ] {
            assert!(check_query(sql, true).is_err(), "{sql}");
        }
        assert!(check_query("SELECT 1 SETTINGS final = 1", false).is_err());
    }

    #[test]
    fn statements_that_do_not_read_are_refused() {
        for sql in [
            "",
            ";",
            "SYSTEM STOP MERGES",
            "1 + 1",
            "INSERT INTO t VALUES (1)",
            "SET a = 1",
            "'SELECT'",
        ] {
            assert!(check_query(sql, true).is_err(), "{sql}");
        }
    }
}
