//! Every knob of the world, with defaults that suit tests. Units are in the names.

/// Settings of a [`crate::World`].
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// Seed of everything random.
    pub seed: u64,
    /// Twelve-digit account id of tables, buckets and root callers.
    pub account: String,
    /// Region of the tables.
    pub region: String,
    /// Time before the first `set_now`, epoch milliseconds.
    pub start_ms: i64,
    /// CreateTable until ACTIVE.
    pub create_table_ms: i64,
    /// UpdateTable until ACTIVE, and stream ENABLING until ENABLED.
    pub update_table_ms: i64,
    /// UpdateContinuousBackups until ENABLED.
    pub pitr_ms: i64,
    /// How long a new table answers ContinuousBackupsUnavailableException.
    pub backups_unavailable_ms: i64,
    /// IAM changes become visible only after this.
    pub iam_delay_ms: i64,
    /// Any access key that is not registered is the account's root.
    pub open_keys: bool,
    /// A role that was not declared can be assumed by everyone and may do everything.
    pub open_roles: bool,
    /// Overrides the life of role sessions.
    pub session_ms: Option<i64>,
    /// Attribute and set order varies in answers, images and exports.
    pub vary_order: bool,
    /// Streams.
    pub stream: StreamConfig,
    /// Exports.
    pub export: ExportConfig,
}

/// Behaviour of streams.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Open shards a new stream starts with.
    pub shards: u32,
    /// Life of an iterator.
    pub iterator_ttl_ms: i64,
    /// Age at which records are trimmed and closed shards vanish.
    pub retention_ms: i64,
    /// How long children of a closed shard stay unlisted.
    pub children_delay_ms: i64,
    /// Every shard is replaced after about this long; `None` switches it off.
    pub auto_rollover_ms: Option<i64>,
    /// Probability that GetRecords answers an empty page although there are records.
    pub empty_page_chance: f64,
    /// At most so many of them directly after each other in front of the same records.
    pub empty_pages_in_a_row: u32,
    /// Probability that GetRecords repeats the page in front of the iterator.
    pub duplicate_chance: f64,
    /// Probability that ApproximateCreationDateTime is up to three seconds early.
    pub backstep_chance: f64,
    /// Probability that the page with the last records of a closed shard already lacks NextShardIterator.
    pub last_page_chance: f64,
    /// DescribeStream 10/s per stream and GetRecords 5/s per shard are enforced.
    pub enforce_rates: bool,
}

/// Behaviour of exports.
#[derive(Debug, Clone)]
pub struct ExportConfig {
    /// IN_PROGRESS until COMPLETED or FAILED.
    pub duration_ms: i64,
    /// Data files with items; `None` is 4, or one per 20,000 items when that is more.
    pub files: Option<u32>,
    /// Further data files without items, alternating between an empty gzip member and zero bytes.
    pub empty_files: u32,
    /// The snapshot of every partition is off by up to this much either way.
    pub fuzz_ms: i64,
    /// The ends of an incremental export's window are off by up to this much, the same time always by the same.
    pub incremental_fuzz_ms: i64,
    /// An explicit ExportTime closer to now than this is refused.
    pub latest_restorable_lag_ms: i64,
    /// gzip level, 1 to 9.
    pub gzip_level: u32,
    /// Every third file is written as several gzip members.
    pub multi_member: bool,
    /// `WriteTimestampMicros` as a bare string instead of `{"N": …}`.
    pub bare_micros: bool,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            start_ms: 1_722_360_292_000,
            create_table_ms: 0,
            update_table_ms: 300,
            pitr_ms: 300,
            backups_unavailable_ms: 0,
            iam_delay_ms: 0,
            open_keys: true,
            open_roles: true,
            session_ms: None,
            vary_order: true,
            stream: StreamConfig::default(),
            export: ExportConfig::default(),
        }
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            shards: 4,
            iterator_ttl_ms: 15 * 60 * 1000,
            retention_ms: 24 * 3600 * 1000,
            children_delay_ms: 0,
            auto_rollover_ms: None,
            empty_page_chance: 0.05,
            empty_pages_in_a_row: 2,
            duplicate_chance: 0.0,
            backstep_chance: 0.0,
            last_page_chance: 0.5,
            enforce_rates: false,
        }
    }
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self {
            duration_ms: 1000,
            files: None,
            empty_files: 2,
            fuzz_ms: 0,
            incremental_fuzz_ms: 0,
            latest_restorable_lag_ms: 0,
            gzip_level: 1,
            multi_member: true,
            bare_micros: false,
        }
    }
}
