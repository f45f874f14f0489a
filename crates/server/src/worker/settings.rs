//! The numbers a worker obeys; tests and operators may change them.

use mirror::checks::TableLimits;

/// Settings of all workers of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSettings {
    /// Limits on tables.
    pub table_limits: TableLimits,
    /// Files of one export loaded at a time; as many as there are cores is best.
    pub load_parallelism: usize,
    /// Milliseconds between two DescribeExport calls.
    pub export_poll_ms: u64,
    /// Milliseconds between two DescribeStream rounds when nothing else asks for one.
    pub discovery_ms: u64,
    /// Shortest pause between two GetRecords of one shard, milliseconds: AWS allows five calls a second.
    pub poll_min_ms: u64,
    /// Longest pause between two GetRecords of an idle shard, milliseconds, whatever that costs.
    pub poll_idle_max_ms: u64,
    /// GetRecords calls an hour that one mirror may spend on shards that have no records, all of them together; each
    /// costs, and 10,000 an hour are about a dollar a month.
    pub idle_calls_per_hour: u64,
    /// Shortest time between two inserts of changes into one table, milliseconds; the first change after a quiet
    /// time waits for nothing.
    pub linger_ms: u64,
    /// Pause before a new export is asked for after AWS gave one up, milliseconds; doubles up to 6 hours.
    pub export_retry_ms: u64,
    /// Pages of stream records in memory at once, over all shards of a mirror.
    pub pages_in_flight: usize,
    /// First pause after a failure, milliseconds; doubles up to `retry_max_ms`.
    pub retry_min_ms: u64,
    /// Longest pause after a failure, milliseconds.
    pub retry_max_ms: u64,
    /// How long switching on PITR or a stream may take, milliseconds.
    pub enable_timeout_ms: u64,
}

impl WorkerSettings {
    /// A mirror that reads records younger than this is live, milliseconds: four looks at an idle shard, and a minute.
    pub(crate) fn live_within_ms(&self) -> i64 {
        60_000 + 4 * i64::try_from(self.poll_idle_max_ms).unwrap_or(0)
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            table_limits: TableLimits::default(),
            load_parallelism: 2,
            export_poll_ms: 10_000,
            discovery_ms: 30_000,
            poll_min_ms: 200,
            poll_idle_max_ms: 30_000,
            idle_calls_per_hour: 10_000,
            linger_ms: 100,
            export_retry_ms: 5 * 60 * 1000,
            pages_in_flight: 16,
            retry_min_ms: 200,
            retry_max_ms: 30_000,
            enable_timeout_ms: 300_000,
        }
    }
}
