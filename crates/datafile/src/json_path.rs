//! The subset of JSON paths a column may have: keys one below the other, and `[:]` for "every element".

use std::fmt;
use std::str::FromStr;

/// The segment that stands for every element of an array.
pub(crate) const EVERY_ELEMENT: &str = "[:]";

/// A path into a record: `$.Item.pk` is `["Item", "pk"]`.
///
/// A key with unusual characters is quoted: `$.Item.['a.b']`, `$.Item["a.b"]`. Inside the quotes `\'`,
/// `\"`, `\\` and `\uXXXX` are understood, so that every attribute name can be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonPath {
    /// The keys from the outside in. `$` alone has none.
    pub segments: Vec<String>,
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPathError {
    /// The byte of the text where reading stopped.
    pub at: usize,
    /// What was wrong there.
    pub reason: &'static str,
}

impl fmt::Display for JsonPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for JsonPathError {}

impl JsonPath {
    /// Reads `$.a.b`.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let error = |rest: &str, reason| JsonPathError {
            at: text.len() - rest.len(),
            reason,
        };
        let mut rest = text.strip_prefix('$').ok_or(JsonPathError {
            at: 0,
            reason: "a path starts with `$`",
        })?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let after_dot = rest.strip_prefix('.');
            let key = after_dot.unwrap_or(rest);
            if let Some(after) = key.strip_prefix(EVERY_ELEMENT) {
                segments.push(EVERY_ELEMENT.to_owned());
                rest = after;
            } else if let Some(quoted) = key.strip_prefix('[') {
                let (segment, after) =
                    parse_quoted(quoted).map_err(|(rest, reason)| error(rest, reason))?;
                segments.push(segment);
                rest = after;
            } else {
                if after_dot.is_none() {
                    return Err(error(rest, "expected `.` before the next key"));
                }
                let end = key.find(|c: char| !is_bare(c)).unwrap_or(key.len());
                if end == 0 {
                    return Err(error(key, "expected a key"));
                }
                segments.push(key[..end].to_owned());
                rest = &key[end..];
            }
        }
        Ok(Self { segments })
    }
}

impl FromStr for JsonPath {
    type Err = JsonPathError;

    fn from_str(text: &str) -> Result<Self, JsonPathError> {
        Self::parse(text)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.segments {
            if segment == EVERY_ELEMENT {
                f.write_str(EVERY_ELEMENT)?;
            } else if !segment.is_empty() && segment.chars().all(is_plain) {
                write!(f, ".{segment}")?;
            } else {
                write!(f, ".['{}']", escaped(segment))?;
            }
        }
        Ok(())
    }
}

/// Characters a key may have without quotes.
fn is_bare(c: char) -> bool {
    !matches!(c, '.' | '[' | ']' | '\'' | '"' | '`' | '\\') && !c.is_whitespace() && !c.is_control()
}

/// Characters that are written without quotes.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Escapes what would end the quotes, the backticks around the path, or the line.
fn escaped(segment: &str) -> String {
    let mut out = String::new();
    for c in segment.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            '`' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            // Control characters all lie below U+00A0, so four digits are enough.
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Reads `'key']` after the opening bracket and gives what follows the closing one.
fn parse_quoted(text: &str) -> Result<(String, &str), (&str, &'static str)> {
    let mut chars = text.char_indices();
    let Some((_, quote @ ('\'' | '"'))) = chars.next() else {
        return Err((text, "expected a quoted key or `:` after `[`"));
    };
    let mut key = String::new();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let after = &text[at + 1..];
            if key.is_empty() {
                return Err((&text[at..], "a key cannot be empty"));
            }
            return match after.strip_prefix(']') {
                Some(after) => Ok((key, after)),
                None => Err((after, "expected `]` after the quoted key")),
            };
        }
        if c != '\\' {
            key.push(c);
            continue;
        }
        match chars.next() {
            Some((at, 'u')) => {
                let digits = text.get(at + 1..at + 5).ok_or((&text[at..], BAD_ESCAPE))?;
                // `from_str_radix` would take a sign for a digit.
                let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16)
                    .ok()
                    .filter(|_| hex)
                    .and_then(char::from_u32);
                key.push(code.ok_or((&text[at..], BAD_ESCAPE))?);
                chars.nth(3);
            }
            Some((_, escaped)) => key.push(escaped),
            None => break,
        }
    }
    Err((text, "this quote is never closed"))
}

const BAD_ESCAPE: &str = "expected four hexadecimal digits after `\\u`";

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> Vec<String> {
        JsonPath::parse(text).expect("valid").segments
    }

    #[test]
    fn plain_and_quoted_keys_are_read() {
        assert_eq!(segments("$.Item.pk"), ["Item", "pk"]);
        assert_eq!(segments("$.Item.['a.b']"), ["Item", "a.b"]);
        assert_eq!(segments("$.Item[\"a.b\"].c"), ["Item", "a.b", "c"]);
        assert_eq!(segments("$.Item['it\\'s \\u0060']"), ["Item", "it's `"]);
        assert_eq!(segments("$.a[:].b"), ["a", "[:]", "b"]);
        assert_eq!(segments("$"), Vec::<String>::new());
    }

    #[test]
    fn mistakes_name_the_place() {
        for (text, at) in [
            ("Item", 0),
            ("$Item", 1),
            ("$.", 2),
            ("$.a..b", 4),
            ("$.a['b", 4),
            ("$.a[0]", 4),
            ("$.a['\\u+041']", 6),
        ] {
            assert_eq!(JsonPath::parse(text).expect_err("invalid").at, at, "{text}");
        }
    }

    #[test]
    fn hostile_names_survive_display() {
        for name in [
            "a.b",
            "it's",
            "`",
            "\"",
            "\\",
            "a b",
            "line\nbreak",
            "ключ",
            "[0]",
            "\u{85}",
        ] {
            let path = JsonPath {
                segments: vec!["Item".to_owned(), name.to_owned()],
            };
            assert_eq!(
                JsonPath::parse(&path.to_string()).expect("valid"),
                path,
                "{path}"
            );
            assert!(!path.to_string().contains(['`', '\n']));
        }
    }
}
