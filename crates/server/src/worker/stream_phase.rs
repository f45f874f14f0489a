//! Follows the stream: finds shards, reads those that may be read, writes their records in order, and
//! remembers how far they are durable.
//!
//! One follower per mirror owns the shard tree and is the only writer of the table's changes. Readers
//! ([`super::shard_task`]) only read. So the order inside a lineage is the order of the writes: a reader hands
//! its pages over in order, one insert is in flight at a time, and a child's reader starts only after its
//! parent's last record is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use mirror::checkpoint::ShardCheckpoint;
use mirror::limits::STREAM_RETENTION_MS;
use mirror::shard_tree::ShardTree;
use mirror::sink::RowOrder;
use mirror::source::{Shard, Source, StreamDescription};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;

use super::MirrorSpec;
use super::board::Topic;
use super::retry::Retry;
use super::shard_task::ShardEvent;
use super::stream_batch::StreamBatch;

mod discovery;
mod gaps;

/// A shard's "caught up" mark is stored at least this often, milliseconds, so that headroom survives a restart.
const CAUGHT_UP_STORED_EVERY_MS: i64 = 60_000;

/// Why a follower came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// Cancelled.
    Cancelled,
    /// The stream is disabled or gone, and every record it had is durable.
    Drained,
}

/// Follows one stream of one table.
pub(crate) struct StreamFollower {
    retry: Retry,
    spec: Arc<MirrorSpec>,
    source: Arc<dyn Source>,
    stream_arn: String,
    tree: ShardTree,
    listed: Vec<Shard>,
    disabled: bool,
    readers: BTreeMap<String, tokio::task::AbortHandle>,
    tasks: JoinSet<()>,
    batch: StreamBatch,
    permits: Vec<OwnedSemaphorePermit>,
    /// Up to when each shard's changes are in ClickHouse, milliseconds.
    watermarks: BTreeMap<String, i64>,
    pages: Arc<Semaphore>,
    events: (mpsc::Sender<ShardEvent>, mpsc::Receiver<ShardEvent>),
    discovery: Option<JoinHandle<mirror::error::Result<StreamDescription>>>,
    next_discovery_ms: i64,
    /// A shard ended while somebody was looking already: what that look brings may be too old.
    look_again: bool,
    last_insert_ms: i64,
}

impl StreamFollower {
    pub(crate) fn new(
        retry: Retry,
        spec: Arc<MirrorSpec>,
        source: Arc<dyn Source>,
        stream_arn: String,
        shards: Vec<ShardCheckpoint>,
    ) -> Self {
        let pages = Arc::new(Semaphore::new(retry.settings.pages_in_flight));
        Self {
            batch: StreamBatch::new(&spec.plan, &spec.source.region),
            retry,
            spec,
            source,
            stream_arn,
            tree: ShardTree::restore(shards),
            listed: Vec::new(),
            disabled: false,
            readers: BTreeMap::new(),
            tasks: JoinSet::new(),
            permits: Vec::new(),
            watermarks: BTreeMap::new(),
            pages,
            events: mpsc::channel(64),
            discovery: None,
            next_discovery_ms: 0,
            look_again: false,
            last_insert_ms: 0,
        }
    }

    /// Waits until the stream is on, finds all shards and stores them, so that nothing after this moment can be
    /// missed. `None` if cancelled.
    pub(crate) async fn pin(&mut self) -> Option<()> {
        loop {
            let describe = || self.source.describe_stream(&self.stream_arn);
            let description = self
                .retry
                .until_done(Topic::Stream, "describe the stream", describe)
                .await?;
            if description.status != "ENABLING" {
                return self.discovered(description).await;
            }
            self.retry.pause(self.retry.settings.retry_min_ms).await?;
        }
    }

    /// Follows until cancelled or until a disabled stream is drained.
    pub(crate) async fn run(mut self) -> StreamEnd {
        let end = self.follow().await.unwrap_or(StreamEnd::Cancelled);
        // Readers hold nothing durable; what they read and nobody wrote is read again.
        self.tasks.shutdown().await;
        if let Some(discovery) = self.discovery.take() {
            discovery.abort();
        }
        end
    }

    async fn follow(&mut self) -> Option<StreamEnd> {
        loop {
            self.open_readers().await?;
            self.publish();
            if self.disabled && self.tree.iter().all(|shard| shard.finished) {
                return Some(StreamEnd::Drained);
            }
            let until_discovery =
                u64::try_from(self.next_discovery_ms - self.now_ms()).unwrap_or(0);
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
                // 4. Records.
                event = self.events.1.recv() => {
                    if let Some(event) = event {
                        self.collect(event).await?;
                        self.flush().await?;
                    }
                }
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.retry.ports.clock.now_ms()
    }

    /// Takes one event and then whatever else arrives within the linger, so that a busy table gets few big
    /// inserts and a quiet one waits for nothing.
    async fn collect(&mut self, first: ShardEvent) -> Option<()> {
        self.take(first).await?;
        let linger_until =
            self.last_insert_ms + i64::try_from(self.retry.settings.linger_ms).unwrap_or(0);
        while !self.batch.is_full() {
            let event = match self.events.1.try_recv() {
                Ok(event) => event,
                Err(_) => {
                    let left = u64::try_from(linger_until - self.now_ms()).unwrap_or(0);
                    if left == 0 || self.batch.is_empty() || self.pages.available_permits() == 0 {
                        break;
                    }
                    let clock = Arc::clone(&self.retry.ports.clock);
                    tokio::select! {
                        biased;
                        event = self.events.1.recv() => event?,
                        () = clock.sleep_ms(left) => break,
                    }
                }
            };
            self.take(event).await?;
        }
        Some(())
    }

    async fn take(&mut self, event: ShardEvent) -> Option<()> {
        match event {
            ShardEvent::Page {
                shard_id,
                page,
                end,
                asked_at_ms,
                permit,
            } => {
                self.retry
                    .board
                    .stream(|figures| figures.last_read_ms = Some(asked_at_ms));
                let Some(shard) = self.tree.get(&shard_id).cloned() else {
                    return Some(());
                };
                if !page.records.is_empty() {
                    self.batch.add(&shard, &page);
                    self.permits.push(permit);
                } else if !end {
                    self.at_tip(&shard, asked_at_ms);
                }
                if end {
                    self.batch.finish(&shard, self.now_ms());
                }
            }
            ShardEvent::Trimmed { shard_id } => self.shard_trimmed(&shard_id).await?,
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

    /// An empty page: the shard is read to its tip, once what was read before is durable.
    fn at_tip(&mut self, shard: &ShardCheckpoint, asked_at_ms: i64) {
        if self.batch.checkpoints.contains_key(&shard.shard_id) {
            self.batch.caught_up(&shard.shard_id, asked_at_ms);
        } else if shard
            .caught_up_at_ms
            .is_none_or(|at| asked_at_ms - at > CAUGHT_UP_STORED_EVERY_MS)
        {
            self.batch.checkpoints.insert(
                shard.shard_id.clone(),
                ShardCheckpoint {
                    caught_up_at_ms: Some(asked_at_ms),
                    ..shard.clone()
                },
            );
        } else {
            self.watermarks.insert(shard.shard_id.clone(), asked_at_ms);
        }
    }

    /// Makes the batch durable: rows, then quarantine, then checkpoints. Tries until it works.
    async fn flush(&mut self) -> Option<()> {
        if self.batch.is_empty() {
            return Some(());
        }
        let (sink, plan) = (&self.retry.ports.sink, &self.spec.plan);
        if !self.batch.quarantined.is_empty() {
            let quarantined = &self.batch.quarantined;
            warn!(mirror = %self.retry.mirror, rows = quarantined.len(), "records could not be converted and go to quarantine");
            self.retry
                .until_done(Topic::ClickHouse, "write to the quarantine", || {
                    sink.quarantine(plan, quarantined)
                })
                .await?;
        }
        if self.batch.rows.rows > 0 {
            let rows = &self.batch.rows;
            self.retry
                .until_done(Topic::ClickHouse, "insert changes", || {
                    sink.insert(plan, rows, RowOrder::AsGiven)
                })
                .await?;
            let now_ms = self.now_ms();
            self.last_insert_ms = now_ms;
            let written = self.batch.rows.rows as u64;
            self.retry.board.inserted(now_ms);
            self.retry.board.stream(|figures| figures.rows += written);
        }
        let checkpoints: Vec<ShardCheckpoint> = self.batch.checkpoints.values().cloned().collect();
        self.store(&checkpoints, self.batch.quarantined.len() as u64)
            .await?;
        for shard in &checkpoints {
            let newest = self.batch.newest_ms.get(&shard.shard_id).copied();
            if let Some(watermark) = shard.caught_up_at_ms.max(newest) {
                self.watermarks.insert(shard.shard_id.clone(), watermark);
            }
            if shard.finished {
                self.readers.remove(&shard.shard_id);
                // Its children exist or are about to: look at once.
                self.look_at_once();
            }
        }
        self.batch.clear();
        self.permits.clear();
        Some(())
    }

    async fn store(&mut self, checkpoints: &[ShardCheckpoint], quarantined: u64) -> Option<()> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store checkpoints", || {
                store.commit_shards(mirror, checkpoints, quarantined)
            })
            .await?;
        self.retry.board.add_quarantined(quarantined);
        self.tree.commit(checkpoints);
        Some(())
    }

    /// Times, not spans: a board that nobody writes on any more still tells the truth.
    fn publish(&self) {
        let open = self.tree.iter().filter(|shard| !shard.finished);
        let watermarks: Option<Vec<i64>> = self
            .readers
            .keys()
            .map(|id| self.watermarks.get(id).copied())
            .collect();
        let oldest_unread = open
            .filter_map(|shard| {
                let read_until = self.watermarks.get(&shard.shard_id).copied();
                read_until
                    .or(shard.caught_up_at_ms)
                    .or_else(|| created_ms(&shard.shard_id))
            })
            .min();
        self.retry.board.stream(|figures| {
            figures.watermark_ms = watermarks.and_then(|all| all.into_iter().min());
            figures.leaves_ms = oldest_unread.map(|since| since + STREAM_RETENTION_MS);
            figures.active_shards = self.readers.len();
            figures.waiting_shards = self.tree.waiting();
        });
    }
}

/// The time of creation that a shard id carries: `shardId-<20 digits of milliseconds>-<hex>`.
fn created_ms(shard_id: &str) -> Option<i64> {
    shard_id
        .strip_prefix("shardId-")?
        .split('-')
        .next()?
        .parse()
        .ok()
}
