//! The parsers of what lies in a bucket, for the fuzz targets; nothing else uses them.

use mirror::error::Result;
use mirror::source::ExportFile;

use crate::manifest::{Folder, Summary, parse_files, parse_summary};

/// What a manifest-summary.json says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestSummary {
    /// Point in time, or end of the window, milliseconds.
    pub export_time_ms: Option<i64>,
    /// Start of the window, milliseconds.
    pub from_time_ms: Option<i64>,
    /// Key of manifest-files.json.
    pub files_key: String,
    /// Items of all files.
    pub item_count: u64,
}

/// Reads a manifest-summary.json; fails as [`mirror::source::Source::read_manifest`] does.
pub fn manifest_summary(bytes: &[u8], export_arn: &str) -> Result<ManifestSummary> {
    let summary = parse_summary("manifest-summary.json", bytes, export_arn)?;
    Ok(ManifestSummary {
        export_time_ms: summary.export_time_ms,
        from_time_ms: summary.from_time_ms,
        files_key: summary.files_key,
        item_count: summary.item_count,
    })
}

/// Reads a manifest-files.json of the export whose summary lies under `summary_key` and says `item_count`.
pub fn manifest_files(
    bytes: &[u8],
    summary_key: &str,
    export_arn: &str,
    incremental: bool,
    item_count: u64,
) -> Result<Vec<ExportFile>> {
    let folder = Folder::of(summary_key, export_arn)?;
    let summary = Summary {
        export_time_ms: Some(0),
        from_time_ms: incremental.then_some(0),
        files_key: String::new(),
        item_count,
    };
    Ok(parse_files("manifest-files.json", bytes, &folder, &summary)?.list)
}
