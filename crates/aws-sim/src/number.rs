//! DynamoDB's decimal numbers: 38 significant digits, magnitudes 1E-130 to 9.99E+125, printed without an exponent.

use std::cmp::Ordering;

const MAX_DIGITS: usize = 38;
const MAX_POINT: i32 = 126;
const MIN_POINT: i32 = -129;

/// A decimal equal to `0.d1d2d3… × 10^point`. Zero has no digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Values 0 to 9, neither the first nor the last being 0.
    digits: Vec<u8>,
    point: i32,
}

/// Why a text is not a DynamoDB number; `Display` is AWS's sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberError {
    /// Not a number at all.
    Invalid(String),
    /// More than 38 significant digits.
    Precision,
    /// Magnitude above 9.99E+125.
    Overflow,
    /// Magnitude below 1E-130.
    Underflow,
}

impl std::fmt::Display for NumberError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(text) if text.is_empty() => {
                f.write_str("The parameter cannot be converted to a numeric value")
            }
            Self::Invalid(text) => {
                write!(f, "The parameter cannot be converted to a numeric value: {text}")
            }
            Self::Precision => {
                f.write_str("Attempting to store more than 38 significant digits in a Number")
            }
            Self::Overflow => f.write_str(
                "Number overflow. Attempting to store a number with magnitude larger than supported range",
            ),
            Self::Underflow => f.write_str(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range",
            ),
        }
    }
}

impl std::error::Error for NumberError {}

impl Decimal {
    /// Reads any spelling AWS accepts (`+5`, `007`, `1e3`, `.5`).
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let invalid = || NumberError::Invalid(text.to_owned());
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut digits = Vec::with_capacity(rest.len());
        let mut point: Option<i32> = None;
        let mut exponent = 0i32;
        let mut at = 0;
        while at < rest.len() {
            match rest[at] {
                byte @ b'0'..=b'9' => digits.push(byte - b'0'),
                b'.' if point.is_none() => point = Some(digits.len() as i32),
                b'e' | b'E' => {
                    let tail = std::str::from_utf8(&rest[at + 1..]).map_err(|_| invalid())?;
                    exponent = tail.parse().map_err(|_| invalid())?;
                    break;
                }
                _ => return Err(invalid()),
            }
            at += 1;
        }
        if digits.is_empty() {
            return Err(invalid());
        }
        let point = point
            .unwrap_or(digits.len() as i32)
            .saturating_add(exponent);
        let number = Self {
            negative,
            digits,
            point,
        }
        .trimmed();
        number.check()?;
        Ok(number)
    }

    fn trimmed(mut self) -> Self {
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..leading);
        self.point = self.point.saturating_sub(leading as i32);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.negative = false;
            self.point = 0;
        }
        self
    }

    fn check(&self) -> Result<(), NumberError> {
        if self.digits.is_empty() {
            return Ok(());
        }
        if self.digits.len() > MAX_DIGITS {
            return Err(NumberError::Precision);
        }
        if self.point > MAX_POINT {
            return Err(NumberError::Overflow);
        }
        if self.point < MIN_POINT {
            return Err(NumberError::Underflow);
        }
        Ok(())
    }

    /// Prints as AWS does: no exponent, no superfluous zeros, no plus sign, zero is `0`.
    pub fn render(&self) -> String {
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        let mut out = String::with_capacity(self.digits.len() + 8);
        if self.negative {
            out.push('-');
        }
        if self.point <= 0 {
            out.push_str("0.");
            for _ in self.point..0 {
                out.push('0');
            }
        }
        for (at, digit) in self.digits.iter().enumerate() {
            if at > 0 && at as i32 == self.point {
                out.push('.');
            }
            out.push(char::from(b'0' + digit));
        }
        for _ in self.digits.len() as i32..self.point {
            out.push('0');
        }
        out
    }

    /// Bytes whose lexical order is the numeric order; used inside sort keys.
    pub fn sortable(&self) -> Vec<u8> {
        if self.digits.is_empty() {
            return vec![1];
        }
        let mut out = Vec::with_capacity(self.digits.len() + 4);
        out.extend_from_slice(&((self.point + 1000) as u16).to_be_bytes());
        out.extend(self.digits.iter().map(|digit| digit + 1));
        out.push(0);
        if self.negative {
            for byte in &mut out {
                *byte = !*byte;
            }
        }
        out.insert(0, if self.negative { 0 } else { 2 });
        out
    }

    /// `self + other`, rounded to 38 digits.
    pub fn add(&self, other: &Self) -> Result<Self, NumberError> {
        if other.digits.is_empty() {
            return Ok(self.clone());
        }
        if self.digits.is_empty() {
            return Ok(other.clone());
        }
        let low =
            (self.point - self.digits.len() as i32).min(other.point - other.digits.len() as i32);
        let high = self.point.max(other.point) + 1;
        let left = self.aligned(low, high);
        let right = other.aligned(low, high);
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, plus(&left, &right))
        } else if left >= right {
            (self.negative, minus(&left, &right))
        } else {
            (other.negative, minus(&right, &left))
        };
        let mut sum = Self {
            negative,
            digits,
            point: high,
        }
        .trimmed();
        if sum.digits.len() > MAX_DIGITS {
            let up = sum.digits[MAX_DIGITS] >= 5;
            sum.digits.truncate(MAX_DIGITS);
            if up {
                sum.digits.insert(0, 0);
                sum.point += 1;
                let mut one = vec![0; sum.digits.len()];
                one[MAX_DIGITS] = 1;
                sum.digits = plus(&sum.digits, &one);
            }
            sum = sum.trimmed();
        }
        sum.check()?;
        Ok(sum)
    }

    /// The opposite number.
    pub fn negated(&self) -> Self {
        Self {
            negative: !self.negative && !self.digits.is_empty(),
            digits: self.digits.clone(),
            point: self.point,
        }
    }

    fn aligned(&self, low: i32, high: i32) -> Vec<u8> {
        let mut out = vec![0; (high - low) as usize];
        let start = (high - self.point) as usize;
        out[start..start + self.digits.len()].copy_from_slice(&self.digits);
        out
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sortable().cmp(&other.sortable())
    }
}

/// Normalises a number text as AWS stores it.
pub fn normalise(text: &str) -> Result<String, NumberError> {
    let bytes = text.as_bytes();
    let plain = !bytes.is_empty()
        && bytes.len() <= 18
        && bytes.iter().all(u8::is_ascii_digit)
        && (bytes[0] != b'0' || bytes.len() == 1);
    if plain {
        return Ok(text.to_owned());
    }
    Decimal::parse(text).map(|number| number.render())
}

fn plus(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut out = vec![0; left.len()];
    let mut carry = 0;
    for at in (0..left.len()).rev() {
        let sum = left[at] + right[at] + carry;
        out[at] = sum % 10;
        carry = sum / 10;
    }
    out
}

fn minus(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut out = vec![0; left.len()];
    let mut borrow = 0;
    for at in (0..left.len()).rev() {
        let mut value = left[at] as i8 - right[at] as i8 - borrow;
        borrow = 0;
        if value < 0 {
            value += 10;
            borrow = 1;
        }
        out[at] = value as u8;
    }
    out
}
