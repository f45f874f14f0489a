//! The manifests of a completed export, fetched and checked against the MD5 that lies beside each.

use std::io::Read;

use mirror::error::{Error, ErrorKind, Result};
use mirror::source::{ExportDescription, ExportFile, ExportManifest};
use tracing::debug;

use crate::download::{Downloaded, download, spool_failure};
use crate::export_reader::decode_md5;
use crate::manifest::{Folder, Place, Summary, corrupt, parse_files, parse_summary};
use crate::source::AwsSource;

/// The summary is one line of a dozen members.
const MAX_SUMMARY_BYTES: u64 = 1024 * 1024;
/// About 500 bytes a file is twice what AWS writes.
const MAX_FILES_BYTES: u64 = 512 * 1024 * 1024;
/// A checksum is 24 characters.
const MAX_CHECKSUM_BYTES: u64 = 1024;

impl AwsSource {
    pub(crate) async fn whole_manifest(
        &self,
        export: &ExportDescription,
    ) -> Result<ExportManifest> {
        let arn = &export.arn;
        let Some(key) = &export.manifest_key else {
            let context = format!(
                "read the manifest of export {arn}: AWS names none; it must be completed first"
            );
            return Err(Error::new(ErrorKind::Permanent, context));
        };
        let (key, found) = self.find_summary(key, arn).await?;
        let folder = Folder::of(&key, arn)?;
        let summary = parse_summary(&key, &read_whole(&found)?, arn)?;
        let (files_key, found) = self.find_files(&summary, &folder).await?;
        let files = blocking(move || {
            parse_files(&files_key, &found.file, &folder, &summary)
                .map(|files| (files, folder, summary))
        });
        let (mut files, folder, summary) = files.await?;
        if files.place == Place::Bare && !folder.prefix.is_empty() {
            self.add_missing_prefix(&mut files.list, &folder).await?;
        }
        let stated = export
            .item_count
            .filter(|count| *count != summary.item_count);
        if let Some(count) = stated {
            let what = format!(
                "it has {} items, DescribeExport says {count}",
                summary.item_count
            );
            return Err(corrupt(&key, &what));
        }
        let export_time_ms = summary.export_time_ms.or(export.export_time_ms);
        let export_time_ms = export_time_ms.ok_or_else(|| corrupt(&key, "it has no exportTime"))?;
        Ok(ExportManifest {
            export_time_ms,
            item_count: summary.item_count,
            files: files.list,
        })
    }

    /// The summary under its key as given, else once more with the export's prefix in front.
    async fn find_summary(&self, key: &str, arn: &str) -> Result<(String, Downloaded)> {
        if let Some(found) = self.verified(key, MAX_SUMMARY_BYTES).await? {
            return Ok((key.to_owned(), found));
        }
        if let Some(prefix) = self.export_prefix(arn).await? {
            let prefixed = format!("{}/{key}", prefix.trim_end_matches('/'));
            if let Some(found) = self.verified(&prefixed, MAX_SUMMARY_BYTES).await? {
                return Ok((prefixed, found));
            }
        }
        Err(corrupt(key, "it is not in the bucket; was it deleted?"))
    }

    async fn find_files(&self, summary: &Summary, folder: &Folder) -> Result<(String, Downloaded)> {
        let key = &summary.files_key;
        let own = Folder {
            prefix: folder.prefix.clone(),
            id: folder.id.clone(),
        };
        let place = own
            .place(key, false)
            .ok_or_else(|| corrupt(key, "it lies outside of its export's folder"))?;
        if let Some(found) = self.verified(key, MAX_FILES_BYTES).await? {
            return Ok((key.clone(), found));
        }
        if place == Place::Bare && !folder.prefix.is_empty() {
            let prefixed = format!("{}{key}", folder.prefix);
            if let Some(found) = self.verified(&prefixed, MAX_FILES_BYTES).await? {
                return Ok((prefixed, found));
            }
        }
        Err(corrupt(key, "it is not in the bucket; was it deleted?"))
    }

    /// A manifest file, checked against the MD5 that lies beside it.
    async fn verified(&self, key: &str, max_bytes: u64) -> Result<Option<Downloaded>> {
        let Some(found) = download(&self.bucket, &self.options, key, Some(max_bytes)).await? else {
            return Ok(None);
        };
        let stem = key.strip_suffix(".json").unwrap_or(key);
        // AWS writes .md5; its guide calls the same thing .checksum.
        for sibling in [format!("{stem}.md5"), format!("{stem}.checksum")] {
            let checksum = match download(
                &self.bucket,
                &self.options,
                &sibling,
                Some(MAX_CHECKSUM_BYTES),
            )
            .await
            {
                Ok(checksum) => checksum,
                // Without s3:ListBucket, S3 answers so for an object that is not there.
                Err(error) if error.kind == ErrorKind::AccessDenied => None,
                Err(error) => return Err(error),
            };
            let Some(checksum) = checksum else { continue };
            let text = read_whole(&checksum)?;
            let text = String::from_utf8_lossy(&text);
            if decode_md5(text.trim()) != Some(found.md5) {
                return Err(corrupt(
                    key,
                    &format!("its MD5 is not the one in {sibling}"),
                ));
            }
            return Ok(Some(found));
        }
        debug!(file = key, "manifest has no checksum beside it");
        Ok(Some(found))
    }

    /// Keys without the prefix are used as given if the first one exists so, else with the prefix in front.
    async fn add_missing_prefix(&self, files: &mut [ExportFile], folder: &Folder) -> Result<()> {
        let Some(first) = files.first() else {
            return Ok(());
        };
        if self.bucket.get(&first.key, None).await?.is_none() {
            for file in files {
                file.key.insert_str(0, &folder.prefix);
            }
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(|error| Error::with_source(ErrorKind::Unavailable, "read a manifest", error))?
}

fn read_whole(found: &Downloaded) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&found.file)
        .read_to_end(&mut bytes)
        .map_err(spool_failure)?;
    Ok(bytes)
}
