//! Sequence numbers of a stream: decimal integers of up to 40 digits, too long for `u128`.

use std::cmp::Ordering;
use std::fmt;

/// A position in a shard lineage, ordered as the integer it is ("99" < "100").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber(String);

impl SequenceNumber {
    /// Takes AWS's text. Leading zeros are kept for AWS but do not count when comparing.
    /// Returns `None` unless the text is 1 to 64 ASCII digits.
    pub fn parse(text: &str) -> Option<Self> {
        let valid =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        valid.then(|| Self(text.to_owned()))
    }

    /// The text as AWS wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digits(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.digits(), other.digits());
        // Texts that differ in leading zeros only are the same position but must not be `Equal` to `Ord`
        // while `!=` to `Eq`; the full text breaks that tie.
        a.len()
            .cmp(&b.len())
            .then_with(|| a.cmp(b))
            .then_with(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
