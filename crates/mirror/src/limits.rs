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

/// Column data that all loads of a process hold at once, bytes, however many mirrors load and however many cores
/// there are: what is left of 150 MB beside the program itself, its clients and its database.
pub const LOAD_MEMORY_BYTES: usize = 40 * 1024 * 1024;

/// A file that is being loaded has one batch that grows and one that is being inserted.
pub const BATCHES_PER_FILE: usize = 2;

/// A batch of a backfill is cut at this many bytes of column data at the latest. Batches of 6 to 24 MB are inserted at
/// the same pace; each becomes a part that has to be merged, so larger ones are better for large tables.
pub const BACKFILL_BATCH_BYTES: usize = 10 * 1024 * 1024;

/// Smaller batches are not made for the sake of more files at a time: too many parts.
pub const SMALLEST_BACKFILL_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// ... or at this many rows.
pub const BACKFILL_BATCH_ROWS: usize = 50_000;

/// A batch of stream records is cut at this many rows.
pub const STREAM_BATCH_ROWS: usize = 20_000;

/// ... or at this many bytes.
pub const STREAM_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// How loads share [`LOAD_MEMORY_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadShape {
    /// Files converted at a time, over all mirrors.
    pub files: usize,
    /// A batch is cut at this many bytes.
    pub batch_bytes: usize,
}

impl LoadShape {
    /// The shape for `wanted` files at a time: batches shrink first, then files have to wait.
    pub fn new(wanted: usize) -> Self {
        let most = LOAD_MEMORY_BYTES / (BATCHES_PER_FILE * SMALLEST_BACKFILL_BATCH_BYTES);
        let files = wanted.clamp(1, most);
        let share = LOAD_MEMORY_BYTES / (BATCHES_PER_FILE * files);
        Self {
            files,
            batch_bytes: share.min(BACKFILL_BATCH_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_stay_within_their_memory() {
        for wanted in [0, 1, 2, 3, 4, 6, 7, 64, 1000] {
            let LoadShape { files, batch_bytes } = LoadShape::new(wanted);
            assert!(files * BATCHES_PER_FILE * batch_bytes <= LOAD_MEMORY_BYTES);
            assert!(files >= 1 && files <= wanted.max(1), "{wanted}");
            assert!(
                (SMALLEST_BACKFILL_BATCH_BYTES..=BACKFILL_BATCH_BYTES).contains(&batch_bytes),
                "{wanted}"
            );
        }
        assert_eq!(LoadShape::new(2).batch_bytes, BACKFILL_BATCH_BYTES);
    }
}
