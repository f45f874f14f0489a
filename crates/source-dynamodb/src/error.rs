//! Errors of the SDK, told apart by what the worker does about them.
//!
//! An SDK error can hold a whole response, and with it items. Only code, message, status and request id leave
//! this module; the SDK's own error is dropped here.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use mirror::error::{Error, ErrorKind};

use crate::credentials;

/// AWS's sentences are short; anything longer is a page of HTML from something in between.
const MAX_MESSAGE_BYTES: usize = 1000;

/// What an error quotes of a file or an answer whose author may be hostile, characters.
const MAX_QUOTED_CHARS: usize = 300;

/// What a call was about: the same code means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A table, its backups, its stream settings.
    Table,
    /// A stream or one of its shards.
    Stream,
    /// An export.
    Export,
    /// A bucket or an object in it.
    Object,
    /// A role session.
    Role,
}

/// The cause of an error as text that is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(String);

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Code, message, HTTP status and request id of a service's answer, or the chain of causes of a call that got none.
    pub(crate) fn from_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let mut text = match error {
            SdkError::ServiceError(service) => {
                let code = service
                    .err()
                    .code()
                    .unwrap_or("an answer that names no error");
                match service.err().message() {
                    Some(message) => format!("{}: {}", quoted(code), shortened(message)),
                    None => quoted(code).into_owned(),
                }
            }
            other => chain_text(other),
        };
        if let Some(response) = error.raw_response() {
            let headers = response.headers();
            let id = headers
                .get("x-amzn-requestid")
                .or_else(|| headers.get("x-amz-request-id"));
            text.push_str(&format!(" (HTTP {}", response.status().as_u16()));
            if let Some(id) = id {
                text.push_str(&format!(", request id {}", shortened(id)));
            }
            text.push(')');
        }
        Self(text)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Fault {}

/// The beginning of a text that somebody else wrote, with an ellipsis if that is not all of it.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

pub(crate) fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// All causes in one line, repetitions left out, as long as a message may be.
pub(crate) fn chain_text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text.truncate(shortened(&text).len());
    text
}

/// Turns a failed call into an error of the port; `context` says what was being done, and to what.
pub(crate) fn from_sdk<E>(
    subject: Subject,
    context: String,
    error: &SdkError<E, HttpResponse>,
) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(session) = session_failure(error) {
        return Error::with_source(session.kind.clone(), context, Fault::new(session.report()));
    }
    let kind = match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            service_kind(
                subject,
                code,
                service.err().message().unwrap_or_default(),
                status,
            )
        }
        SdkError::ConstructionFailure(_) => ErrorKind::Permanent,
        SdkError::ResponseError(response) if response.raw().status().as_u16() == 429 => {
            ErrorKind::Throttled
        }
        // A lost connection, a timeout, or an answer that no service wrote (an HTML page of a proxy).
        _ => ErrorKind::Unavailable,
    };
    Error::with_source(kind, context, Fault::from_sdk(error))
}

/// A role session that could not be had hides in the causes of whatever call needed it.
fn session_failure<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let cause = credentials::credentials_error(error)?;
    cause.source()?.downcast_ref::<Error>()
}

/// Whether a new role session may cure the failure.
pub(crate) fn is_expired_session<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default();
    credentials::names_bad_keys(code) || code == "InvalidToken"
}

/// What a service's answer means for the worker.
pub(crate) fn service_kind(subject: Subject, code: &str, message: &str, status: u16) -> ErrorKind {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "LimitExceededException"
        | "SlowDown" => ErrorKind::Throttled,
        "ExpiredIteratorException" => ErrorKind::IteratorExpired,
        "TrimmedDataAccessException" => ErrorKind::TrimmedData,
        "TableNotFoundException" => ErrorKind::TableNotFound,
        "ResourceNotFoundException" => match subject {
            Subject::Stream => ErrorKind::ShardNotFound,
            Subject::Table | Subject::Export => ErrorKind::TableNotFound,
            Subject::Object | Subject::Role => ErrorKind::Permanent,
        },
        // AWS's other spelling of a shard that is gone.
        "ValidationException"
            if subject == Subject::Stream
                && message.contains("Invalid ShardId in ShardIterator") =>
        {
            ErrorKind::ShardNotFound
        }
        "PointInTimeRecoveryUnavailableException" | "ContinuousBackupsUnavailableException" => {
            ErrorKind::PitrUnavailable
        }
        "ExportConflictException" => ErrorKind::ExportConflict,
        "InvalidExportTimeException" => ErrorKind::ExportTime,
        "NoSuchBucket" | "PermanentRedirect" => ErrorKind::Bucket,
        // A precondition is only ever the etag of an object that is being resumed.
        "NoSuchKey" | "PreconditionFailed" | "InvalidRange" => ErrorKind::Corrupt,
        "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "Forbidden" => {
            ErrorKind::AccessDenied
        }
        "ResourceInUseException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "InternalError" => ErrorKind::Unavailable,
        code if credentials::names_bad_keys(code) || code == "InvalidToken" => {
            ErrorKind::Unavailable
        }
        _ => match status {
            429 => ErrorKind::Throttled,
            // A success that cannot be read was written by something in between.
            200..300 | 500.. => ErrorKind::Unavailable,
            403 if subject == Subject::Object => ErrorKind::AccessDenied,
            _ => ErrorKind::Permanent,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_what_the_worker_does_about_them() {
        use ErrorKind as K;
        use Subject as S;
        let cases = [
            (S::Stream, "LimitExceededException", 400, K::Throttled),
            (S::Stream, "ThrottlingException", 400, K::Throttled),
            (
                S::Stream,
                "ProvisionedThroughputExceededException",
                400,
                K::Throttled,
            ),
            (S::Object, "SlowDown", 503, K::Throttled),
            (S::Table, "SomethingNew", 429, K::Throttled),
            (
                S::Stream,
                "ExpiredIteratorException",
                400,
                K::IteratorExpired,
            ),
            (S::Stream, "TrimmedDataAccessException", 400, K::TrimmedData),
            (
                S::Stream,
                "ResourceNotFoundException",
                400,
                K::ShardNotFound,
            ),
            (S::Table, "ResourceNotFoundException", 400, K::TableNotFound),
            (S::Table, "TableNotFoundException", 400, K::TableNotFound),
            (S::Export, "TableNotFoundException", 400, K::TableNotFound),
            (S::Export, "ExportNotFoundException", 400, K::Permanent),
            (S::Export, "ExportConflictException", 400, K::ExportConflict),
            (
                S::Export,
                "PointInTimeRecoveryUnavailableException",
                400,
                K::PitrUnavailable,
            ),
            (
                S::Table,
                "ContinuousBackupsUnavailableException",
                400,
                K::PitrUnavailable,
            ),
            (S::Export, "InvalidExportTimeException", 400, K::ExportTime),
            (S::Table, "ResourceInUseException", 400, K::Unavailable),
            (S::Object, "NoSuchBucket", 404, K::Bucket),
            (S::Object, "PreconditionFailed", 412, K::Corrupt),
            (S::Object, "AccessDenied", 403, K::AccessDenied),
            (S::Object, "", 403, K::AccessDenied),
            (S::Table, "AccessDeniedException", 400, K::AccessDenied),
            (S::Table, "ExpiredTokenException", 400, K::Unavailable),
            (S::Table, "InternalServerError", 500, K::Unavailable),
            (S::Table, "", 502, K::Unavailable),
            (S::Table, "ValidationException", 400, K::Permanent),
        ];
        for (subject, code, status, kind) in cases {
            assert_eq!(
                service_kind(subject, code, "", status),
                kind,
                "{subject:?} {code} {status}"
            );
        }
    }

    #[test]
    fn a_shard_that_is_gone_has_two_spellings() {
        let text = "Invalid ShardId in ShardIterator";
        assert_eq!(
            service_kind(Subject::Stream, "ValidationException", text, 400),
            ErrorKind::ShardNotFound
        );
        assert_eq!(
            service_kind(Subject::Table, "ValidationException", text, 400),
            ErrorKind::Permanent
        );
    }

    #[test]
    fn a_page_of_html_is_cut_at_a_character() {
        assert_eq!(shortened(&"é".repeat(900)).len(), MAX_MESSAGE_BYTES);
        assert_eq!(shortened("short"), "short");
    }
}
