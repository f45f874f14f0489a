//! GetRecords.

use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::api::{ApiError, Reply};
use crate::dispatch::Context;
use crate::faults::FaultKind;
use crate::image::{Image, write_varied};
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
        let page = self.select_records(iterator, limit)?;
        self.page_json(&page)
    }

    /// GetRecords; `limit` is at most 1000.
    pub fn get_records(
        &mut self,
        iterator: &str,
        limit: Option<usize>,
    ) -> Result<RecordsPage, ApiError> {
        let Selection {
            arn,
            shard,
            range,
            next,
            view,
        } = self.select_records(iterator, limit)?;
        let shard = self.shard_mut(arn, &shard)?;
        let records = shard.records.range(range);
        let records = records.map(|record| shard.view_of(record)).collect();
        Ok(RecordsPage {
            records,
            next,
            view,
        })
    }

    /// Decides what a page holds.
    fn select_records<'a>(
        &mut self,
        iterator: &'a str,
        limit: Option<usize>,
    ) -> Result<Selection<'a>, ApiError> {
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
            let shard = cursor.shard.clone();
            let next = Cursor {
                withheld: cursor.withheld + 1,
                issued_ms: now_ms,
                ..cursor
            };
            return Ok(Selection {
                arn,
                shard,
                range: 0..0,
                next: Some(token(arn, &next)),
                view,
            });
        }
        if repeat {
            start = start.saturating_sub(10);
        }
        let mut end = start;
        let mut bytes = 0;
        let mut position = cursor.position;
        for record in shard
            .records
            .range(start..)
            .take(limit.unwrap_or(MAX_RECORDS).min(MAX_RECORDS))
        {
            let size = record.size();
            if bytes + size > PAGE_BYTES && end > start {
                break;
            }
            bytes += size;
            position = Some(record.position + 1);
            end += 1;
        }
        let done = end >= shard.records.len() && shard.closed_ms.is_some();
        let next = if done && (end == start || ends_early) {
            None
        } else {
            let next = Cursor::new(cursor.shard.clone(), position, now_ms);
            Some(token(arn, &next))
        };
        Ok(Selection {
            arn,
            shard: cursor.shard,
            range: start..end,
            next,
            view,
        })
    }

    /// The page as AWS writes it, straight from the shard: this is what a benchmark of a reader waits for.
    fn page_json(&mut self, page: &Selection<'_>) -> Reply {
        let Self {
            streams,
            shuffle,
            config,
            ..
        } = self;
        let shard = streams
            .get(page.arn)
            .and_then(|stream| stream.shard(&page.shard))
            .ok_or_else(|| {
                ApiError::new("ResourceNotFoundException", "Requested resource not found")
            })?;
        let sizes = shard.records.range(page.range.clone()).map(Record::size);
        let mut out = Vec::with_capacity(512 + sizes.map(|size| size * 5 / 4 + 640).sum::<usize>());
        out.push(b'{');
        if let Some(next) = &page.next {
            out.extend_from_slice(format!("\"NextShardIterator\":\"{next}\",").as_bytes());
        }
        out.extend_from_slice(b"\"Records\":[");
        let head = format!("{{\"awsRegion\":\"{}\",\"dynamodb\":{{", config.region);
        // Records of one second follow each other.
        let mut created = (i64::MIN, String::new());
        for (at, record) in shard.records.range(page.range.clone()).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(head.as_bytes());
            if record.poison != Some(Poison::NoTime) {
                if created.0 != record.created_s {
                    created = (record.created_s, timestamp::exponent(record.created_s));
                }
                out.extend_from_slice(b"\"ApproximateCreationDateTime\":");
                out.extend_from_slice(created.1.as_bytes());
                out.push(b',');
            }
            if record.poison != Some(Poison::NoKeys) {
                out.extend_from_slice(b"\"Keys\":");
                out.extend_from_slice(&record.keys);
                out.push(b',');
            }
            for (name, image) in [("NewImage", &record.new), ("OldImage", &record.old)] {
                if let Some(image) = image {
                    out.push(b'"');
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b"\":");
                    if record.poison.is_some() || !config.vary_order {
                        out.extend_from_slice(&image.json);
                    } else {
                        write_varied(&image.json, shuffle, &mut out);
                    }
                    out.push(b',');
                }
            }
            // Writing to memory does not fail.
            let _ = write!(
                out,
                "\"SequenceNumber\":\"{}{}\",\"SizeBytes\":{},\"StreamViewType\":\"{}\"}},\"eventID\":\"{:032x}\",\"eventName\":\"{}\",\"eventSource\":\"aws:dynamodb\",\"eventVersion\":\"1.1\"",
                record.position,
                shard.suffix,
                record.size(),
                page.view.name(),
                record.event_id,
                record.event_name()
            );
            if record.expired {
                out.extend_from_slice(
                    br#","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}"#,
                );
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}

/// What a page holds: part of a shard's records.
struct Selection<'a> {
    arn: &'a str,
    shard: String,
    range: Range<usize>,
    next: Option<String>,
    view: ViewType,
}

impl Record {
    fn event_name(&self) -> &'static str {
        match (self.existed, self.exists) {
            _ if self.poison == Some(Poison::UnknownEvent) => "REPLICATE",
            (_, false) => "REMOVE",
            (true, true) => "MODIFY",
            (false, true) => "INSERT",
        }
    }

    fn size(&self) -> usize {
        let image = |image: &Option<Image>| image.as_ref().map_or(0, |image| image.size as usize);
        self.keys.len() + image(&self.old) + image(&self.new)
    }
}

impl Shard {
    fn view_of(&self, record: &Record) -> StreamRecord {
        StreamRecord {
            event_name: record.event_name(),
            event_id: format!("{:032x}", record.event_id),
            created_s: record.created_s,
            keys: match record.poison {
                Some(Poison::NoKeys) => Arc::default(),
                _ => record.keys.clone(),
            },
            new: record.new.as_ref().map(|image| image.json.clone()),
            old: record.old.as_ref().map(|image| image.json.clone()),
            sequence_number: self.number(record.position),
            size_bytes: record.size(),
            expired: record.expired,
            poison: record.poison,
        }
    }
}
