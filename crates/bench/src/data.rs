//! Exports as AWS leaves them in S3, made from a seed: the same arguments give the same bytes of lines.

mod items;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Result;
pub(crate) use items::Random;

/// Data files of an export.
const FILES: u64 = 16;
const SEED: u64 = 1;
/// Changes whenever the generator does: an export of another version is not used.
const VERSION: u32 = 1;
/// What AWS's files look compressed with.
const GZIP_LEVEL: u32 = 6;
const FLUSH_BYTES: usize = 1 << 20;

/// What the items of an export are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// About 700 bytes: strings, numbers, maps in maps, lists of maps, sets, a few binaries and escapes.
    Typical,
    /// About 100 bytes: a key and two attributes.
    Small,
    /// About 50 KB: long texts and hundreds of maps in lists.
    Big,
    /// About 1 KB: numbers of 38 digits, escapes of Unicode, binaries, deep nesting, sets of all types.
    Hostile,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Typical, Self::Small, Self::Big, Self::Hostile];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Typical => "typical",
            Self::Small => "small",
            Self::Big => "big",
            Self::Hostile => "hostile",
        }
    }

    /// As many items as make a load of a similar length as `rows` typical ones.
    pub(crate) fn rows(self, rows: u64) -> u64 {
        match self {
            Self::Typical | Self::Small => rows,
            Self::Big => rows / 100,
            Self::Hostile => rows / 2,
        }
    }
}

/// An export on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    pub(crate) folder: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) rows: u64,
    /// Bytes of all lines.
    pub(crate) raw_bytes: u64,
    /// Bytes of all data files.
    pub(crate) gz_bytes: u64,
}

#[derive(Deserialize, Serialize)]
struct Sums {
    raw_bytes: u64,
    gz_bytes: u64,
}

impl Export {
    /// The data files in the order of their names.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder.join("data"))? {
            files.push(entry?.path());
        }
        files.sort();
        Ok(files)
    }

    pub(crate) fn describe(&self) -> String {
        format!(
            "{} items ({}), {:.0} bytes of DynamoDB JSON each, {FILES} files, {:.0} MB compressed, seed {SEED}",
            self.rows,
            self.kind.name(),
            self.raw_bytes as f64 / self.rows as f64,
            self.gz_bytes as f64 / 1e6
        )
    }
}

/// The export of `rows` items below `out`: the one that is there, or a new one.
pub(crate) fn export(out: &Path, kind: Kind, rows: u64) -> Result<Export> {
    let folder = out.join(format!("{}-{rows}-v{VERSION}", kind.name()));
    let done = folder.join("sums.json");
    let sums: Sums = match fs::read(&done) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(_) => {
            let sums = write(&folder, kind, rows)?;
            fs::write(&done, serde_json::to_vec(&sums)?)?;
            sums
        }
    };
    Ok(Export {
        folder: fs::canonicalize(folder)?,
        kind,
        rows,
        raw_bytes: sums.raw_bytes,
        gz_bytes: sums.gz_bytes,
    })
}

/// A data file as the manifest lists it.
struct Written {
    name: String,
    items: u64,
    md5: [u8; 16],
    raw_bytes: u64,
    gz_bytes: u64,
}

fn write(folder: &Path, kind: Kind, rows: u64) -> Result<Sums> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let data = folder.join("data");
    fs::create_dir_all(&data)?;
    let next = AtomicU64::new(0);
    let written = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= FILES {
                    return Ok(());
                }
                let file = write_file(&data, kind, rows, number)?;
                let mut written = written.lock().map_err(|_| "a writer failed")?;
                written.push((number, file));
            }
        };
        let workers: Vec<_> = (0..crate::machine::cores())
            .map(|_| scope.spawn(work))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a writer failed")?)
    })?;
    let mut written = written.into_inner().map_err(|_| "a writer failed")?;
    written.sort_by_key(|(number, _)| *number);
    let mut manifest = String::new();
    let mut sums = Sums {
        raw_bytes: 0,
        gz_bytes: 0,
    };
    for (_, file) in &written {
        let line = json!({
            "itemCount": file.items,
            "md5Checksum": STANDARD.encode(file.md5),
            "etag": format!("{:032x}-1", u128::from_be_bytes(file.md5)),
            "dataFileS3Key": format!("AWSDynamoDB/bench/data/{}", file.name),
        });
        manifest.push_str(&format!("{line}\n"));
        sums.raw_bytes += file.raw_bytes;
        sums.gz_bytes += file.gz_bytes;
    }
    let summary = json!({
        "version": "2020-06-30",
        "manifestFilesS3Key": "AWSDynamoDB/bench/manifest-files.json",
        "billedSizeBytes": sums.raw_bytes,
        "itemCount": rows,
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    });
    fs::write(folder.join("manifest-files.json"), manifest)?;
    fs::write(folder.join("manifest-summary.json"), summary.to_string())?;
    Ok(sums)
}

fn write_file(folder: &Path, kind: Kind, rows: u64, number: u64) -> Result<Written> {
    let mut random = Random::new(SEED.wrapping_mul(1_000_003) + number);
    let name = format!("{}{:02}.json.gz", random.letters(24), number);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    let (mut lines, mut items, mut raw_bytes) = (Vec::with_capacity(FLUSH_BYTES * 2), 0, 0);
    // Whole partition keys go to one file, as in a real export.
    for item in (0..rows).filter(|item| (item / items::SORT_KEYS) % FILES == number) {
        items::write_line(kind, &mut random, item, &mut lines);
        items += 1;
        if lines.len() >= FLUSH_BYTES {
            raw_bytes += lines.len() as u64;
            gzip.write_all(&lines)?;
            lines.clear();
        }
    }
    raw_bytes += lines.len() as u64;
    gzip.write_all(&lines)?;
    let body = gzip.finish()?;
    fs::write(folder.join(&name), &body)?;
    Ok(Written {
        name,
        items,
        md5: Md5::digest(&body).into(),
        raw_bytes,
        gz_bytes: body.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_export_holds_what_its_manifest_says() {
        let folder = tempfile::tempdir().unwrap();
        for kind in Kind::ALL {
            let rows = 400;
            let export = export(folder.path(), kind, rows).unwrap();
            let manifest = fs::read_to_string(export.folder.join("manifest-files.json")).unwrap();
            let mut keys = HashSet::new();
            let mut raw_bytes = 0;
            for line in manifest.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let key = line["dataFileS3Key"].as_str().unwrap();
                let name = key.rsplit('/').next().unwrap();
                let body = fs::read(export.folder.join("data").join(name)).unwrap();
                assert_eq!(line["md5Checksum"], STANDARD.encode(Md5::digest(&body)));
                let mut text = String::new();
                GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
                raw_bytes += text.len() as u64;
                assert_eq!(line["itemCount"], text.lines().count());
                for line in text.lines() {
                    let item: Value = serde_json::from_str(line).unwrap();
                    let item = &item["Item"];
                    keys.insert(format!("{}{}", item["pk"]["S"], item["sk"]["S"]));
                }
            }
            assert_eq!(keys.len() as u64, rows);
            assert_eq!(raw_bytes, export.raw_bytes);
            let expected = match kind {
                Kind::Typical => 600..800,
                Kind::Small => 80..130,
                Kind::Big => 40_000..60_000,
                Kind::Hostile => 700..1500,
            };
            assert!(
                expected.contains(&(raw_bytes / rows)),
                "{kind:?} {}",
                raw_bytes / rows
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_lines() {
        let mut lines = [Vec::new(), Vec::new()];
        for out in &mut lines {
            let mut random = Random::new(7);
            for item in 0..50 {
                items::write_line(Kind::Hostile, &mut random, item, out);
            }
        }
        assert_eq!(lines[0], lines[1]);
    }
}
