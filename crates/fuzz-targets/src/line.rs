//! A line of an export's data file.

use std::sync::OnceLock;

use mirror::change::{ChangeRecord, EventKind};
use mirror::plan::MirrorPlan;
use mirror::transcode::{TranscodeErrorKind, Transcoder};

use crate::reference::{Item, Json};
use crate::rows::{SlowRecord, check_row, expected, plans};

const VERSION_MS: i64 = 1_767_323_045_678;
const REGION: &str = "eu-west-1";

/// The input is the line.
///
/// Promises: a line that the slow conversion takes becomes the same text and the same cells; any other is refused
/// by the same column or as a whole, and leaves the batch as it was. Only beside `Item` may a line be broken
/// unnoticed: nothing there is read. Gives whether the line was taken.
pub fn check(line: &[u8]) -> bool {
    static PLANS: OnceLock<Vec<MirrorPlan>> = OnceLock::new();
    let mut transcoder = Transcoder::new();
    let slow = Item::of_line(line);
    let item = match transcoder.scan_export_line(line) {
        Ok(span) => {
            let item = Item::parse(&line[span.clone()]);
            let Some(item) = item else {
                panic!("the item of the line is none for serde_json");
            };
            assert!(slow.is_none_or(|slow| slow == item), "another item");
            check_plain(&transcoder, &item, span.len());
            Some((span, item))
        }
        Err(error) => {
            assert!(error.at <= line.len());
            // Members beside Item may nest as deep as items do.
            let deep = error.kind == TranscodeErrorKind::TooDeep;
            assert!(slow.is_none() || deep, "a good line was refused: {error}");
            None
        }
    };
    for plan in PLANS.get_or_init(plans) {
        let (span, slow) = match &item {
            Some((span, item)) => (span.clone(), Some(item.clone())),
            None => (0..0, None),
        };
        let change = ChangeRecord {
            kind: EventKind::Export,
            keys: &line[span.clone()],
            new_image: Some(&line[span]),
            old_image: None,
            version_ms: VERSION_MS,
            event_id: "",
            sequence_number: "",
            aws_region: REGION,
            user_identity: None,
        };
        let record = SlowRecord {
            keys: None,
            new: Some(slow),
            old: None,
        };
        let row = expected(plan, &change, &record);
        check_row(plan, &row, line.len(), |projection, batch| {
            projection.project_export_line(line, VERSION_MS, REGION, batch)
        });
    }
    item.is_some()
}

/// The plain text is the reference's, is JSON, and is not longer than what it came from.
fn check_plain(transcoder: &Transcoder, item: &Item, typed_bytes: usize) {
    let mut plain = Vec::new();
    transcoder.write_item(&mut plain);
    assert_eq!(String::from_utf8_lossy(&plain), item.plain());
    assert!(plain.len() <= typed_bytes);
    if let Err(error) = serde_json::from_slice::<Json>(&plain) {
        panic!("not JSON: {error}");
    }
}
