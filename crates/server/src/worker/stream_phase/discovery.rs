//! Finding shards, and starting a reader for each that may be read.

use std::sync::Arc;

use mirror::checkpoint::ShardCheckpoint;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::StreamDescription;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::super::board::Topic;
use super::super::shard_task::ShardTask;
use super::{Reader, StreamFollower};

/// DescribeStream lists at most so many shards in one answer.
const SHARDS_PER_PAGE: usize = 100;

/// Looks are so far apart for each of their pages, milliseconds: AWS allows ten calls a second, and other tables want
/// some of them.
const PAGE_REST_MS: i64 = 200;

impl StreamFollower {
    /// Children of a shard that ended exist or are about to: asks for a look now, or for another one if somebody
    /// is looking already.
    pub(super) fn look_at_once(&mut self) {
        self.next_discovery_ms = self.next_discovery_ms.min(self.soonest_look_ms());
        self.look_again |= self.discovery.is_some();
    }

    /// Hundreds of shards may end within a minute: looking for the successors of each at once would be more
    /// DescribeStream calls than AWS allows.
    fn soonest_look_ms(&self) -> i64 {
        let pages = self.listed.len() / SHARDS_PER_PAGE + 1;
        let rest_ms = i64::try_from(pages).map_or(i64::MAX, |pages| pages * PAGE_REST_MS);
        self.now_ms().max(self.looked_ms.saturating_add(rest_ms))
    }

    /// Decides when to look next.
    pub(super) fn plan_discovery(&mut self) {
        let pause_ms = i64::try_from(self.retry.settings.discovery_ms).unwrap_or(i64::MAX);
        self.next_discovery_ms = if std::mem::take(&mut self.look_again) {
            self.soonest_look_ms()
        } else {
            self.now_ms().saturating_add(pause_ms)
        };
    }

    pub(super) fn start_discovery(&mut self) {
        self.looked_ms = self.now_ms();
        let (source, stream_arn) = (Arc::clone(&self.source), self.stream_arn.clone());
        self.discovery = Some(tokio::spawn(async move {
            source.describe_stream(&stream_arn).await
        }));
    }

    pub(super) async fn take_discovery(&mut self, found: Result<StreamDescription>) -> Option<()> {
        match found {
            Ok(description) => {
                self.retry.board.solved(Topic::Table);
                self.discovered(description).await
            }
            Err(error) if error.kind == ErrorKind::ShardNotFound => self.stream_gone().await,
            Err(error) => {
                warn!(mirror = %self.retry.mirror, error = %error.report(), "could not list shards");
                self.retry
                    .board
                    .problem(Topic::Table, &error, self.now_ms());
                self.next_discovery_ms = self.now_ms() + 2_000;
                Some(())
            }
        }
    }

    /// The stream itself is gone: 24 hours after it was disabled, or with its table.
    pub(super) async fn stream_gone(&mut self) -> Option<()> {
        self.disabled = true;
        let unfinished: Vec<String> = self
            .tree
            .iter()
            .filter(|shard| !shard.finished)
            .map(|shard| shard.shard_id.clone())
            .collect();
        for shard_id in unfinished {
            self.shard_gone(&shard_id).await?;
        }
        Some(())
    }

    pub(super) async fn discovered(&mut self, description: StreamDescription) -> Option<()> {
        self.disabled = description.status.starts_with("DISABL");
        let known_until_ms = self.tree.lowest_watermark_ms();
        let discovery = self.tree.observe(&description.shards);
        self.listed = description.shards;
        self.readers_due |= !discovery.new.is_empty();
        if !discovery.orphans.is_empty() {
            self.orphans(&discovery.orphans, known_until_ms).await?;
        }
        if !discovery.new.is_empty() {
            info!(mirror = %self.retry.mirror, new = discovery.new.len(), listed = self.listed.len(), "found shards");
            self.store(&discovery.new).await?;
        }
        self.dead_ends().await?;
        self.forget(self.tree.outdated(&self.listed, self.now_ms()))
            .await
    }

    /// Forgets shards in the store and in the tree.
    pub(super) async fn forget(&mut self, shard_ids: Vec<String>) -> Option<()> {
        if shard_ids.is_empty() {
            return Some(());
        }
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "forget old shards", || {
                store.forget_shards(mirror, &shard_ids)
            })
            .await?;
        self.tree.forget(&shard_ids);
        Some(())
    }

    /// Starts a reader for every shard that may be read and has none.
    pub(super) async fn open_readers(&mut self) -> Option<()> {
        let new: Vec<ShardCheckpoint> = self
            .tree
            .readable()
            .into_iter()
            .filter(|shard| !self.readers.contains_key(&shard.shard_id))
            .collect();
        // The clock a shard starts from is stored before its first record is read: its parent may be forgotten later.
        let inherited: Vec<ShardCheckpoint> = new
            .iter()
            .filter(|shard| {
                self.tree
                    .get(&shard.shard_id)
                    .is_some_and(|known| known.clock_ms != shard.clock_ms)
            })
            .cloned()
            .collect();
        if !inherited.is_empty() {
            self.store(&inherited).await?;
        }
        for shard in new {
            let task = ShardTask {
                clock: Arc::clone(&self.retry.ports.clock),
                settings: self.retry.settings.clone(),
                source: Arc::clone(&self.source),
                stream_arn: self.stream_arn.clone(),
                shard: shard.clone(),
                pages: Arc::clone(&self.pages),
                events: self.events.0.clone(),
                plan: Arc::clone(&self.plan),
                hurry: self.retry.hurry.clone(),
            };
            let reader = Reader {
                task: self.tasks.spawn(task.run()),
                due_ms: self.now_ms(),
                is_behind: true,
            };
            self.readers.insert(shard.shard_id, reader);
        }
        Some(())
    }
}

/// Waits for a task that may not be there.
pub(super) async fn joined(
    task: &mut Option<JoinHandle<Result<StreamDescription>>>,
) -> Result<StreamDescription> {
    match task {
        None => std::future::pending().await,
        Some(task) => match task.await {
            Ok(found) => found,
            Err(error) => Err(Error::with_source(
                ErrorKind::Unavailable,
                "list shards",
                error,
            )),
        },
    }
}
