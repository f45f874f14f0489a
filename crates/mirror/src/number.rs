//! Exact decimal numbers as text: DynamoDB's N has 38 digits, more than any machine type keeps.
//!
//! Nothing here goes through a float unless the column is one, and then [`survives_f64`] says whether it did
//! any harm. No function allocates, apart from [`canonical`].

use std::cmp::Ordering;
use std::fmt::{self, Write};

/// Length of the longest JSON number that `text` starts with; 0 if it starts with none.
pub fn json_number_len(text: &[u8]) -> usize {
    let mut at = usize::from(text.first() == Some(&b'-'));
    match text.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at += digits(&text[at..]),
        _ => return 0,
    }
    if text.get(at) == Some(&b'.') {
        match digits(&text[at + 1..]) {
            0 => return at,
            fraction => at += 1 + fraction,
        }
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        match digits(&text[at + 1 + sign..]) {
            0 => return at,
            exponent => at += 1 + sign + exponent,
        }
    }
    at
}

/// Whether `text` may stand in JSON as a number: no plus sign, no leading zero, no bare point.
pub fn is_json_number(text: &[u8]) -> bool {
    !text.is_empty() && json_number_len(text) == text.len()
}

fn digits(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        // Digits become 0 to 9, and only what is above reaches the high bit; a carry spoils later bytes only.
        let values = u64::from_le_bytes(*chunk) ^ (u64::MAX / 255 * 0x30);
        let others =
            (values | values.wrapping_add(u64::MAX / 255 * 0x76)) & (u64::MAX / 255 * 0x80);
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = text[at..].iter();
    at + rest.take_while(|byte| byte.is_ascii_digit()).count()
}

/// A decimal number equal to `0.d1d2d3… × 10^point`, borrowed from its text. Zero has no digits.
#[derive(Clone, Copy, Debug)]
pub struct Decimal<'a> {
    negative: bool,
    /// Digits before the point that count, then those after it; zeros at both ends are cut off.
    whole: &'a [u8],
    fraction: &'a [u8],
    point: i64,
}

impl<'a> Decimal<'a> {
    /// Reads a JSON number, exponent included; `None` for anything else.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if !is_json_number(text) {
            return None;
        }
        let (negative, rest) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let exponent_at = rest.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match exponent_at {
            Some(at) => (&rest[..at], exponent(&rest[at + 1..])),
            None => (rest, 0),
        };
        let (mut whole, mut fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &mantissa[..0]),
        };
        whole = &whole[zeros(whole.iter())..];
        fraction = &fraction[..fraction.len() - zeros(fraction.iter().rev())];
        let mut point = exponent.saturating_add(length(whole));
        if whole.is_empty() {
            let leading = zeros(fraction.iter());
            fraction = &fraction[leading..];
            point = point.saturating_sub(i64::try_from(leading).unwrap_or(i64::MAX));
        }
        if fraction.is_empty() {
            whole = &whole[..whole.len() - zeros(whole.iter().rev())];
        }
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            negative: negative && !zero,
            whole,
            fraction,
            point: if zero { 0 } else { point },
        })
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    /// Whether the value is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    fn digits(&self) -> impl Iterator<Item = u8> + 'a {
        self.whole.iter().chain(self.fraction).map(|b| b - b'0')
    }

    fn digit_count(&self) -> i64 {
        length(self.whole) + length(self.fraction)
    }

    /// The value times `10^scale` as an integer; `None` if that has a fraction or does not fit `i128`.
    pub fn scaled(&self, scale: u8) -> Option<i128> {
        let point = self.point.saturating_add(i64::from(scale));
        if self.digit_count() > point && !self.is_zero() {
            return None;
        }
        self.scaled_down(scale)
    }

    /// The value times `10^scale`, rounded down to an integer; `None` if it does not fit `i128`.
    pub fn scaled_floor(&self, scale: u8) -> Option<i128> {
        let cut = self.scaled_down(scale)?;
        let point = self.point.saturating_add(i64::from(scale));
        let has_rest = self.digit_count() > point && !self.is_zero();
        Some(if has_rest && self.negative {
            cut - 1
        } else {
            cut
        })
    }

    /// The value times `10^scale` without what is after the point.
    fn scaled_down(&self, scale: u8) -> Option<i128> {
        let point = self.point.saturating_add(i64::from(scale));
        if point > 39 && !self.is_zero() {
            return None;
        }
        let mut magnitude = 0_u128;
        let padded = self.digits().chain(std::iter::repeat(0));
        for digit in padded.take(usize::try_from(point).unwrap_or(0)) {
            magnitude = magnitude.checked_mul(10)?.checked_add(u128::from(digit))?;
        }
        if self.negative {
            0_i128.checked_sub_unsigned(magnitude)
        } else {
            i128::try_from(magnitude).ok()
        }
    }

    /// The value as an integer; `None` if it has a fraction or does not fit. `1.0` and `1e0` are 1.
    pub fn integer(&self) -> Option<i128> {
        self.scaled(0)
    }

    /// Compares exactly, whatever the number of digits.
    pub fn compare(&self, other: &Decimal<'_>) -> Ordering {
        let sign = |number: &Decimal<'_>| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign != Ordering::Equal || self.is_zero() {
            return by_sign;
        }
        let by_size = self
            .point
            .cmp(&other.point)
            .then_with(|| self.digits().cmp(other.digits()));
        if self.negative {
            by_size.reverse()
        } else {
            by_size
        }
    }
}

fn zeros<'a>(digits: impl Iterator<Item = &'a u8>) -> usize {
    digits.take_while(|byte| **byte == b'0').count()
}

fn length(digits: &[u8]) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX)
}

/// Reads the digits after `e`; an exponent no machine could print saturates, far from any real number.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let size = digits.iter().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
            .min(i64::MAX / 4)
    });
    if negative { -size } else { size }
}

/// What most numbers of a set are: digits, and perhaps a minus, without a zero in front. Longer is larger.
struct PlainInteger<'a> {
    negative: bool,
    digits: &'a [u8],
}

impl<'a> PlainInteger<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        // Of the spellings of zero only this one is shorter than all larger numbers and equal to no other.
        let begins = matches!(rest, [b'1'..=b'9', ..]) || text == b"0";
        let plain = begins && digits(rest) == rest.len();
        plain.then_some(Self {
            negative,
            digits: rest,
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_size = || {
            let by_length = self.digits.len().cmp(&other.digits.len());
            by_length.then_with(|| self.digits.cmp(other.digits))
        };
        match (self.negative, other.negative) {
            (false, false) => by_size(),
            (true, true) => by_size().reverse(),
            (negative, other) => other.cmp(&negative),
        }
    }
}

/// Compares two number texts by value; texts that are no JSON number come last, ordered by their bytes.
pub fn compare_texts(a: &[u8], b: &[u8]) -> Ordering {
    if let (Some(x), Some(y)) = (PlainInteger::of(a), PlainInteger::of(b)) {
        return x.compare(&y);
    }
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(x), Some(y)) => x.compare(&y),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// The one text that all spellings of a number share: integer digits, `e`, exponent (`1.50` is `15e-1`).
/// `None` if `text` is no JSON number.
pub fn canonical(text: &[u8]) -> Option<String> {
    let number = Decimal::parse(text)?;
    if number.is_zero() {
        return Some("0e0".to_owned());
    }
    let mut out = String::new();
    if number.negative {
        out.push('-');
    }
    out.extend(number.digits().map(|digit| char::from(b'0' + digit)));
    out.push('e');
    out.push_str(&(number.point.saturating_sub(number.digit_count())).to_string());
    Some(out)
}

/// The `f64` nearest to the number; `None` if the text is no JSON number or beyond the type's range.
pub fn nearest_f64(text: &[u8]) -> Option<f64> {
    let number = Decimal::parse(text)?;
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // ClickHouse tells -0 from 0; DynamoDB does not.
    let value = if number.is_zero() { 0.0 } else { value };
    value.is_finite().then_some(value)
}

/// The `f32` nearest to the number, like [`nearest_f64`].
pub fn nearest_f32(text: &[u8]) -> Option<f32> {
    let number = Decimal::parse(text)?;
    let value: f32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let value = if number.is_zero() { 0.0 } else { value };
    value.is_finite().then_some(value)
}

/// The nearest `f64`, if its shortest text is the number itself: then no other number shares that float.
pub fn survives_f64(text: &[u8]) -> Option<f64> {
    let value = nearest_f64(text)?;
    prints_as(format_args!("{value:e}"), text).then_some(value)
}

/// The nearest `f32`, if its shortest text is the number itself.
pub fn survives_f32(text: &[u8]) -> Option<f32> {
    let value = nearest_f32(text)?;
    prints_as(format_args!("{value:e}"), text).then_some(value)
}

fn prints_as(shortest: fmt::Arguments<'_>, text: &[u8]) -> bool {
    let mut buffer = StackText::default();
    if buffer.write_fmt(shortest).is_err() {
        return false;
    }
    match (Decimal::parse(buffer.as_bytes()), Decimal::parse(text)) {
        (Some(printed), Some(number)) => printed.compare(&number) == Ordering::Equal,
        _ => false,
    }
}

/// Room for the shortest text of a float (`-2.2250738585072014e-308` has 24 characters).
#[derive(Default)]
struct StackText {
    bytes: [u8; 32],
    len: usize,
}

impl StackText {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Write for StackText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
