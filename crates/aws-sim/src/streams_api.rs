//! ListStreams, DescribeStream, GetShardIterator, GetRecords.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::api::{ApiError, Reply};
use crate::dispatch::Context;
use crate::faults::FaultKind;
use crate::params::Params;
use crate::shard::{Position, Record, Shard};
use crate::stream::{Stream, ViewType};
use crate::tables_api::schema_json;
use crate::timestamp;
use crate::world::{World, table_name};

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
}

/// An answer of GetRecords.
#[derive(Debug, Clone)]
pub struct RecordsPage {
    pub records: Vec<StreamRecord>,
    /// `None` at the end of a closed shard.
    pub next: Option<String>,
    pub view: ViewType,
}

/// What an iterator token says behind the stream's ARN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    shard: String,
    /// `None` is the trim horizon, wherever that is when it is used.
    position: Option<Position>,
    issued_ms: i64,
}

/// The stream ARN and the cursor inside an iterator.
pub(crate) fn iterator_parts(token: &str) -> Option<(&str, Cursor)> {
    let (arn, rest) = token.split_once("|1|")?;
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let mut parts = text.split('|');
    let shard = parts.next()?.to_owned();
    let position = match parts.next()? {
        "" => None,
        number => Some(number.parse().ok()?),
    };
    Some((
        arn,
        Cursor {
            shard,
            position,
            issued_ms: parts.next()?.parse().ok()?,
        },
    ))
}

impl World {
    pub(crate) fn list_streams(&mut self, params: &Params) -> Reply {
        let table = params.text("TableName")?.map(table_name);
        let limit = params.int_within("Limit", 1, 100)?.unwrap_or(100) as usize;
        let start = params.text("ExclusiveStartStreamArn")?.unwrap_or_default();
        let mut found: Vec<_> = self
            .streams
            .values()
            .filter(|stream| {
                table.is_none_or(|name| name == stream.table) && stream.arn.as_str() > start
            })
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let list: Vec<_> = found
            .iter()
            .map(|stream| json!({ "StreamArn": stream.arn, "TableName": stream.table, "StreamLabel": stream.label }))
            .collect();
        let mut answer = json!({ "Streams": list });
        if more {
            answer["LastEvaluatedStreamArn"] = json!(found.last().map(|stream| &stream.arn));
        }
        Ok(answer.to_string().into_bytes())
    }

    pub(crate) fn describe_stream(&mut self, params: &Params) -> Reply {
        let arn = params.need_text("StreamArn")?;
        let limit = params.int_within("Limit", 1, 100)?.unwrap_or(100) as usize;
        let start = params.text("ExclusiveStartShardId")?.unwrap_or_default();
        let (now_ms, enforce) = (self.now_ms, self.config.stream.enforce_rates);
        let stream = self.stream_mut(arn)?;
        if enforce && !within_rate(&mut stream.rate, now_ms, 10) {
            return Err(ApiError::new(
                "LimitExceededException",
                "Subscriber limit exceeded: Request has been throttled",
            ));
        }
        let parent = match params.get("ShardFilter") {
            None => None,
            Some(filter) => match (filter["Type"].as_str(), filter["ShardId"].as_str()) {
                (Some("CHILD_SHARDS"), Some(id)) => Some(id),
                _ => {
                    return Err(ApiError::validation(
                        "ShardFilter requires Type CHILD_SHARDS and ShardId",
                    ));
                }
            },
        };
        let mut shards: Vec<_> = stream
            .shards()
            .filter(|shard| shard.visible_ms <= now_ms && shard.id.as_str() > start)
            .filter(|shard| parent.is_none_or(|parent| shard.parent.as_deref() == Some(parent)))
            .take(limit + 1)
            .collect();
        let more = shards.len() > limit;
        shards.truncate(limit);
        let list: Vec<_> = shards.iter().map(|shard| shard_json(shard)).collect();
        let mut description = json!({
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": stream.status(now_ms),
            "StreamViewType": stream.view.name(),
            "CreationRequestDateTime": timestamp::seconds(stream.created_ms),
            "TableName": stream.table,
            "KeySchema": schema_json(&stream.schema),
            "Shards": list,
        });
        if more {
            description["LastEvaluatedShardId"] = json!(shards.last().map(|shard| &shard.id));
        }
        Ok(json!({ "StreamDescription": description })
            .to_string()
            .into_bytes())
    }

    pub(crate) fn get_shard_iterator_action(&mut self, params: &Params) -> Reply {
        let arn = params.need_text("StreamArn")?;
        let shard = params.need_text("ShardId")?;
        let kind = params
            .choice(
                "ShardIteratorType",
                &[
                    "TRIM_HORIZON",
                    "LATEST",
                    "AT_SEQUENCE_NUMBER",
                    "AFTER_SEQUENCE_NUMBER",
                    "AT_TIMESTAMP",
                ],
            )?
            .ok_or_else(|| crate::params::missing("ShardIteratorType"))?;
        let number = params.text("SequenceNumber")?;
        let timestamp = params.millis("Timestamp")?;
        let token = self.get_shard_iterator(arn, shard, kind, number, timestamp)?;
        Ok(json!({ "ShardIterator": token }).to_string().into_bytes())
    }

    /// GetShardIterator. `timestamp_ms` is for AT_TIMESTAMP.
    pub fn get_shard_iterator(
        &mut self,
        arn: &str,
        shard_id: &str,
        kind: &str,
        number: Option<&str>,
        timestamp_ms: Option<i64>,
    ) -> Result<String, ApiError> {
        let now_ms = self.now_ms;
        let wants_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
        if wants_number && number.is_none() {
            return Err(ApiError::validation(format!(
                "SequenceNumber must be specified for ShardIteratorType {kind}"
            )));
        }
        if !wants_number && number.is_some() {
            return Err(ApiError::validation(format!(
                "SequenceNumber must not be specified for ShardIteratorType {kind}"
            )));
        }
        let horizon = now_ms - self.config.stream.retention_ms;
        let shard = self.shard_mut(arn, shard_id)?;
        shard.trim(horizon);
        let position = match kind {
            "TRIM_HORIZON" => None,
            "LATEST" => Some(shard.head + 1),
            "AT_TIMESTAMP" => {
                let at = timestamp_ms.ok_or_else(|| {
                    ApiError::validation(
                        "Timestamp must be specified for ShardIteratorType AT_TIMESTAMP",
                    )
                })?;
                if at > now_ms {
                    return Err(ApiError::validation("Timestamp must not be in the future"));
                }
                let found = shard
                    .records
                    .iter()
                    .find(|record| record.created_s * 1000 >= at);
                Some(found.map_or(shard.head + 1, |record| record.position))
            }
            _ => {
                let after = kind == "AFTER_SEQUENCE_NUMBER";
                let position = shard
                    .position_of(number.unwrap_or_default(), after)
                    .ok_or_else(|| ApiError::validation("Invalid SequenceNumber"))?;
                refuse_trimmed(shard, position)?;
                Some(position)
            }
        };
        Ok(token(arn, shard_id, position, now_ms))
    }

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
        if empty && start < shard.records.len() {
            // Empty pages in front of records are normal on AWS.
            let next = Some(token(arn, &cursor.shard, cursor.position, now_ms));
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
            Some(token(arn, &cursor.shard, position, now_ms))
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
        let head = format!(
            "{{\"awsRegion\":\"{region}\",\"dynamodb\":{{\"ApproximateCreationDateTime\":{},\"Keys\":",
            timestamp::exponent(record.created_s)
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&record.keys);
        for (name, image) in [("NewImage", &record.new), ("OldImage", &record.old)] {
            if let Some(image) = image {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                self.write_image(image, out);
            }
        }
        let tail = format!(
            ",\"SequenceNumber\":\"{}\",\"SizeBytes\":{},\"StreamViewType\":\"{}\"}},\"eventID\":\"{}\",\"eventName\":\"{}\",\"eventSource\":\"aws:dynamodb\",\"eventVersion\":\"1.1\"",
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

    pub(crate) fn stream_mut(&mut self, arn: &str) -> Result<&mut Stream, ApiError> {
        self.streams.get_mut(arn).ok_or_else(|| {
            ApiError::new(
                "ResourceNotFoundException",
                format!("Requested resource not found: Stream: {arn} not found"),
            )
        })
    }

    fn shard_mut(&mut self, arn: &str, id: &str) -> Result<&mut Shard, ApiError> {
        let now_ms = self.now_ms;
        self.stream_mut(arn)?
            .shard_mut(id)
            .filter(|shard| shard.visible_ms <= now_ms)
            .ok_or_else(|| {
                ApiError::new(
                    "ResourceNotFoundException",
                    "Requested resource not found: Shard does not exist",
                )
            })
    }

    /// Trims every record a shard holds. False if there is no such shard.
    pub fn trim_shard(&mut self, arn: &str, shard: &str) -> bool {
        let shard = self
            .streams
            .get_mut(arn)
            .and_then(|stream| stream.shard_mut(shard));
        shard.map(|shard| shard.trim(i64::MAX)).is_some()
    }

    /// Removes a closed shard from the stream, as happens 24 hours after it closed.
    pub fn forget_shard(&mut self, arn: &str, shard: &str) -> bool {
        self.streams
            .get_mut(arn)
            .is_some_and(|stream| stream.forget(shard))
    }

    /// Splits one open shard (or, without `shard`, all) in two. Returns the new shards' ids.
    pub fn split_shards(&mut self, table_or_arn: &str, shard: Option<&str>) -> Vec<String> {
        self.replace_shards(table_or_arn, shard, 2)
    }

    /// Replaces one open shard (or, without `shard`, all) by a single child. Returns the new shards' ids.
    pub fn roll_over_shards(&mut self, table_or_arn: &str, shard: Option<&str>) -> Vec<String> {
        self.replace_shards(table_or_arn, shard, 1)
    }

    fn replace_shards(
        &mut self,
        table_or_arn: &str,
        shard: Option<&str>,
        children: u32,
    ) -> Vec<String> {
        let arn = match self.tables.get(table_or_arn) {
            Some(table) => table.stream.clone().unwrap_or_default(),
            None => table_or_arn.to_owned(),
        };
        let Some(stream) = self.streams.get_mut(&arn) else {
            return Vec::new();
        };
        let ids = shard.map_or_else(|| stream.open_ids(), |id| vec![id.to_owned()]);
        let mut new = Vec::new();
        for id in ids {
            new.extend(stream.replace(
                &id,
                children,
                &self.config.stream,
                self.now_ms,
                &mut self.rng,
            ));
        }
        new
    }
}

impl Record {
    fn size(&self) -> usize {
        let image = |image: &Option<crate::image::Image>| {
            image.as_ref().map_or(0, |image| image.size as usize)
        };
        self.keys.len() + image(&self.old) + image(&self.new)
    }
}

impl Shard {
    fn view_of(&self, record: &Record, size_bytes: usize) -> StreamRecord {
        StreamRecord {
            event_name: match (record.existed, record.exists) {
                (_, false) => "REMOVE",
                (true, true) => "MODIFY",
                (false, true) => "INSERT",
            },
            event_id: format!("{:032x}", record.event_id),
            created_s: record.created_s,
            keys: record.keys.clone(),
            new: record.new.as_ref().map(|image| image.json.clone()),
            old: record.old.as_ref().map(|image| image.json.clone()),
            sequence_number: self.number(record.position),
            size_bytes,
            expired: record.expired,
        }
    }
}

fn shard_json(shard: &Shard) -> serde_json::Value {
    let mut range = json!({ "StartingSequenceNumber": shard.number(shard.first) });
    if let Some(ending) = shard.ending {
        range["EndingSequenceNumber"] = json!(shard.number(ending));
    }
    let mut out = json!({ "ShardId": shard.id, "SequenceNumberRange": range });
    if let Some(parent) = &shard.parent {
        out["ParentShardId"] = json!(parent);
    }
    out
}

fn token(arn: &str, shard: &str, position: Option<Position>, now_ms: i64) -> String {
    let position = position
        .map(|position| position.to_string())
        .unwrap_or_default();
    format!(
        "{arn}|1|{}",
        STANDARD.encode(format!("{shard}|{position}|{now_ms}"))
    )
}

fn refuse_trimmed(shard: &Shard, position: Position) -> Result<(), ApiError> {
    if shard.trimmed.is_some_and(|trimmed| position <= trimmed) {
        return Err(ApiError::new(
            "TrimmedDataAccessException",
            "The operation attempted to read past the oldest stream record in a shard.",
        ));
    }
    Ok(())
}

fn expired() -> ApiError {
    ApiError::new("ExpiredIteratorException", "Iterator expired")
}

/// Counts a call; false if the second's limit is used up.
fn within_rate(rate: &mut (i64, u32), now_ms: i64, limit: u32) -> bool {
    if now_ms - rate.0 >= 1000 {
        *rate = (now_ms, 0);
    }
    rate.1 += 1;
    rate.1 <= limit
}
