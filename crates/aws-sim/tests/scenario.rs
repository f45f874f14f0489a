//! What the other modules build worlds with.

use aws_sim::{Attr, Map, StreamRecord, TableSpec, World, WorldConfig};
use serde_json::Value;

/// A quiet world with a table `t` (key `pk`), whose answers come in canonical order.
pub(crate) fn world(change: impl FnOnce(&mut WorldConfig)) -> World {
    let mut config = WorldConfig {
        vary_order: false,
        ..WorldConfig::default()
    };
    config.stream.empty_page_chance = 0.0;
    change(&mut config);
    let mut world = World::new(config);
    world
        .create_table(&TableSpec::new("t"))
        .expect("a new table");
    world
}

pub(crate) fn item(key: &str, value: &str) -> Map {
    Map::from([
        ("pk".to_owned(), Attr::S(key.to_owned())),
        ("v".to_owned(), Attr::N(value.to_owned())),
    ])
}

pub(crate) fn key(key: &str) -> Map {
    Map::from([("pk".to_owned(), Attr::S(key.to_owned()))])
}

pub(crate) fn put(world: &mut World, name: &str, value: &str) {
    world
        .put_item("t", &item(name, value))
        .expect("a valid item");
}

pub(crate) fn stream_arn(world: &World) -> String {
    world
        .table_state("t")
        .and_then(|table| table.stream.clone())
        .expect("the table has a stream")
}

pub(crate) fn shard_ids(world: &World) -> Vec<String> {
    let arn = stream_arn(world);
    let stream = world
        .stream_states()
        .find(|stream| stream.arn == arn)
        .expect("the stream exists");
    stream.shards().map(|shard| shard.id.clone()).collect()
}

/// Reads a shard from its horizon until its end or, if open, an empty page. True if it ended.
pub(crate) fn drain(world: &mut World, shard: &str) -> (Vec<StreamRecord>, bool) {
    let arn = stream_arn(world);
    let mut token = world
        .get_shard_iterator(&arn, shard, "TRIM_HORIZON", None, None)
        .expect("an iterator");
    let mut records = Vec::new();
    loop {
        let page = world.get_records(&token, Some(7)).expect("a page");
        let empty = page.records.is_empty();
        records.extend(page.records);
        match page.next {
            None => return (records, true),
            Some(_) if empty => return (records, false),
            Some(next) => token = next,
        }
    }
}

/// All records, parents before children.
pub(crate) fn drain_all(world: &mut World) -> Vec<StreamRecord> {
    shard_ids(world)
        .iter()
        .flat_map(|shard| drain(world, shard).0)
        .collect()
}

pub(crate) fn code(result: Result<Value, aws_sim::ApiError>) -> String {
    result.expect_err("a refusal").code
}
