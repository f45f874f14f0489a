//! The three ways AWS writes times.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;

fn at(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2020-11-04T07:28:34.028Z`.
pub fn iso(ms: i64) -> String {
    format!("{}Z", label(ms))
}

/// `2020-11-04T07:28:34.028`, the form of stream labels.
pub fn label(ms: i64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]");
    at(ms).format(format).unwrap_or_default()
}

/// `Wed, 04 Nov 2020 07:28:34 GMT`.
pub fn http_date(ms: i64) -> String {
    at(ms)
        .format(&Rfc2822)
        .unwrap_or_default()
        .replace("+0000", "GMT")
}

/// Epoch seconds with milliseconds, as the JSON protocols carry times.
pub fn seconds(ms: i64) -> serde_json::Number {
    let text = format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    text.parse()
        .unwrap_or_else(|_| serde_json::Number::from(ms / 1000))
}

/// Whole epoch seconds with an exponent, `1.722360292E9`, as stream records carry them.
pub fn exponent(seconds: i64) -> String {
    let digits = seconds.to_string();
    if seconds < 10 {
        return format!("{digits}.0");
    }
    let (first, rest) = digits.split_at(1);
    let rest = rest.trim_end_matches('0');
    let rest = if rest.is_empty() { "0" } else { rest };
    format!("{first}.{rest}E{}", digits.len() - 1)
}
