//! What DynamoDB says about a table.

/// Type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// String.
    S,
    /// Number, up to 38 digits.
    N,
    /// Binary.
    B,
}

/// One attribute of the primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Attribute name.
    pub name: String,
    /// Its type.
    pub key_type: KeyType,
}

/// `StreamViewType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamViewType {
    /// Only the keys: not enough for a mirror.
    KeysOnly,
    /// The item after the change.
    NewImage,
    /// The item before the change: not enough for a mirror.
    OldImage,
    /// Both.
    NewAndOldImages,
}

/// The stream of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// `LatestStreamArn`; changes when the stream is switched off and on.
    pub arn: String,
    /// What each record carries.
    pub view_type: StreamViewType,
}

/// DescribeTable and DescribeContinuousBackups together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// Table ARN.
    pub arn: String,
    /// Table name.
    pub name: String,
    /// Changes when the table is deleted and created again under the same name.
    pub table_id: String,
    /// `ACTIVE`, `UPDATING`, `CREATING`, ...
    pub status: String,
    /// Partition key first, then the sort key if there is one.
    pub keys: Vec<KeyAttribute>,
    /// `TableSizeBytes`; AWS refreshes it about every six hours and says 0 for a young table.
    pub size_bytes: u64,
    /// `ItemCount`, as stale as the size.
    pub item_count: u64,
    /// Provisioned write capacity units, or the cap of an on-demand table; `None` if uncapped.
    pub write_capacity_units: Option<u64>,
    /// The enabled stream, `None` when streams are off (a `LatestStreamArn` of a disabled stream is not reported).
    pub stream: Option<StreamInfo>,
    /// Whether point-in-time recovery is on.
    pub pitr_enabled: bool,
    /// The earliest time that point-in-time recovery covers, milliseconds, if it says so.
    pub restorable_from_ms: Option<i64>,
}
