//! What can go wrong at a port, as kinds that change what the worker does next.

use std::error::Error as StdError;
use std::fmt;

/// What to do about a failure. A new kind must change what somebody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The service asks us to slow down: wait and try again, for ever.
    Throttled,
    /// Network, 5xx, timeouts, ClickHouse restarting: wait and try again, for ever.
    Unavailable,
    /// AssumeRole was refused (HTTP 403). AWS does not say which part of the set-up is wrong.
    RoleRefused,
    /// There are no AWS credentials to start from.
    CredentialsMissing,
    /// The role may not do this call. Kept with action and resource where AWS names them.
    AccessDenied,
    /// The table does not exist.
    TableNotFound,
    /// The bucket does not exist or belongs to another region.
    Bucket,
    /// Point-in-time recovery is off, or not ready yet.
    PitrUnavailable,
    /// The iterator is too old: take a new one from the last position.
    IteratorExpired,
    /// The position is older than what the stream still holds.
    TrimmedData,
    /// The shard or the stream is no longer there.
    ShardNotFound,
    /// AWS gave the export up; code and message as AWS gave them.
    ExportFailed {
        /// `FailureCode` of DescribeExport.
        code: String,
    },
    /// The same client token was used with other parameters.
    ExportConflict,
    /// The window of an incremental export is not inside the time that point-in-time recovery covers.
    ExportTime,
    /// Bytes that are not what the manifest or the protocol promised: MD5, counts, gzip, JSON.
    Corrupt,
    /// No space left where the rows go.
    DiskFull,
    /// ClickHouse refuses the query itself; `code` is its exception code.
    Rejected {
        /// ClickHouse's exception code, 0 if it gave none.
        code: u32,
    },
    /// Anything else that will not pass by waiting.
    Permanent,
}

impl ErrorKind {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::Unavailable | Self::PitrUnavailable | Self::DiskFull
        )
    }
}

/// A failure at a port: kind, what was being done, and the cause.
///
/// Displays as a lowercase fragment that fits after "failed to"; [`Error::report`] adds the chain of
/// causes. Never holds an item's values or a credential.
#[derive(Debug)]
pub struct Error {
    /// What to do about it.
    pub kind: ErrorKind,
    /// What was being done, and to what: "describe table orders".
    pub context: String,
    /// The cause.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause below it.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// An error with its cause.
    pub fn with_source(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            context: context.into(),
            source: Some(source.into()),
        }
    }

    /// The whole chain in one line: "context: cause: cause".
    pub fn report(&self) -> String {
        let mut text = self.context.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let part = error.to_string();
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|error| error as &(dyn StdError + 'static))
    }
}

/// Result of a port call.
pub type Result<T> = std::result::Result<T, Error>;
