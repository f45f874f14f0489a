//! The port to DynamoDB, its streams and its exports.
//!
//! An implementation reads and translates. It keeps no progress, and retries only what stays inside one
//! call (the SDK's own few attempts); waiting, order and checkpoints belong to the worker.

use std::sync::Arc;

use async_trait::async_trait;

use crate::access::Tried;
use crate::change::StreamPage;
use crate::error::Result;
use crate::sequence_number::SequenceNumber;
use crate::table::{StreamViewType, TableDescription};

/// What it takes to reach one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// Role to assume.
    pub role_arn: String,
    /// External id the role's trust policy must name.
    pub external_id: String,
    /// Region of the table and of the role session.
    pub region: String,
    /// Table to mirror.
    pub table_arn: String,
    /// Bucket that exports are written to.
    pub export_bucket: String,
}

/// Who we are before any role is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// Account number.
    pub account: String,
    /// ARN of user or role session.
    pub arn: String,
}

/// Makes sources; one per process.
#[async_trait]
pub trait Sources: Send + Sync {
    /// Assumes the role at once and fails with [`crate::error::ErrorKind::RoleRefused`] if AWS says no,
    /// so that a wrong role is never mistaken for a network fault. The session refreshes by itself.
    async fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>>;

    /// The identity of the process's own credentials; `CredentialsMissing` without any.
    async fn caller_identity(&self) -> Result<CallerIdentity>;
}

/// One shard as DescribeStream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// `shardId-<epoch ms>-<hex>`.
    pub id: String,
    /// The shard it continues; may name one that is no longer listed.
    pub parent: Option<String>,
    /// First sequence number.
    pub starting: Option<SequenceNumber>,
    /// Last sequence number; `None` while the shard is open.
    pub ending: Option<SequenceNumber>,
}

/// A whole DescribeStream, every page of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// `ENABLED`, `DISABLED`, ...
    pub status: String,
    /// View type.
    pub view_type: StreamViewType,
    /// All shards of all pages.
    pub shards: Vec<Shard>,
}

/// Where to start reading a shard. There is no LATEST: it loses whatever came before the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardPosition {
    /// The oldest record the stream still holds.
    TrimHorizon,
    /// The first record after this one.
    After(SequenceNumber),
}

/// A span of time whose changes an incremental export holds. Whole seconds, 15 minutes to 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportWindow {
    /// Its first moment, milliseconds since 1970.
    pub from_ms: i64,
    /// The first moment after it, milliseconds since 1970.
    pub to_ms: i64,
}

/// A request for an export. The same values always give the same export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRequest {
    /// Idempotency token, derived from mirror and attempt.
    pub client_token: String,
    /// Prefix in the bucket.
    pub s3_prefix: String,
    /// The changes of a span of time, both images; `None` is every item as of now.
    pub window: Option<ExportWindow>,
}

/// State of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportStatus {
    /// AWS is writing files; nothing may be read yet.
    InProgress,
    /// All files are there.
    Completed,
    /// AWS gave up.
    Failed {
        /// `FailureCode`.
        code: String,
        /// `FailureMessage`.
        message: String,
    },
}

/// DescribeExport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportDescription {
    /// ARN of the export.
    pub arn: String,
    /// Its state.
    pub status: ExportStatus,
    /// The point in time that was exported, milliseconds; AWS's choice, not our clock.
    pub export_time_ms: Option<i64>,
    /// Key of manifest-summary.json, once completed.
    pub manifest_key: Option<String>,
    /// Items, once completed.
    pub item_count: Option<u64>,
    /// Billed size, once completed.
    pub billed_bytes: Option<u64>,
}

/// One data file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Key in the bucket as the manifest gives it.
    pub key: String,
    /// Lines that the file must have.
    pub item_count: u64,
    /// Base64 of the MD5 of the compressed object.
    pub md5: String,
}

/// The manifest of a completed export, both files verified against their MD5 objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportManifest {
    /// The point in time that was exported, milliseconds; the end of the window of an incremental export.
    pub export_time_ms: i64,
    /// Sum of the files' item counts, as the summary claims it.
    pub item_count: u64,
    /// Data files in manifest order.
    pub files: Vec<ExportFile>,
}

/// Lines of one data file, already checked against its MD5. Blocking: read it off the async threads.
pub trait ExportFileReader: Send {
    /// Compressed size of the object in bytes.
    fn compressed_bytes(&self) -> u64;

    /// Clears `block` and fills it with whole lines (newline included, except perhaps the last one of the
    /// file) until it holds at least `target_bytes` or the file ends. Returns false at the end, with
    /// `block` empty. A truncated or broken gzip is `Corrupt`.
    fn next_lines(&mut self, block: &mut Vec<u8>, target_bytes: usize) -> Result<bool>;
}

/// Where in the table a consistent Scan goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRequest {
    /// Which of `total_segments` equal parts of the key space, from 0.
    pub segment: u32,
    /// 1 to 1,000,000.
    pub total_segments: u32,
    /// Items to look at, at most.
    pub limit: u32,
    /// The key to go on after, as DynamoDB JSON.
    pub after: Option<Vec<u8>>,
}

/// One answer of a Scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Items as DynamoDB JSON objects.
    pub items: Vec<Vec<u8>>,
    /// The key to go on after; `None` at the end of the segment.
    pub next: Option<Vec<u8>>,
}

/// One table.
#[async_trait]
pub trait Source: Send + Sync {
    /// How far AWS's clock is ahead of this machine's, milliseconds; negative if it is behind. From the `Date` of
    /// the latest answer, and never more than the truth, so that this machine's time plus this is never later
    /// than AWS's. 0 before the first answer.
    fn clock_ahead_ms(&self) -> i64;

    /// DescribeTable and DescribeContinuousBackups.
    async fn describe_table(&self) -> Result<TableDescription>;

    /// Switches point-in-time recovery on; returns once the call is accepted. Poll [`Source::describe_table`].
    async fn enable_pitr(&self) -> Result<()>;

    /// Switches the stream on with NEW_AND_OLD_IMAGES; accepted is not enabled. Success if it already is on.
    async fn enable_stream(&self) -> Result<()>;

    /// Checks that the export bucket exists and can be reached. `Bucket` if it is missing.
    async fn check_bucket(&self) -> Result<()>;

    /// All pages of DescribeStream.
    async fn describe_stream(&self, stream_arn: &str) -> Result<StreamDescription>;

    /// A fresh iterator.
    async fn shard_iterator(
        &self,
        stream_arn: &str,
        shard_id: &str,
        position: &ShardPosition,
    ) -> Result<String>;

    /// One page.
    async fn get_records(&self, iterator: &str) -> Result<StreamPage>;

    /// Asks for an export; the same request again answers with the same export. `ExportTime` if
    /// point-in-time recovery does not reach back to the window.
    async fn start_export(&self, request: &ExportRequest) -> Result<ExportDescription>;

    /// State of an export.
    async fn describe_export(&self, export_arn: &str) -> Result<ExportDescription>;

    /// Reads and verifies both manifests of a completed export.
    async fn read_manifest(&self, export: &ExportDescription) -> Result<ExportManifest>;

    /// Downloads one data file, verifies its MD5, and opens it.
    async fn open_file(&self, file: &ExportFile) -> Result<Box<dyn ExportFileReader>>;

    /// Consistent reads of single items by key (DynamoDB JSON objects), answers in the same order; `None` where
    /// there is no such item. `AccessDenied` if the role may not BatchGetItem, which the page's policy leaves out.
    async fn read_items(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>>;

    /// One page of a consistent Scan.
    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage>;

    /// Tries every action that the role needs, and those that AWS's guide adds, without changing anything. What
    /// cannot be tried so is said to be untried.
    async fn try_access(&self) -> Vec<Tried>;
}
