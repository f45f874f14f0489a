//! Times and other small things as clients expect them.

use axum::http::HeaderMap;
use axum::http::header::{HOST, USER_AGENT};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const ISO: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+00:00");
const SQL: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");

/// `2026-01-01T00:00:00.000+00:00`.
pub(crate) fn iso_time(ms: i64) -> String {
    formatted(ms, ISO)
}

/// `2026-01-01 00:00:00.000000`: clients cut the last seven characters off.
pub(super) fn sql_time(ms: i64) -> String {
    formatted(ms, SQL)
}

fn formatted(ms: i64, format: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&format).ok())
        .unwrap_or_default()
}

/// `https://mirrors.example.com`, as the client wrote it; a proxy may say that it took TLS off.
pub(super) fn base_url(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let host = text(HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// The Python SDK refuses answers with a key that it does not know.
pub(super) fn is_strict_client(headers: &HeaderMap) -> bool {
    headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|agent| agent.starts_with("Python-urllib/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_shape_that_clients_cut() {
        assert_eq!(iso_time(1_767_225_600_123), "2026-01-01T00:00:00.123+00:00");
        assert_eq!(sql_time(1_767_225_600_123), "2026-01-01 00:00:00.123000");
    }
}
