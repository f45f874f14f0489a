//! manifest-summary.json of an export.

use mirror::error::ErrorKind;
use source_dynamodb::hostile_input::manifest_summary;

use crate::members::Members;

const ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/T/export/01234567890123-a1b2c3d4";

const NAMES: [&str; 8] = [
    "exportArn",
    "exportTime",
    "exportFromTime",
    "exportToTime",
    "exportType",
    "manifestFilesS3Key",
    "itemCount",
    "outputFormat",
];

/// The input is the file.
///
/// Promises: what is read is what `serde_json` finds under the same names; a manifest of another export or format,
/// or one that says something twice, is refused; an error is short, however long the file.
/// Gives whether it was read.
pub fn check(input: &[u8]) -> bool {
    let summary = match manifest_summary(input, ARN) {
        Ok(summary) => summary,
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Corrupt);
            assert!(error.report().chars().count() <= 4000, "{}", error.report());
            return false;
        }
    };
    // Nobody looks at the bytes of members that say nothing.
    let Ok(text) = std::str::from_utf8(input) else {
        return true;
    };
    let Some(members) = Members::read(text, &NAMES) else {
        panic!("a manifest that must be refused was read");
    };
    let text = |name: &str| members.get::<String>(name);
    assert_eq!(text("manifestFilesS3Key"), Some(summary.files_key));
    assert_eq!(members.get("itemCount"), Some(summary.item_count));
    assert!(text("exportArn").is_none_or(|arn| arn == ARN));
    assert!(text("outputFormat").is_none_or(|format| format == "DYNAMODB_JSON"));
    assert_eq!(
        summary.from_time_ms.is_some(),
        text("exportFromTime").is_some()
    );
    let has_time = text("exportTime").or(text("exportToTime")).is_some();
    assert_eq!(summary.export_time_ms.is_some(), has_time);
    if text("exportType").as_deref() == Some("INCREMENTAL_EXPORT") {
        assert!(summary.from_time_ms.is_some() && summary.export_time_ms.is_some());
    }
    true
}
