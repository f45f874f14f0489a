//! Why bytes are not DynamoDB JSON.

use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranscodeErrorKind {
    /// The input ends in the middle.
    Truncated,
    /// A character that JSON, or DynamoDB's use of it, does not allow there.
    Unexpected,
    /// Something follows after the end of the item.
    TrailingBytes,
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// A `\` sequence that JSON does not know.
    BadEscape,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// A control character that is not escaped.
    ControlCharacter,
    /// A type descriptor that is none of S, N, B, BOOL, NULL, M, L, SS, NS, BS.
    UnknownDescriptor,
    /// A value without a type descriptor.
    MissingDescriptor,
    /// A value with more than one type descriptor.
    SeveralDescriptors,
    /// The same attribute name twice in one map.
    DuplicateName,
    /// Nested deeper than [`crate::limits::MAX_DEPTH`].
    TooDeep,
    /// A binary value that is not padded standard base64.
    BadBase64,
    /// More than 1 GiB in one item.
    TooLong,
    /// A line of an export file without its `Item`, or without `Keys` and the time of the write.
    MissingItem,
}

/// A record that is not DynamoDB JSON: what is wrong, and where. Never holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranscodeError {
    /// What is wrong.
    pub kind: TranscodeErrorKind,
    /// The byte of the input it was noticed at.
    pub at: usize,
}

impl TranscodeError {
    #[cold]
    pub(super) fn new(kind: TranscodeErrorKind, at: usize) -> Self {
        Self { kind, at }
    }

    /// The same error in an input with `bytes` more bytes in front.
    pub(super) fn behind(self, bytes: usize) -> Self {
        Self {
            kind: self.kind,
            at: self.at + bytes,
        }
    }
}

impl fmt::Display for TranscodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use TranscodeErrorKind as Kind;
        let what = match self.kind {
            Kind::Truncated => "the record ends too early",
            Kind::Unexpected => "unexpected character",
            Kind::TrailingBytes => "more bytes after the end of the item",
            Kind::InvalidUtf8 => "invalid UTF-8",
            Kind::BadEscape => "invalid escape sequence",
            Kind::LoneSurrogate => "half of a surrogate pair",
            Kind::ControlCharacter => "control character that is not escaped",
            Kind::UnknownDescriptor => "unknown type descriptor",
            Kind::MissingDescriptor => "value without a type descriptor",
            Kind::SeveralDescriptors => "value with more than one type descriptor",
            Kind::DuplicateName => "attribute name that occurs twice",
            Kind::TooDeep => "value nested too deeply",
            Kind::BadBase64 => "binary value that is not base64",
            Kind::TooLong => "item longer than 1 GiB",
            Kind::MissingItem => "export line without an Item",
        };
        write!(f, "{what} at byte {}", self.at)
    }
}

impl std::error::Error for TranscodeError {}
