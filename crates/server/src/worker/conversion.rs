//! Lines of a file into blocks of rows, on a blocking thread, while the block before is inserted.
//!
//! A file has two blocks, which go back and forth between the thread and whoever inserts. So a load holds so much
//! memory and no more.

use std::sync::Arc;
use std::time::Duration;

use mirror::error::{Error, ErrorKind, Result};
use mirror::heal::Healing;
use mirror::limits::{BACKFILL_BATCH_ROWS, BATCHES_PER_FILE};
use mirror::projection::Projection;
use mirror::sink::QuarantinedRecord;
use mirror::source::ExportFileReader;
use mirror::transcode;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;

use super::MirrorSpec;
use super::block::Block;
use super::load_slots::Slot;

/// Bytes of lines taken from a file at a time: what was unzipped is still in the processor's cache when it is read.
const LINES_BYTES: usize = 256 * 1024;

/// What the lines of an export are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lines {
    /// Items of a full export, all of one version.
    Items { version_ms: i64 },
    /// Last states of items in a window of a healing.
    Changes {
        /// `H` of [`mirror::heal`].
        highest_ms: i64,
        /// The window.
        window: usize,
    },
}

impl Lines {
    /// The version of a line whose own version cannot be told, milliseconds.
    fn lowest_version_ms(self) -> i64 {
        match self {
            Self::Items { version_ms } => version_ms,
            Self::Changes { highest_ms, window } => {
                Healing::version_ms(highest_ms, window, i64::MIN / 2)
            }
        }
    }
}

/// A file that was converted to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Converted {
    /// Lines of the file.
    pub(crate) lines: u64,
    /// Processor time of unzipping.
    pub(crate) unzip: Duration,
    /// Processor time of making rows.
    pub(crate) convert: Duration,
}

/// A file that is being converted. Dropped, it stops at the next block.
pub(crate) struct Blocks {
    ready: mpsc::Receiver<Block>,
    used: mpsc::Sender<Block>,
    converting: JoinHandle<Result<Converted>>,
    key: String,
    slot: Slot,
}

impl Blocks {
    /// Converts the file `key` to rows of the table of `spec`.
    pub(crate) fn start(
        spec: &Arc<MirrorSpec>,
        key: &str,
        kind: Lines,
        reader: Box<dyn ExportFileReader>,
        slot: Slot,
    ) -> Self {
        let (blocks, ready) = mpsc::channel(1);
        let (used, spare) = mpsc::channel(BATCHES_PER_FILE);
        let conversion = Conversion {
            projection: Projection::new(&spec.plan),
            block: slot.spare_blocks.take(spec),
            unused: BATCHES_PER_FILE - 1,
            spec: Arc::clone(spec),
            key: key.to_owned(),
            kind,
            slot: slot.clone(),
            blocks,
            spare,
            sums: Converted::default(),
        };
        let converting = tokio::task::spawn_blocking(move || conversion.run(reader));
        Self {
            ready,
            used,
            converting,
            key: key.to_owned(),
            slot,
        }
    }

    /// The next block; `None` at the end, whose reason [`Self::end`] tells.
    pub(crate) async fn next(&mut self) -> Option<Block> {
        self.ready.recv().await
    }

    /// Takes back a block that was inserted, to be filled again.
    pub(crate) fn give_back(&self, mut block: Block) {
        block.clear();
        if let Err(TrySendError::Full(block) | TrySendError::Closed(block)) =
            self.used.try_send(block)
        {
            self.slot.spare_blocks.put(block);
        }
    }

    /// How it went, once there are no more blocks.
    pub(crate) async fn end(self) -> Result<Converted> {
        drop(self.ready);
        self.converting.await.map_err(|error| {
            let context = format!("convert {}", self.key);
            Error::with_source(ErrorKind::Unavailable, context, error)
        })?
    }
}

struct Conversion {
    spec: Arc<MirrorSpec>,
    projection: Projection,
    key: String,
    kind: Lines,
    slot: Slot,
    block: Block,
    /// Blocks that were not made yet.
    unused: usize,
    blocks: mpsc::Sender<Block>,
    spare: mpsc::Receiver<Block>,
    sums: Converted,
}

impl Conversion {
    /// Stops early, without an error, when nobody takes blocks any more.
    fn run(mut self, mut reader: Box<dyn ExportFileReader>) -> Result<Converted> {
        let mut lines = Vec::with_capacity(LINES_BYTES + LINES_BYTES / 4);
        let mut began = thread_time();
        while reader.next_lines(&mut lines, LINES_BYTES)? {
            let unzipped = thread_time();
            self.sums.unzip += unzipped.saturating_sub(began);
            for line in transcode::Lines::new(&lines).iter() {
                self.take(line);
            }
            began = thread_time();
            self.sums.convert += began.saturating_sub(unzipped);
            if self.is_full() && !self.hand_over() {
                return Ok(self.sums);
            }
        }
        let _ = self.blocks.blocking_send(self.block);
        // From here on blocks that come back are kept by whoever gives them.
        self.spare.close();
        while let Ok(block) = self.spare.try_recv() {
            self.slot.spare_blocks.put(block);
        }
        Ok(self.sums)
    }

    fn is_full(&self) -> bool {
        self.block.rows.rows >= BACKFILL_BATCH_ROWS || self.block.bytes() >= self.slot.batch_bytes
    }

    /// Passes the full block on and goes on with another one, as soon as there is one. False if nobody wants more.
    fn hand_over(&mut self) -> bool {
        let full = std::mem::replace(&mut self.block, Block::new(&self.spec));
        if self.blocks.blocking_send(full).is_err() {
            return false;
        }
        let next = if self.unused > 0 {
            self.unused -= 1;
            Some(self.slot.spare_blocks.take(&self.spec))
        } else {
            self.spare.blocking_recv()
        };
        let wanted = next.is_some();
        if let Some(next) = next {
            self.block = next;
        }
        wanted
    }

    fn take(&mut self, line: transcode::Line<'_>) {
        self.sums.lines += 1;
        let region = &self.spec.source.region;
        let (projection, rows) = (&mut self.projection, &mut self.block.rows);
        let mut own_version_ms = self.kind.lowest_version_ms();
        let projected = match self.kind {
            Lines::Items { version_ms } => {
                projection.project_export_line(line, version_ms, region, rows)
            }
            Lines::Changes { highest_ms, window } => {
                let version = |at_ms| {
                    own_version_ms = Healing::version_ms(highest_ms, window, at_ms);
                    own_version_ms
                };
                projection.project_incremental_line(line.bytes(), version, region, rows)
            }
        };
        if let Err(error) = projected {
            let line = line.bytes();
            self.block.quarantined_bytes += line.len();
            self.block.quarantined.push(QuarantinedRecord {
                origin: self.key.clone(),
                position: self.sums.lines.to_string(),
                column: error.column,
                reason: error.reason,
                raw_record: line.to_vec(),
                version_ms: own_version_ms,
            });
        }
    }
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::process::Command;

    use mirror::column_type::ColumnType;
    use mirror::limits::LOAD_MEMORY_BYTES;
    use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
    use mirror::source::SourceSpec;
    use peak_alloc::PeakAlloc;

    use super::super::load_slots::LoadSlots;
    use super::*;

    /// Counts what the program asks for: what an allocator keeps besides depends on its mood.
    #[global_allocator]
    static HEAP: PeakAlloc = PeakAlloc;

    const PROBE: &str = "DYNAMIRROR_TEST_MEMORY_PROBE";
    const FILES: usize = 48;
    const FILE_BYTES: usize = 10 << 20;
    const BIG_ITEM_BYTES: usize = 400_000;

    fn spec() -> MirrorSpec {
        let column = |name: &str, declared: &str, path| PlanColumn {
            name: name.to_owned(),
            declared_type: declared.to_owned(),
            column_type: ColumnType::parse(declared).unwrap(),
            path,
            default: None,
            codec: None,
            is_key: false,
        };
        let plan = MirrorPlan {
            database: "ws_1".to_owned(),
            table: "items".to_owned(),
            columns: vec![
                column("pk", "String", RecordPath::Item(vec!["pk".to_owned()])),
                column("_record", "String", RecordPath::NewImage(Vec::new())),
                column("_timestamp", "DateTime64(3)", RecordPath::Version),
                column("_is_deleted", "UInt8", RecordPath::IsDeleted),
            ],
            sorting_key: "pk".to_owned(),
            sorting_columns: vec![0],
            version_column: "_timestamp".to_owned(),
            is_deleted_column: "_is_deleted".to_owned(),
            partition_key: None,
            primary_key: None,
            sampling_key: None,
            ttl: None,
            settings: None,
            indexes: Vec::new(),
            keys: Vec::new(),
        };
        MirrorSpec {
            id: "m".to_owned(),
            name: "main/items".to_owned(),
            source: SourceSpec {
                role_arn: String::new(),
                external_id: String::new(),
                region: "us-east-1".to_owned(),
                table_arn: String::new(),
                export_bucket: String::new(),
            },
            s3_prefix: String::new(),
            plan,
            next_plan: None,
        }
    }

    /// Lines made as they are read; every hundredth item is as big as DynamoDB allows, and every line of a `broken`
    /// file goes to quarantine.
    struct Endless {
        broken: bool,
        lines: usize,
        bytes: usize,
    }

    impl ExportFileReader for Endless {
        fn compressed_bytes(&self) -> u64 {
            0
        }

        fn next_lines(&mut self, block: &mut Vec<u8>, target_bytes: usize) -> Result<bool> {
            block.clear();
            while block.len() < target_bytes && self.bytes < FILE_BYTES {
                let before = block.len();
                self.lines += 1;
                let big = self.lines.is_multiple_of(100);
                let text = "x".repeat(if big { BIG_ITEM_BYTES } else { 600 });
                let end = if self.broken { "" } else { "}" };
                let number = self.lines;
                let line = format!(
                    "{{\"Item\":{{\"pk\":{{\"S\":\"{number}\"}},\"text\":{{\"S\":\"{text}\"}}}}{end}\n"
                );
                block.extend_from_slice(line.as_bytes());
                self.bytes += block.len() - before;
            }
            Ok(!block.is_empty())
        }
    }

    async fn load(spec: &Arc<MirrorSpec>, slots: &LoadSlots, broken: bool) -> u64 {
        let slot = slots.slot().await;
        let reader = Box::new(Endless {
            broken,
            lines: 0,
            bytes: 0,
        });
        let lines = Lines::Items { version_ms: 1 };
        let mut blocks = Blocks::start(spec, "f", lines, reader, slot);
        let (mut rows, mut quarantined) = (0, 0);
        while let Some(block) = blocks.next().await {
            rows += block.rows.rows;
            quarantined += block.quarantined.len();
            blocks.give_back(block);
        }
        let converted = blocks.end().await.unwrap();
        assert_eq!(rows + quarantined, converted.lines as usize);
        assert_eq!(if broken { rows } else { quarantined }, 0);
        converted.lines
    }

    #[tokio::test]
    async fn blocks_serve_one_file_after_the_other_and_are_freed_after_the_last() {
        let (one, other) = (Arc::new(spec()), Arc::new(spec()));
        let slots = LoadSlots::new(2);
        let unfinished = slots.slot().await;
        for spec in [&one, &one, &other] {
            load(spec, &slots, false).await;
            assert_eq!(slots.spare_blocks.count(), BATCHES_PER_FILE);
        }
        drop(unfinished);
        assert_eq!(slots.spare_blocks.count(), 0);
    }

    /// Runs in a child, whose memory is its own; as a test of its own it has nothing to do.
    #[tokio::test]
    async fn probe_many_loads() {
        if std::env::var(PROBE).is_err() {
            return;
        }
        let spec = Arc::new(spec());
        let slots = LoadSlots::new(FILES);
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        let loads = (0..FILES).map(|file| load(&spec, &slots, file % 4 == 3));
        let lines: u64 = futures::future::join_all(loads).await.iter().sum();
        assert!(lines > 100_000, "{lines}");
        let grown = HEAP.peak_usage().saturating_sub(before);
        // A vector that grew has room for up to twice what is in it, and besides the batches there are a file's lines.
        assert!(grown < 3 * LOAD_MEMORY_BYTES, "grew by {grown} bytes");
    }

    #[test]
    fn many_loads_at_once_hold_no_more_than_their_share() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "worker::conversion::tests::probe_many_loads",
            "--nocapture",
        ]);
        let output = command.env(PROBE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("1 passed"), "{told}{errors}");
    }
}
