//! Tokens of the expression language.

/// A token; identifiers include `#name` and `:value`.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Word(String),
    Number(usize),
    Symbol(&'static str),
}

impl Token {
    /// The text for error messages.
    pub fn text(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Number(number) => number.to_string(),
            Self::Symbol(symbol) => (*symbol).to_owned(),
        }
    }
}

/// Splits an expression; the error is AWS's sentence without its prefix.
pub fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let number = rest[..end].parse().map_err(|_| syntax(&rest[..end]))?;
            out.push(Token::Number(number));
            rest = &rest[end..];
        } else if first.is_ascii_alphabetic() || matches!(first, '_' | '#' | ':') {
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(_, c)| {
                    !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '#'))
                        || (*c == '-' && first != '#')
                })
                .map_or(rest.len(), |(at, _)| at);
            out.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            let symbols = [
                "<>", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", "+", "-",
            ];
            let Some(symbol) = symbols.into_iter().find(|symbol| rest.starts_with(symbol)) else {
                return Err(syntax(&first.to_string()));
            };
            out.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        }
    }
    Ok(out)
}

/// AWS's syntax error for a token.
pub fn syntax(token: &str) -> String {
    format!("Syntax error; token: \"{token}\", near: \"{token}\"")
}
