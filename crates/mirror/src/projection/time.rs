//! Points in time: ISO-8601 texts and decimal seconds as the integers of DateTime and DateTime64.

use crate::number::Decimal;

/// ClickHouse's DateTime64 runs from 1900 to 2299, whatever its precision.
/// <https://clickhouse.com/docs/sql-reference/data-types/datetime64>
const FIRST_SECOND: i128 = -2_208_988_800;
const LAST_SECOND: i128 = 10_413_791_999;

const BILLION: i128 = 1_000_000_000;

/// A point in time, and how its text was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant {
    /// Nanoseconds since 1970.
    pub(super) nanos: i128,
    /// Digits after the second in the text, if the text was of the one form
    /// `2026-01-02T03:04:05[.digits]Z`: two different texts of that form with equally many digits are two
    /// different times.
    pub(super) strict_digits: Option<u8>,
}

/// Ticks of `10^-precision` seconds, rounded down; `None` outside of what the type can show.
pub(super) fn ticks(nanos: i128, precision: u8) -> Option<i64> {
    let seconds = nanos.div_euclid(BILLION);
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
        return None;
    }
    let divisor = 10_i128.pow(9 - u32::from(precision.min(9)));
    i64::try_from(nanos.div_euclid(divisor)).ok()
}

/// Nanoseconds of decimal seconds, rounded down, and whether nothing was cut off at `precision`.
pub(super) fn nanos_of_seconds(number: &Decimal<'_>, precision: u8) -> Option<(i128, bool)> {
    let nanos = number.scaled_floor(9)?;
    Some((nanos, number.scaled(precision).is_some()))
}

/// Reads `2026-01-02`, `2026-01-02T03:04[:05[.678]]` with `T` or a space and `Z`, an offset or nothing (UTC).
pub(super) fn parse_iso(text: &[u8]) -> Option<Instant> {
    let mut rest = Reader(text);
    let year = rest.digits(4)?;
    rest.byte(b'-')?;
    let month = rest.digits(2)?;
    rest.byte(b'-')?;
    let day = rest.digits(2)?;
    let mut seconds = i128::from(days_since_1970(year, month, day)?) * 86_400;
    let mut strict_digits = None;
    let mut nanos = 0;
    if !rest.0.is_empty() {
        let strict_t = rest.take(|byte| matches!(byte, b'T' | b't' | b' '))? == b'T';
        let hour = rest.digits(2)?;
        rest.byte(b':')?;
        let minute = rest.digits(2)?;
        let second = match rest.byte(b':') {
            Some(()) => Some(rest.digits(2)?),
            None => None,
        };
        if hour > 23 || minute > 59 || second > Some(59) {
            return None;
        }
        let mut digits = 0;
        let mut strict_point = true;
        if second.is_some()
            && let Some(point) = rest.take(|byte| matches!(byte, b'.' | b','))
        {
            strict_point = point == b'.';
            (nanos, digits) = rest.fraction()?;
        }
        seconds += i128::from(hour * 3600 + minute * 60 + second.unwrap_or(0));
        let offset_text = rest.0;
        seconds -= rest.offset()?;
        if strict_t && strict_point && second.is_some() && offset_text == b"Z" {
            strict_digits = u8::try_from(digits).ok();
        }
    }
    let in_range = (FIRST_SECOND..=LAST_SECOND).contains(&seconds);
    (in_range && rest.0.is_empty()).then_some(Instant {
        nanos: seconds * BILLION + nanos,
        strict_digits,
    })
}

/// Days from 1970-01-01 in the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years start in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if !wanted(*first) {
            return None;
        }
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.take(|first| first == byte).map(drop)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let mut value = 0;
        for _ in 0..count {
            value = value * 10 + i64::from(self.take(|byte| byte.is_ascii_digit())? - b'0');
        }
        Some(value)
    }

    /// Nanoseconds and the number of digits; digits beyond the ninth are cut off.
    fn fraction(&mut self) -> Option<(i128, usize)> {
        let mut nanos = 0;
        let mut count = 0;
        while let Some(byte) = self.take(|byte| byte.is_ascii_digit()) {
            if count < 9 {
                nanos = nanos * 10 + i128::from(byte - b'0');
            }
            count += 1;
        }
        let missing = 9_usize.saturating_sub(count);
        (count > 0).then(|| (nanos * 10_i128.pow(missing as u32), count))
    }

    /// Seconds to take away: `Z`, nothing, `+02:00`, `-0530`, `+01`.
    fn offset(&mut self) -> Option<i128> {
        if self.0.is_empty() || self.take(|byte| matches!(byte, b'Z' | b'z')).is_some() {
            return Some(0);
        }
        let sign = self.take(|byte| matches!(byte, b'+' | b'-'))?;
        let hours = self.digits(2)?;
        let colon = self.byte(b':').is_some();
        let minutes = if colon || !self.0.is_empty() {
            self.digits(2)?
        } else {
            0
        };
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = i128::from(hours * 3600 + minutes * 60);
        Some(if sign == b'-' { -seconds } else { seconds })
    }
}
