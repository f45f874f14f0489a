//! Incremental exports.

use aws_sim::{ExportConfig, RunningSim, WorldConfig};
use mirror::error::ErrorKind;
use mirror::source::{ExportManifest, ExportRequest, ExportStatus, ExportWindow, Source};
use serde_json::{Value, json};

use crate::exports::{completed, lines};
use crate::scene::{Scene, failure};

const MINUTE_MS: i64 = 60 * 1000;

fn scene() -> Scene {
    Scene::with(WorldConfig {
        export: ExportConfig {
            duration_ms: 100,
            files: Some(3),
            ..ExportConfig::default()
        },
        ..WorldConfig::default()
    })
}

fn now_s(sim: &RunningSim) -> i64 {
    sim.handle.with(|world| world.now_ms()).div_euclid(1000) * 1000
}

fn request(token: &str, from_ms: i64, to_ms: i64) -> ExportRequest {
    ExportRequest {
        client_token: token.to_owned(),
        s3_prefix: "mirror/orders".to_owned(),
        window: Some(ExportWindow { from_ms, to_ms }),
    }
}

async fn manifest(source: &dyn Source, request: &ExportRequest) -> ExportManifest {
    let export = completed(source, request).await;
    assert_eq!(export.status, ExportStatus::Completed);
    assert_eq!(export.export_time_ms, Some(request.window.unwrap().to_ms));
    source
        .read_manifest(&export)
        .await
        .map_err(|error| error.report())
        .unwrap()
}

/// Key, value before and value after of every line.
async fn changes(source: &dyn Source, manifest: &ExportManifest) -> Vec<Value> {
    let mut found: Vec<Value> = lines(source, manifest)
        .await
        .iter()
        .map(|line| {
            let line: Value = serde_json::from_slice(line).unwrap();
            assert!(line["Metadata"]["WriteTimestampMicros"]["N"].is_string());
            let value = |image: &str| line[image]["v"]["N"].clone();
            json!([
                line["Keys"]["pk"]["S"],
                value("OldImage"),
                value("NewImage")
            ])
        })
        .collect();
    found.sort_by_key(Value::to_string);
    found
}

#[tokio::test]
async fn the_changes_of_a_window_are_read_with_both_images() {
    let scene = scene();
    let source = scene.connect().await;
    let put = |key: &str, value: i32| {
        scene.put(&format!(
            r#"{{"pk":{{"S":"{key}"}},"v":{{"N":"{value}"}}}}"#
        ));
    };
    put("kept", 1);
    put("gone", 1);
    scene.sim.advance(20 * MINUTE_MS);
    let from_ms = now_s(&scene.sim);
    scene.sim.advance(MINUTE_MS);
    put("kept", 2);
    put("kept", 3);
    put("new", 1);
    put("brief", 1);
    scene.delete(r#"{"pk":{"S":"brief"}}"#);
    scene.delete(r#"{"pk":{"S":"gone"}}"#);
    scene.sim.advance(20 * MINUTE_MS);
    let middle_ms = now_s(&scene.sim);
    scene.sim.advance(MINUTE_MS);
    put("kept", 4);
    scene.sim.advance(20 * MINUTE_MS);
    let to_ms = now_s(&scene.sim);
    // Both exports write into one folder.
    let first = manifest(source.as_ref(), &request("w1", from_ms, middle_ms)).await;
    let second = manifest(source.as_ref(), &request("w2", middle_ms, to_ms)).await;
    assert_eq!(
        (first.export_time_ms, second.export_time_ms),
        (middle_ms, to_ms)
    );
    assert_eq!((first.item_count, second.item_count), (3, 1));
    let shared =
        |file: &mirror::source::ExportFile| file.key.starts_with("mirror/orders/AWSDynamoDB/data/");
    assert!(first.files.iter().chain(&second.files).all(shared));
    assert_eq!(
        changes(source.as_ref(), &first).await,
        [
            json!(["gone", "1", null]),
            json!(["kept", "1", "3"]),
            json!(["new", null, "1"])
        ]
    );
    assert_eq!(
        changes(source.as_ref(), &second).await,
        [json!(["kept", "3", "4"])]
    );
}

#[tokio::test]
async fn a_window_is_asked_for_once_and_its_token_holds_it() {
    let scene = scene();
    let source = scene.connect().await;
    scene.sim.advance(40 * MINUTE_MS);
    let to_ms = now_s(&scene.sim);
    let from_ms = to_ms - 15 * MINUTE_MS;
    let first = source
        .start_export(&request("w1", from_ms, to_ms))
        .await
        .unwrap();
    let again = source
        .start_export(&request("w1", from_ms, to_ms))
        .await
        .unwrap();
    assert_eq!(first.arn, again.arn);
    let other = source
        .start_export(&request("w1", from_ms - 1000, to_ms))
        .await;
    assert_eq!(failure(other).kind, ErrorKind::ExportConflict);
}

#[tokio::test]
async fn a_window_that_recovery_does_not_cover_is_told_from_other_refusals() {
    let scene = scene();
    let source = scene.connect().await;
    let begin_ms = source
        .describe_table()
        .await
        .unwrap()
        .restorable_from_ms
        .unwrap();
    scene.sim.advance(2 * 24 * 60 * MINUTE_MS);
    let now_ms = now_s(&scene.sim);
    for (from_ms, to_ms) in [
        (begin_ms - 1000, begin_ms + 20 * MINUTE_MS),
        (begin_ms, begin_ms + 15 * MINUTE_MS - 1000),
        (begin_ms, begin_ms + 24 * 60 * MINUTE_MS + 1000),
        (now_ms - 20 * MINUTE_MS, now_ms + MINUTE_MS),
    ] {
        let error = failure(source.start_export(&request("w", from_ms, to_ms)).await);
        assert_eq!(error.kind, ErrorKind::ExportTime, "{}", error.report());
    }
    // The first moment that it says it covers is covered, and a refusal has not used up the token.
    let first = request("w", begin_ms, begin_ms + 15 * MINUTE_MS);
    source.start_export(&first).await.unwrap();
}

#[tokio::test]
async fn the_start_of_recovery_is_known_only_while_it_is_on() {
    let scene = scene();
    let source = scene.connect().await;
    let on_ms = scene.world(|world| world.table_state("orders").unwrap().created_ms);
    let told_ms = source
        .describe_table()
        .await
        .unwrap()
        .restorable_from_ms
        .unwrap();
    assert!(
        (on_ms..on_ms + 1000).contains(&told_ms),
        "{on_ms} {told_ms}"
    );
    scene.world(|world| {
        let off = json!({"PointInTimeRecoveryEnabled": false});
        let request = json!({"TableName": "orders", "PointInTimeRecoverySpecification": off});
        world.dynamodb("UpdateContinuousBackups", request).unwrap();
    });
    assert_eq!(
        source.describe_table().await.unwrap().restorable_from_ms,
        None
    );
}
