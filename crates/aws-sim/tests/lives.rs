//! Tables and streams that end and begin again, and records nobody expects.

use aws_sim::{Poison, TableSpec, ViewType, World};
use serde_json::{Value, json};

use crate::scenario::{code, drain_all, key, put, stream_arn, world};

const HOUR_MS: i64 = 3600 * 1000;

fn table(world: &mut World) -> Value {
    world
        .dynamodb("DescribeTable", json!({"TableName": "t"}))
        .expect("a table")["Table"]
        .clone()
}

fn describe(world: &mut World, arn: &str) -> Result<Value, aws_sim::ApiError> {
    let answer = world.streams("DescribeStream", json!({"StreamArn": arn}))?;
    Ok(answer["StreamDescription"].clone())
}

/// Number of records in a stream by its ARN, all shards, each read to its end.
fn records(world: &mut World, arn: &str) -> usize {
    let shards = describe(world, arn).expect("a stream")["Shards"].clone();
    let mut count = 0;
    for shard in shards.as_array().expect("shards") {
        assert!(shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string());
        let id = shard["ShardId"].as_str().expect("an id");
        let first = world.get_shard_iterator(arn, id, "TRIM_HORIZON", None, None);
        let mut next = Some(first.expect("an iterator"));
        while let Some(iterator) = next {
            let page = world.get_records(&iterator, None).expect("a page");
            count += page.records.len();
            next = page.next;
        }
    }
    count
}

#[test]
fn a_stream_that_was_switched_off_is_readable_for_a_day() {
    let mut world = world(|_| ());
    put(&mut world, "a", "1");
    let old = stream_arn(&world);
    world.disable_stream("t").expect("off");
    assert_eq!(
        world.disable_stream("t").expect_err("is off").code,
        "ValidationException"
    );
    put(&mut world, "b", "1");
    let described = table(&mut world);
    assert_eq!(described["LatestStreamArn"], json!(old), "it stays");
    assert!(described["StreamSpecification"].is_null());
    assert_eq!(
        describe(&mut world, &old).expect("it")["StreamStatus"],
        "DISABLED"
    );
    world
        .enable_stream("t", ViewType::NewAndOldImages)
        .expect("on");
    let twice = world.enable_stream("t", ViewType::NewImage);
    assert_eq!(twice.expect_err("is on").code, "ValidationException");
    let new = stream_arn(&world);
    assert_ne!(old, new);
    put(&mut world, "c", "1");
    assert_eq!(records(&mut world, &old), 1, "only what came before");
    assert_eq!(drain_all(&mut world).len(), 1, "only what came after");
    world.advance(24 * HOUR_MS - 1000);
    assert!(describe(&mut world, &old).is_ok());
    world.advance(3000);
    assert_eq!(
        code(describe(&mut world, &old)),
        "ResourceNotFoundException"
    );
    assert!(describe(&mut world, &new).is_ok());
}

#[test]
fn a_table_that_is_created_again_is_another_one() {
    let mut world = world(|_| ());
    put(&mut world, "a", "1");
    let (old, old_stream) = (table(&mut world), stream_arn(&world));
    world.advance(2 * HOUR_MS);
    world.drop_table("t").expect("gone");
    assert_eq!(
        code(world.dynamodb("DescribeTable", json!({"TableName": "t"}))),
        "ResourceNotFoundException"
    );
    assert_eq!(
        code(world.dynamodb("DescribeContinuousBackups", json!({"TableName": "t"}))),
        "TableNotFoundException"
    );
    world.create_table(&TableSpec::new("t")).expect("again");
    let created_ms = world.now_ms();
    let new = table(&mut world);
    assert_eq!(old["TableArn"], new["TableArn"]);
    assert_ne!(old["TableId"], new["TableId"]);
    assert_ne!(old_stream, stream_arn(&world));
    assert_eq!(new["ItemCount"], 0);
    let state = world.table_state("t").expect("the table");
    assert_eq!(
        state.earliest_restorable_ms(world.now_ms()),
        Some(created_ms)
    );
    assert!(
        state.pitr.history.is_empty(),
        "the history went with the table"
    );
    put(&mut world, "a", "2");
    assert_eq!(
        records(&mut world, &old_stream),
        1,
        "closed, and still readable"
    );
    assert_eq!(drain_all(&mut world).len(), 1);
}

#[test]
fn spurious_empty_pages_end_after_a_few() {
    for limit in [0, 1, 2, 5] {
        let mut world = world(|config| {
            config.stream.shards = 1;
            config.stream.empty_page_chance = 1.0;
            config.stream.empty_pages_in_a_row = limit;
        });
        put(&mut world, "a", "1");
        put(&mut world, "b", "1");
        let arn = stream_arn(&world);
        let shard = crate::scenario::shard_ids(&world).remove(0);
        let mut iterator = world
            .get_shard_iterator(&arn, &shard, "TRIM_HORIZON", None, None)
            .expect("an iterator");
        for _ in 0..2 {
            for _ in 0..limit {
                let page = world.get_records(&iterator, Some(1)).expect("a page");
                assert!(page.records.is_empty());
                iterator = page.next.expect("an open shard");
            }
            let page = world.get_records(&iterator, Some(1)).expect("a page");
            assert_eq!(page.records.len(), 1, "after {limit} empty pages");
            iterator = page.next.expect("an open shard");
        }
    }
}

#[test]
fn poison_is_in_the_stream_and_not_in_the_table() {
    let mut world = world(|config| {
        config.stream.shards = 1;
        config.vary_order = true;
    });
    put(&mut world, "a", "1");
    let before = world.table_items("t");
    for poison in Poison::ALL {
        world.plant_poison("t", &key("a"), poison).expect("planted");
    }
    put(&mut world, "b", "1");
    assert_eq!(world.table_items("t")[..].len(), before.len() + 1);
    let arn = stream_arn(&world);
    let shard = crate::scenario::shard_ids(&world).remove(0);
    let iterator = world
        .get_shard_iterator(&arn, &shard, "TRIM_HORIZON", None, None)
        .expect("an iterator");
    let page = world
        .streams("GetRecords", json!({ "ShardIterator": iterator }))
        .expect("JSON, whatever is planted");
    let found: Vec<&Value> = page["Records"]
        .as_array()
        .expect("records")
        .iter()
        .collect();
    assert_eq!(found.len(), 9);
    let change = |at: usize| &found[at]["dynamodb"];
    assert_eq!(change(1)["NewImage"]["planted"], json!({"X": "?"}));
    assert_eq!(change(2)["NewImage"], "no map");
    assert_eq!(change(3)["NewImage"]["planted"]["N"], "no number");
    let deep = change(4)["NewImage"]["planted"].to_string();
    assert_eq!(deep.matches("\"L\"").count(), 50);
    assert_eq!(found[5]["eventName"], "REPLICATE");
    assert!(change(6)["Keys"].is_null());
    assert!(change(7)["ApproximateCreationDateTime"].is_null());
    for at in 0..9 {
        assert!(change(at)["SequenceNumber"].is_string());
    }
    world.disable_stream("t").expect("off");
    assert!(world.plant_poison("t", &key("a"), Poison::NoTime).is_err());
}
