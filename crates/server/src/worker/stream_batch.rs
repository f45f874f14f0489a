//! Records of many shards on their way to one insert, and the checkpoints that become true with it.

use std::collections::BTreeMap;

use mirror::batch::Batch;
use mirror::change::StreamPage;
use mirror::checkpoint::{LineageClock, ShardCheckpoint};
use mirror::limits::{STREAM_BATCH_BYTES, STREAM_BATCH_ROWS};
use mirror::plan::MirrorPlan;
use mirror::projection::Projection;
use mirror::sink::QuarantinedRecord;

/// Rows that are not durable yet, and what may be remembered once they are.
pub(crate) struct StreamBatch {
    projection: Projection,
    aws_region: String,
    /// Rows in the order they were read.
    pub(crate) rows: Batch,
    /// Records that could not become rows.
    pub(crate) quarantined: Vec<QuarantinedRecord>,
    /// Shards that move forward with this batch.
    pub(crate) checkpoints: BTreeMap<String, ShardCheckpoint>,
    /// Creation time of the newest record of each shard in the batch, milliseconds.
    pub(crate) newest_ms: BTreeMap<String, i64>,
}

impl StreamBatch {
    pub(crate) fn new(plan: &MirrorPlan, aws_region: &str) -> Self {
        Self {
            projection: Projection::new(plan),
            aws_region: aws_region.to_owned(),
            rows: plan.new_batch(),
            quarantined: Vec::new(),
            checkpoints: BTreeMap::new(),
            newest_ms: BTreeMap::new(),
        }
    }

    /// Takes in one page of `shard`, which is the shard as far as it is durable. Records that were taken
    /// before are skipped: reading is at-least-once.
    pub(crate) fn add(&mut self, shard: &ShardCheckpoint, page: &StreamPage) {
        let mut checkpoint = self
            .checkpoints
            .get(&shard.shard_id)
            .unwrap_or(shard)
            .clone();
        let mut clock = LineageClock::new(checkpoint.clock_ms);
        for (index, record) in page.records.iter().enumerate() {
            if checkpoint
                .position
                .as_ref()
                .is_some_and(|done| record.sequence_number <= *done)
            {
                continue;
            }
            let version_ms = clock.tick(record.creation_ms);
            let change = page.change(index, version_ms, &self.aws_region);
            if let Err(error) = self.projection.project(&change, &mut self.rows) {
                self.quarantined.push(QuarantinedRecord {
                    origin: shard.shard_id.clone(),
                    position: record.sequence_number.to_string(),
                    column: error.column,
                    reason: error.reason,
                    raw_record: raw_record(page, index),
                    version_ms,
                });
            }
            checkpoint.position = Some(record.sequence_number.clone());
            self.newest_ms
                .insert(shard.shard_id.clone(), record.creation_ms);
        }
        checkpoint.clock_ms = clock.last_ms();
        self.checkpoints.insert(shard.shard_id.clone(), checkpoint);
    }

    /// Notes that the shard has no more records after what is in the batch.
    pub(crate) fn finish(&mut self, shard: &ShardCheckpoint, now_ms: i64) {
        let checkpoint = self
            .checkpoints
            .entry(shard.shard_id.clone())
            .or_insert_with(|| shard.clone());
        checkpoint.finished = true;
        checkpoint.finished_at_ms = Some(now_ms);
        checkpoint.caught_up_at_ms = Some(now_ms);
    }

    /// Notes that the shard was read to its tip at `now_ms`.
    pub(crate) fn caught_up(&mut self, shard_id: &str, now_ms: i64) {
        if let Some(checkpoint) = self.checkpoints.get_mut(shard_id) {
            checkpoint.caught_up_at_ms = Some(now_ms);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.checkpoints.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.rows >= STREAM_BATCH_ROWS || self.rows.bytes() >= STREAM_BATCH_BYTES
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.quarantined.clear();
        self.checkpoints.clear();
        self.newest_ms.clear();
    }
}

/// The record as DynamoDB JSON, put together again for the quarantine.
fn raw_record(page: &StreamPage, index: usize) -> Vec<u8> {
    let record = &page.records[index];
    let mut raw = format!("{{\"eventName\":\"{}\",\"Keys\":", record.kind.name()).into_bytes();
    raw.extend_from_slice(&page.buffer[record.keys.clone()]);
    for (name, range) in [
        ("NewImage", &record.new_image),
        ("OldImage", &record.old_image),
    ] {
        if let Some(range) = range {
            raw.extend_from_slice(format!(",\"{name}\":").as_bytes());
            raw.extend_from_slice(&page.buffer[range.clone()]);
        }
    }
    raw.push(b'}');
    raw
}
