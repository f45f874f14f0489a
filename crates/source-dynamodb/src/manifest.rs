//! The two manifests of an export: what they say, and whether it can be believed. `manifest_reader` fetches them.
//!
//! A manifest is hostile input: whoever may write to the bucket may have written it. It is checked against its
//! own MD5, bounded in size and number of files, and may name only data files of its own export.

use std::io::{BufRead, BufReader, Read};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::ExportFile;
use serde::Deserialize;

use crate::clock::epoch_ms;
use crate::download::spool_failure;
use crate::error::{Fault, quoted};
use crate::export_reader::decode_md5;

/// A table of 500 GB has some thousand partitions and a few files for each.
const MAX_FILES: usize = 1_000_000;
/// What S3 allows. Errors further on repeat keys.
const MAX_KEY_BYTES: usize = 1024;
/// Room for a key in JSON's longest spelling; the other members of a line are short.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// manifest-summary.json, full and incremental.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The point in time of a full export, the end of the window of an incremental one, milliseconds.
    pub(crate) export_time_ms: Option<i64>,
    /// Start of the window of an incremental export, milliseconds; inclusive.
    pub(crate) from_time_ms: Option<i64>,
    pub(crate) files_key: String,
    pub(crate) item_count: u64,
}

impl Summary {
    fn is_incremental(&self) -> bool {
        self.from_time_ms.is_some()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSummary {
    export_arn: Option<String>,
    export_time: Option<String>,
    export_from_time: Option<String>,
    export_to_time: Option<String>,
    export_type: Option<String>,
    manifest_files_s3_key: Option<String>,
    item_count: Option<u64>,
    output_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    item_count: Option<u64>,
    md5_checksum: Option<String>,
    data_file_s3_key: Option<String>,
}

/// Where one export keeps its files: `<prefix>AWSDynamoDB/<id>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) prefix: String,
    pub(crate) id: String,
}

impl Folder {
    /// Reads prefix and id out of the key under which the summary was found.
    pub(crate) fn of(summary_key: &str, export_arn: &str) -> Result<Self> {
        let id = export_arn
            .rsplit('/')
            .next()
            .filter(|id| !id.is_empty())
            .unwrap_or_default();
        let tail = format!("AWSDynamoDB/{id}/manifest-summary.json");
        match summary_key.strip_suffix(&tail) {
            Some(prefix) if !id.is_empty() && (prefix.is_empty() || prefix.ends_with('/')) => {
                Ok(Self {
                    prefix: prefix.to_owned(),
                    id: id.to_owned(),
                })
            }
            _ => Err(corrupt(
                summary_key,
                &format!("it is not the manifest of export {export_arn}"),
            )),
        }
    }

    /// Whether `key` lies below this export; incremental exports share one folder for data.
    pub(crate) fn place(&self, key: &str, incremental: bool) -> Option<Place> {
        let bare = if incremental {
            "AWSDynamoDB/data/".to_owned()
        } else {
            format!("AWSDynamoDB/{}/", self.id)
        };
        if below(key, &format!("{}{bare}", self.prefix)) {
            return Some(Place::Prefixed);
        }
        below(key, &bare).then_some(Place::Bare)
    }
}

fn below(key: &str, folder: &str) -> bool {
    // S3 takes keys literally; dots would only matter to whoever copies the files to a disk.
    key.strip_prefix(folder)
        .is_some_and(|rest| !rest.is_empty() && !rest.split('/').any(|part| part == ".."))
}

/// How a manifest writes its keys: AWS includes the prefix, AWS's guide shows them without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Prefixed,
    Bare,
}

pub(crate) fn corrupt(key: &str, what: &str) -> Error {
    let key = quoted(key);
    Error::new(ErrorKind::Corrupt, format!("read manifest {key}: {what}"))
}

/// Reads manifest-summary.json. Unknown members are ignored.
pub(crate) fn parse_summary(key: &str, bytes: &[u8], export_arn: &str) -> Result<Summary> {
    let raw: RawSummary = serde_json::from_slice(bytes).map_err(|error| {
        let mut failure = corrupt(key, "it is not the JSON it should be");
        // It may repeat what it found in place of what it wanted.
        failure.source = Some(Fault::new(quoted(&error.to_string())).into());
        failure
    })?;
    if let Some(arn) = raw.export_arn.filter(|arn| arn != export_arn) {
        return Err(corrupt(
            key,
            &format!("it belongs to export {}, not to {export_arn}", quoted(&arn)),
        ));
    }
    if let Some(format) = raw.output_format.filter(|format| format != "DYNAMODB_JSON") {
        return Err(corrupt(
            key,
            &format!("its data is {}, not DYNAMODB_JSON", quoted(&format)),
        ));
    }
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => {
            let time = DateTime::from_str(&text, Format::DateTimeWithOffset)
                .ok()
                .and_then(|time| epoch_ms(&time));
            time.map(Some)
                .ok_or_else(|| corrupt(key, &format!("{} is not a time", quoted(&text))))
        }
    };
    let (from_time_ms, to_time_ms) = (time(raw.export_from_time)?, time(raw.export_to_time)?);
    let incremental = raw.export_type.as_deref() == Some("INCREMENTAL_EXPORT");
    if incremental && (from_time_ms.is_none() || to_time_ms.is_none()) {
        return Err(corrupt(
            key,
            "an incremental export without exportFromTime and exportToTime",
        ));
    }
    let files_key = raw
        .manifest_files_s3_key
        .ok_or_else(|| corrupt(key, "it has no manifestFilesS3Key"))?;
    if files_key.len() > MAX_KEY_BYTES {
        let files_key = quoted(&files_key);
        return Err(corrupt(key, &format!("{files_key} is no key of S3")));
    }
    Ok(Summary {
        export_time_ms: time(raw.export_time)?.or(to_time_ms),
        from_time_ms,
        files_key,
        item_count: raw
            .item_count
            .ok_or_else(|| corrupt(key, "it has no itemCount"))?,
    })
}

/// manifest-files.json.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) list: Vec<ExportFile>,
    pub(crate) place: Place,
}

/// Reads manifest-files.json, one file a line, and checks it against the summary.
pub(crate) fn parse_files(
    key: &str,
    input: impl Read,
    folder: &Folder,
    summary: &Summary,
) -> Result<Files> {
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut list: Vec<ExportFile> = Vec::new();
    let mut place = None;
    let mut total: u64 = 0;
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        (&mut input)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(spool_failure)?;
        if line.is_empty() {
            break;
        }
        number += 1;
        if line.len() as u64 == MAX_LINE_BYTES {
            return Err(corrupt(
                key,
                &format!("line {number} is longer than {MAX_LINE_BYTES} bytes"),
            ));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (file, at) = parse_file(&line, folder, summary)
            .map_err(|what| corrupt(key, &format!("line {number}: {what}")))?;
        if *place.get_or_insert(at) != at {
            return Err(corrupt(
                key,
                &format!("line {number}: some keys have the prefix and some have not"),
            ));
        }
        total = total.saturating_add(file.item_count);
        if list.len() == MAX_FILES {
            return Err(corrupt(
                key,
                &format!("it names more than {MAX_FILES} files"),
            ));
        }
        list.push(file);
    }
    if total != summary.item_count {
        let what = format!(
            "its files have {total} items together, the summary says {}",
            summary.item_count
        );
        return Err(corrupt(key, &what));
    }
    let mut keys: Vec<&str> = list.iter().map(|file| file.key.as_str()).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(corrupt(
            key,
            &format!("it names {} twice", quoted(twice[0])),
        ));
    }
    Ok(Files {
        list,
        place: place.unwrap_or(Place::Prefixed),
    })
}

fn parse_file(
    line: &[u8],
    folder: &Folder,
    summary: &Summary,
) -> std::result::Result<(ExportFile, Place), String> {
    let raw: RawFile = serde_json::from_slice(line)
        .map_err(|error| format!("not the JSON it should be: {}", quoted(&error.to_string())))?;
    let key = raw.data_file_s3_key.ok_or("no dataFileS3Key")?;
    if key.len() > MAX_KEY_BYTES {
        return Err(format!("{:?} is no key of S3", quoted(&key)));
    }
    let incremental = summary.is_incremental();
    let place = folder
        .place(&key, incremental)
        .ok_or_else(|| format!("{:?} lies outside of its export's folder", quoted(&key)))?;
    let md5 = raw
        .md5_checksum
        .filter(|md5| decode_md5(md5).is_some())
        .ok_or("no usable md5Checksum")?;
    Ok((
        ExportFile {
            key,
            item_count: raw.item_count.ok_or("no itemCount")?,
            md5,
        },
        place,
    ))
}

#[cfg(test)]
mod tests;
