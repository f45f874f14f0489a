//! Times, slowly: a calendar that counts days one year after the other.

/// DateTime64's first and last second: 1900-01-01 and 2299-12-31.
const FIRST_SECOND: i128 = -2_208_988_800;
const LAST_SECOND: i128 = 10_413_791_999;

/// Ticks of `10^-precision` seconds, rounded down; `None` outside of DateTime64's years.
pub(crate) fn ticks(nanos: i128, precision: u8) -> Option<i128> {
    let seconds = nanos.div_euclid(1_000_000_000);
    let shown = (FIRST_SECOND..=LAST_SECOND).contains(&seconds);
    shown.then(|| nanos.div_euclid(10_i128.pow(u32::from(9 - precision))))
}

/// Reads `2026-01-02[T03:04[:05[.678]]][Z|+01:00|+0100|+01]`: nanoseconds since 1970, and the digits after the second
/// if the text is of the one strict form `2026-01-02T03:04:05[.678]Z`.
pub(crate) fn iso_nanos(text: &str) -> Option<(i128, Option<usize>)> {
    if !text.is_ascii() {
        return None;
    }
    let [year, month, day] = numbers(text.get(..10)?, '-', &[4, 2, 2])?.try_into().ok()?;
    let mut seconds = days(year, month, day)? * 86_400;
    let mut nanos = 0;
    let mut strict = None;
    let rest = &text[10..];
    if let Some(separator) = rest.chars().next() {
        if !['T', 't', ' '].contains(&separator) {
            return None;
        }
        let rest = &rest[1..];
        let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, offset) = rest.split_at(end);
        let (clock, fraction) = match clock.find(['.', ',']) {
            Some(at) => (&clock[..at], Some(&clock[at..])),
            None => (clock, None),
        };
        let parts = numbers(clock, ':', &[2, 2, 2]).or_else(|| numbers(clock, ':', &[2, 2]))?;
        let second = parts.get(2).copied();
        if parts[0] > 23 || parts[1] > 59 || second > Some(59) {
            return None;
        }
        seconds += parts[0] * 3600 + parts[1] * 60 + second.unwrap_or(0) - offset_seconds(offset)?;
        let mut digits = 0;
        if let Some(fraction) = fraction {
            let written = &fraction[1..];
            second?;
            if written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            digits = written.len();
            nanos = format!("{written:0<9}")[..9].parse::<i128>().ok()?;
        }
        let point = fraction.is_none_or(|fraction| fraction.starts_with('.'));
        if separator == 'T' && second.is_some() && point && offset == "Z" && digits < 256 {
            strict = Some(digits);
        }
    }
    let shown = (FIRST_SECOND..=LAST_SECOND).contains(&seconds);
    shown.then_some((seconds * 1_000_000_000 + nanos, strict))
}

/// Numbers of exactly these widths between separators.
fn numbers(text: &str, separator: char, widths: &[usize]) -> Option<Vec<i128>> {
    let parts: Vec<&str> = text.split(separator).collect();
    if parts.len() != widths.len() {
        return None;
    }
    let mut found = Vec::new();
    for (part, width) in parts.into_iter().zip(widths) {
        if part.len() != *width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        found.push(part.parse().ok()?);
    }
    Some(found)
}

fn offset_seconds(text: &str) -> Option<i128> {
    if ["", "Z", "z"].contains(&text) {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let text = &text[1..];
    let parts = numbers(text, ':', &[2, 2])
        .or_else(|| numbers(text, ':', &[2]))
        .or_else(|| {
            let joined = numbers(text, ':', &[4])?[0];
            Some(vec![joined / 100, joined % 100])
        })?;
    let minutes = parts.get(1).copied().unwrap_or(0);
    (parts[0] <= 23 && minutes <= 59).then(|| sign * (parts[0] * 3600 + minutes * 60))
}

fn days(year: i128, month: i128, day: i128) -> Option<i128> {
    let leap = |year: i128| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [
        31,
        if leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    if !(1..=*lengths.get(month)?).contains(&day) {
        return None;
    }
    let year_days = |year| if leap(year) { 366 } else { 365 };
    let years: i128 = if year >= 1970 {
        (1970..year).map(year_days).sum()
    } else {
        -(year..1970).map(year_days).sum::<i128>()
    };
    Some(years + lengths[..month].iter().sum::<i128>() + day - 1)
}
