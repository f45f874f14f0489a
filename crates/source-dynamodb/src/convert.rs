//! Stream records of the SDK -> the domain's page: images as DynamoDB JSON in one buffer, no tree in between.
//!
//! Maps are written with their keys sorted: the SDK hands them out in random order, and the same record must
//! give the same bytes in every process. No message of this module shows a value.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsOutput;
use aws_sdk_dynamodbstreams::types::{AttributeValue, OperationType, Record};
use aws_smithy_types::DateTime;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mirror::change::{EventKind, StreamPage, StreamRecord};
use mirror::error::{Error, ErrorKind, Result};
use mirror::limits::MAX_DEPTH;
use mirror::sequence_number::SequenceNumber;

type Image = HashMap<String, AttributeValue>;

/// Turns one answer of GetRecords into a page.
///
/// # Errors
/// `Corrupt`, with the sequence number, for anything AWS's documentation does not allow: a record without keys or
/// position, an unknown event or an unknown attribute type. A record is never dropped.
pub(crate) fn page(answer: &GetRecordsOutput) -> Result<StreamPage> {
    let mut page = StreamPage {
        next_iterator: answer.next_shard_iterator.clone(),
        ..StreamPage::default()
    };
    page.records.reserve(answer.records().len());
    for found in answer.records() {
        let record = record(found, &mut page.buffer).map_err(|what| {
            let position = found
                .dynamodb()
                .and_then(|change| change.sequence_number())
                .unwrap_or("unknown");
            let context = format!("read the stream record at sequence number {position}: {what}");
            Error::new(ErrorKind::Corrupt, context)
        })?;
        page.records.push(record);
    }
    Ok(page)
}

/// Milliseconds since 1970, rounded: the SDK reads AWS's floating point number a few nanoseconds short, and
/// cutting it off would be a millisecond early. `None` outside of what 64 bits hold.
pub(crate) fn epoch_ms(time: &DateTime) -> Option<i64> {
    i64::try_from((time.as_nanos() + 500_000).div_euclid(1_000_000)).ok()
}

fn record(found: &Record, buffer: &mut Vec<u8>) -> std::result::Result<StreamRecord, String> {
    let kind = match found.event_name() {
        Some(OperationType::Insert) => EventKind::Insert,
        Some(OperationType::Modify) => EventKind::Modify,
        Some(OperationType::Remove) => EventKind::Remove,
        other => {
            return Err(format!(
                "unknown eventName {:?}",
                other.map_or("(none)", |name| name.as_str())
            ));
        }
    };
    let change = found.dynamodb().ok_or("it has no dynamodb member")?;
    let sequence_number = change
        .sequence_number()
        .and_then(SequenceNumber::parse)
        .ok_or("it has no usable sequence number")?;
    let created = change.approximate_creation_date_time().and_then(epoch_ms);
    let identity = found.user_identity();
    let identity = identity.map(|who| {
        (
            who.r#type().unwrap_or_default(),
            who.principal_id().unwrap_or_default(),
        )
    });
    Ok(StreamRecord {
        kind,
        keys: image(change.keys().ok_or("it has no keys")?, buffer)?,
        new_image: change
            .new_image()
            .map(|item| image(item, buffer))
            .transpose()?,
        old_image: change
            .old_image()
            .map(|item| image(item, buffer))
            .transpose()?,
        event_id: found.event_id().unwrap_or_default().to_owned(),
        sequence_number,
        creation_ms: created.ok_or("it has no creation time")?,
        user_identity: identity.map(|(kind, principal)| (kind.to_owned(), principal.to_owned())),
    })
}

fn image(item: &Image, out: &mut Vec<u8>) -> std::result::Result<Range<usize>, String> {
    let start = out.len();
    write_map(item, out, 1)?;
    Ok(start..out.len())
}

fn write_map(item: &Image, out: &mut Vec<u8>, depth: usize) -> std::result::Result<(), String> {
    let mut members: Vec<(&String, &AttributeValue)> = item.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_value(value, out, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_value(
    value: &AttributeValue,
    out: &mut Vec<u8>,
    depth: usize,
) -> std::result::Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!(
            "its attributes nest deeper than {MAX_DEPTH} levels"
        ));
    }
    match value {
        AttributeValue::S(text) => tagged(b"{\"S\":", out, |out| write_string(text, out)),
        AttributeValue::N(text) => tagged(b"{\"N\":", out, |out| write_string(text, out)),
        AttributeValue::B(bytes) => {
            tagged(b"{\"B\":", out, |out| write_base64(bytes.as_ref(), out))
        }
        AttributeValue::Bool(flag) => tagged(b"{\"BOOL\":", out, |out| write_flag(*flag, out)),
        AttributeValue::Null(flag) => tagged(b"{\"NULL\":", out, |out| write_flag(*flag, out)),
        AttributeValue::Ss(set) => tagged(b"{\"SS\":", out, |out| {
            write_list(set, out, |text, out| write_string(text, out))
        }),
        AttributeValue::Ns(set) => tagged(b"{\"NS\":", out, |out| {
            write_list(set, out, |text, out| write_string(text, out))
        }),
        AttributeValue::Bs(set) => {
            tagged(b"{\"BS\":", out, |out| {
                write_list(set, out, |bytes, out| write_base64(bytes.as_ref(), out))
            });
        }
        AttributeValue::L(list) => {
            out.extend_from_slice(b"{\"L\":[");
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(value, out, depth + 1)?;
            }
            out.extend_from_slice(b"]}");
        }
        AttributeValue::M(map) => {
            out.extend_from_slice(b"{\"M\":");
            write_map(map, out, depth + 1)?;
            out.push(b'}');
        }
        _ => return Err("it holds an attribute of a type this version does not know".to_owned()),
    }
    Ok(())
}

fn tagged(head: &[u8], out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(head);
    body(out);
    out.push(b'}');
}

fn write_list<T>(set: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, member) in set.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(member, out);
    }
    out.push(b']');
}

fn write_flag(flag: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    // Four characters for every three bytes, the last group padded.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("the buffer has the encoded length");
    out.truncate(start + written);
    out.push(b'"');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean..index]);
        clean = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests;
