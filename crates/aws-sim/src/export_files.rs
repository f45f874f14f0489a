//! What an export writes: the snapshot, the data files and the manifests.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use serde_json::json;

use crate::export::{Export, Scope, Status};
use crate::faults::FaultKind;
use crate::image::{Image, write_varied};
use crate::key::partition_hash;
use crate::rng::{Rng, mix};
use crate::s3::Object;
use crate::table::{Table, Write};
use crate::timestamp;
use crate::world::World;

const ITEMS_PER_FILE: usize = 20_000;
const FILE_NAME_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The lines of one data file: whole items, or finished lines.
#[derive(Debug, Clone)]
pub(crate) enum Lines {
    Items(Vec<Arc<[u8]>>),
    Changes(Vec<Vec<u8>>),
}

impl Lines {
    fn len(&self) -> usize {
        match self {
            Self::Items(items) => items.len(),
            Self::Changes(lines) => lines.len(),
        }
    }
}

/// The files still to be written, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    files: Vec<Lines>,
    next: usize,
}

/// A data file as the manifest will list it.
#[derive(Debug, Clone)]
pub(crate) struct WrittenFile {
    pub(crate) key: String,
    pub(crate) items: u64,
    pub(crate) md5: [u8; 16],
}

impl World {
    pub(crate) fn step_export(&mut self, export: &mut Export) {
        if export.plan.is_none() && self.now_ms >= export.snapshot_ms.min(export.due_ms) {
            export.plan = match self.write_ready(export) {
                true => Some(Plan::default()),
                false => self.plan_export(export),
            };
        }
        let duration = export.due_ms - export.started_ms;
        while let Some(plan) = &mut export.plan {
            let count = plan.files.len();
            let share = duration * (plan.next as i64 + 1) / (count as i64 + 1);
            if plan.next >= count || self.now_ms < (export.started_ms + share).min(export.due_ms) {
                break;
            }
            let number = plan.next;
            plan.next += 1;
            let lines = std::mem::replace(&mut plan.files[number], Lines::Changes(Vec::new()));
            if export.broken.is_none() {
                self.write_file(export, number, &lines);
            }
        }
        if self.now_ms >= export.due_ms {
            self.finish_export(export);
        }
    }

    pub(crate) fn plan_export(&mut self, export: &Export) -> Option<Plan> {
        let table = self
            .tables
            .get(&export.table)
            .filter(|table| table.id == export.table_id)?;
        let config = &self.config.export;
        let mut files = match export.scope {
            Scope::Full { at_ms } => {
                let count = config
                    .files
                    .map_or(4.max(table.items.len() / ITEMS_PER_FILE), |files| {
                        files as usize
                    })
                    .max(1);
                let seed = mix(self.config.seed ^ export.started_ms as u64);
                let fuzz = config.fuzz_ms;
                let cut = |hash: u64| {
                    let part = part_of(hash, count) as u64;
                    let spread =
                        Rng::new(seed ^ mix(part)).below(2 * fuzz.max(0) as u64 + 1) as i64;
                    at_ms + spread - fuzz
                };
                let mut files = vec![Vec::new(); count];
                for (hash, json) in snapshot(table, at_ms - fuzz, cut) {
                    files[part_of(hash, count)].push(json);
                }
                files.into_iter().map(Lines::Items).collect::<Vec<_>>()
            }
            Scope::Incremental {
                from_ms,
                to_ms,
                old_images,
            } => {
                let count = config.files.unwrap_or(4).max(1) as usize;
                let mut files = vec![Vec::new(); count];
                let (from_ms, to_ms) = (self.window_edge(from_ms), self.window_edge(to_ms));
                for (hash, line) in changes(table, from_ms, to_ms, old_images, config.bare_micros) {
                    files[part_of(hash, count)].push(line);
                }
                files.into_iter().map(Lines::Changes).collect()
            }
        };
        for _ in 0..config.empty_files {
            let at = self.rng.below(files.len() as u64 + 1) as usize;
            files.insert(at, Lines::Items(Vec::new()));
        }
        Some(Plan { files, next: 0 })
    }

    /// Where a window really begins or ends that was asked to at `at_ms`. The same time is always moved by the
    /// same amount: windows that adjoin lose no write and repeat none.
    pub(crate) fn window_edge(&self, at_ms: i64) -> i64 {
        let fuzz = self.config.export.incremental_fuzz_ms.max(0);
        let mut rng = Rng::new(mix(self.config.seed ^ mix(at_ms as u64)));
        at_ms - fuzz + rng.below(2 * fuzz as u64 + 1) as i64
    }

    fn write_file(&mut self, export: &mut Export, number: usize, lines: &Lines) {
        if let Err(reason) = self.may_write(export) {
            export.broken = Some(reason);
            return;
        }
        if number == 0 {
            self.store(
                export,
                format!("{}/_started", export.folder()),
                Bytes::new(),
            );
        }
        let mut rng = Rng::new(mix(self.config.seed ^ number as u64) ^ export.started_ms as u64);
        let (mut body, bytes) = self.compress(lines, number, &mut rng);
        if lines.len() > 0 && take_fault(export, &FaultKind::TruncatedDataFile) {
            body.truncate(body.len() / 2);
        }
        let name = rng.text(FILE_NAME_ALPHABET, 26);
        let folder = match export.scope {
            Scope::Full { .. } => export.folder(),
            Scope::Incremental { .. } => export.root(),
        };
        let key = format!("{folder}/data/{name}.json.gz");
        export.billed_bytes += bytes;
        export.item_count += lines.len() as u64;
        export.written.push(WrittenFile {
            key: key.clone(),
            items: lines.len() as u64,
            md5: Md5::digest(&body).into(),
        });
        self.store(export, key, body.into());
    }

    /// The compressed file and the number of bytes before compression.
    fn compress(&self, lines: &Lines, number: usize, rng: &mut Rng) -> (Vec<u8>, u64) {
        let config = &self.config.export;
        if lines.len() == 0 && number % 2 == 1 {
            return (Vec::new(), 0);
        }
        let members = if config.multi_member && number.is_multiple_of(3) && lines.len() > 1 {
            3
        } else {
            1
        };
        let mut body = Vec::new();
        let mut total = 0;
        let mut text = Vec::with_capacity(256 * 1024);
        for member in 0..members {
            let (from, to) = (
                lines.len() * member / members,
                lines.len() * (member + 1) / members,
            );
            let mut gzip = GzEncoder::new(body, Compression::new(config.gzip_level));
            for at in from..to {
                match lines {
                    Lines::Items(items) => {
                        text.extend_from_slice(b"{\"Item\":");
                        if self.config.vary_order {
                            write_varied(&items[at], rng, &mut text);
                        } else {
                            text.extend_from_slice(&items[at]);
                        }
                        text.extend_from_slice(b"}\n");
                    }
                    Lines::Changes(changes) => text.extend_from_slice(&changes[at]),
                }
                if text.len() > 192 * 1024 || at + 1 == to {
                    total += text.len() as u64;
                    gzip.write_all(&text).expect("writing to memory succeeds");
                    text.clear();
                }
            }
            body = gzip.finish().expect("writing to memory succeeds");
        }
        (body, total)
    }

    fn finish_export(&mut self, export: &mut Export) {
        export.ended_ms = Some(export.due_ms);
        let planned = export.faults.iter().find_map(|fault| match fault {
            FaultKind::ExportFailed { code, message } => Some((code.clone(), message.clone())),
            _ => None,
        });
        let absent = (export.plan.is_none()).then(|| {
            (
                "TableNotFound".to_owned(),
                format!("Table not found: {}", export.table),
            )
        });
        let reason = planned
            .or(export.broken.take())
            .or_else(|| self.may_write(export).err())
            .or(absent);
        export.plan = None;
        if let Some((code, message)) = reason {
            export.status = Status::Failed { code, message };
            return;
        }
        let mut files = String::new();
        let wrong_md5 = take_fault(export, &FaultKind::WrongManifestMd5);
        let wrong_count = take_fault(export, &FaultKind::WrongManifestItemCount);
        let victim = export
            .written
            .iter()
            .position(|file| file.items > 0)
            .unwrap_or(0);
        for (at, file) in export.written.iter().enumerate() {
            let hit = at == victim;
            let md5 = if hit && wrong_md5 {
                [0x5a; 16]
            } else {
                file.md5
            };
            let line = json!({
                "itemCount": if hit && wrong_count { file.items + 1 } else { file.items },
                "md5Checksum": STANDARD.encode(md5),
                "etag": format!("{}-1", hex(&Md5::digest(file.md5).into())),
                "dataFileS3Key": file.key,
            });
            files.push_str(&line.to_string());
            files.push('\n');
        }
        self.store_with_md5(export, "manifest-files", files);
        let summary = self.summary(export);
        self.store_with_md5(export, "manifest-summary", summary);
        export.status = Status::Completed;
    }

    fn summary(&self, export: &Export) -> String {
        let incremental = matches!(export.scope, Scope::Incremental { .. });
        let mut out = json!({
            "version": if incremental { "2023-08-01" } else { "2020-06-30" },
            "exportArn": export.arn,
            "startTime": timestamp::iso(export.started_ms),
            "endTime": timestamp::iso(export.ended_ms.unwrap_or(self.now_ms)),
            "tableArn": export.table_arn,
            "tableId": export.table_id,
        });
        match export.scope {
            Scope::Full { at_ms } => out["exportTime"] = json!(timestamp::iso(at_ms)),
            Scope::Incremental { from_ms, to_ms, .. } => {
                out["exportFromTime"] = json!(timestamp::iso(from_ms));
                out["exportToTime"] = json!(timestamp::iso(to_ms));
            }
        }
        out["s3Bucket"] = json!(export.bucket);
        out["s3Prefix"] = json!(export.prefix);
        out["s3SseAlgorithm"] = json!("AES256");
        out["s3SseKmsKeyId"] = json!(null);
        out["manifestFilesS3Key"] = json!(format!("{}/manifest-files.json", export.folder()));
        out["billedSizeBytes"] = json!(export.billed_bytes);
        out["itemCount"] = json!(export.item_count);
        out["outputFormat"] = json!("DYNAMODB_JSON");
        if let Scope::Incremental { old_images, .. } = export.scope {
            out["outputView"] = json!(if old_images {
                "NEW_AND_OLD_IMAGES"
            } else {
                "NEW_IMAGE"
            });
            out["exportType"] = json!("INCREMENTAL_EXPORT");
        }
        out.to_string()
    }

    /// The rights and the bucket are checked when the export writes, not when it is asked for.
    fn may_write(&self, export: &Export) -> Result<(), (String, String)> {
        if !self.s3.buckets.contains_key(&export.bucket) {
            return Err((
                "S3NoSuchBucket".to_owned(),
                format!(
                    "The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket; Bucket: {})",
                    export.bucket
                ),
            ));
        }
        let resource = format!(
            "arn:aws:s3:::{}/{}/_started",
            export.bucket,
            export.folder()
        );
        if !self.iam.allowed(&export.caller, "s3:PutObject", &resource) {
            return Err((
                "S3AccessDenied".to_owned(),
                "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    fn store_with_md5(&mut self, export: &Export, name: &str, text: String) {
        let md5 = STANDARD.encode(Md5::digest(text.as_bytes()));
        self.store(
            export,
            format!("{}/{name}.md5", export.folder()),
            md5.into(),
        );
        self.store(
            export,
            format!("{}/{name}.json", export.folder()),
            text.into(),
        );
    }

    pub(crate) fn store(&mut self, export: &Export, key: String, body: Bytes) {
        let object = Object {
            etag: format!("{}-1", hex(&Md5::digest(&body).into())),
            modified_ms: self.now_ms,
            content_type: "application/octet-stream".to_owned(),
            headers: Vec::new(),
            body,
        };
        self.s3.put(&export.bucket, &key, object);
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

fn take_fault(export: &mut Export, fault: &FaultKind) -> bool {
    let found = export
        .faults
        .iter()
        .position(|candidate| candidate == fault);
    found.map(|at| export.faults.remove(at)).is_some()
}

/// Each data file is one partition's hash range.
fn part_of(hash: u64, count: usize) -> usize {
    ((u128::from(hash) * count as u128) >> 64) as usize
}

/// The table with every item as of `cut` of its partition hash, by undoing later writes; `floor_ms` is below all cuts.
fn snapshot(table: &Table, floor_ms: i64, cut: impl Fn(u64) -> i64) -> Vec<(u64, Arc<[u8]>)> {
    let mut undone: HashMap<Arc<[u8]>, Option<Image>> = HashMap::new();
    for write in table.pitr.history.iter().rev() {
        if write.micros < (floor_ms + 1) * 1000 {
            break;
        }
        if write.micros >= (cut(partition_hash(&write.key)) + 1) * 1000 {
            undone.insert(write.key.clone(), write.old.clone());
        }
    }
    let mut out: Vec<_> = table
        .items
        .iter()
        .filter(|(key, _)| undone.is_empty() || !undone.contains_key(*key))
        .map(|(key, image)| (partition_hash(key), image.json.clone()))
        .collect();
    let mut restored: Vec<_> = undone
        .into_iter()
        .filter_map(|(key, image)| image.map(|image| (partition_hash(&key), image.json)))
        .collect();
    restored.sort();
    out.append(&mut restored);
    out
}

/// One line per item that changed in the window, with its state at the window's ends.
fn changes(
    table: &Table,
    from_ms: i64,
    to_ms: i64,
    old_images: bool,
    bare: bool,
) -> Vec<(u64, Vec<u8>)> {
    let mut last: BTreeMap<&[u8], (Option<&Image>, &Write)> = BTreeMap::new();
    for write in &table.pitr.history {
        if write.micros < from_ms * 1000 {
            continue;
        }
        if write.micros >= to_ms * 1000 {
            break;
        }
        last.entry(&write.key)
            .and_modify(|entry| entry.1 = write)
            .or_insert((write.old.as_ref(), write));
    }
    let mut out = Vec::new();
    for (key, (old, write)) in last {
        let new = write.new.as_ref();
        if old.is_none() && new.is_none() {
            // Inserted and deleted inside the window: AWS writes nothing.
            continue;
        }
        let micros = if bare {
            format!("\"{}\"", write.micros)
        } else {
            format!("{{\"N\":\"{}\"}}", write.micros)
        };
        let mut line =
            format!("{{\"Metadata\":{{\"WriteTimestampMicros\":{micros}}},\"Keys\":").into_bytes();
        line.extend_from_slice(&write.keys);
        for (name, image) in [("NewImage", new), ("OldImage", old.filter(|_| old_images))] {
            if let Some(image) = image {
                line.extend_from_slice(format!(",\"{name}\":").as_bytes());
                line.extend_from_slice(&image.json);
            }
        }
        line.extend_from_slice(b"}\n");
        out.push((partition_hash(key), line));
    }
    out
}
