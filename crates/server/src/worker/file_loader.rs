//! Loads the data files of an export, several at a time, each from download to durable rows.
//!
//! Per file three stages overlap: the source downloads and verifies, a blocking thread unzips and turns lines
//! into column blocks, and this task inserts them. A block is handed over only when the one before is taken,
//! so memory is bounded by a few blocks per file, whatever the size of the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::{FuturesUnordered, StreamExt};
use mirror::batch::Batch;
use mirror::checkpoint::{ExportProgress, FileCheckpoint};
use mirror::error::{Error, ErrorKind, Result};
use mirror::heal::Healing;
use mirror::limits::{BACKFILL_BATCH_BYTES, BACKFILL_BATCH_ROWS};
use mirror::projection::Projection;
use mirror::sink::{QuarantinedRecord, RowOrder};
use mirror::source::{ExportFile, ExportFileReader, Source};
use mirror::store::ExportPart;
use tokio::sync::{Mutex, mpsc};
use tracing::{info, warn};

use super::MirrorSpec;
use super::board::Topic;
use super::retry::Retry;

/// A file whose bytes are wrong is downloaded this often before the export is given up: the fault may have
/// been on the way.
pub(crate) const CORRUPT_TRIES: u32 = 3;

/// Bytes of lines taken from a file at a time.
const LINES_BYTES: usize = 1 << 20;

/// Merges wait during a load for at most this many inserts; then they have to keep the number of parts down.
const INSERTS_WITHOUT_MERGES: u64 = 300;

/// What all files of one load share.
#[derive(Clone)]
pub(crate) struct LoadContext {
    pub(crate) retry: Retry,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) part: ExportPart,
    pub(crate) lines: Lines,
}

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

/// A block of rows and the records that could not become one.
pub(crate) struct Block {
    pub(crate) rows: Batch,
    pub(crate) quarantined: Vec<QuarantinedRecord>,
}

/// Loads `files`; returns the progress with all of them counted in.
pub(crate) async fn load_files(
    context: LoadContext,
    files: Vec<ExportFile>,
    progress: ExportProgress,
) -> Option<Result<ExportProgress>> {
    let inserts = Arc::new(AtomicU64::new(0));
    let progress = Arc::new(Mutex::new(progress));
    let parallelism = context.retry.settings.load_parallelism.max(1);
    hold_merges(&context, true).await;
    let mut waiting = files.into_iter();
    let mut running = FuturesUnordered::new();
    let outcome = loop {
        while running.len() < parallelism {
            let Some(file) = waiting.next() else { break };
            let (context, progress, inserts) =
                (context.clone(), Arc::clone(&progress), Arc::clone(&inserts));
            running
                .push(async move { load_until_done(&context, &file, &progress, &inserts).await });
        }
        match running.next().await {
            None => break Some(Ok(())),
            Some(Some(Ok(()))) => {}
            Some(other) => break other,
        }
    };
    drop(running);
    hold_merges(&context, false).await;
    match outcome? {
        Ok(()) => Some(Ok(progress.lock().await.clone())),
        Err(error) => Some(Err(error)),
    }
}

/// Advice to ClickHouse: whether it is taken changes speed only.
async fn hold_merges(context: &LoadContext, hold: bool) {
    if let Err(error) = context
        .retry
        .ports
        .sink
        .hold_merges(&context.spec.plan, hold)
        .await
    {
        warn!(mirror = %context.retry.mirror, error = %error.report(), hold, "could not hold or release merges");
    }
}

/// Loads one file; tries again for ever, but for bytes that stay wrong.
async fn load_until_done(
    context: &LoadContext,
    file: &ExportFile,
    progress: &Mutex<ExportProgress>,
    inserts: &AtomicU64,
) -> Option<Result<()>> {
    let mut backoff = context.retry.backoff(&file.key);
    let mut corrupt_left = CORRUPT_TRIES;
    loop {
        if context.retry.cancel.is_cancelled() {
            return None;
        }
        let error = match load(context, file, inserts).await? {
            Ok(loaded) => return commit(context, loaded, progress).await.map(Ok),
            Err(error) => error,
        };
        if error.kind == ErrorKind::Corrupt {
            corrupt_left -= 1;
            if corrupt_left == 0 {
                return Some(Err(error));
            }
        }
        warn!(mirror = %context.retry.mirror, file = %file.key, error = %error.report(), "could not load a file, trying again");
        context
            .retry
            .board
            .problem(Topic::Export, &error, context.retry.ports.clock.now_ms());
        let slow = !error.kind.passes() && error.kind != ErrorKind::Corrupt;
        let pause = if slow {
            backoff.slowest_ms()
        } else {
            backoff.next_ms()
        };
        context.retry.pause(pause).await?;
    }
}

/// The file's rows are durable: remembers that, and the sums, together.
async fn commit(
    context: &LoadContext,
    file: FileCheckpoint,
    progress: &Mutex<ExportProgress>,
) -> Option<()> {
    let retry = &context.retry;
    let mut progress = progress.lock().await;
    let mut next = progress.clone();
    next.files_loaded += 1;
    next.items_loaded += file.items;
    next.bytes_loaded += file.bytes;
    let (store, mirror) = (&retry.ports.store, &retry.mirror);
    retry
        .until_done(Topic::Progress, "store a loaded file", || {
            store.commit_file(mirror, context.part, &file, &next)
        })
        .await?;
    info!(mirror = %retry.mirror, file = %file.key, rows = file.items, bytes = file.bytes, "file loaded");
    retry.board.solved(Topic::Export);
    retry.board.add_quarantined(file.quarantined);
    retry.board.export(context.part, &next);
    *progress = next;
    Some(())
}

async fn load(
    context: &LoadContext,
    file: &ExportFile,
    inserts: &AtomicU64,
) -> Option<Result<FileCheckpoint>> {
    let reader = match context.source.open_file(file).await {
        Ok(reader) => reader,
        Err(error) => return Some(Err(error)),
    };
    let bytes = reader.compressed_bytes();
    context.retry.board.file_opened(bytes);
    context
        .retry
        .board
        .export_moves(context.part, context.retry.ports.clock.now_ms(), 0);
    let (blocks, mut ready) = mpsc::channel::<Block>(1);
    let conversion = Conversion::new(&context.spec, &file.key, context.lines);
    let converting = tokio::task::spawn_blocking(move || conversion.run(reader, &blocks));
    let mut quarantined = 0;
    while let Some(block) = ready.recv().await {
        quarantined += block.quarantined.len() as u64;
        insert(context, &block, inserts).await?;
    }
    let items = match converting.await {
        Ok(Ok(items)) => items,
        Ok(Err(error)) => return Some(Err(error)),
        Err(error) => {
            return Some(Err(Error::with_source(
                ErrorKind::Unavailable,
                format!("convert {}", file.key),
                error,
            )));
        }
    };
    if items != file.item_count {
        let text = format!(
            "load {}: {items} lines in the file, {} promised by the manifest",
            file.key, file.item_count
        );
        return Some(Err(Error::new(ErrorKind::Corrupt, text)));
    }
    Some(Ok(FileCheckpoint {
        key: file.key.clone(),
        items,
        bytes,
        quarantined,
    }))
}

async fn insert(context: &LoadContext, block: &Block, inserts: &AtomicU64) -> Option<()> {
    let (retry, plan) = (&context.retry, &context.spec.plan);
    let sink = &retry.ports.sink;
    if !block.quarantined.is_empty() {
        warn!(mirror = %retry.mirror, rows = block.quarantined.len(), "items could not be converted and go to quarantine");
        retry
            .until_done(Topic::ClickHouse, "write to the quarantine", || {
                sink.quarantine(plan, &block.quarantined)
            })
            .await?;
    }
    // Keys are unique in an export, so the order of its rows is free.
    retry
        .until_done(Topic::ClickHouse, "insert items", || {
            sink.insert(plan, &block.rows, RowOrder::Free)
        })
        .await?;
    let now_ms = retry.ports.clock.now_ms();
    retry.board.inserted(now_ms);
    retry.board.export_moves(context.part, now_ms, 0);
    if inserts.fetch_add(1, Ordering::Relaxed) + 1 == INSERTS_WITHOUT_MERGES {
        hold_merges(context, false).await;
    }
    Some(())
}

/// Lines into blocks, on a blocking thread.
pub(crate) struct Conversion {
    spec: Arc<MirrorSpec>,
    projection: Projection,
    key: String,
    kind: Lines,
    lines: u64,
    block: Block,
}

impl Conversion {
    /// Lines of the file `key`, as rows of the table of `spec`.
    pub(crate) fn new(spec: &Arc<MirrorSpec>, key: &str, kind: Lines) -> Self {
        let spec = Arc::clone(spec);
        Self {
            projection: Projection::new(&spec.plan),
            block: Block {
                rows: spec.plan.new_batch(),
                quarantined: Vec::new(),
            },
            spec,
            key: key.to_owned(),
            kind,
            lines: 0,
        }
    }

    /// Returns the number of lines. Stops early, without an error, when nobody takes blocks any more.
    pub(crate) fn run(
        mut self,
        mut reader: Box<dyn ExportFileReader>,
        blocks: &mpsc::Sender<Block>,
    ) -> Result<u64> {
        let mut lines = Vec::with_capacity(LINES_BYTES + LINES_BYTES / 4);
        while reader.next_lines(&mut lines, LINES_BYTES)? {
            for line in lines
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                self.take(line);
            }
            let rows = &self.block.rows;
            if (rows.rows >= BACKFILL_BATCH_ROWS || rows.bytes() >= BACKFILL_BATCH_BYTES)
                && !self.hand_over(blocks)
            {
                return Ok(self.lines);
            }
        }
        self.hand_over(blocks);
        Ok(self.lines)
    }

    fn hand_over(&mut self, blocks: &mpsc::Sender<Block>) -> bool {
        let empty = Block {
            rows: self.spec.plan.new_batch(),
            quarantined: Vec::new(),
        };
        blocks
            .blocking_send(std::mem::replace(&mut self.block, empty))
            .is_ok()
    }

    fn take(&mut self, line: &[u8]) {
        self.lines += 1;
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
                projection.project_incremental_line(line, version, region, rows)
            }
        };
        if let Err(error) = projected {
            self.block.quarantined.push(QuarantinedRecord {
                origin: self.key.clone(),
                position: self.lines.to_string(),
                column: error.column,
                reason: error.reason,
                raw_record: line.to_vec(),
                version_ms: own_version_ms,
            });
        }
    }
}
