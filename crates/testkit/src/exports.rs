//! Exports of a world as the worker's port gives them: descriptions, manifests and files, checked as the AWS
//! adapter checks them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Mutex, PoisonError};

use aws_sim::World;
use aws_sim::attribute::map_bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::{
    ExportDescription, ExportFile, ExportFileReader, ExportManifest, ExportStatus,
};
use serde_json::Value;

use crate::items::{self, POISONED};

/// What is wrong with exports besides the faults of the world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doctored {
    /// So many exports, the first ones, have a file that ends where a gzip member ends, before its last lines. Its MD5
    /// is right: only the number of its lines tells.
    pub cut: u32,
    /// Every full export has so many items with an attribute of a type that does not exist. They are in no table.
    pub odd: u32,
}

/// Writes such files.
#[derive(Debug)]
pub struct Doctor {
    doctored: Doctored,
    composite: bool,
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    /// ARNs of exports with a file that is cut.
    cut: BTreeSet<String>,
    /// By ARN: the manifest and the files that differ, by their keys.
    exports: BTreeMap<String, ExportManifest>,
    files: BTreeMap<String, Bytes>,
}

impl Doctor {
    /// `composite` as in [`crate::scenario::Scenario`].
    pub fn new(doctored: Doctored, composite: bool) -> Self {
        Self {
            doctored,
            composite,
            work: Mutex::default(),
        }
    }

    /// The manifest of an export as it is told, the same however often it is asked for.
    ///
    /// # Errors
    /// As [`manifest`].
    pub fn manifest(
        &self,
        world: &World,
        bucket: &str,
        export: &ExportDescription,
    ) -> Result<ExportManifest> {
        let (mut manifest, full) = manifest(world, bucket, export)?;
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = work.exports.get(&export.arn) {
            return Ok(known.clone());
        }
        let body = |file: &ExportFile| world.s3.body(bucket, &file.key).unwrap_or_default();
        if work.cut.len() < self.doctored.cut as usize {
            let longest = manifest.files.iter_mut().max_by_key(|file| file.item_count);
            if let Some(file) = longest.filter(|file| file.item_count > 0)
                && let Some(half) = half(&body(file))
            {
                work.cut.insert(export.arn.clone());
                work.files.insert(file.key.clone(), half.into());
            }
        }
        if full
            && self.doctored.odd > 0
            && let Some(file) = manifest.files.first_mut()
        {
            let written = work.files.get(&file.key).cloned();
            let mut longer = written.unwrap_or_else(|| body(file)).to_vec();
            longer.extend(zipped(&self.odd_lines()));
            file.item_count += u64::from(self.doctored.odd);
            manifest.item_count += u64::from(self.doctored.odd);
            work.files.insert(file.key.clone(), longer.into());
        }
        for file in &mut manifest.files {
            if let Some(body) = work.files.get(&file.key) {
                file.md5 = STANDARD.encode(Md5::digest(body));
            }
        }
        work.exports.insert(export.arn.clone(), manifest.clone());
        Ok(manifest)
    }

    /// A data file whose MD5 is right.
    ///
    /// # Errors
    /// `Corrupt` if it is not there or its MD5 is wrong.
    pub fn open(
        &self,
        world: &World,
        bucket: &str,
        file: &ExportFile,
    ) -> Result<Box<dyn ExportFileReader>> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let doctored = work.files.get(&file.key).cloned();
        let body = doctored
            .or_else(|| world.s3.body(bucket, &file.key))
            .ok_or_else(|| corrupt(&file.key, "it is not in the bucket"))?;
        open(body, file)
    }

    fn odd_lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for number in POISONED.take(self.doctored.odd as usize) {
            let mut item = map_bytes(&items::key(self.composite, number));
            item.pop();
            lines.extend_from_slice(b"{\"Item\":");
            lines.extend_from_slice(&item);
            lines.extend_from_slice(b",\"odd\":{\"X\":\"?\"}}}\n");
        }
        lines
    }
}

/// The first half of a file's lines; `None` if its bytes are no gzip.
fn half(body: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    MultiGzDecoder::new(body).read_to_end(&mut text).ok()?;
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    Some(zipped(&lines[..lines.len() / 2].concat()))
}

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let written = gzip.write_all(text);
    let zipped = written.and_then(|()| gzip.finish());
    zipped.expect("writing to memory succeeds")
}

/// An answer of ExportTableToPointInTime or DescribeExport.
pub fn description(answer: &Value) -> ExportDescription {
    let export = &answer["ExportDescription"];
    let text = |name: &str| export[name].as_str().map(str::to_owned);
    let status = match export["ExportStatus"].as_str() {
        Some("COMPLETED") => ExportStatus::Completed,
        Some("FAILED") => ExportStatus::Failed {
            code: text("FailureCode").unwrap_or_default(),
            message: text("FailureMessage").unwrap_or_default(),
        },
        _ => ExportStatus::InProgress,
    };
    // Through text: a float of this size is a hair off.
    let ended = &export["IncrementalExportSpecification"]["ExportToTime"];
    let time = if ended.is_null() {
        &export["ExportTime"]
    } else {
        ended
    };
    let seconds = time.to_string().parse::<f64>().ok();
    ExportDescription {
        arn: text("ExportArn").unwrap_or_default(),
        status,
        export_time_ms: seconds.map(|seconds| (seconds * 1000.0).round() as i64),
        manifest_key: text("ExportManifest"),
        item_count: export["ItemCount"].as_u64(),
        billed_bytes: export["BilledSizeBytes"].as_u64(),
    }
}

fn corrupt(key: &str, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{key}: {what}"))
}

/// Both manifests of a completed export, and whether it is a full one.
fn manifest(
    world: &World,
    bucket: &str,
    export: &ExportDescription,
) -> Result<(ExportManifest, bool)> {
    let read = |key: &str| {
        world
            .s3
            .body(bucket, key)
            .ok_or_else(|| corrupt(key, "it is not in the bucket"))
    };
    let key = export.manifest_key.as_deref().unwrap_or_default();
    let summary: Value =
        serde_json::from_slice(&read(key)?).map_err(|_| corrupt(key, "it is no JSON"))?;
    let files_key = summary["manifestFilesS3Key"].as_str().unwrap_or_default();
    let mut files = Vec::new();
    for line in read(files_key)?
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let file: Value =
            serde_json::from_slice(line).map_err(|_| corrupt(files_key, "it is no JSON"))?;
        files.push(ExportFile {
            key: file["dataFileS3Key"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            item_count: file["itemCount"].as_u64().unwrap_or(0),
            md5: file["md5Checksum"].as_str().unwrap_or_default().to_owned(),
        });
    }
    let item_count = summary["itemCount"].as_u64().unwrap_or(0);
    if files.iter().map(|file| file.item_count).sum::<u64>() != item_count {
        return Err(corrupt(files_key, "its sum is not the summary's"));
    }
    let Some(export_time_ms) = export.export_time_ms else {
        return Err(corrupt(key, "no export time"));
    };
    let manifest = ExportManifest {
        export_time_ms,
        item_count,
        files,
    };
    Ok((manifest, summary["exportFromTime"].is_null()))
}

fn open(body: Bytes, file: &ExportFile) -> Result<Box<dyn ExportFileReader>> {
    if STANDARD.encode(Md5::digest(&body)) != file.md5 {
        return Err(corrupt(&file.key, "its MD5 is not the manifest's"));
    }
    let bytes = body.len() as u64;
    let lines: Box<dyn BufRead + Send> = match body.is_empty() {
        true => Box::new(body.reader()),
        false => Box::new(BufReader::new(MultiGzDecoder::new(body.reader()))),
    };
    Ok(Box::new(FileReader {
        key: file.key.clone(),
        bytes,
        lines,
    }))
}

struct FileReader {
    key: String,
    bytes: u64,
    lines: Box<dyn BufRead + Send>,
}

impl ExportFileReader for FileReader {
    fn compressed_bytes(&self) -> u64 {
        self.bytes
    }

    fn next_lines(&mut self, block: &mut Vec<u8>, target_bytes: usize) -> Result<bool> {
        block.clear();
        let broken = |error: std::io::Error| corrupt(&self.key, &error.to_string());
        (&mut self.lines)
            .take(target_bytes as u64)
            .read_to_end(block)
            .map_err(broken)?;
        if block.len() == target_bytes {
            self.lines.read_until(b'\n', block).map_err(broken)?;
        }
        Ok(!block.is_empty())
    }
}
