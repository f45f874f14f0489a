//! Every number the domain obeys, with its reason.

/// EXPORT rows carry AWS's export time minus this, milliseconds. AWS's cut-off may be a minute off and stream
/// times are rounded down to a second; five minutes is what the field uses.
pub const EXPORT_MARGIN_MS: i64 = 5 * 60 * 1000;

/// After we switched a stream on, the export is asked for this much later, milliseconds, so that every change
/// after the export's fuzzy minute is surely in the stream.
pub const EXPORT_AFTER_STREAM_ENABLED_MS: i64 = 2 * 60 * 1000;

/// DynamoDB items nest 32 levels deep; the outermost map is one more.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
pub const MAX_DEPTH: usize = 40;

/// Records leave a stream after 24 hours, milliseconds.
pub const STREAM_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// A mirror is stalled when something that had to happen is overdue by this much, milliseconds: noticed within a
/// minute, the longest usual pause between two reads included.
pub const STALLED_AFTER_MS: i64 = 50 * 1000;

/// A finished shard's mark is kept this long, milliseconds: DescribeStream lists it for a day, and a forgotten
/// mark would replay the lineage.
pub const FINISHED_SHARD_KEPT_MS: i64 = 48 * 60 * 60 * 1000;

/// Default limit on table size, bytes (500 GB).
pub const MAX_TABLE_BYTES: u64 = 500 * 1000 * 1000 * 1000;

/// Default limit on write capacity, units.
pub const MAX_WRITE_CAPACITY_UNITS: u64 = 250;

/// A batch of a backfill is cut at this many bytes of column data: blocks of 12 to 30 MB insert fastest.
pub const BACKFILL_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// ... or at this many rows.
pub const BACKFILL_BATCH_ROWS: usize = 50_000;

/// A batch of stream records is cut at this many rows.
pub const STREAM_BATCH_ROWS: usize = 20_000;

/// ... or at this many bytes.
pub const STREAM_BATCH_BYTES: usize = 16 * 1024 * 1024;
