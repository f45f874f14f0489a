//! Records nobody expects, from the simulator to the projection.

use aws_sim::attribute::parse_map;
use aws_sim::{Poison, StreamConfig, WorldConfig};
use mirror::change::StreamPage;
use mirror::column_type::ColumnType;
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::projection::Projection;
use mirror::source::ShardPosition;
use mirror::table::{KeyAttribute, KeyType};

use crate::scene::Scene;

/// A table of key and new image.
fn plan() -> MirrorPlan {
    let column = |name: &str, path: RecordPath| PlanColumn {
        name: name.to_owned(),
        declared_type: "String".to_owned(),
        column_type: ColumnType::parse("String").unwrap(),
        is_key: matches!(path, RecordPath::Item(_)),
        path,
        default: None,
        codec: None,
    };
    MirrorPlan {
        database: "db".to_owned(),
        table: "orders".to_owned(),
        columns: vec![
            column("pk", RecordPath::Item(vec!["pk".to_owned()])),
            column("record", RecordPath::NewImage(Vec::new())),
        ],
        sorting_key: "pk".to_owned(),
        sorting_columns: vec![0],
        version_column: "ver".to_owned(),
        is_deleted_column: "del".to_owned(),
        partition_key: None,
        primary_key: None,
        sampling_key: None,
        ttl: None,
        settings: None,
        indexes: Vec::new(),
        keys: vec![KeyAttribute {
            name: "pk".to_owned(),
            key_type: KeyType::S,
        }],
    }
}

/// Why each record of a page is no row; `None` for one that is.
fn refusals(page: &StreamPage) -> Vec<Option<String>> {
    let plan = plan();
    let mut projection = Projection::new(&plan);
    let mut batch = plan.new_batch();
    (0..page.records.len())
        .map(|index| {
            let change = page.change(index, 0, "us-east-1");
            let outcome = projection.project(&change, &mut batch);
            outcome.err().map(|error| error.to_string())
        })
        .collect()
}

#[tokio::test]
async fn poison_is_refused_by_the_projection_and_what_follows_it_is_read() {
    let scene = Scene::with(WorldConfig {
        stream: StreamConfig {
            shards: 1,
            empty_page_chance: 0.0,
            ..StreamConfig::default()
        },
        ..WorldConfig::default()
    });
    let key = parse_map(br#"{"pk":{"S":"a"}}"#);
    let expected = [
        (Poison::UnknownType, Some("unknown type descriptor")),
        (Poison::ImageIsNoMap, Some("unexpected character")),
        // DynamoDB's numbers are text; what is no number in JSON becomes a string there.
        (Poison::BadNumber, None),
        (Poison::DeepNesting, Some("nested too deeply")),
        (Poison::UnknownEvent, Some("unexpected character")),
        (Poison::NoKeys, Some("unexpected character")),
        (Poison::NoTime, None),
    ];
    assert_eq!(expected.map(|(poison, _)| poison), Poison::ALL);
    scene.put(r#"{"pk":{"S":"a"}}"#);
    for poison in Poison::ALL {
        scene
            .world(|world| world.plant_poison("orders", &key, poison))
            .unwrap();
    }
    scene.put(r#"{"pk":{"S":"b"}}"#);
    let source = scene.connect().await;
    let arn = source.describe_table().await.unwrap().stream.unwrap().arn;
    let shard = source.describe_stream(&arn).await.unwrap().shards.remove(0);
    let from = ShardPosition::TrimHorizon;
    let iterator = source.shard_iterator(&arn, &shard.id, &from).await.unwrap();
    let page = source.get_records(&iterator).await.unwrap();
    assert_eq!(page.records.len(), Poison::ALL.len() + 2);
    assert!(
        page.records
            .is_sorted_by(|a, b| a.sequence_number < b.sequence_number)
    );
    let reasons = refusals(&page);
    assert_eq!((&reasons[0], &reasons[8]), (&None, &None));
    for ((poison, reason), found) in expected.iter().zip(&reasons[1..8]) {
        match (reason, found) {
            (Some(reason), Some(found)) => assert!(found.contains(reason), "{poison:?}: {found}"),
            (None, None) => {}
            _ => panic!("{poison:?}: {found:?}"),
        }
    }
    for (number, record) in page.records.iter().enumerate().skip(1) {
        let before = page.records[number - 1].creation_ms;
        assert!(
            (before..before + 5000).contains(&record.creation_ms),
            "record {number}"
        );
    }
    // All there is of a record that was not understood goes with it.
    let whole = page.change(5, 0, "us-east-1").keys;
    let whole: serde_json::Value = serde_json::from_slice(whole).unwrap();
    assert_eq!(whole["eventName"], "REPLICATE");
    assert_eq!(whole["dynamodb"]["Keys"]["pk"]["S"], "a");
    assert_eq!(whole["dynamodb"]["NewImage"]["planted"]["S"], "planted");
}
