//! manifest-files.json of an export.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mirror::error::ErrorKind;
use mirror::source::ExportFile;
use source_dynamodb::hostile_input::manifest_files;

use crate::members::Members;

const ID: &str = "01234567890123-a1b2c3d4";
const ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/T/export/01234567890123-a1b2c3d4";
const SUMMARY_KEY: &str = "p/AWSDynamoDB/01234567890123-a1b2c3d4/manifest-summary.json";

/// The input is the file; an `I` in front makes it an incremental export's.
///
/// Promises: the files are those that `serde_json` finds line by line, each below the export's own folder, none
/// twice, each with an MD5 and a key that S3 allows, and the manifest is refused unless their items add up to the summary's number. Gives
/// whether it was read.
pub fn check(input: &[u8]) -> bool {
    let (incremental, file) = match input.strip_prefix(b"I") {
        Some(rest) => (true, rest),
        None => (false, input),
    };
    let read = |item_count| manifest_files(file, SUMMARY_KEY, ARN, incremental, item_count);
    let Ok(text) = std::str::from_utf8(file) else {
        // Whether the broken text is in a member that counts is not worked out here.
        return read(0).is_ok();
    };
    let slow = slow_files(text, incremental);
    let counts = slow.iter().flatten().map(|file| file.item_count);
    let total = counts.fold(0, u64::saturating_add);
    match (read(total), slow) {
        (Ok(files), Some(slow)) => {
            assert_eq!(files, slow);
            assert!(read(total ^ 1).is_err(), "the sum is not checked");
            true
        }
        (Err(error), None) => {
            assert_eq!(error.kind, ErrorKind::Corrupt);
            assert!(error.report().chars().count() <= 4000, "{}", error.report());
            false
        }
        (Ok(_), None) => panic!("a manifest that must be refused was read"),
        (Err(error), Some(_)) => panic!("a good manifest was refused: {}", error.report()),
    }
}

fn slow_files(file: &str, incremental: bool) -> Option<Vec<ExportFile>> {
    let mut files: Vec<ExportFile> = Vec::new();
    let mut prefixed = None;
    for line in file.split('\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = slow_file(line)?;
        let folder = if incremental {
            "AWSDynamoDB/data/".to_owned()
        } else {
            format!("AWSDynamoDB/{ID}/")
        };
        let has_prefix = read.key.starts_with("p/");
        let rest = read.key.strip_prefix("p/").unwrap_or(&read.key);
        let name = rest.strip_prefix(&folder)?;
        let twice = files.iter().any(|other| other.key == read.key);
        if name.is_empty()
            || read.key.len() > 1024
            || name.split('/').any(|part| part == "..")
            || twice
        {
            return None;
        }
        if *prefixed.get_or_insert(has_prefix) != has_prefix {
            return None;
        }
        files.push(read);
    }
    Some(files)
}

fn slow_file(line: &str) -> Option<ExportFile> {
    let members = Members::read(line, &["itemCount", "md5Checksum", "dataFileS3Key"])?;
    let md5: String = members.get("md5Checksum")?;
    let bytes = STANDARD.decode(&md5).ok()?;
    (bytes.len() == 16).then_some(ExportFile {
        key: members.get("dataFileS3Key")?,
        item_count: members.get("itemCount")?,
        md5,
    })
}
