//! How far AWS's clock is ahead of ours.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sim::{Sim, TableSpec, WorldConfig};
use mirror::error::ErrorKind;
use mirror::source::{Source, Sources};
use serde_json::json;
use source_dynamodb::AwsSources;

use crate::answers::source;
use crate::canned::Reply;
use crate::scene::{TABLE, failure, options, spec};

const HOUR_MS: i64 = 3600 * 1000;

fn http_date(ahead_ms: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    aws_sim::timestamp::http_date(now.as_millis() as i64 + ahead_ms)
}

/// At most the truth, and less than it by a second of rounding and the time that the test itself took.
fn is_about(source: &dyn Source, truth_ms: i64) -> bool {
    (truth_ms - 1000 - 5000..=truth_ms).contains(&source.clock_ahead_ms())
}

#[tokio::test]
async fn a_world_in_the_past_or_ahead_is_measured_and_nothing_fails() {
    for ago_ms in [10 * 24 * HOUR_MS, 600_000, 0, -24 * HOUR_MS] {
        let sim = Sim::in_the_past(WorldConfig::default(), ago_ms)
            .listen(([127, 0, 0, 1], 0).into())
            .unwrap();
        sim.handle
            .with(|world| world.create_table(&TableSpec::new("orders")))
            .unwrap();
        let spool = tempfile::tempdir().unwrap();
        let source = AwsSources::new(options(&sim.url, spool.path()))
            .connect(&spec())
            .await
            .unwrap();
        assert_eq!(source.clock_ahead_ms(), 0, "no answer yet");
        for _ in 0..3 {
            let table = source.describe_table().await.unwrap();
            assert!(
                is_about(source.as_ref(), -ago_ms),
                "{}",
                source.clock_ahead_ms()
            );
            source
                .describe_stream(&table.stream.unwrap().arn)
                .await
                .unwrap();
        }
        sim.advance(HOUR_MS);
        source.describe_table().await.unwrap();
        assert!(
            is_about(source.as_ref(), HOUR_MS - ago_ms),
            "the latest answer wins"
        );
        // An answer that the SDK takes for a sign of clock skew is tried again and then told.
        let error = aws_sim::FaultKind::Error {
            code: "InvalidSignatureException".to_owned(),
            message: Some("Signature expired".to_owned()),
            status: None,
        };
        let fault = aws_sim::Fault::new("DescribeTable", error);
        sim.handle.with(|world| world.faults.add(fault));
        failure(source.describe_table().await);
    }
}

#[tokio::test]
async fn refusals_count_and_answers_of_something_in_between_do_not() {
    let (source, _server, _spool) = source(|request| {
        let (ahead_ms, id) = match request.action().as_str() {
            "DescribeStream" => (HOUR_MS, true),
            "GetShardIterator" => (2 * HOUR_MS, true),
            _ => (5 * HOUR_MS, false),
        };
        let reply = match request.action().as_str() {
            "DescribeStream" => {
                Reply::json(&json!({ "StreamDescription": { "StreamViewType": "NEW_IMAGE" } }))
            }
            "GetShardIterator" => Reply::fault(400, "TrimmedDataAccessException", "trimmed"),
            _ => Reply::new(502, "<html>proxy</html>"),
        };
        let reply = reply.with("date", &http_date(ahead_ms));
        if id {
            reply.with("x-amzn-requestid", "R")
        } else {
            reply
        }
    })
    .await;
    source
        .describe_stream(&format!("{TABLE}/stream/x"))
        .await
        .unwrap();
    assert!(is_about(source.as_ref(), HOUR_MS));
    let position = mirror::source::ShardPosition::TrimHorizon;
    let error = failure(source.shard_iterator("arn", "shard", &position).await);
    assert_eq!(error.kind, ErrorKind::TrimmedData);
    assert!(is_about(source.as_ref(), 2 * HOUR_MS), "refusals count");
    failure(source.get_records("i").await);
    assert!(
        is_about(source.as_ref(), 2 * HOUR_MS),
        "a proxy's clock is not AWS's"
    );
}
