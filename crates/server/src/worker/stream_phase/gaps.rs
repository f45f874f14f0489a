//! Whether something was lost, and saying so: a gap is stored and shown until it is repaired.

use mirror::checkpoint::ShardCheckpoint;
use mirror::limits::STREAM_RETENTION_MS;
use tracing::warn;

use super::super::board::Topic;
use super::{StreamFollower, created_ms};

/// An export may miss changes of its last minute, and hold some of the minute after, milliseconds.
const EXPORT_FUZZ_MS: i64 = 60_000;

impl StreamFollower {
    /// The position had left the stream. Nothing is lost if the shard had ended before it.
    pub(super) async fn shard_trimmed(&mut self, shard_id: &str) -> Option<()> {
        let Some(shard) = self.tree.get(shard_id) else {
            return Some(());
        };
        let lost = match shard.position {
            Some(_) => !self.had_all(shard) && !self.exported_after(self.ended_ms(shard_id)),
            None => !self.exported_after(Some(self.horizon_ms())),
        };
        if lost {
            self.gap("records left the stream before they could be read")
                .await?;
        }
        Some(())
    }

    /// Whether a shard about to be read from its oldest record may have lost some before: a position that left
    /// the stream is refused by AWS, but the trim horizon just moves.
    pub(super) fn left_unread(&self, shard: &ShardCheckpoint) -> bool {
        let horizon_ms = self.horizon_ms();
        let unread_since_ms = shard
            .caught_up_at_ms
            .or_else(|| created_ms(&shard.shard_id));
        shard.position.is_none()
            && unread_since_ms.is_some_and(|since_ms| since_ms < horizon_ms)
            && !self.exported_after(Some(horizon_ms))
    }

    /// Records written before this time may have left the stream, milliseconds.
    fn horizon_ms(&self) -> i64 {
        self.now_ms() - STREAM_RETENTION_MS
    }

    /// The shard is no longer there: what was not read of it is lost, and its children go on.
    pub(super) async fn shard_gone(&mut self, shard_id: &str) -> Option<()> {
        self.flush().await?;
        let Some(shard) = self.tree.get(shard_id).cloned() else {
            return Some(());
        };
        if !self.had_all(&shard) && !self.exported_after(self.ended_ms(shard_id)) {
            self.gap("a shard left the stream before it was read to its end")
                .await?;
        }
        let now_ms = self.now_ms();
        self.store(
            &[ShardCheckpoint {
                finished: true,
                finished_at_ms: Some(now_ms),
                ..shard
            }],
            0,
        )
        .await?;
        self.readers.remove(shard_id);
        self.look_at_once();
        Some(())
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

    /// Whether records written before `before_ms` are in the backfill anyway: the export is later than that by
    /// more than its fuzzy minute, or still to come. Both times are AWS's; our own clock may be wrong.
    pub(super) fn exported_after(&self, before_ms: Option<i64>) -> bool {
        match (self.retry.board.export_time_ms(), before_ms) {
            (None, _) => true,
            (Some(export_ms), Some(before_ms)) => before_ms <= export_ms - EXPORT_FUZZ_MS,
            (Some(_), None) => false,
        }
    }

    /// When the shard ended, milliseconds: when the first of its children began.
    fn ended_ms(&self, shard_id: &str) -> Option<i64> {
        let children = self
            .tree
            .iter()
            .filter(|child| child.parent.as_deref() == Some(shard_id));
        children
            .filter_map(|child| created_ms(&child.shard_id))
            .min()
    }

    pub(super) async fn gap(&mut self, what: &str) -> Option<()> {
        let text = format!("gap: {what}");
        warn!(mirror = %self.retry.mirror, gap = %text, "changes were lost");
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store the gap", || {
                store.save_gap(mirror, &text)
            })
            .await?;
        self.retry.board.gap(&text);
        Some(())
    }
}
