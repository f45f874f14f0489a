//! Batches are never half written.

use mirror::change::EventKind;
use mirror::projection::Projection;
use proptest::prelude::*;

use crate::rows::{plan, stream};

#[test]
fn a_batch_keeps_track_of_its_nulls() {
    let plan = plan(&[
        ("a", "Nullable(Int32)", "$.Item.a"),
        ("b", "String", "$.Item.b"),
    ]);
    let mut projection = Projection::new(&plan);
    let mut batch = plan.new_batch();
    let keys = r#"{"pk":{"S":""}}"#;
    let full = stream(
        EventKind::Insert,
        keys,
        Some(r#"{"a":{"N":"1"},"b":{"S":"x"}}"#),
        None,
    );
    let empty = stream(EventKind::Insert, keys, Some("{}"), None);
    projection.project(&full, &mut batch).unwrap();
    projection.project(&empty, &mut batch).unwrap();
    assert!(batch.columns[0].has_nulls && batch.columns[1].has_nulls);
    batch.truncate(1);
    assert!(!batch.columns[0].has_nulls && !batch.columns[1].has_nulls);
    assert_eq!(batch.columns[1].text(0), b"x");
    assert_eq!(batch.bytes(), 7);
    batch.clear();
    assert_eq!(batch, plan.new_batch());
}

proptest! {
    #[test]
    fn refused_records_leave_no_trace(records in proptest::collection::vec((0..5_usize, 1..1000_u32), 0..40)) {
        let plan = plan(&[
            ("pk", "String", "$.Item.pk"),
            ("record", "String", "$.NewImage"),
            ("n", "Nullable(Int16)", "$.Item.n"),
            ("old", "Nullable(String)", "$.OldImage"),
            ("last", "UInt8", "$.Item.last"),
        ]);
        let mut projection = Projection::new(&plan);
        let mut mixed = plan.new_batch();
        let mut good = plan.new_batch();
        for (kind, number) in records {
            let keys = format!(r#"{{"pk":{{"S":"{number}"}}}}"#);
            let (n, last) = (format!(r#""n":{{"N":"{number}"}}"#), r#""last":{"N":"1"}"#);
            // Kinds 0 and 1 are fine; the others fail in the scan, in the middle and in the last column.
            let new = match kind {
                0 => format!("{{{n},{last}}}"),
                1 => format!("{{{last}}}"),
                2 => format!("{{{n},{last}"),
                3 => format!(r#"{{"n":{{"N":"{number}00000"}},{last}}}"#),
                _ => format!(r#"{{{n},"last":{{"N":"1.5"}}}}"#),
            };
            let refused = kind >= 2;
            let change = stream(EventKind::Insert, &keys, Some(&new), None);
            prop_assert_eq!(projection.project(&change, &mut mixed).is_err(), refused);
            if !refused {
                projection.project(&change, &mut good).unwrap();
            }
            prop_assert_eq!(&mixed, &good);
        }
    }
}
