//! Cuts SQL into tokens as ClickHouse's `Lexer.cpp` does, as far as guarding needs it.
//!
//! Whatever ClickHouse might read in another way than we do (heredocs, typographic quotes, escapes in names)
//! is an error here: the guard must not take code for text.

/// One token of SQL. White space and comments are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A bare word or a number.
    Word(&'a str),
    /// A name in backticks or double quotes, without them.
    Quoted(&'a str),
    /// A text in single quotes.
    Text,
    /// Any other sign.
    Sign(char),
}

/// SQL in tokens.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) tokens: Vec<Token<'a>>,
    pub(crate) has_comments: bool,
}

/// Cuts `sql`; the error says what cannot be read.
pub(crate) fn cut(sql: &str) -> Result<Tokens<'_>, &'static str> {
    let mut tokens = Vec::new();
    let mut has_comments = false;
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let comment_end =
            if rest.starts_with("--") || rest.starts_with("#!") || rest.starts_with("# ") {
                Some(after.find('\n').map_or(after.len(), |end| end + 1))
            } else if rest.starts_with("/*") {
                Some(
                    after[1..]
                        .find("*/")
                        .map(|end| end + 3)
                        .ok_or("a comment is not closed")?,
                )
            } else {
                None
            };
        rest = match (comment_end, c) {
            (Some(end), _) => {
                has_comments = true;
                &after[end..]
            }
            (None, '\'' | '"' | '`') => {
                let end = closing(after, c).ok_or("a quote is not closed")?;
                let inside = &after[..end];
                if c == '\'' {
                    tokens.push(Token::Text);
                } else if spells_letters(inside) {
                    return Err("a quoted name holds an escape");
                } else {
                    tokens.push(Token::Quoted(inside));
                }
                &after[end + 1..]
            }
            (None, '$' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '\u{2212}') => {
                return Err(
                    "it holds a quote or sign that is not plain SQL; write texts as 'text'",
                );
            }
            (None, c) if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..end]));
                &rest[end..]
            }
            (None, c) => {
                // NUL ends the SQL for ClickHouse, but not for us.
                if c == '\0' {
                    return Err("it holds a zero byte");
                }
                if !c.is_whitespace() {
                    tokens.push(Token::Sign(c));
                }
                after
            }
        };
    }
    Ok(Tokens {
        tokens,
        has_comments,
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a name holds an escape that stands for another character, like `\x66` for `f`.
fn spells_letters(name: &str) -> bool {
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && !matches!(chars.next(), Some('\\' | '`' | '"' | '\'')) {
            return true;
        }
    }
    false
}

/// Where the quote that is open ends: a doubled quote and a backslash do not end it.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some(&(_, next)) if next == quote => drop(chars.next()),
                _ => return Some(at),
            }
        }
    }
    None
}
