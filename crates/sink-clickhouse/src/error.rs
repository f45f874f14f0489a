//! What went wrong with a call, and which kind of failure that is for the callers of the ports.

use std::fmt;

use mirror::error::{Error, ErrorKind};

/// Exception codes of ClickHouse that pass by waiting: the same statement may succeed later.
/// Names as in ClickHouse's `ErrorCodes.cpp`.
const PASSING: &[u32] = &[
    159, // TIMEOUT_EXCEEDED
    160, // TOO_SLOW
    173, // CANNOT_ALLOCATE_MEMORY
    198, // DNS_ERROR
    201, // QUOTA_EXCEEDED
    202, // TOO_MANY_SIMULTANEOUS_QUERIES
    203, // NO_FREE_CONNECTION
    209, // SOCKET_TIMEOUT
    210, // NETWORK_ERROR
    225, // NO_ZOOKEEPER
    236, // ABORTED
    241, // MEMORY_LIMIT_EXCEEDED
    242, // TABLE_IS_READ_ONLY
    252, // TOO_MANY_PARTS
    279, // ALL_CONNECTION_TRIES_FAILED
    285, // TOO_FEW_LIVE_REPLICAS
    286, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
    319, // UNKNOWN_STATUS_OF_INSERT
    394, // QUERY_WAS_CANCELLED
    439, // CANNOT_SCHEDULE_TASK
    473, // DEADLOCK_AVOIDED
    499, // S3_ERROR
    722, // ASYNC_LOAD_WAIT_FAILED
    735, // QUERY_WAS_CANCELLED_BY_CLIENT
    745, // SERVER_OVERLOADED
    999, // KEEPER_EXCEPTION
];

/// NOT_ENOUGH_SPACE.
const NOT_ENOUGH_SPACE: u32 = 243;

/// Codes whose texts speak of tables and limits, never of the values in the rows.
const SAFE_TEXTS: &[u32] = &[
    16,  // NO_SUCH_COLUMN_IN_TABLE
    60,  // UNKNOWN_TABLE
    81,  // UNKNOWN_DATABASE
    164, // READONLY
    202, // TOO_MANY_SIMULTANEOUS_QUERIES
    241, // MEMORY_LIMIT_EXCEEDED
    242, // TABLE_IS_READ_ONLY
    243, // NOT_ENOUGH_SPACE
    252, // TOO_MANY_PARTS
    497, // ACCESS_DENIED
    516, // AUTHENTICATION_FAILED
];

/// Why a call to ClickHouse failed, before anybody says what it was for.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The engine is not running now.
    Down(String),
    /// No answer: refused, reset, timed out.
    Transport(reqwest::Error),
    /// ClickHouse's exception.
    Exception {
        /// Its code, 0 if it gave none.
        code: u32,
        /// Its text without code and version.
        text: String,
    },
    /// An HTTP answer that is no exception of ClickHouse, from a proxy for instance.
    Status(u16),
    /// The answer is longer than allowed, in bytes.
    TooLong(u64),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(reason) => write!(f, "the ClickHouse engine is not running: {reason}"),
            Self::Transport(error) if error.is_connect() => {
                f.write_str("ClickHouse cannot be reached; is it running, and is the URL right?")
            }
            Self::Transport(error) if error.is_timeout() => {
                f.write_str("ClickHouse did not answer in time")
            }
            Self::Transport(_) => f.write_str("the connection to ClickHouse broke"),
            Self::Exception { code, text } => write!(f, "ClickHouse says {text} (code {code})"),
            Self::Status(status) => write!(f, "ClickHouse answered with HTTP status {status}"),
            Self::TooLong(limit) => write!(f, "the result is longer than {limit} bytes"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            _ => None,
        }
    }
}

impl CallError {
    /// The exception's code, if ClickHouse gave one.
    pub(crate) fn code(&self) -> Option<u32> {
        match self {
            Self::Exception { code, .. } => Some(*code),
            _ => None,
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Down(_) | Self::Transport(_) => ErrorKind::Unavailable,
            Self::Exception { code, text } => kind_of(*code, text),
            Self::Status(408 | 425 | 429 | 500..=599) => ErrorKind::Unavailable,
            Self::Status(_) | Self::TooLong(_) => ErrorKind::Rejected { code: 0 },
        }
    }

    /// The error of a statement of ours.
    pub(crate) fn of(self, context: impl Into<String>) -> Error {
        Error::with_source(self.kind(), context, self)
    }

    /// The error of an insert. Texts that may quote values of the rows are left out.
    pub(crate) fn of_insert(self, context: impl Into<String>) -> Error {
        let kind = self.kind();
        let shown = match self {
            Self::Exception { code, text } if !SAFE_TEXTS.contains(&code) => Self::Exception {
                code,
                text: name_of(&text).to_owned(),
            },
            other => other,
        };
        Error::with_source(kind, context, shown)
    }

    /// The error of a user's query: the context is what the user may see.
    pub(crate) fn of_user_query(self) -> Error {
        match self {
            // TOO_MANY_SIMULTANEOUS_QUERIES is nobody's fault in particular.
            Self::Exception { code: 202, text } => Error::new(ErrorKind::Unavailable, text),
            Self::Exception { code, text } => Error::new(ErrorKind::Rejected { code }, text),
            // TOO_MANY_ROWS_OR_BYTES is what ClickHouse itself would say.
            Self::TooLong(limit) => Error::new(
                ErrorKind::Rejected { code: 396 },
                format!("Limit for result exceeded, max bytes: {limit} (TOO_MANY_ROWS_OR_BYTES)"),
            ),
            other => other.of("run the query"),
        }
    }
}

fn kind_of(code: u32, text: &str) -> ErrorKind {
    let disk_full = code == NOT_ENOUGH_SPACE
        || text.contains("No space left on device")
        || text.contains("errno: 28");
    if disk_full {
        ErrorKind::DiskFull
    } else if PASSING.contains(&code) {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Rejected { code }
    }
}

/// Takes "Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE) (version 26.7.2.1 (official
/// build))" apart: code, and text without code, class and version.
pub(crate) fn exception(header_code: Option<u32>, body: &str) -> CallError {
    let body = body.trim();
    let start = body.find("Code: ").unwrap_or(0);
    let body = &body[start..];
    let written = body
        .strip_prefix("Code: ")
        .and_then(|rest| rest.split_once('.'));
    let (code, text) = match written {
        Some((code, text)) => (code.trim().parse().ok(), text.trim_start()),
        None => (None, body),
    };
    let text = text
        .strip_prefix("DB::Exception:")
        .unwrap_or(text)
        .trim_start();
    let text = match text.rfind(" (version ") {
        Some(end) => text[..end].trim_end(),
        None => text,
    };
    CallError::Exception {
        code: header_code.or(code).unwrap_or(0),
        text: text.to_owned(),
    }
}

/// `UNKNOWN_TABLE` of "... (UNKNOWN_TABLE)"; a fixed text if the exception has no name.
fn name_of(text: &str) -> &str {
    let name = text
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('))
        .map(|(_, name)| name);
    match name {
        Some(name)
            if name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') =>
        {
            name
        }
        _ => "it cannot take the rows",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_lose_code_class_and_version() {
        let CallError::Exception { code, text } = exception(
            None,
            "Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE) (version 26.7.2.1 (official build))\n",
        ) else {
            unreachable!()
        };
        assert_eq!(code, 60);
        assert_eq!(text, "Table a.b does not exist. (UNKNOWN_TABLE)");
    }

    #[test]
    fn kinds_say_what_to_do() {
        assert_eq!(kind_of(241, ""), ErrorKind::Unavailable);
        assert_eq!(kind_of(252, ""), ErrorKind::Unavailable);
        assert_eq!(kind_of(243, ""), ErrorKind::DiskFull);
        assert_eq!(
            kind_of(75, "errno: 28, strerror: No space left on device"),
            ErrorKind::DiskFull
        );
        assert_eq!(kind_of(60, ""), ErrorKind::Rejected { code: 60 });
        assert_eq!(kind_of(516, ""), ErrorKind::Rejected { code: 516 });
        assert_eq!(CallError::Status(503).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn an_insert_error_does_not_quote_values() {
        let error = exception(
            None,
            "Code: 469. DB::Exception: Constraint c is violated. Column values: pk = 'secret' (VIOLATED_CONSTRAINT) (version 1)",
        );
        let report = error.of_insert("insert 1 row into a.b").report();
        assert!(!report.contains("secret"), "{report}");
        assert!(report.contains("VIOLATED_CONSTRAINT"), "{report}");
    }
}
