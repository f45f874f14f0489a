//! GetRecords.

use std::sync::Arc;

use crate::api::{ApiError, Reply};
use crate::dispatch::Context;
use crate::faults::FaultKind;
use crate::image::Image;
use crate::params::Params;
use crate::poison::Poison;
use crate::shard::{Record, Shard};
use crate::stream::ViewType;
use crate::streams_api::{Cursor, expired, iterator_parts, refuse_trimmed, token, within_rate};
use crate::timestamp;
use crate::world::World;

const MAX_RECORDS: usize = 1000;
const PAGE_BYTES: usize = 1024 * 1024;

/// A change as a reader sees it.
#[derive(Debug, Clone)]
pub struct StreamRecord {
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub event_name: &'static str,
    /// 32 hexadecimal digits.
    pub event_id: String,
    /// ApproximateCreationDateTime, whole epoch seconds.
    pub created_s: i64,
    /// Canonical JSON of the key.
    pub keys: Arc<[u8]>,
    /// Canonical JSON, if the view has it and there is one.
    pub new: Option<Arc<[u8]>>,
    /// Canonical JSON, if the view has it and there was one.
    pub old: Option<Arc<[u8]>>,
    /// 21 to 40 digits.
    pub sequence_number: String,
    pub size_bytes: usize,
    /// Deleted by time to live.
    pub expired: bool,
    /// Planted by a test: keys may be empty, images anything, and the time is not sent.
    pub poison: Option<Poison>,
}

/// An answer of GetRecords.
#[derive(Debug, Clone)]
pub struct RecordsPage {
    pub records: Vec<StreamRecord>,
    /// `None` at the end of a closed shard.
    pub next: Option<String>,
    pub view: ViewType,
}

impl World {
    pub(crate) fn get_records_action(&mut self, context: &Context, params: &Params) -> Reply {
        let iterator = params.need_text("ShardIterator")?;
        let limit = params
            .int_within("Limit", 1, MAX_RECORDS as i64)?
            .map(|limit| limit as usize);
        for fault in &context.faults {
            match fault {
                FaultKind::ExpireIterator => return Err(expired()),
                FaultKind::TrimShard => {
                    if let Some((arn, cursor)) = iterator_parts(iterator) {
                        let (arn, shard) = (arn.to_owned(), cursor.shard);
                        self.trim_shard(&arn, &shard);
                    }
                }
                _ => {}
            }
        }
        let page = self.get_records(iterator, limit)?;
        Ok(self.page_json(&page))
    }

    /// GetRecords; `limit` is at most 1000.
    pub fn get_records(
        &mut self,
        iterator: &str,
        limit: Option<usize>,
    ) -> Result<RecordsPage, ApiError> {
        let Some((arn, cursor)) = iterator_parts(iterator) else {
            return Err(ApiError::validation("Invalid ShardIterator"));
        };
        let now_ms = self.now_ms;
        let config = self.config.stream.clone();
        if now_ms - cursor.issued_ms > config.iterator_ttl_ms {
            return Err(expired());
        }
        let empty = self.rng.chance(config.empty_page_chance);
        let repeat = self.rng.chance(config.duplicate_chance);
        let ends_early = self.rng.chance(config.last_page_chance);
        let view = self.stream_mut(arn)?.view;
        let shard = self.shard_mut(arn, &cursor.shard)?;
        shard.trim(now_ms - config.retention_ms);
        if config.enforce_rates && !within_rate(&mut shard.rate, now_ms, 5) {
            return Err(ApiError::new(
                "LimitExceededException",
                "Rate exceeded for shard",
            ));
        }
        if let Some(position) = cursor.position {
            refuse_trimmed(shard, position)?;
        }
        let mut start = cursor
            .position
            .map_or(0, |position| shard.index_at(position));
        let ready = start < shard.records.len();
        if empty && ready && cursor.withheld < config.empty_pages_in_a_row {
            // Empty pages in front of records are normal on AWS.
            let next = Some(token(
                arn,
                &Cursor {
                    withheld: cursor.withheld + 1,
                    issued_ms: now_ms,
                    ..cursor
                },
            ));
            return Ok(RecordsPage {
                records: Vec::new(),
                next,
                view,
            });
        }
        if repeat {
            start = start.saturating_sub(10);
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut position = cursor.position;
        for record in shard
            .records
            .range(start..)
            .take(limit.unwrap_or(MAX_RECORDS).min(MAX_RECORDS))
        {
            let size = record.size();
            if bytes + size > PAGE_BYTES && !records.is_empty() {
                break;
            }
            bytes += size;
            position = Some(record.position + 1);
            records.push(shard.view_of(record, size));
        }
        let done = start + records.len() >= shard.records.len() && shard.closed_ms.is_some();
        let next = if done && (records.is_empty() || ends_early) {
            None
        } else {
            Some(token(arn, &Cursor::new(cursor.shard, position, now_ms)))
        };
        Ok(RecordsPage {
            records,
            next,
            view,
        })
    }

    fn page_json(&mut self, page: &RecordsPage) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            256 + page
                .records
                .iter()
                .map(|record| record.size_bytes + 512)
                .sum::<usize>(),
        );
        out.push(b'{');
        if let Some(next) = &page.next {
            out.extend_from_slice(format!("\"NextShardIterator\":\"{next}\",").as_bytes());
        }
        out.extend_from_slice(b"\"Records\":[");
        for (at, record) in page.records.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.record_json(record, page.view, &mut out);
        }
        out.extend_from_slice(b"]}");
        out
    }

    fn record_json(&mut self, record: &StreamRecord, view: ViewType, out: &mut Vec<u8>) {
        let region = &self.config.region;
        let head = format!("{{\"awsRegion\":\"{region}\",\"dynamodb\":{{");
        out.extend_from_slice(head.as_bytes());
        if record.poison != Some(Poison::NoTime) {
            let created = timestamp::exponent(record.created_s);
            let member = format!("\"ApproximateCreationDateTime\":{created},");
            out.extend_from_slice(member.as_bytes());
        }
        if !record.keys.is_empty() {
            out.extend_from_slice(b"\"Keys\":");
            out.extend_from_slice(&record.keys);
            out.push(b',');
        }
        for (name, image) in [("NewImage", &record.new), ("OldImage", &record.old)] {
            if let Some(image) = image {
                out.extend_from_slice(format!("\"{name}\":").as_bytes());
                if record.poison.is_some() {
                    out.extend_from_slice(image);
                } else {
                    self.write_image(image, out);
                }
                out.push(b',');
            }
        }
        let tail = format!(
            "\"SequenceNumber\":\"{}\",\"SizeBytes\":{},\"StreamViewType\":\"{}\"}},\"eventID\":\"{}\",\"eventName\":\"{}\",\"eventSource\":\"aws:dynamodb\",\"eventVersion\":\"1.1\"",
            record.sequence_number,
            record.size_bytes,
            view.name(),
            record.event_id,
            record.event_name
        );
        out.extend_from_slice(tail.as_bytes());
        if record.expired {
            out.extend_from_slice(
                br#","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}"#,
            );
        }
        out.push(b'}');
    }
}

impl Record {
    fn size(&self) -> usize {
        let image = |image: &Option<Image>| image.as_ref().map_or(0, |image| image.size as usize);
        self.keys.len() + image(&self.old) + image(&self.new)
    }
}

impl Shard {
    fn view_of(&self, record: &Record, size_bytes: usize) -> StreamRecord {
        StreamRecord {
            event_name: match (record.existed, record.exists) {
                _ if record.poison == Some(Poison::UnknownEvent) => "REPLICATE",
                (_, false) => "REMOVE",
                (true, true) => "MODIFY",
                (false, true) => "INSERT",
            },
            event_id: format!("{:032x}", record.event_id),
            created_s: record.created_s,
            keys: match record.poison {
                Some(Poison::NoKeys) => Arc::default(),
                _ => record.keys.clone(),
            },
            new: record.new.as_ref().map(|image| image.json.clone()),
            old: record.old.as_ref().map(|image| image.json.clone()),
            sequence_number: self.number(record.position),
            size_bytes,
            expired: record.expired,
            poison: record.poison,
        }
    }
}
