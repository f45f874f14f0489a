//! The one envelope that a line of an export file and a record of a stream both become.

use std::ops::Range;

use crate::sequence_number::SequenceNumber;

/// What happened to the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The item as a point-in-time export saw it.
    Export,
    /// A new item.
    Insert,
    /// An item replaced or updated.
    Modify,
    /// An item deleted, by a person, a program or its time to live.
    Remove,
}

impl EventKind {
    /// The text of `$.eventName`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Export => "EXPORT",
            Self::Insert => "INSERT",
            Self::Modify => "MODIFY",
            Self::Remove => "REMOVE",
        }
    }
}

/// One change, borrowed from the page or block it was read in.
///
/// `keys`, `new_image` and `old_image` are DynamoDB JSON objects (`{"pk":{"S":"a"}}`) exactly as AWS
/// wrote them; [`crate::projection`] turns them into columns without building a tree of values.
#[derive(Clone, Copy, Debug)]
pub struct ChangeRecord<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The key attributes; for an export the whole item, which contains them.
    pub keys: &'a [u8],
    /// The item after the change; absent for REMOVE.
    pub new_image: Option<&'a [u8]>,
    /// The item before the change, if the stream carries it.
    pub old_image: Option<&'a [u8]>,
    /// Version of the row in milliseconds since 1970; see [`crate::checkpoint`] for the clock behind it.
    pub version_ms: i64,
    /// `eventID` of the stream record; empty for an export.
    pub event_id: &'a str,
    /// Sequence number of the stream record; empty for an export.
    pub sequence_number: &'a str,
    /// AWS region of the table.
    pub aws_region: &'a str,
    /// `userIdentity` of the record: type and principal. Set when a time to live deleted the item.
    pub user_identity: Option<(&'a str, &'a str)>,
}

/// One stream record, its images being ranges of [`StreamPage::buffer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    /// What happened; never [`EventKind::Export`].
    pub kind: EventKind,
    /// `Keys` as DynamoDB JSON.
    pub keys: Range<usize>,
    /// `NewImage` as DynamoDB JSON.
    pub new_image: Option<Range<usize>>,
    /// `OldImage` as DynamoDB JSON.
    pub old_image: Option<Range<usize>>,
    /// AWS's id of the record.
    pub event_id: String,
    /// Position inside the shard lineage.
    pub sequence_number: SequenceNumber,
    /// `ApproximateCreationDateTime`, milliseconds since 1970. AWS sends whole seconds.
    pub creation_ms: i64,
    /// `userIdentity`: type and principal.
    pub user_identity: Option<(String, String)>,
}

/// One answer of GetRecords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPage {
    /// The bytes that the records' ranges point into.
    pub buffer: Vec<u8>,
    /// Records in stream order; an empty page is normal and says nothing about the end.
    pub records: Vec<StreamRecord>,
    /// Where to go on; `None` is the one and only sign that a closed shard is finished.
    pub next_iterator: Option<String>,
}

impl StreamPage {
    /// Borrows record `index` as a change with the version its lineage's clock gave it.
    pub fn change<'a>(
        &'a self,
        index: usize,
        version_ms: i64,
        aws_region: &'a str,
    ) -> ChangeRecord<'a> {
        let record = &self.records[index];
        let bytes = |range: &Range<usize>| &self.buffer[range.clone()];
        ChangeRecord {
            kind: record.kind,
            keys: bytes(&record.keys),
            new_image: record.new_image.as_ref().map(bytes),
            old_image: record.old_image.as_ref().map(bytes),
            version_ms,
            event_id: &record.event_id,
            sequence_number: record.sequence_number.as_str(),
            aws_region,
            user_identity: record
                .user_identity
                .as_ref()
                .map(|(kind, principal)| (kind.as_str(), principal.as_str())),
        }
    }
}
