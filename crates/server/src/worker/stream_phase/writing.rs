//! Makes batches durable: one at a time, and the next one is gathered meanwhile.

use std::sync::Arc;

use mirror::checkpoint::ShardCheckpoint;
use mirror::sink::RowOrder;
use tokio::task::JoinError;
use tracing::warn;

use super::super::MirrorSpec;
use super::super::board::Topic;
use super::super::retry::Retry;
use super::super::stream_batch::WrittenBatch;
use super::StreamFollower;

/// Watermarks of idle shards are stored together, this long after the write before, milliseconds.
const WATERMARKS_WAIT_MS: i64 = 500;

/// A batch with fewer rows was no burst: its memory is given back.
const ROWS_WORTH_KEEPING: usize = 1_000;

/// What the task that writes a batch leaves.
pub(super) type Written = (Arc<WrittenBatch>, Option<()>);

impl StreamFollower {
    /// When the batch is to be written, our milliseconds; `None` while there is none, or another one is being written.
    pub(super) fn write_due_ms(&self) -> Option<i64> {
        if self.in_flight.is_some() || self.batch.is_empty() {
            return None;
        }
        // Whatever has arrived goes with it.
        if self.batch.is_full() {
            return Some(i64::MIN);
        }
        let linger_ms = i64::try_from(self.retry.settings.linger_ms).unwrap_or(0);
        let wait_ms = if self.batch.is_urgent() {
            linger_ms
        } else {
            linger_ms.max(WATERMARKS_WAIT_MS)
        };
        Some(self.last_write_ms.saturating_add(wait_ms))
    }

    /// Begins to write the batch.
    pub(super) fn start_writing(&mut self) {
        let rows = self
            .spare
            .take()
            .unwrap_or_else(|| self.spec.plan.new_batch());
        let batch = Arc::new(self.batch.take(rows));
        self.in_flight = Some(Arc::clone(&batch));
        let (retry, spec) = (self.retry.clone(), Arc::clone(&self.spec));
        self.writes.spawn(async move {
            let done = write(&retry, &spec, &batch).await;
            (batch, done)
        });
    }

    /// Takes in what has become durable. `None` if it was cancelled before it was.
    pub(super) fn written(&mut self, ended: Result<Written, JoinError>) -> Option<()> {
        self.in_flight = None;
        let (batch, done) = ended.map_or_else(
            |error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
            Some,
        )?;
        done?;
        self.last_write_ms = self.now_ms();
        let checkpoints: Vec<ShardCheckpoint> = batch.checkpoints.values().cloned().collect();
        self.tree.commit(&checkpoints);
        for shard in checkpoints {
            if shard.finished {
                self.readers.remove(&shard.shard_id);
                self.readers_due = true;
                // Its children exist or are about to: look at once.
                self.look_at_once();
            }
            if let Some(watermark_ms) = shard.watermark_ms {
                self.stored_watermarks.insert(shard.shard_id, watermark_ms);
            }
        }
        if let Some(mut batch) = Arc::into_inner(batch)
            && batch.rows.rows >= ROWS_WORTH_KEEPING
        {
            batch.rows.clear();
            self.spare = Some(batch.rows);
        }
        Some(())
    }

    /// Waits until the batch in flight is durable, if there is one.
    pub(super) async fn settle(&mut self) -> Option<()> {
        match self.writes.join_next().await {
            Some(ended) => self.written(ended),
            None => Some(()),
        }
    }

    /// Makes everything durable that was read.
    pub(super) async fn flush(&mut self) -> Option<()> {
        self.settle().await?;
        if self.batch.is_empty() {
            return Some(());
        }
        self.start_writing();
        self.settle().await
    }
}

/// Makes the batch durable: quarantine, then rows, then checkpoints. Tries until it works.
async fn write(retry: &Retry, spec: &MirrorSpec, batch: &WrittenBatch) -> Option<()> {
    let (sink, store, plan) = (&retry.ports.sink, &retry.ports.store, &spec.plan);
    if !batch.quarantined.is_empty() {
        let quarantined = &batch.quarantined;
        warn!(mirror = %retry.mirror, rows = quarantined.len(), "records could not be converted and go to quarantine");
        retry
            .until_done(Topic::ClickHouse, "write to the quarantine", || {
                sink.quarantine(plan, quarantined)
            })
            .await?;
    }
    let rows = &batch.rows;
    if rows.rows > 0 {
        retry
            .until_done(Topic::ClickHouse, "insert changes", || {
                sink.insert(plan, rows, RowOrder::AsGiven)
            })
            .await?;
        retry.board.inserted(retry.ports.clock.now_ms());
        retry
            .board
            .stream(|figures| figures.rows += rows.rows as u64);
    }
    let checkpoints: Vec<ShardCheckpoint> = batch.checkpoints.values().cloned().collect();
    let quarantined = batch.quarantined.len() as u64;
    retry
        .until_done(Topic::Progress, "store checkpoints", || {
            store.commit_shards(&retry.mirror, &checkpoints, quarantined)
        })
        .await?;
    retry.board.add_quarantined(quarantined);
    Some(())
}
