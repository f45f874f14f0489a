//! Loads the data files of an export, several at a time, each from download to durable rows.
//!
//! Three stages overlap: the source downloads and verifies, a blocking thread unzips and turns lines into blocks
//! (`conversion`), and this task inserts them. `load_slots` bounds the memory of it all, whatever the size of the
//! table and the number of mirrors.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt};
use mirror::checkpoint::{ExportProgress, FileCheckpoint};
use mirror::error::{Error, ErrorKind, Result};
use mirror::sink::RowOrder;
use mirror::source::{ExportFile, Source};
use mirror::store::ExportPart;
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

use super::MirrorSpec;
use super::block::Block;
use super::board::Topic;
use super::conversion::{Blocks, Converted};
use super::held_merges::{self, HeldMerges};
use super::retry::Retry;

pub(crate) use super::conversion::Lines;

/// A file whose bytes are wrong is downloaded this often before the export is given up: the fault may have
/// been on the way.
pub(crate) const CORRUPT_TRIES: u32 = 3;

/// An insert that fails for this long gives up its slot, milliseconds: other mirrors, whose inserts may work, wait for it.
/// The file is loaded again from its start then.
const INSERT_PATIENCE_MS: i64 = 60_000;

/// A file that waits for a slot says so this often, milliseconds.
const WAITING_MS: u64 = 10_000;

/// What all files of one load share.
#[derive(Clone)]
pub(crate) struct LoadContext {
    pub(crate) retry: Retry,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) part: ExportPart,
    pub(crate) lines: Lines,
}

/// Loads `files`; returns the progress with all of them counted in.
pub(crate) async fn load_files(
    context: LoadContext,
    files: Vec<ExportFile>,
    progress: ExportProgress,
) -> Option<Result<ExportProgress>> {
    let merges = Arc::new(HeldMerges::hold(&context.retry, &context.spec).await);
    let clock = Arc::clone(&context.retry.ports.clock);
    let mut held_long = clock.sleep_ms(held_merges::LONGEST_MS).fuse();
    let progress = Arc::new(Mutex::new(progress));
    let parallelism = context.retry.slots.files();
    let mut waiting = files.into_iter();
    let mut running = FuturesUnordered::new();
    let outcome = loop {
        while running.len() < parallelism {
            let Some(file) = waiting.next() else { break };
            let (context, progress, merges) =
                (context.clone(), Arc::clone(&progress), Arc::clone(&merges));
            running.push(async move { load_until_done(&context, &file, &progress, &merges).await });
        }
        tokio::select! {
            biased;
            loaded = running.next() => match loaded {
                None => break Some(Ok(())),
                Some(Some(Ok(()))) => {}
                Some(other) => break other,
            },
            () = &mut held_long => merges.release().await,
        }
    };
    drop(running);
    merges.release().await;
    match outcome? {
        Ok(()) => Some(Ok(progress.lock().await.clone())),
        Err(error) => Some(Err(error)),
    }
}

/// Loads one file; tries again for ever, but for bytes that stay wrong.
async fn load_until_done(
    context: &LoadContext,
    file: &ExportFile,
    progress: &Mutex<ExportProgress>,
    merges: &HeldMerges,
) -> Option<Result<()>> {
    let mut backoff = context.retry.backoff(&file.key);
    let mut corrupt_left = CORRUPT_TRIES;
    loop {
        if context.retry.cancel.is_cancelled() {
            return None;
        }
        let error = match load(context, file, merges).await? {
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

/// Where the time of a file went, milliseconds of a clock.
#[derive(Clone, Copy, Default)]
struct Times {
    download: i64,
    waiting: i64,
    insert: i64,
    whole: i64,
}

async fn load(
    context: &LoadContext,
    file: &ExportFile,
    merges: &HeldMerges,
) -> Option<Result<FileCheckpoint>> {
    let retry = &context.retry;
    let now_ms = || retry.ports.clock.now_ms();
    let mut times = Times::default();
    let began_ms = now_ms();
    let downloading = unless_cancelled(context, retry.slots.download()).await?;
    let opened = context.source.open_file(file).await;
    drop(downloading);
    let reader = match opened {
        Ok(reader) => reader,
        Err(error) => return Some(Err(error)),
    };
    times.download = now_ms() - began_ms;
    let bytes = reader.compressed_bytes();
    retry.board.file_opened(bytes);
    let slot = unless_cancelled(context, retry.slots.slot()).await?;
    times.waiting = now_ms() - began_ms - times.download;
    retry.board.export_moves(context.part, now_ms(), 0);
    let mut blocks = Blocks::start(&context.spec, &file.key, context.lines, reader, slot);
    let mut quarantined = 0;
    while let Some(block) = blocks.next().await {
        quarantined += block.quarantined.len() as u64;
        let insert_began_ms = now_ms();
        if let Err(error) = insert(context, &block, merges).await? {
            return Some(Err(error));
        }
        times.insert += now_ms() - insert_began_ms;
        blocks.give_back(block);
    }
    let converted = match blocks.end().await {
        Ok(converted) => converted,
        Err(error) => return Some(Err(error)),
    };
    let items = converted.lines;
    if items != file.item_count {
        let text = format!(
            "load {}: {items} lines in the file, {} promised by the manifest",
            file.key, file.item_count
        );
        return Some(Err(Error::new(ErrorKind::Corrupt, text)));
    }
    times.whole = now_ms() - began_ms;
    tell_times(context, file, &times, &converted);
    Some(Ok(FileCheckpoint {
        key: file.key.clone(),
        items,
        bytes,
        quarantined,
    }))
}

/// For whoever wants to know what a load waits for.
fn tell_times(context: &LoadContext, file: &ExportFile, times: &Times, converted: &Converted) {
    debug!(
        mirror = %context.retry.mirror,
        file = %file.key,
        rows = converted.lines,
        whole_ms = times.whole,
        download_ms = times.download,
        waiting_ms = times.waiting,
        insert_ms = times.insert,
        unzip_cpu_ms = converted.unzip.as_millis() as u64,
        convert_cpu_ms = converted.convert.as_millis() as u64,
        "times of a file"
    );
}

/// Waits for a turn, which other mirrors' loads may put off; nothing is wrong meanwhile.
async fn unless_cancelled<T>(context: &LoadContext, turn: impl Future<Output = T>) -> Option<T> {
    let retry = &context.retry;
    let mut turn = std::pin::pin!(turn);
    loop {
        tokio::select! {
            biased;
            turn = &mut turn => return Some(turn),
            waited = retry.pause(WAITING_MS) => {
                waited?;
                let now_ms = retry.ports.clock.now_ms();
                retry.board.export_moves(context.part, now_ms, WAITING_MS);
            }
        }
    }
}

/// Keys are unique in an export, so the order of its rows is free.
async fn insert(context: &LoadContext, block: &Block, merges: &HeldMerges) -> Option<Result<()>> {
    let (retry, plan) = (&context.retry, &context.spec.plan);
    let sink = &retry.ports.sink;
    if !block.quarantined.is_empty() {
        warn!(mirror = %retry.mirror, rows = block.quarantined.len(), "items could not be converted and go to quarantine");
        let write = || sink.quarantine(plan, &block.quarantined);
        if let Err(error) = patiently(retry, "write to the quarantine", write).await? {
            return Some(Err(error));
        }
    }
    let write = || sink.insert(plan, &block.rows, RowOrder::Free);
    if let Err(error) = patiently(retry, "insert items", write).await? {
        return Some(Err(error));
    }
    let now_ms = retry.ports.clock.now_ms();
    retry.board.inserted(now_ms);
    retry.board.export_moves(context.part, now_ms, 0);
    merges.inserted().await;
    Some(Ok(()))
}

/// Calls until it succeeds, or has failed for [`INSERT_PATIENCE_MS`].
async fn patiently<F, Fut>(retry: &Retry, what: &'static str, call: F) -> Option<Result<()>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let began_ms = retry.ports.clock.now_ms();
    let call = || async {
        match call().await {
            Ok(()) => Ok(Ok(())),
            Err(mut error) if retry.ports.clock.now_ms() - began_ms >= INSERT_PATIENCE_MS => {
                // Of ClickHouse, not of the file.
                if error.kind == ErrorKind::Corrupt {
                    error.kind = ErrorKind::Permanent;
                }
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    };
    let outcome = retry.until_done(Topic::ClickHouse, what, call).await?;
    if let Err(error) = &outcome {
        let now_ms = retry.ports.clock.now_ms();
        retry.board.problem(Topic::ClickHouse, error, now_ms);
    }
    Some(outcome)
}
