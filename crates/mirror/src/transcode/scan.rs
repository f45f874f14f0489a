//! One pass over an item: checks it and writes it as plain JSON, member by member in the order they come.
//!
//! Plain JSON is never longer than the typed JSON it came from, so the output is written by index into a
//! buffer as long as the input, and strings are copied while their end is looked for.

mod leaves;
mod map;

pub(super) use leaves::WINDOW;

use super::Descriptor;
use super::block::{BLOCK, block_at, specials};
use super::error::{TranscodeError, TranscodeErrorKind as Kind};
use super::order::{Member, Order};
use super::text::{canonical_escape, copy_plain_run, decode_escape};
use crate::limits::MAX_DEPTH;
use crate::number::{is_json_number, json_number_len};

/// Bytes the output buffer must be longer than the input: words are stored whole.
pub(super) const SLACK: usize = 4 * BLOCK;

type Result<T> = std::result::Result<T, TranscodeError>;

pub(super) struct Scan<'a> {
    pub(super) input: &'a [u8],
    /// The input and what follows it: may be looked at, so that whole blocks can be read up to the input's end.
    pub(super) ahead: &'a [u8],
    pub(super) pos: usize,
    pub(super) plain: &'a mut [u8],
    pub(super) at: usize,
    pub(super) members: &'a mut Vec<Member>,
    pub(super) sorting: &'a mut Vec<Member>,
    pub(super) reorder: &'a mut Vec<u8>,
}

impl Scan<'_> {
    /// Scans the outermost map. Its members stay on the stack, sorted; the output stays in input order.
    /// Returns whether that is the sorted order.
    pub(super) fn item(&mut self) -> Result<bool> {
        self.skip_whitespace();
        self.expect(b'{')?;
        let (_, in_order) = self.map_members(1)?;
        Ok(in_order)
    }

    /// Scans `{"S":"x"}` and what else a value may be.
    pub(super) fn value(&mut self, depth: usize) -> Result<Descriptor> {
        let (pos, at) = (self.pos, self.at);
        if let Some([b'{', b'"', letter, b'"', b':', b'"']) =
            self.ahead.get(pos..).and_then(<[u8]>::first_chunk)
        {
            (self.pos, self.at) = (pos + 6, at);
            if let Some(descriptor) = self.quick_text(*letter) {
                return Ok(descriptor);
            }
            (self.pos, self.at) = (pos, at);
        }
        let descriptor = self.open_value()?;
        self.value_body(descriptor, depth)?;
        Ok(descriptor)
    }

    /// Scans what stands behind the descriptor, up to the closing brace.
    #[inline]
    fn value_body(&mut self, descriptor: Descriptor, depth: usize) -> Result<()> {
        match descriptor {
            Descriptor::S => self.string()?,
            Descriptor::N => self.number()?,
            Descriptor::B => self.binary()?,
            Descriptor::Bool => self.boolean()?,
            Descriptor::Null => self.null()?,
            Descriptor::M => {
                self.expect(b'{')?;
                self.map(depth + 1)?;
            }
            Descriptor::L => self.list(depth + 1)?,
            Descriptor::Ss => self.set(Order::Texts, Self::string)?,
            Descriptor::Ns => self.set(Order::Numbers, Self::number)?,
            Descriptor::Bs => self.set(Order::Texts, Self::binary)?,
        }
        self.close_value()
    }

    /// Reads the brace behind a value.
    #[inline]
    fn close_value(&mut self) -> Result<()> {
        self.skip_whitespace();
        match self.peek() {
            Some(b'}') => self.pos += 1,
            Some(b',') => return self.fail(Kind::SeveralDescriptors),
            _ => return self.unexpected(),
        }
        Ok(())
    }

    /// Reads a text from behind its opening quote to behind the brace: S or N as AWS writes them. `None` if it is
    /// anything else; then the caller must go back.
    #[inline(always)]
    fn quick_text(&mut self, letter: u8) -> Option<Descriptor> {
        let (descriptor, pos, at) = match letter {
            b'S' => {
                self.plain[self.at] = b'"';
                let (pos, at) = self.quick_string(self.pos, self.at + 1)?;
                self.plain[at] = b'"';
                (Descriptor::S, pos, at + 1)
            }
            b'N' => {
                let (pos, at) = self.quick_number(self.pos, self.at)?;
                (Descriptor::N, pos, at)
            }
            _ => return None,
        };
        if pos + 2 > self.input.len() || self.ahead.get(pos..)?.first_chunk() != Some(b"\"}") {
            return None;
        }
        (self.pos, self.at) = (pos + 2, at);
        Some(descriptor)
    }

    /// Copies string contents; gives the positions behind.
    #[inline(always)]
    fn quick_string(&mut self, pos: usize, at: usize) -> Option<(usize, usize)> {
        let block = block_at(self.ahead, pos)?;
        self.plain[at..at + BLOCK].copy_from_slice(block);
        let run = specials(block).trailing_zeros() as usize;
        if run < BLOCK && block[run] == b'"' {
            return Some((pos + run, at + run));
        }
        self.long_string(pos, at)
    }

    #[inline(never)]
    fn long_string(&mut self, pos: usize, at: usize) -> Option<(usize, usize)> {
        let back = (self.pos, self.at);
        (self.pos, self.at) = (pos, at);
        let outcome = self.copy_string();
        let end = (self.pos, self.at);
        (self.pos, self.at) = back;
        // Errors are found again, from the start, by the caller's other way.
        outcome.ok().map(|_| (end.0 - 1, end.1))
    }

    /// Copies a number without exponent; gives the positions behind.
    #[inline(always)]
    fn quick_number(&mut self, pos: usize, at: usize) -> Option<(usize, usize)> {
        let block = block_at(self.ahead, pos)?;
        self.plain[at..at + BLOCK].copy_from_slice(block);
        let len = leaves::number_len(block)?;
        Some((pos + len, at + len))
    }

    /// Reads up to where the value behind its descriptor starts.
    fn open_value(&mut self) -> Result<Descriptor> {
        // What AWS writes: `{"S":` and no white space.
        let short = self.input.get(self.pos..).and_then(<[u8]>::first_chunk);
        if let Some([b'{', b'"', letter, b'"', b':', next]) = short
            && let Some(descriptor) = Descriptor::of_letter(*letter)
        {
            self.pos += 5;
            if *next <= b' ' {
                self.skip_whitespace();
            }
            return Ok(descriptor);
        }
        self.expect(b'{')?;
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            return self.fail(Kind::MissingDescriptor);
        }
        let name_at = self.pos;
        self.expect(b'"')?;
        // The output serves as scratch: nobody can see the name once `at` is back.
        let at = self.at;
        self.copy_string()?;
        let descriptor = Descriptor::parse(&self.plain[at..self.at]);
        self.at = at;
        let Some(descriptor) = descriptor else {
            return Err(TranscodeError::new(Kind::UnknownDescriptor, name_at));
        };
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        Ok(descriptor)
    }

    fn string(&mut self) -> Result<()> {
        self.expect(b'"')?;
        self.put(b'"');
        self.copy_string()?;
        self.put(b'"');
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        self.expect(b'"')?;
        let rest = &self.input[self.pos..];
        let len = json_number_len(rest);
        if len > 0 && rest.get(len) == Some(&b'"') {
            self.plain[self.at..self.at + len].copy_from_slice(&rest[..len]);
            self.at += len;
            self.pos += len + 1;
            return Ok(());
        }
        // Not a number, or one behind escape sequences.
        let start = self.at;
        self.put(b'"');
        self.copy_string()?;
        if is_json_number(&self.plain[start + 1..self.at]) {
            self.plain.copy_within(start + 1..self.at, start);
            self.at -= 1;
        } else {
            self.put(b'"');
        }
        Ok(())
    }

    fn binary(&mut self) -> Result<()> {
        let opened_at = self.pos;
        let start = self.at + 1;
        self.string()?;
        if super::base64::is_base64(&self.plain[start..self.at - 1]) {
            Ok(())
        } else {
            Err(TranscodeError::new(Kind::BadBase64, opened_at))
        }
    }

    fn boolean(&mut self) -> Result<()> {
        if self.input[self.pos..].starts_with(b"true") {
            self.literal(b"true")
        } else {
            self.expect_literal(b"false")?;
            self.write(b"false");
            Ok(())
        }
    }

    fn literal(&mut self, text: &[u8]) -> Result<()> {
        self.expect_literal(text)?;
        self.write(text);
        Ok(())
    }

    /// AWS only stores `true` here; `false` says the same.
    fn null(&mut self) -> Result<()> {
        if self.peek() == Some(b'f') {
            self.expect_literal(b"false")?;
        } else {
            self.expect_literal(b"true")?;
        }
        self.write(b"null");
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return self.fail(Kind::TooDeep);
        }
        self.elements(|scan| scan.value(depth).map(drop))
    }

    /// Scans `[...]`, calling `element` for each of its elements.
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(b'[')?;
        self.put(b'[');
        self.skip_whitespace();
        if self.peek() == Some(b']') {
            self.pos += 1;
            self.put(b']');
            return Ok(());
        }
        loop {
            element(self)?;
            self.skip_whitespace();
            match self.peek() {
                Some(b',') => self.put(b','),
                Some(b']') => break,
                _ => return self.unexpected(),
            }
            self.pos += 1;
            self.skip_whitespace();
        }
        self.pos += 1;
        self.put(b']');
        Ok(())
    }

    fn set(&mut self, order: Order, scalar: fn(&mut Self) -> Result<()>) -> Result<()> {
        let base = self.members.len();
        let mut in_order = true;
        let start = self.at + 1;
        self.elements(|scan| {
            let start = scan.at;
            scalar(scan)?;
            let member = Member::element(start..scan.at);
            if in_order && scan.members.len() > base {
                let last = &scan.members[scan.members.len() - 1];
                in_order = last.compare(&member, scan.plain, order).is_le();
            }
            scan.members.push(member);
            Ok(())
        })?;
        if !in_order {
            let plain = &*self.plain;
            self.members[base..].sort_unstable_by(|a, b| a.compare(b, plain, order));
            self.apply_order(base, start, b']');
        }
        self.members.truncate(base);
        Ok(())
    }

    /// Copies string contents canonically, from after the opening quote to after the closing one. Returns
    /// whether the output holds an escape sequence.
    fn copy_string(&mut self) -> Result<bool> {
        let mut escaped = false;
        loop {
            self.copy_run();
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    let (decoded, next) = decode_escape(self.input, self.pos)?;
                    self.pos = next;
                    escaped |= self.put_char(decoded);
                }
                Some(_) => return self.fail(Kind::ControlCharacter),
                None => return self.fail(Kind::Truncated),
            }
        }
    }

    /// Copies up to the next quote, backslash or control character, or the end of the input.
    #[inline(always)]
    fn copy_run(&mut self) {
        if let Some(block) = block_at(self.ahead, self.pos) {
            self.plain[self.at..self.at + BLOCK].copy_from_slice(block);
            let run = specials(block).trailing_zeros() as usize;
            if run < BLOCK && self.pos + run < self.input.len() {
                self.pos += run;
                self.at += run;
                return;
            }
        }
        (self.pos, self.at) = copy_plain_run(self.input, self.plain, self.pos, self.at);
    }

    /// Writes a character inside a string; says whether as an escape sequence.
    fn put_char(&mut self, decoded: char) -> bool {
        let escape = u8::try_from(u32::from(decoded))
            .ok()
            .and_then(canonical_escape);
        match escape {
            Some((bytes, len)) => self.write(&bytes[..len]),
            None => self.write(decoded.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        escape.is_some()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.plain[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn put(&mut self, byte: u8) {
        self.plain[self.at] = byte;
        self.at += 1;
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.pos).copied()
    }

    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            return Ok(());
        }
        self.unexpected()
    }

    fn expect_literal(&mut self, text: &[u8]) -> Result<()> {
        for byte in text {
            self.expect(*byte)?;
        }
        Ok(())
    }

    fn unexpected<T>(&self) -> Result<T> {
        self.fail(if self.pos < self.input.len() {
            Kind::Unexpected
        } else {
            Kind::Truncated
        })
    }

    #[cold]
    fn fail<T>(&self, kind: Kind) -> Result<T> {
        Err(TranscodeError::new(kind, self.pos))
    }
}
