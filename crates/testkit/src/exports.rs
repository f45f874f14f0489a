//! Exports of a world as the worker's port gives them: descriptions, manifests and files, checked as the AWS
//! adapter checks them.

use std::io::{BufRead, BufReader, Read};

use aws_sim::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Buf;
use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::{
    ExportDescription, ExportFile, ExportFileReader, ExportManifest, ExportStatus,
};
use serde_json::Value;

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

/// Both manifests of a completed export.
pub fn manifest(world: &World, bucket: &str, export: &ExportDescription) -> Result<ExportManifest> {
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
    Ok(ExportManifest {
        export_time_ms,
        item_count,
        files,
    })
}

/// A data file whose MD5 is right.
pub fn open(world: &World, bucket: &str, file: &ExportFile) -> Result<Box<dyn ExportFileReader>> {
    let body = world
        .s3
        .body(bucket, &file.key)
        .ok_or_else(|| corrupt(&file.key, "it is not in the bucket"))?;
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
