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
    /// Records from before this time are in the table already, AWS's milliseconds.
    covered_until_ms: Option<i64>,
}

impl StreamBatch {
    pub(crate) fn new(plan: &MirrorPlan, aws_region: &str, covered_until_ms: Option<i64>) -> Self {
        Self {
            projection: Projection::new(plan),
            aws_region: aws_region.to_owned(),
            rows: plan.new_batch(),
            quarantined: Vec::new(),
            checkpoints: BTreeMap::new(),
            covered_until_ms,
        }
    }

    /// The batch as it is, to be written, and an empty one in its place; `rows` is memory to be used again.
    pub(crate) fn take(&mut self, rows: Batch) -> WrittenBatch {
        WrittenBatch {
            rows: std::mem::replace(&mut self.rows, rows),
            quarantined: std::mem::take(&mut self.quarantined),
            checkpoints: std::mem::take(&mut self.checkpoints),
        }
    }

    /// Takes in one page of `shard`, which is the shard as far as it was written before this batch; its lineage was read
    /// until `read_until_ms` before. Records that were taken before are skipped: reading is at-least-once.
    pub(crate) fn add(
        &mut self,
        shard: &ShardCheckpoint,
        read_until_ms: Option<i64>,
        page: &StreamPage,
    ) {
        let mut checkpoint = self
            .checkpoints
            .get(&shard.shard_id)
            .unwrap_or(shard)
            .clone();
        let mut clock = LineageClock::new(checkpoint.clock_ms);
        // AWS's times step back at times. The last of a lineage's records must be taken if an earlier one was.
        let mut read_until_ms = checkpoint.watermark_ms.max(read_until_ms);
        for (index, record) in page.records.iter().enumerate() {
            if checkpoint
                .position
                .as_ref()
                .is_some_and(|done| record.sequence_number <= *done)
            {
                continue;
            }
            checkpoint.position = Some(record.sequence_number.clone());
            checkpoint.watermark_ms = checkpoint.watermark_ms.max(Some(record.creation_ms));
            read_until_ms = read_until_ms.max(Some(record.creation_ms));
            // A healing brought it, and perhaps what became of the item since. Without a time nobody knows.
            if record.creation_ms > 0
                && self.covered_until_ms.is_some()
                && read_until_ms < self.covered_until_ms
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
    }

    /// Notes that every change of the shard before `tip_ms` is in the batch or durable.
    pub(crate) fn at_tip(&mut self, shard: &ShardCheckpoint, tip_ms: i64) {
        let checkpoint = self
            .checkpoints
            .entry(shard.shard_id.clone())
            .or_insert_with(|| shard.clone());
        checkpoint.watermark_ms = checkpoint.watermark_ms.max(Some(tip_ms));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.checkpoints.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.rows >= STREAM_BATCH_ROWS || self.rows.bytes() >= STREAM_BATCH_BYTES
    }

    /// Whether somebody waits for what is in the batch: rows are to be seen, or children of a shard to be read.
    pub(crate) fn is_urgent(&self) -> bool {
        let finished = || self.checkpoints.values().any(|shard| shard.finished);
        self.rows.rows > 0 || !self.quarantined.is_empty() || finished()
    }
}

/// A batch that is being written.
#[derive(Debug)]
pub(crate) struct WrittenBatch {
    /// Rows in the order they were read.
    pub(crate) rows: Batch,
    /// Records that could not become rows.
    pub(crate) quarantined: Vec<QuarantinedRecord>,
    /// Shards as they are once the rows are durable.
    pub(crate) checkpoints: BTreeMap<String, ShardCheckpoint>,
}

/// The record as DynamoDB JSON, put together again for the quarantine: all that a row can be made of.
fn raw_record(page: &StreamPage, index: usize) -> Vec<u8> {
    let record = &page.records[index];
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut raw = format!(
        "{{\"eventName\":\"{}\",\"eventID\":{},\"Keys\":",
        record.kind.name(),
        text(&record.event_id)
    )
    .into_bytes();
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
    if let Some((kind, principal)) = &record.user_identity {
        let identity = format!(
            ",\"userIdentity\":{{\"type\":{},\"principalId\":{}}}",
            text(kind),
            text(principal)
        );
        raw.extend_from_slice(identity.as_bytes());
    }
    raw.push(b'}');
    raw
}

#[cfg(test)]
mod tests {
    use mirror::change::{EventKind, StreamRecord};
    use mirror::sequence_number::SequenceNumber;

    use super::*;

    #[test]
    fn a_record_in_quarantine_has_all_that_a_row_is_made_of() {
        let mut page = StreamPage {
            buffer: br#"{"pk":{"S":"a"}}{"pk":{"S":"a"},"n":{"N":"1"}}"#.to_vec(),
            ..StreamPage::default()
        };
        page.records.extend(
            SequenceNumber::parse("1").map(|sequence_number| StreamRecord {
                kind: EventKind::Remove,
                keys: 0..16,
                new_image: None,
                old_image: Some(16..46),
                event_id: "id \"quoted\"".to_owned(),
                sequence_number,
                creation_ms: 0,
                user_identity: Some(("Service".to_owned(), "dynamodb.amazonaws.com".to_owned())),
            }),
        );
        assert_eq!(
            String::from_utf8_lossy(&raw_record(&page, 0)),
            r#"{"eventName":"REMOVE","eventID":"id \"quoted\"","Keys":{"pk":{"S":"a"}},"OldImage":{"pk":{"S":"a"},"n":{"N":"1"}},"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}}"#
        );
    }
}
