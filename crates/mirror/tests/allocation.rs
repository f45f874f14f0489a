//! The hot path allocates nothing once its buffers have grown.

use mirror::projection::Projection;
use mirror::transcode::Transcoder;

use crate::rows;

const LINE: &[u8] = br#"{"Item":{"sk":{"S":"s\u00e9"},"pk":{"S":"p"},"n":{"N":"1.5"},"m":{"M":{"z":{"NS":["2","1","-3"]},"a":{"L":[{"BOOL":true}]}}},"b":{"B":"AQI="},"t":{"SS":["y","x"]},"v":{"NULL":true},"k":{"S":"0123456789012345678901234567890123456789 \"quoted\""}}}"#;

#[test]
fn transcoding_an_item_allocates_nothing() {
    let mut transcoder = Transcoder::new();
    let mut out = Vec::with_capacity(1 << 20);
    transcoder.scan_export_line(LINE).unwrap();
    transcoder.write_item(&mut out);
    let item = &LINE[8..LINE.len() - 1];
    let info = allocation_counter::measure(|| {
        for _ in 0..100 {
            transcoder.item_object(item, &mut out).unwrap();
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_row_of_an_export_allocates_nothing() {
    let plan = rows::plan(&[
        ("pk", "String", "$.Item.pk"),
        ("sk", "String", "$.Item.sk"),
        ("record", "String", "$.NewImage"),
        ("old", "Nullable(String)", "$.OldImage"),
        ("ver", "DateTime64(3)", "$.ApproximateCreationDateTime"),
        ("event", "LowCardinality(String)", "$.eventName"),
        ("del", "UInt8", "$._is_deleted"),
        ("n", "Float64", "$.Item.n"),
        ("z", "String", "$.Item.m.z"),
    ]);
    let mut projection = Projection::new(&plan);
    let mut batch = plan.new_batch();
    for _ in 0..1000 {
        projection
            .project_export_line(LINE, 1, "us-east-1", &mut batch)
            .unwrap();
    }
    batch.clear();
    let info = allocation_counter::measure(|| {
        for _ in 0..1000 {
            projection
                .project_export_line(LINE, 1, "us-east-1", &mut batch)
                .unwrap();
        }
    });
    assert_eq!(info.count_total, 0);
    assert_eq!(batch.rows, 1000);
}
