//! A record of a stream.

use std::sync::OnceLock;

use mirror::change::{ChangeRecord, EventKind};
use mirror::plan::MirrorPlan;

use crate::reference::Item;
use crate::rows::{SlowRecord, check_row, expected, plans};

/// Stands between the parts of an input; DynamoDB JSON has no such byte outside of a broken text.
pub const SEPARATOR: u8 = 0x1E;

/// The input is a letter (`I`nsert, `M`odify, `R`emove, `E`xport; small: with a user identity), then `Keys`,
/// `NewImage` and `OldImage` with [`SEPARATOR`] between them. The last two may be absent.
///
/// Promises the same as [`crate::line`], for each kind of record and each image. Gives whether any plan took it.
pub fn check(input: &[u8]) -> bool {
    static PLANS: OnceLock<Vec<MirrorPlan>> = OnceLock::new();
    let Some((letter, rest)) = input.split_first() else {
        return false;
    };
    let kind = match letter.to_ascii_uppercase() {
        b'I' => EventKind::Insert,
        b'M' => EventKind::Modify,
        b'R' => EventKind::Remove,
        _ => EventKind::Export,
    };
    let mut parts = rest.splitn(3, |byte| *byte == SEPARATOR);
    let keys = parts.next().unwrap_or_default();
    let change = ChangeRecord {
        kind,
        keys,
        new_image: parts.next(),
        old_image: parts.next(),
        version_ms: -1,
        event_id: "e1",
        sequence_number: "100",
        aws_region: "eu-west-1",
        user_identity: letter
            .is_ascii_lowercase()
            .then_some(("Service", "dynamodb.amazonaws.com")),
    };
    let mut record = SlowRecord {
        keys: Item::parse(keys),
        new: change.new_image.map(Item::parse),
        old: change.old_image.map(Item::parse),
    };
    if kind == EventKind::Export && record.new.is_none() {
        // The item of an export is in `keys` too.
        record.new = Some(record.keys.clone());
    }
    let mut taken = false;
    for plan in PLANS.get_or_init(plans) {
        let row = expected(plan, &change, &record);
        check_row(plan, &row, input.len(), |projection, batch| {
            projection.project(&change, batch)
        });
        taken |= row.is_ok();
    }
    taken
}
