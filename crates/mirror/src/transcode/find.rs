//! Looking for one value in DynamoDB JSON without reading the rest closely.

use std::ops::Range;

use super::Descriptor;
use super::error::{TranscodeError, TranscodeErrorKind as Kind};
use super::text::{says, skip_string};
use crate::limits::MAX_DEPTH;

type Result<T> = std::result::Result<T, TranscodeError>;

/// A value found in an item, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypedValue<'a> {
    /// Its type.
    pub descriptor: Descriptor,
    /// The whole value: `{"S":"x"}`.
    pub typed: &'a [u8],
    /// What stands behind the descriptor: `"x"`.
    pub raw: &'a [u8],
}

/// Finds the value at `path` in a typed map, going down through maps (M); names compare by what they say,
/// however they are escaped. `None` if there is none, or if something on the way is not a map.
///
/// Only the bytes up to the value are looked at, and only for their structure: what [`super::Transcoder`]
/// would refuse may go unnoticed here.
pub fn find<'a>(typed: &'a [u8], path: &[String]) -> Result<Option<TypedValue<'a>>> {
    let mut map = typed;
    let mut path = path.iter();
    let Some(mut name) = path.next() else {
        return Ok(None);
    };
    loop {
        let Some(span) = Skim::new(map).member(name.as_bytes())? else {
            return Ok(None);
        };
        let value = Skim::new(&map[span]).typed_value()?;
        match path.next() {
            None => return Ok(Some(value)),
            Some(_) if value.descriptor != Descriptor::M => return Ok(None),
            Some(next) => {
                map = value.raw;
                name = next;
            }
        }
    }
}

/// Finds the item of a line of an export file: the value of `Item` in `{"Item":{...}}`. Other members are
/// skipped.
pub fn export_line_item(line: &[u8]) -> Result<Range<usize>> {
    let mut skim = Skim::new(line);
    let found = skim.member(b"Item")?;
    let Some(item) = found else {
        return Err(TranscodeError::new(Kind::MissingItem, 0));
    };
    skim.rest_of_export_line()?;
    skim.skip_whitespace();
    if skim.pos < line.len() {
        return skim.fail(Kind::TrailingBytes);
    }
    Ok(item)
}

/// A line of an incremental export: one item's last state in the export's window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncrementalLine {
    /// When the item was last written, microseconds since 1970, by DynamoDB's own clock.
    pub written_us: i64,
    /// `Keys`.
    pub keys: Range<usize>,
    /// `NewImage`; absent if the item was deleted.
    pub new_image: Option<Range<usize>>,
    /// `OldImage`: the item as it was when the window began, if it was there and the export has it.
    pub old_image: Option<Range<usize>>,
}

/// Finds the parts of a line of an incremental export. Other members are skipped.
pub fn incremental_line(line: &[u8]) -> Result<IncrementalLine> {
    let missing = TranscodeError::new(Kind::MissingItem, 0);
    let keys = Skim::new(line).member(b"Keys")?.ok_or(missing)?;
    let metadata = Skim::new(line).member(b"Metadata")?.ok_or(missing)?;
    let written = Skim::new(&line[metadata.clone()])
        .member(b"WriteTimestampMicros")?
        .ok_or(missing)?;
    let digits = |byte: &u8| byte.is_ascii_digit();
    // `{"N":"1680109764000000"}`, a text or a number: AWS has been seen to write all three.
    let text: Vec<u8> = line[metadata][written.clone()]
        .iter()
        .copied()
        .filter(digits)
        .collect();
    let written_us = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(TranscodeError::new(Kind::MissingItem, written.start))?;
    Ok(IncrementalLine {
        written_us,
        keys,
        new_image: Skim::new(line).member(b"NewImage")?,
        old_image: Skim::new(line).member(b"OldImage")?,
    })
}

struct Skim<'a> {
    input: &'a [u8],
    pos: usize,
}

impl<'a> Skim<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self { input, pos: 0 }
    }

    /// Opens the map and stops behind the value of the member called `name`, whose span it returns.
    fn member(&mut self, name: &[u8]) -> Result<Option<Range<usize>>> {
        self.skip_whitespace();
        self.expect(b'{')?;
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            return Ok(None);
        }
        loop {
            let (start, end, escaped) = self.string()?;
            self.colon()?;
            let value = self.pos;
            self.skip_value()?;
            if says(&self.input[start..end], escaped, name) {
                return Ok(Some(value..self.pos));
            }
            if !self.comma()? {
                return Ok(None);
            }
        }
    }

    /// Goes from behind `Item` to behind the closing brace.
    fn rest_of_export_line(&mut self) -> Result<()> {
        while self.comma()? {
            let (start, end, escaped) = self.string()?;
            if says(&self.input[start..end], escaped, b"Item") {
                return Err(TranscodeError::new(Kind::DuplicateName, start - 1));
            }
            self.colon()?;
            self.skip_value()?;
        }
        Ok(())
    }

    fn typed_value(&mut self) -> Result<TypedValue<'a>> {
        self.skip_whitespace();
        self.expect(b'{')?;
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            return self.fail(Kind::MissingDescriptor);
        }
        let name_at = self.pos;
        let (start, end, escaped) = self.string()?;
        let name = &self.input[start..end];
        let Some(descriptor) = Descriptor::ALL
            .into_iter()
            .find(|descriptor| says(name, escaped, descriptor.name().as_bytes()))
        else {
            return Err(TranscodeError::new(Kind::UnknownDescriptor, name_at));
        };
        self.colon()?;
        let raw = self.pos;
        self.skip_value()?;
        let raw = &self.input[raw..self.pos];
        if self.comma()? {
            return self.fail(Kind::SeveralDescriptors);
        }
        Ok(TypedValue {
            descriptor,
            typed: self.input,
            raw,
        })
    }

    /// Skips any JSON value. Brackets are counted, not matched: kinds are the transcoder's business.
    fn skip_value(&mut self) -> Result<()> {
        // Typed JSON has two levels of brackets for each level of an item.
        const MAX_BRACKETS: usize = 2 * MAX_DEPTH + 4;
        let mut depth = 0;
        let start = self.pos;
        loop {
            self.skip_whitespace();
            match self.peek() {
                Some(b'"') => drop(self.string()?),
                Some(b'{' | b'[') => {
                    depth += 1;
                    if depth > MAX_BRACKETS {
                        return self.fail(Kind::TooDeep);
                    }
                    self.pos += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.pos += 1;
                }
                Some(b':' | b',') if depth > 0 => self.pos += 1,
                Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E') => self.skip_word(),
                _ => return self.unexpected(),
            }
            if depth == 0 && self.pos > start {
                return Ok(());
            }
        }
    }

    fn skip_word(&mut self) {
        while let Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E') = self.peek() {
            self.pos += 1;
        }
    }

    fn string(&mut self) -> Result<(usize, usize, bool)> {
        self.expect(b'"')?;
        let start = self.pos;
        let (after, escaped) = skip_string(self.input, start)?;
        self.pos = after;
        Ok((start, after - 1, escaped))
    }

    fn colon(&mut self) -> Result<()> {
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        Ok(())
    }

    /// Whether another member follows; if not, the closing brace has been read.
    fn comma(&mut self) -> Result<bool> {
        self.skip_whitespace();
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                self.skip_whitespace();
                Ok(true)
            }
            Some(b'}') => {
                self.pos += 1;
                Ok(false)
            }
            _ => self.unexpected(),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            return Ok(());
        }
        self.unexpected()
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.pos).copied()
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    fn unexpected<T>(&self) -> Result<T> {
        self.fail(if self.pos < self.input.len() {
            Kind::Unexpected
        } else {
            Kind::Truncated
        })
    }

    fn fail<T>(&self, kind: Kind) -> Result<T> {
        Err(TranscodeError::new(kind, self.pos))
    }
}
