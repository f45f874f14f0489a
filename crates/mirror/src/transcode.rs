//! DynamoDB JSON to plain JSON, bytes to bytes.
//!
//! `{"pk":{"S":"a"},"n":{"N":"1.50"}}` becomes `{"n":1.50,"pk":"a"}`. The hot path of a backfill: no tree of
//! values, and no allocation once the buffers of a [`Transcoder`] have grown to the size of an item.
//!
//! The same item gives the same bytes in every process, from an export or from a stream, whatever order and
//! escapes AWS chose: names are sorted by their UTF-8 bytes at every level, sets are sorted (texts by bytes,
//! numbers by value), strings are escaped in one canonical way. N is a number token with AWS's own text, or a
//! string if JSON does not know such a number; B stays base64.
//!
//! Input is hostile: whatever it is, the outcome is plain JSON or a [`TranscodeError`] with a position.

mod base64;
mod block;
mod error;
mod find;
mod lines;
mod order;
mod scan;
mod text;

use std::ops::Range;

pub use error::{TranscodeError, TranscodeErrorKind};
pub use find::{IncrementalLine, TypedValue, export_line_item, find, incremental_line};
pub use lines::{Line, Lines};
pub(crate) use order::AttributeName;
pub(crate) use text::unescape_into;

use block::{BLOCK, block_at};
use order::Member;
use scan::{SLACK, Scan, WINDOW};

/// Longest item, bytes. AWS stops at 400 KB, a few MB of typed JSON; beyond this the input is no item.
const MAX_INPUT: usize = 1 << 30;

/// Type descriptor of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// String.
    S,
    /// Number.
    N,
    /// Binary.
    B,
    /// Boolean.
    Bool,
    /// NULL.
    Null,
    /// Map.
    M,
    /// List.
    L,
    /// Set of strings.
    Ss,
    /// Set of numbers.
    Ns,
    /// Set of binaries.
    Bs,
}

impl Descriptor {
    const ALL: [Self; 10] = [
        Self::S,
        Self::N,
        Self::M,
        Self::L,
        Self::Bool,
        Self::Null,
        Self::B,
        Self::Ss,
        Self::Ns,
        Self::Bs,
    ];

    /// The descriptor as DynamoDB writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::M => "M",
            Self::L => "L",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
        }
    }

    fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|descriptor| descriptor.name().as_bytes() == name)
    }

    fn of_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'S' => Self::S,
            b'N' => Self::N,
            b'B' => Self::B,
            b'M' => Self::M,
            b'L' => Self::L,
            _ => return None,
        })
    }
}

/// A value as plain JSON, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainValue<'a> {
    /// Its type in DynamoDB.
    pub descriptor: Descriptor,
    /// Plain JSON: a string has its quotes and canonical escapes.
    pub json: &'a [u8],
}

/// Turns items into plain JSON. Keeps its buffers: make one per thread and use it for every item.
#[derive(Clone, Debug, Default)]
pub struct Transcoder {
    /// The item last scanned, members in the order they came. As long as the longest input so far.
    plain: Vec<u8>,
    plain_len: usize,
    /// Members of the outermost map, sorted by name.
    members: Vec<Member>,
    in_order: bool,
    /// Scratch.
    sorting: Vec<Member>,
    reorder: Vec<u8>,
    padded: Vec<u8>,
}

impl Transcoder {
    /// A transcoder with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a typed map as a plain JSON object. After an error `out` is as it was.
    pub fn item_object(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Result<(), TranscodeError> {
        self.scan_item(typed)?;
        self.write_item(out);
        Ok(())
    }

    /// Appends one typed value (`{"S":"x"}`) as plain JSON and says what it was.
    pub fn value(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Result<Descriptor, TranscodeError> {
        check_utf8(typed)?;
        let mut scan = self.start(typed, typed.len())?;
        scan.skip_whitespace();
        let descriptor = scan.value(1)?;
        scan.skip_whitespace();
        let (end, len) = (scan.pos, scan.at);
        if end < typed.len() {
            return Err(TranscodeError::new(TranscodeErrorKind::TrailingBytes, end));
        }
        out.extend_from_slice(&self.plain[..len]);
        Ok(descriptor)
    }

    /// Checks and transcodes a typed map; the result stays here for [`Self::write_item`] and
    /// the projection until the next item.
    pub fn scan_item(&mut self, typed: &[u8]) -> Result<(), TranscodeError> {
        check_utf8(typed)?;
        let end = self.scan_at(typed, typed.len())?;
        self.check_end(typed, end)
    }

    /// Like [`Self::scan_item`], for a line of an export file: `{"Item":{...}}`. One pass if the line looks
    /// like AWS's. Returns where in the line the item
    /// is.
    pub fn scan_export_line<'l>(
        &mut self,
        line: impl Into<Line<'l>>,
    ) -> Result<Range<usize>, TranscodeError> {
        const OPENING: &[u8] = b"{\"Item\":";
        let Line {
            ahead,
            len,
            is_utf8,
        } = line.into();
        let line = &ahead[..len];
        if !is_utf8 {
            check_utf8(line)?;
        }
        if line.starts_with(OPENING) {
            let start = OPENING.len();
            let end = start
                + self
                    .scan_at(&ahead[start..], len - start)
                    .map_err(|error| error.behind(start))?;
            if line[end..].trim_ascii_end() == b"}" {
                return Ok(start..end);
            }
        }
        // White space, or members beside Item.
        let item = export_line_item(line)?;
        let typed = &line[item.clone()];
        let behind = |error: TranscodeError| error.behind(item.start);
        let end = self.scan_at(typed, typed.len()).map_err(behind)?;
        self.check_end(typed, end).map_err(behind)?;
        Ok(item)
    }

    /// Appends the item last scanned.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        let plain = &self.plain[..self.plain_len];
        if self.in_order {
            out.extend_from_slice(plain);
            return;
        }
        out.reserve(plain.len() + BLOCK);
        out.push(b'{');
        for member in &self.members {
            let text = member.text();
            if text.len() > 4 * BLOCK {
                out.extend_from_slice(&self.plain[text]);
                out.push(b',');
                continue;
            }
            let end = out.len() + text.len();
            let mut at = text.start;
            // Whole blocks: what is too much is cut off.
            while let Some(block) = block_at(&self.plain, at) {
                out.extend_from_slice(block);
                at += BLOCK;
                if at >= text.end {
                    break;
                }
            }
            out.truncate(end);
            out.push(b',');
        }
        out.pop();
        out.push(b'}');
    }

    /// The attribute of the item last scanned that has this name, and its typed value's place in the input.
    pub(crate) fn attribute(&self, name: &AttributeName) -> Option<(PlainValue<'_>, Range<usize>)> {
        let member = self
            .members
            .iter()
            .find(|member| name.is_of(member, &self.plain))?;
        let value = PlainValue {
            descriptor: member.descriptor,
            json: &self.plain[member.value()],
        };
        Some((value, member.typed()))
    }

    /// Scans the map that the first `len` bytes of `ahead` start with; returns where it ends.
    fn scan_at(&mut self, ahead: &[u8], len: usize) -> Result<usize, TranscodeError> {
        let mut scan = self.start(ahead, len)?;
        let outcome = scan.item();
        let (end, len) = (scan.pos, scan.at);
        match outcome {
            Ok(in_order) => {
                self.in_order = in_order;
                self.plain_len = len;
                Ok(end)
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    fn start<'a>(&'a mut self, ahead: &'a [u8], len: usize) -> Result<Scan<'a>, TranscodeError> {
        self.forget();
        if len > MAX_INPUT {
            return Err(TranscodeError::new(TranscodeErrorKind::TooLong, MAX_INPUT));
        }
        if self.plain.len() < len + SLACK {
            self.plain.resize(len + SLACK, 0);
        }
        let mut ahead = ahead;
        if ahead.len() < len + WINDOW {
            // The hot loop wants to look further than the end.
            self.padded.clear();
            self.padded.extend_from_slice(&ahead[..len]);
            self.padded.resize(len + WINDOW, 0);
            ahead = &self.padded;
        }
        Ok(Scan {
            input: &ahead[..len],
            ahead,
            pos: 0,
            plain: &mut self.plain,
            at: 0,
            members: &mut self.members,
            sorting: &mut self.sorting,
            reorder: &mut self.reorder,
        })
    }

    fn forget(&mut self) {
        self.members.clear();
        self.plain_len = 0;
        self.in_order = true;
    }

    fn check_end(&mut self, input: &[u8], end: usize) -> Result<(), TranscodeError> {
        let rest = input[end..]
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
        match rest {
            None => Ok(()),
            Some(rest) => {
                self.forget();
                Err(TranscodeError::new(
                    TranscodeErrorKind::TrailingBytes,
                    end + rest,
                ))
            }
        }
    }
}

/// Checks the whole input at once; below, only ASCII bytes are ever looked at.
fn check_utf8(input: &[u8]) -> Result<(), TranscodeError> {
    if simdutf8::basic::from_utf8(input).is_ok() {
        return Ok(());
    }
    let at = std::str::from_utf8(input)
        .err()
        .map_or(0, |error| error.valid_up_to());
    Err(TranscodeError::new(TranscodeErrorKind::InvalidUtf8, at))
}
