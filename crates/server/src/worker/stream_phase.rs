//! Follows the stream: finds shards, reads those that may be read, writes their records in order, and
//! remembers how far they are durable.
//!
//! One follower per mirror owns the shard tree and is the only writer of the table's changes. Readers
//! ([`super::shard_task`]) only read. So the order inside a lineage is the order of the writes: a reader hands
//! its pages over in order, one batch is in flight at a time while the next one is gathered ([`writing`]), and a
//! child's reader starts only after its parent's last record is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use mirror::batch::Batch;
use mirror::checkpoint::ShardCheckpoint;
use mirror::error::ErrorKind;
use mirror::heal::Coverage;
use mirror::shard_tree::ShardTree;
use mirror::source::{Shard, Source, StreamDescription};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tracing::warn;

use super::MirrorSpec;
use super::board::{Due, Topic};
use super::poll_plan::PollPlan;
use super::retry::Retry;
use super::shard_task::ShardEvent;
use super::stream_batch::{StreamBatch, WrittenBatch};

mod discovery;
mod gaps;
mod writing;

/// A shard's watermark is stored at least this often, milliseconds, so that a gap after a restart is not wider
/// than it has to be.
const WATERMARK_STORED_EVERY_MS: i64 = 60_000;

/// People are told at most this often, milliseconds: it costs a look at every shard.
const PUBLISH_EVERY_MS: i64 = 250;

/// Why a follower came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// Cancelled.
    Cancelled,
    /// The stream is disabled or gone, and every record it had is durable.
    Drained,
    /// Changes were lost; the gap is stored.
    Gap,
}

/// What a follower starts from.
#[derive(Clone, Debug)]
pub(crate) struct StreamStart {
    pub(crate) stream_arn: String,
    pub(crate) shards: Vec<ShardCheckpoint>,
    pub(crate) coverage: Coverage,
    /// Gaps cannot be healed: go on with what can be read.
    pub(crate) hopeless: bool,
}

/// Follows one stream of one table.
pub(crate) struct StreamFollower {
    retry: Retry,
    spec: Arc<MirrorSpec>,
    source: Arc<dyn Source>,
    stream_arn: String,
    tree: ShardTree,
    coverage: Coverage,
    hopeless: bool,
    /// Set once there is nothing more to do here.
    end: Option<StreamEnd>,
    listed: Vec<Shard>,
    disabled: bool,
    readers: BTreeMap<String, Reader>,
    /// A shard ended, appeared, or lost its reader since readers were opened last.
    readers_due: bool,
    tasks: JoinSet<()>,
    /// When each shard is read.
    plan: Arc<PollPlan>,
    /// What was read and is not being written yet.
    batch: StreamBatch,
    /// What is being written, by the one task in `writes`.
    in_flight: Option<Arc<WrittenBatch>>,
    writes: JoinSet<writing::Written>,
    /// Memory of a batch that was written.
    spare: Option<Batch>,
    /// Watermarks as they are stored, by shard, milliseconds.
    stored_watermarks: BTreeMap<String, i64>,
    pages: Arc<Semaphore>,
    events: (mpsc::Sender<ShardEvent>, mpsc::Receiver<ShardEvent>),
    discovery: Option<JoinHandle<mirror::error::Result<StreamDescription>>>,
    next_discovery_ms: i64,
    /// When somebody began to look last.
    looked_ms: i64,
    /// A shard ended while somebody was looking already: what that look brings may be too old.
    look_again: bool,
    last_write_ms: i64,
    published_ms: i64,
}

/// A task that reads a shard, and when it should be heard of at the latest.
struct Reader {
    task: tokio::task::AbortHandle,
    due_ms: i64,
    /// What it read last is old, or it has not read yet: more is waiting.
    is_behind: bool,
}

impl StreamFollower {
    pub(crate) fn new(
        retry: Retry,
        spec: Arc<MirrorSpec>,
        source: Arc<dyn Source>,
        start: StreamStart,
    ) -> Self {
        let pages = Arc::new(Semaphore::new(retry.settings.pages_in_flight));
        let plan = PollPlan::new(&retry.settings);
        let next_discovery_ms = retry.ports.clock.now_ms();
        let StreamStart {
            stream_arn,
            shards,
            coverage,
            hopeless,
        } = start;
        Self {
            batch: StreamBatch::new(&spec.plan, &spec.source.region, coverage.until_ms),
            retry,
            spec,
            source,
            stream_arn,
            stored_watermarks: BTreeMap::new(),
            tree: ShardTree::restore(shards, coverage),
            coverage,
            hopeless,
            end: None,
            listed: Vec::new(),
            disabled: false,
            readers: BTreeMap::new(),
            readers_due: true,
            tasks: JoinSet::new(),
            plan,
            in_flight: None,
            writes: JoinSet::new(),
            spare: None,
            pages,
            events: mpsc::channel(64),
            discovery: None,
            next_discovery_ms,
            looked_ms: i64::MIN,
            look_again: false,
            last_write_ms: 0,
            published_ms: 0,
        }
    }

    /// Waits until the stream is on, finds all shards and stores them, so that nothing after this moment can be
    /// missed. `None` if cancelled.
    pub(crate) async fn pin(&mut self) -> Option<()> {
        loop {
            let describe = || async {
                match self.source.describe_stream(&self.stream_arn).await {
                    // A day after it was switched off, or with its table. Following it finds that out.
                    Err(error) if error.kind == ErrorKind::ShardNotFound => Ok(None),
                    described => described.map(Some),
                }
            };
            let described = self
                .retry
                .until_done(Topic::Stream, "describe the stream", describe)
                .await?;
            match described {
                None => return self.stream_gone().await,
                Some(description) if description.status != "ENABLING" => {
                    return self.discovered(description).await;
                }
                Some(_) => self.retry.pause(self.retry.settings.retry_min_ms).await?,
            }
        }
    }

    /// Follows until cancelled or until a disabled stream is drained.
    pub(crate) async fn run(mut self) -> StreamEnd {
        let end = self.follow().await.unwrap_or(StreamEnd::Cancelled);
        // Readers hold nothing durable; what they read and nobody wrote is read again.
        self.tasks.shutdown().await;
        // Nobody else may write to the table before this insert has ended.
        let _ = self.settle().await;
        if let Some(discovery) = self.discovery.take() {
            discovery.abort();
        }
        end
    }

    async fn follow(&mut self) -> Option<StreamEnd> {
        loop {
            if let Some(end) = self.end {
                self.flush().await?;
                return Some(end);
            }
            if std::mem::take(&mut self.readers_due) {
                self.open_readers().await?;
                continue;
            }
            if self.disabled && self.tree.iter().all(|shard| shard.finished) {
                return Some(StreamEnd::Drained);
            }
            let now_ms = self.now_ms();
            let until_discovery = u64::try_from(self.next_discovery_ms - now_ms).unwrap_or(0);
            let until_publishing = self.published_ms + PUBLISH_EVERY_MS - now_ms;
            if until_publishing <= 0 {
                self.publish(now_ms);
            }
            let until_write = self
                .write_due_ms()
                .map(|due_ms| due_ms.saturating_sub(now_ms));
            // What has arrived is taken in first.
            if until_write.is_some_and(|ms| ms <= 0)
                && (self.batch.is_full() || self.events.1.is_empty())
            {
                self.start_writing();
                continue;
            }
            let until_write = until_write.and_then(|ms| u64::try_from(ms).ok());
            let has_room = !self.batch.is_full();
            let cancel = self.retry.cancel.clone();
            let clock = Arc::clone(&self.retry.ports.clock);
            tokio::select! {
                biased;
                // 1. Stop: whatever is not durable is read again after a start.
                () = cancel.cancelled() => return None,
                // 2. News about shards.
                found = discovery::joined(&mut self.discovery) => {
                    self.discovery = None;
                    self.plan_discovery();
                    self.take_discovery(found).await?;
                }
                // 3. Time to look for shards, if nobody is looking.
                () = clock.sleep_ms(until_discovery), if self.discovery.is_none() => self.start_discovery(),
                // 4. A reader that is no more.
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.reader_ended(ended),
                // 5. A batch that is durable.
                Some(ended) = self.writes.join_next(), if !self.writes.is_empty() => self.written(ended)?,
                // 6. Records, if there is room for them.
                event = self.events.1.recv(), if has_room => {
                    if let Some(event) = event {
                        self.take(event).await?;
                    }
                }
                // 7. Time to write.
                () = clock.sleep_ms(until_write.unwrap_or(0)), if until_write.is_some_and(|ms| ms > 0) => {}
                // 8. Figures that nobody has seen yet.
                () = clock.sleep_ms(until_publishing.unsigned_abs()), if until_publishing > 0 => {}
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.retry.ports.clock.now_ms()
    }

    async fn take(&mut self, event: ShardEvent) -> Option<()> {
        match event {
            ShardEvent::Page {
                shard_id,
                page,
                has_news,
                end,
                tip_ms,
                next_in_ms,
                permit,
            } => {
                let now_ms = self.now_ms();
                self.retry
                    .board
                    .stream(|figures| figures.last_read_ms = Some(now_ms));
                if let Some(reader) = self.readers.get_mut(&shard_id) {
                    let next_in_ms = i64::try_from(next_in_ms).unwrap_or(i64::MAX);
                    reader.due_ms = now_ms.saturating_add(next_in_ms);
                    let newest = page.records.last().filter(|_| has_news);
                    let old_ms = self.retry.settings.live_within_ms();
                    let aws_now_ms = now_ms + self.source.clock_ahead_ms();
                    reader.is_behind =
                        newest.is_some_and(|record| aws_now_ms - record.creation_ms >= old_ms);
                }
                let Some(shard) = self.last_written(&shard_id).cloned() else {
                    return Some(());
                };
                if !page.records.is_empty() {
                    let read_until_ms = self.tree.read_until_ms(&shard_id);
                    self.batch.add(&shard, read_until_ms, &page);
                    // The batch has what it needs of the page.
                    drop((page, permit));
                } else if let Some(tip_ms) = tip_ms {
                    self.at_tip(&shard, tip_ms);
                }
                if end {
                    self.batch.finish(&shard, now_ms);
                }
            }
            ShardEvent::AtHorizon { shard_id } => self.at_horizon(&shard_id).await?,
            ShardEvent::Trimmed { shard_id } => {
                // What was lost begins behind what was read.
                self.flush().await?;
                self.shard_trimmed(&shard_id).await?;
            }
            ShardEvent::Gone { shard_id } => self.shard_gone(&shard_id).await?,
            ShardEvent::Failed { error } => {
                warn!(mirror = %self.retry.mirror, error = %error.report(), "could not read a shard");
                self.retry
                    .board
                    .problem(Topic::Stream, &error, self.now_ms());
            }
            ShardEvent::Recovered => self.retry.board.solved(Topic::Stream),
        }
        Some(())
    }

    /// A shard as far as it is durable or about to be, what is being gathered left out.
    fn last_written(&self, shard_id: &str) -> Option<&ShardCheckpoint> {
        let in_flight = self.in_flight.as_ref();
        let in_flight = in_flight.and_then(|batch| batch.checkpoints.get(shard_id));
        let known = self.tree.get(shard_id)?;
        Some(in_flight.unwrap_or(known))
    }

    /// The shard is read to its tip, once what was read before is durable.
    fn at_tip(&mut self, shard: &ShardCheckpoint, tip_ms: i64) {
        let id = &shard.shard_id;
        let stored = self.stored_watermarks.get(id);
        let is_stored = stored.is_some_and(|at| tip_ms - at <= WATERMARK_STORED_EVERY_MS);
        let in_flight = self.in_flight.as_ref();
        let is_moving = self.batch.checkpoints.contains_key(id)
            || in_flight.is_some_and(|batch| batch.checkpoints.contains_key(id));
        if is_stored && !is_moving {
            self.tree.at_tip(id, tip_ms);
        } else {
            self.batch.at_tip(shard, tip_ms);
        }
    }

    async fn store(&mut self, checkpoints: &[ShardCheckpoint]) -> Option<()> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store checkpoints", || {
                store.commit_shards(mirror, checkpoints, 0)
            })
            .await?;
        self.tree.commit(checkpoints);
        Some(())
    }

    /// AWS's time, by the latest answer; never later than the truth.
    fn aws_now_ms(&self) -> i64 {
        self.now_ms() + self.source.clock_ahead_ms()
    }

    /// Times, not spans: a board that nobody writes on any more still tells the truth.
    fn publish(&mut self, now_ms: i64) {
        self.published_ms = now_ms;
        let watermark_ms = self.tree.lowest_watermark_ms();
        let oldest = self.overdue();
        let ahead_ms = self.source.clock_ahead_ms();
        self.retry.board.stream(|figures| {
            figures.watermark_ms = watermark_ms;
            figures.clock_ahead_ms = ahead_ms;
            figures.is_behind = self.readers.values().any(|reader| reader.is_behind);
            figures.active_shards = self.readers.len();
            figures.waiting_shards = self.tree.waiting();
            figures.due = Some(oldest);
        });
    }

    /// What is to happen next of all that has to happen, and when.
    fn overdue(&self) -> Due {
        let mut due = match &self.discovery {
            Some(_) => Due::new(
                self.next_discovery_ms,
                "AWS has not answered when asked for the list of shards",
            ),
            None => Due::new(
                self.next_discovery_ms,
                "the list of shards was not asked for",
            ),
        };
        if let Some((id, reader)) = self.readers.iter().min_by_key(|(_, reader)| reader.due_ms) {
            due = due.or_earlier(reader.due_ms, || format!("shard {id} was not read"));
        }
        let childless = self.tree.frontier().filter(|shard| shard.finished);
        if let Some((at_ms, shard)) = childless
            .filter_map(|shard| Some((shard.finished_at_ms?, shard)))
            .min_by_key(|(at_ms, _)| *at_ms)
        {
            due = due.or_earlier(at_ms, || {
                format!(
                    "shard {} has ended and AWS lists no successor",
                    shard.shard_id
                )
            });
        }
        due
    }

    /// A reader has ended; if not by itself, it is opened again.
    fn reader_ended(&mut self, ended: Result<(), JoinError>) {
        let Err(error) = ended else { return };
        let Some(id) = self
            .readers
            .iter()
            .find(|(_, reader)| reader.task.id() == error.id())
            .map(|(id, _)| id.clone())
        else {
            return;
        };
        warn!(mirror = %self.retry.mirror, shard = %id, error = %error, "the reader of a shard broke, opening it again");
        self.readers.remove(&id);
        self.readers_due = true;
    }
}
