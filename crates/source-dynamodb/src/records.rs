//! The body of a GetRecords answer -> the domain's page. The body is the page's buffer, the images are slices of it.
//!
//! One record that nobody understands must not stop its shard, and must not be dropped or guessed at either. What
//! is wrong inside an image is the projection's business: it refuses the record, which then goes to quarantine. A
//! record whose head is broken (no known `eventName`, no `Keys`) is sent the same way: the whole record, as AWS
//! wrote it, stands where its keys should. It is no typed map, so that the projection refuses it too, and the
//! quarantine holds all there is. Only a record without a position makes the page `Corrupt`: there is no going on
//! after it.
//!
//! No message of this module shows a value.

use std::borrow::Cow;
use std::ops::Range;

use mirror::change::{EventKind, StreamPage, StreamRecord};
use mirror::error::{Error, ErrorKind, Result};
use mirror::sequence_number::SequenceNumber;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An answer as it always is. Its JSON is walked once; where this does not fit, [`Answer`] tells what is wrong.
#[derive(Deserialize)]
struct UsualAnswer<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Record<'a>>,
    #[serde(rename = "NextShardIterator")]
    next: Option<String>,
}

/// Every member stays raw, so that one of the wrong type is that record's trouble alone.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<&'a RawValue>>,
    #[serde(rename = "NextShardIterator")]
    next: Option<String>,
}

#[derive(Default, Deserialize)]
struct Record<'a> {
    #[serde(rename = "eventName", borrow)]
    event_name: Option<&'a RawValue>,
    #[serde(rename = "eventID", borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    dynamodb: Option<Change<'a>>,
    #[serde(rename = "userIdentity", borrow)]
    user_identity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change<'a> {
    #[serde(borrow)]
    approximate_creation_date_time: Option<&'a RawValue>,
    #[serde(borrow)]
    keys: Option<&'a RawValue>,
    #[serde(borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(borrow)]
    old_image: Option<&'a RawValue>,
    #[serde(borrow)]
    sequence_number: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    r#type: Option<String>,
    principal_id: Option<String>,
}

/// Takes the body of an answer as the page's buffer.
///
/// # Errors
/// `Unavailable` if the body is not the JSON of an answer at all (something in between wrote it), `Corrupt` if a
/// record has no usable sequence number.
pub(crate) fn page(body: Vec<u8>) -> Result<StreamPage> {
    let broken = |what: String| {
        let size = body.len();
        let context = format!("get records: the answer of {size} bytes is no page: {what}");
        Error::new(ErrorKind::Unavailable, context)
    };
    // Checked once: serde_json would check every slice of bytes again.
    let text = std::str::from_utf8(&body).map_err(|error| broken(error.to_string()))?;
    if let Some((records, next_iterator)) = usual(text) {
        return Ok(StreamPage {
            buffer: body,
            records,
            next_iterator,
        });
    }
    // The category alone: serde's own text can quote the body.
    let answer: Answer<'_> = serde_json::from_str(text)
        .map_err(|error| broken(format!("{:?} error in its JSON", error.classify())))?;
    let found = answer.records.unwrap_or_default();
    let mut records: Vec<StreamRecord> = Vec::with_capacity(found.len());
    for whole in found {
        let before_ms = records.last().map_or(0, |record| record.creation_ms);
        let next = record(&body, whole, before_ms).ok_or_else(|| {
            let after = records.last().map_or("the start of the page", |record| {
                record.sequence_number.as_str()
            });
            let what =
                format!("read the stream record after {after}: it has no usable sequence number");
            Error::new(ErrorKind::Corrupt, what)
        })?;
        records.push(next);
    }
    let next_iterator = answer.next;
    Ok(StreamPage {
        buffer: body,
        records,
        next_iterator,
    })
}

/// Records and iterator of an answer in which everything is understood.
fn usual(text: &str) -> Option<(Vec<StreamRecord>, Option<String>)> {
    let answer: UsualAnswer<'_> = serde_json::from_str(text).ok()?;
    let mut records: Vec<StreamRecord> = Vec::with_capacity(answer.records.len());
    for found in answer.records {
        let before_ms = records.last().map_or(0, |record| record.creation_ms);
        records.push(described(text.as_bytes(), found, None, before_ms)?);
    }
    Some((records, answer.next))
}

/// `None` without a position.
fn record(body: &[u8], whole: &RawValue, before_ms: i64) -> Option<StreamRecord> {
    let found: Record<'_> = serde_json::from_str(whole.get()).ok()?;
    described(body, found, Some(whole), before_ms)
}

/// `None` without a position, or if the record is not understood and nobody knows where it stands as a `whole`.
fn described(
    body: &[u8],
    found: Record<'_>,
    whole: Option<&RawValue>,
    before_ms: i64,
) -> Option<StreamRecord> {
    let change = found.dynamodb?;
    let sequence_number = SequenceNumber::parse(&text(change.sequence_number)?)?;
    let slice = |part: &RawValue| range_of(body, part);
    let kind = match text(found.event_name).as_deref() {
        Some("INSERT") => Some(EventKind::Insert),
        Some("MODIFY") => Some(EventKind::Modify),
        Some("REMOVE") => Some(EventKind::Remove),
        _ => None,
    };
    let understood = kind.zip(change.keys);
    let identity = found
        .user_identity
        .and_then(|who| serde_json::from_str::<Identity>(who.get()).ok());
    Some(StreamRecord {
        // Of a record that is not understood the kind is never asked: no row can come of it.
        kind: understood.map_or(EventKind::Modify, |(kind, _)| kind),
        keys: slice(understood.map(|(_, keys)| keys).or(whole)?),
        new_image: understood.and(change.new_image).map(slice),
        old_image: understood.and(change.old_image).map(slice),
        event_id: text(found.event_id).unwrap_or_default().into_owned(),
        sequence_number,
        creation_ms: change
            .approximate_creation_date_time
            .and_then(time_ms)
            .unwrap_or(before_ms),
        user_identity: identity.map(|who| {
            (
                who.r#type.unwrap_or_default(),
                who.principal_id.unwrap_or_default(),
            )
        }),
    })
}

/// Where in `body` a part of it lies.
fn range_of(body: &[u8], part: &RawValue) -> Range<usize> {
    let start = part.get().as_ptr().addr() - body.as_ptr().addr();
    start..start + part.get().len()
}

fn text<'a>(value: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    let json = value?.get();
    // Almost every text stands there as it is.
    let plain = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|text| !text.contains('\\'));
    match plain {
        Some(plain) => Some(Cow::Borrowed(plain)),
        None => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}

/// AWS sends seconds as a number with or without a fraction or an exponent. Milliseconds of our time have 13
/// digits, which a double holds exactly.
fn time_ms(value: &RawValue) -> Option<i64> {
    let ms = (value.get().parse::<f64>().ok()? * 1000.0).round();
    (ms.is_finite() && ms.abs() < 1e15).then_some(ms as i64)
}

#[cfg(test)]
mod tests;
