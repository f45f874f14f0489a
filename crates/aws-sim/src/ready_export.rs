//! Exports that were written beforehand, for measurements on tables larger than the simulator should hold.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::export::{Export, Scope};
use crate::export_files::WrittenFile;
use crate::world::World;

/// A data file of a ready export.
#[derive(Debug, Clone)]
pub(crate) struct ReadyFile {
    /// Without its folder.
    name: String,
    items: u64,
    md5: [u8; 16],
    body: Bytes,
}

/// What a line of `manifest-files.json` says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    item_count: u64,
    md5_checksum: String,
    data_file_s3_key: String,
}

impl World {
    /// From now on every full export of `table` consists of the data files of `folder`, whatever the table holds.
    ///
    /// The folder is one that AWS could have left: `manifest-files.json` and `data/`. The compressed files are kept in
    /// memory. Returns the number of items. Fails with the system's error, or `InvalidData` for a wrong manifest.
    pub fn offer_export(&mut self, table: &str, folder: &Path) -> io::Result<u64> {
        let wrong = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let manifest = std::fs::read_to_string(folder.join("manifest-files.json"))?;
        let mut files = Vec::new();
        for line in manifest.lines() {
            let line: Line = serde_json::from_str(line)?;
            let key = &line.data_file_s3_key;
            let name = key.rsplit('/').next().unwrap_or(key).to_owned();
            let md5 = STANDARD.decode(&line.md5_checksum).ok();
            files.push(ReadyFile {
                items: line.item_count,
                md5: md5
                    .and_then(|md5| md5.try_into().ok())
                    .ok_or_else(|| wrong("md5Checksum is not an MD5 in base64"))?,
                body: std::fs::read(folder.join("data").join(&name))?.into(),
                name,
            });
        }
        let items = files.iter().map(|file| file.items).sum();
        self.ready_exports.insert(table.to_owned(), files);
        Ok(items)
    }

    /// Writes the ready files if the export's table has them. Whether it had.
    pub(crate) fn write_ready(&mut self, export: &mut Export) -> bool {
        let full = matches!(export.scope, Scope::Full { .. });
        let Some(files) = self.ready_exports.get(&export.table).filter(|_| full) else {
            return false;
        };
        for file in files.clone() {
            let key = format!("{}/data/{}", export.folder(), file.name);
            export.item_count += file.items;
            export.billed_bytes += file.body.len() as u64;
            export.written.push(WrittenFile {
                key: key.clone(),
                items: file.items,
                md5: file.md5,
            });
            self.store(export, key, file.body);
        }
        true
    }
}
