//! JSON strings: finding their end, their escapes, and the one canonical way we write them.
//!
//! Canonical means: `"`, `\` and control characters are escaped (the short form where JSON has one, else
//! `\u00xx` in lower case), everything else is raw UTF-8. Equal texts are then equal bytes.

use std::cmp::Ordering;

use super::block::{BLOCK, block_at, specials};
use super::error::{TranscodeError, TranscodeErrorKind};

/// Position of the next quote, backslash or control character from `from` on, or the end of the input.
pub(super) fn next_special(input: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(block) = block_at(input, at) {
        let run = specials(block).trailing_zeros() as usize;
        at += run;
        if run < BLOCK {
            return at;
        }
    }
    while let Some(byte) = input.get(at)
        && !is_special(*byte)
    {
        at += 1;
    }
    at
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Skips a string whose opening quote is before `from`. Gives the position after the closing quote and
/// whether there was any escape sequence. Escapes are checked when they are decoded, not here.
pub(super) fn skip_string(input: &[u8], from: usize) -> Result<(usize, bool), TranscodeError> {
    let mut at = from;
    let mut escaped = false;
    loop {
        at = next_special(input, at);
        match input.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                at += 2;
            }
            Some(_) => return Err(error(TranscodeErrorKind::ControlCharacter, at)),
            None => return Err(error(TranscodeErrorKind::Truncated, input.len())),
        }
    }
}

/// Decodes the escape sequence whose backslash is at `at`; gives the character and the position after it.
pub(super) fn decode_escape(input: &[u8], at: usize) -> Result<(char, usize), TranscodeError> {
    let simple = match input.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return decode_unicode(input, at),
        Some(_) => return Err(error(TranscodeErrorKind::BadEscape, at)),
        None => return Err(error(TranscodeErrorKind::Truncated, input.len())),
    };
    Ok((simple, at + 2))
}

fn decode_unicode(input: &[u8], at: usize) -> Result<(char, usize), TranscodeError> {
    let unit = hex4(input, at)?;
    match unit {
        0xD800..=0xDBFF => {
            let lone = || error(TranscodeErrorKind::LoneSurrogate, at);
            match (input.get(at + 6), input.get(at + 7)) {
                (None, _) | (Some(b'\\'), None) => {
                    return Err(error(TranscodeErrorKind::Truncated, input.len()));
                }
                (Some(b'\\'), Some(b'u')) => {}
                _ => return Err(lone()),
            }
            let low = hex4(input, at + 6)?;
            if !(0xDC00..=0xDFFF).contains(&low) {
                return Err(lone());
            }
            let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            let decoded = char::from_u32(code).ok_or_else(lone)?;
            Ok((decoded, at + 12))
        }
        unit => {
            let lone = error(TranscodeErrorKind::LoneSurrogate, at);
            Ok((char::from_u32(unit).ok_or(lone)?, at + 6))
        }
    }
}

fn hex4(input: &[u8], at: usize) -> Result<u32, TranscodeError> {
    let mut unit = 0;
    for offset in 2..6 {
        let Some(byte) = input.get(at + offset) else {
            return Err(error(TranscodeErrorKind::Truncated, input.len()));
        };
        let Some(digit) = char::from(*byte).to_digit(16) else {
            return Err(error(TranscodeErrorKind::BadEscape, at));
        };
        unit = unit * 16 + digit;
    }
    Ok(unit)
}

fn error(kind: TranscodeErrorKind, at: usize) -> TranscodeError {
    TranscodeError::new(kind, at)
}

/// How a character is written canonically, if not as itself: the bytes and how many of them count.
pub(super) fn canonical_escape(byte: u8) -> Option<([u8; 6], usize)> {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x00..0x20 => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            return Some(([b'\\', b'u', b'0', b'0', high, low], 6));
        }
        _ => return None,
    };
    Some(([b'\\', short, 0, 0, 0, 0], 2))
}

/// Appends `text` canonically escaped, without quotes.
pub(crate) fn escape_into(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match canonical_escape(byte) {
            Some((escape, len)) => out.extend_from_slice(&escape[..len]),
            None => out.push(byte),
        }
    }
}

/// Appends what a canonical text says.
pub(crate) fn unescape_into(canonical: &[u8], out: &mut Vec<u8>) {
    let mut rest = canonical;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Ok((decoded, next)) = decode_escape(rest, at) else {
            break;
        };
        out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[next..];
    }
    out.extend_from_slice(rest);
}

/// Compares two canonical texts by the UTF-8 bytes of what they say.
pub(super) fn compare_canonical(a: &[u8], b: &[u8]) -> Ordering {
    if memchr::memchr(b'\\', a).is_none() && memchr::memchr(b'\\', b).is_none() {
        return a.cmp(b);
    }
    Decoded(a, 0).cmp(Decoded(b, 0))
}

/// First bytes of what a canonical text says, big endian, zeros behind a shorter one.
#[cold]
pub(super) fn decoded_prefix(canonical: &[u8]) -> u64 {
    let mut head = [0; 8];
    for (to, byte) in head.iter_mut().zip(Decoded(canonical, 0)) {
        *to = byte;
    }
    u64::from_be_bytes(head)
}

/// Copies up to the next quote, backslash or control character, or the end of the input; gives the positions
/// behind. `plain` has as much room from `at` on as the input has from `pos` on, and a block more.
pub(super) fn copy_plain_run(
    input: &[u8],
    plain: &mut [u8],
    mut pos: usize,
    mut at: usize,
) -> (usize, usize) {
    while let Some(block) = block_at(input, pos) {
        plain[at..at + BLOCK].copy_from_slice(block);
        let run = specials(block).trailing_zeros() as usize;
        pos += run;
        at += run;
        if run < BLOCK {
            return (pos, at);
        }
    }
    while let Some(byte) = input.get(pos)
        && !is_special(*byte)
    {
        plain[at] = *byte;
        pos += 1;
        at += 1;
    }
    (pos, at)
}

/// Whether raw string contents (escapes already checked or not) say `name`.
pub(super) fn says(raw: &[u8], escaped: bool, name: &[u8]) -> bool {
    if !escaped {
        return raw == name;
    }
    let mut name = name;
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        let mut utf8 = [0; 4];
        let (part, next) = if *byte == b'\\' {
            let Ok((decoded, next)) = decode_escape(raw, at) else {
                return false;
            };
            (decoded.encode_utf8(&mut utf8).as_bytes(), next)
        } else {
            (&raw[at..=at], at + 1)
        };
        let Some(rest) = name.strip_prefix(part) else {
            return false;
        };
        name = rest;
        at = next;
    }
    name.is_empty()
}

/// The bytes a canonical text says. Canonical escapes all stand for one ASCII byte.
struct Decoded<'a>(&'a [u8], usize);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = *self.0.get(self.1)?;
        if byte != b'\\' {
            self.1 += 1;
            return Some(byte);
        }
        let (decoded, next) = decode_escape(self.0, self.1).ok()?;
        self.1 = next;
        u8::try_from(u32::from(decoded)).ok()
    }
}
