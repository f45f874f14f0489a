//! Whether something was lost, and saying so: a gap is stored, and ends the follower so that it can be healed.

use mirror::checkpoint::ShardCheckpoint;
use mirror::heal::Gap;
use mirror::limits::STREAM_RETENTION_MS;
use mirror::shard_tree::created_by_ms;
use tracing::warn;

use super::super::board::Topic;
use super::{StreamEnd, StreamFollower};

impl StreamFollower {
    /// The position had left the stream. Nothing is lost if the shard had ended before it.
    pub(super) async fn shard_trimmed(&mut self, shard_id: &str) -> Option<()> {
        let Some(shard) = self.tree.get(shard_id) else {
            return Some(());
        };
        if shard.position.is_some() && self.had_all(shard) {
            return Some(());
        }
        let until_ms = self.lost_until_ms(shard_id);
        self.lost(
            shard_id,
            until_ms,
            "records left the stream before they could be read",
        )
        .await
    }

    /// A shard is read from its oldest record. Some before may be lost: a position that left the stream is refused by
    /// AWS, but the trim horizon just moves.
    pub(super) async fn at_horizon(&mut self, shard_id: &str) -> Option<()> {
        let horizon_ms = self.horizon_ms();
        let unread = self
            .tree
            .get(shard_id)
            .is_some_and(|shard| shard.position.is_none());
        let since_ms = self.tree.watermark_ms(shard_id);
        if !unread || since_ms.is_none_or(|since_ms| since_ms >= horizon_ms) {
            return Some(());
        }
        let what = "a shard was not read for more than 24 hours, so that records may have left it";
        self.lost(shard_id, horizon_ms, what).await
    }

    /// Records written before this time may have left the stream, AWS's milliseconds.
    fn horizon_ms(&self) -> i64 {
        self.aws_now_ms() - STREAM_RETENTION_MS
    }

    /// The shard is no longer there: what was not read of it is lost, and its children go on.
    pub(super) async fn shard_gone(&mut self, shard_id: &str) -> Option<()> {
        self.flush().await?;
        let Some(shard) = self.tree.get(shard_id).cloned() else {
            return Some(());
        };
        if !self.had_all(&shard) {
            let until_ms = self.lost_until_ms(shard_id);
            self.lost(
                shard_id,
                until_ms,
                "a shard left the stream before it was read to its end",
            )
            .await?;
        }
        let now_ms = self.now_ms();
        self.store(&[ShardCheckpoint {
            finished: true,
            finished_at_ms: Some(now_ms),
            ..shard
        }])
        .await?;
        self.readers.remove(shard_id);
        self.readers_due = true;
        self.look_at_once();
        Some(())
    }

    /// Shards appeared whose parents were never seen; `since_ms` is what was known before they did.
    pub(super) async fn orphans(
        &mut self,
        orphans: &[String],
        since_ms: Option<i64>,
    ) -> Option<()> {
        let began_ms = orphans
            .iter()
            .filter_map(|orphan| created_by_ms(orphan))
            .max();
        let what = format!(
            "{} shards followed a part of the stream that was never read",
            orphans.len()
        );
        let until_ms = began_ms.unwrap_or_else(|| self.aws_now_ms());
        self.gap(since_ms, until_ms, &what).await
    }

    /// Shards that ended and whose successors AWS has never listed and never will.
    pub(super) async fn dead_ends(&mut self) -> Option<()> {
        if self.disabled {
            return Some(());
        }
        let dead_ends = self.tree.dead_ends(&self.listed);
        for shard_id in &dead_ends {
            let what = "a shard left the stream before AWS listed its successors";
            self.lost(shard_id, self.horizon_ms(), what).await?;
        }
        if self.end.is_some() {
            return Some(());
        }
        self.forget(dead_ends).await
    }

    /// Whether every record of the shard was read.
    fn had_all(&self, shard: &ShardCheckpoint) -> bool {
        let ending = self
            .listed
            .iter()
            .find(|listed| listed.id == shard.shard_id)
            .and_then(|listed| listed.ending.as_ref());
        matches!((&shard.position, ending), (Some(position), Some(ending)) if position >= ending)
    }

    /// Records that left the stream unread were written before this time: the shard had ended, which its first
    /// child's beginning tells, and records stay for 24 hours.
    fn lost_until_ms(&self, shard_id: &str) -> i64 {
        let children = self
            .tree
            .iter()
            .filter(|child| child.parent.as_deref() == Some(shard_id));
        let ended_ms = children
            .filter_map(|child| created_by_ms(&child.shard_id))
            .min();
        ended_ms.unwrap_or(i64::MAX).min(self.horizon_ms())
    }

    /// Changes of a shard were lost.
    async fn lost(&mut self, shard_id: &str, until_ms: i64, what: &str) -> Option<()> {
        let since_ms = self.tree.watermark_ms(shard_id);
        // An export has every item as it was; nothing of this lineage is in the table that it could contradict.
        let in_export = self.retry.board.export_time_ms();
        let lost = Gap {
            since_ms: since_ms.unwrap_or(until_ms),
            until_ms,
            what: String::new(),
        };
        if lost.is_in_export(in_export) && !self.tree.was_read(shard_id) {
            return Some(());
        }
        self.gap(since_ms, until_ms, what).await
    }

    async fn gap(&mut self, since_ms: Option<i64>, until_ms: i64, what: &str) -> Option<()> {
        if self.coverage.has_all_lost(until_ms) {
            return Some(());
        }
        // What keeps one shard from being read keeps others: nobody knows yet what they lost.
        let others_ms = self.tree.lowest_watermark_ms().unwrap_or(i64::MAX);
        let found = Gap {
            // Nothing known of a lineage: as far back as the stream itself can have held records.
            since_ms: since_ms
                .unwrap_or_else(|| self.horizon_ms())
                .min(until_ms)
                .min(others_ms),
            until_ms,
            what: what.to_owned(),
        };
        let known = self.retry.board.current_gap();
        let gap = match known.clone() {
            Some(known) => known.with(found),
            None => found,
        };
        if known.as_ref() != Some(&gap) {
            warn!(mirror = %self.retry.mirror, gap = %gap.what, since_ms = gap.since_ms, "changes were lost");
            let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
            self.retry
                .until_done(Topic::Progress, "store the gap", || {
                    store.save_gap(mirror, &gap)
                })
                .await?;
            self.retry.board.gap(Some(&gap));
        }
        // What a backfill under way has needs no healing: it sweeps ghosts when it is done.
        let waits =
            gap.is_in_export(self.retry.board.export_time_ms()) && !self.retry.board.is_loaded();
        if !self.hopeless && !waits {
            self.end = Some(StreamEnd::Gap);
        }
        Some(())
    }
}
