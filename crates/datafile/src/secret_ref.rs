//! `{{ tb_secret("name") }}` and `{{ tb_secret("name", "default") }}` inside a value.

use std::fmt;
use std::ops::Range;

/// Text that may hold `{{ tb_secret("name"[, "default"]) }}` references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Literal text and references, in order; no two literals follow each other.
    pub parts: Vec<TemplatePart>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text that stands for itself.
    Literal(String),
    /// The value of a secret.
    Secret {
        /// The secret's name.
        name: String,
        /// What to use when the secret is not set.
        default: Option<String>,
    },
}

/// A secret without a value and without a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// The secret's name.
    pub name: String,
}

impl fmt::Display for MissingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the secret {:?} is not set and has no default",
            self.name
        )
    }
}

impl std::error::Error for MissingSecret {}

/// Why a `{{ ... }}` could not be read; the range is relative to the parsed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    pub(crate) span: Range<usize>,
    pub(crate) label: &'static str,
}

impl Template {
    /// A template that is only text.
    pub fn from_literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            parts: if text.is_empty() {
                Vec::new()
            } else {
                vec![TemplatePart::Literal(text)]
            },
        }
    }

    /// A template that is one secret without a default.
    pub fn from_secret(name: impl Into<String>) -> Self {
        Self {
            parts: vec![TemplatePart::Secret {
                name: name.into(),
                default: None,
            }],
        }
    }

    /// The text, if there is no secret in it.
    pub fn literal(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Literal(literal) => text.push_str(literal),
                TemplatePart::Secret { .. } => return None,
            }
        }
        Some(text)
    }

    /// The names of the secrets, in order of appearance.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Secret { name, .. } => Some(name.as_str()),
            TemplatePart::Literal(_) => None,
        })
    }

    /// The text with every secret replaced by its value, or else by its default.
    ///
    /// An empty value gives the empty string. (Rendering a raw file writes `""` there, which a field
    /// reads as the empty string again.)
    pub fn resolve(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, MissingSecret> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Literal(literal) => text.push_str(literal),
                TemplatePart::Secret { name, default } => {
                    let value = lookup(name).or_else(|| default.clone());
                    text.push_str(&value.ok_or_else(|| MissingSecret { name: name.clone() })?);
                }
            }
        }
        Ok(text)
    }

    /// Reads a value as it stands in a file; `None` if there is a `{{ ... }}` in it that is no reference to a secret.
    pub fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    /// Reads a value; a `{{ ... }}` that is not a secret reference is an error.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = 0;
        while let Some(open) = text[rest..].find("{{").map(|at| rest + at) {
            if open > rest {
                parts.push(TemplatePart::Literal(text[rest..open].to_owned()));
            }
            let Some(close) = closing_braces(text, open) else {
                return Err(TemplateError {
                    span: open..text.len(),
                    label: "this `{{` is never closed",
                });
            };
            let Some(secret) = parse_call(&text[open + 2..close]) else {
                return Err(TemplateError {
                    span: open..close + 2,
                    label: "not a reference to a secret",
                });
            };
            parts.push(secret);
            rest = close + 2;
        }
        if rest < text.len() {
            parts.push(TemplatePart::Literal(text[rest..].to_owned()));
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                TemplatePart::Literal(literal) => f.write_str(literal)?,
                TemplatePart::Secret {
                    name,
                    default: None,
                } => {
                    write!(f, "{{{{ tb_secret({}) }}}}", quoted(name))?;
                }
                TemplatePart::Secret {
                    name,
                    default: Some(default),
                } => {
                    write!(
                        f,
                        "{{{{ tb_secret({}, {}) }}}}",
                        quoted(name),
                        quoted(default)
                    )?;
                }
            }
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// No reference is longer; a bound keeps hostile text from being scanned again and again.
const MAX_REFERENCE: usize = 1024;

/// The byte of the `}}` that closes the `{{` at `open`, looking past quoted strings and not past the
/// end of the line.
pub(crate) fn closing_braces(text: &str, open: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let bytes = &bytes[..bytes.len().min(open + MAX_REFERENCE)];
    let mut at = open + 2;
    let mut quote = None;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (_, b'\n') => return None,
            (Some(_), b'\\') => at += 1,
            (Some(q), b) if b == q => quote = None,
            (None, b @ (b'"' | b'\'')) => quote = Some(b),
            (None, b'{') if bytes.get(at + 1) == Some(&b'{') => return None,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Reads `tb_secret("name", default)`, the inside of the braces.
fn parse_call(text: &str) -> Option<TemplatePart> {
    let text = text.trim().strip_prefix("tb_secret")?.trim_start();
    let inside = text.strip_prefix('(')?.strip_suffix(')')?;
    let (name, rest) = parse_string(inside.trim())?;
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim();
    if rest.is_empty() {
        return Some(TemplatePart::Secret {
            name,
            default: None,
        });
    }
    let argument = rest.strip_prefix(',')?.trim();
    let default = match parse_string(argument) {
        Some((default, "")) => default,
        Some(_) => return None,
        None if argument.parse::<f64>().is_ok() => argument.to_owned(),
        None => return None,
    };
    Some(TemplatePart::Secret {
        name,
        default: Some(default),
    })
}

/// Reads a quoted string and gives what follows it.
fn parse_string(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote @ ('"' | '\'')) = chars.next()? else {
        return None;
    };
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            c if c == quote => return Some((value, &text[at + c.len_utf8()..])),
            c => value.push(c),
        }
    }
    None
}
