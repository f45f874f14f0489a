//! ListStreams, DescribeStream, GetShardIterator, and the commands that change shards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::api::{ApiError, Reply};
use crate::params::Params;
use crate::shard::{Position, Shard};
use crate::stream::Stream;
use crate::table_description::schema_json;
use crate::timestamp;
use crate::world::{World, table_name};

/// What an iterator token says behind the stream's ARN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    pub shard: String,
    /// `None` is the trim horizon, wherever that is when it is used.
    pub position: Option<Position>,
    pub issued_ms: i64,
    /// Empty pages in a row that this reader got in front of records.
    pub withheld: u32,
}

impl Cursor {
    pub(crate) fn new(shard: String, position: Option<Position>, issued_ms: i64) -> Self {
        Self {
            shard,
            position,
            issued_ms,
            withheld: 0,
        }
    }
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
            withheld: parts.next()?.parse().ok()?,
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
        Ok(token(
            arn,
            &Cursor::new(shard_id.to_owned(), position, now_ms),
        ))
    }

    pub(crate) fn stream_mut(&mut self, arn: &str) -> Result<&mut Stream, ApiError> {
        self.streams.get_mut(arn).ok_or_else(|| {
            ApiError::new(
                "ResourceNotFoundException",
                format!("Requested resource not found: Stream: {arn} not found"),
            )
        })
    }

    pub(crate) fn shard_mut(&mut self, arn: &str, id: &str) -> Result<&mut Shard, ApiError> {
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

pub(crate) fn token(arn: &str, cursor: &Cursor) -> String {
    let Cursor {
        shard,
        position,
        issued_ms,
        withheld,
    } = cursor;
    let position = position
        .map(|position| position.to_string())
        .unwrap_or_default();
    format!(
        "{arn}|1|{}",
        STANDARD.encode(format!("{shard}|{position}|{issued_ms}|{withheld}"))
    )
}

pub(crate) fn refuse_trimmed(shard: &Shard, position: Position) -> Result<(), ApiError> {
    if shard.trimmed.is_some_and(|trimmed| position <= trimmed) {
        return Err(ApiError::new(
            "TrimmedDataAccessException",
            "The operation attempted to read past the oldest stream record in a shard.",
        ));
    }
    Ok(())
}

pub(crate) fn expired() -> ApiError {
    ApiError::new("ExpiredIteratorException", "Iterator expired")
}

/// Counts a call; false if the second's limit is used up.
pub(crate) fn within_rate(rate: &mut (i64, u32), now_ms: i64, limit: u32) -> bool {
    if now_ms - rate.0 >= 1000 {
        *rate = (now_ms, 0);
    }
    rate.1 += 1;
    rate.1 <= limit
}
