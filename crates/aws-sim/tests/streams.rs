use std::collections::{BTreeMap, BTreeSet};

use aws_sim::rng::Rng;
use aws_sim::{TableSpec, ViewType, World};
use serde_json::json;

use crate::scenario::{drain, drain_all, key, put, shard_ids, stream_arn, world};

const HOUR_MS: i64 = 3600 * 1000;

#[test]
fn only_real_changes_make_records() {
    let mut world = world(|_| ());
    put(&mut world, "a", "1");
    put(&mut world, "a", "1");
    put(&mut world, "a", "2");
    world.delete_item("t", &key("a")).expect("delete");
    world
        .delete_item("t", &key("a"))
        .expect("delete of nothing");
    put(&mut world, "b", "1");
    assert!(world.expire_item("t", &key("b")).expect("expire"));
    let records = drain_all(&mut world);
    let mut names: Vec<_> = records.iter().map(|record| record.event_name).collect();
    names.sort_unstable();
    assert_eq!(names, ["INSERT", "INSERT", "MODIFY", "REMOVE", "REMOVE"]);
    assert_eq!(records.iter().filter(|record| record.expired).count(), 1);
    assert!(
        records
            .iter()
            .filter(|record| record.event_name == "REMOVE")
            .all(|record| record.new.is_none())
    );
}

#[test]
fn views_decide_which_images_are_there() {
    for (view, new, old) in [
        (ViewType::KeysOnly, false, false),
        (ViewType::NewImage, true, false),
        (ViewType::OldImage, false, true),
        (ViewType::NewAndOldImages, true, true),
    ] {
        let mut world = world(|_| ());
        world
            .dynamodb("DeleteTable", json!({"TableName": "t"}))
            .expect("delete");
        world
            .create_table(&TableSpec {
                view: Some(view),
                ..TableSpec::new("t")
            })
            .expect("a table");
        put(&mut world, "a", "1");
        put(&mut world, "a", "2");
        world.delete_item("t", &key("a")).expect("delete");
        let records = drain_all(&mut world);
        let images: Vec<_> = records
            .iter()
            .map(|record| (record.new.is_some(), record.old.is_some()))
            .collect();
        assert_eq!(images, [(new, false), (new, old), (false, old)], "{view:?}");
    }
}

/// Random writes, splits and rollovers: reading parents before children rebuilds the table.
#[test]
fn reading_parents_first_rebuilds_the_table() {
    for seed in 0..40 {
        let mut world = world(|config| {
            config.seed = seed;
            config.stream.empty_page_chance = 0.2;
            config.stream.auto_rollover_ms = Some(HOUR_MS);
        });
        let mut rng = Rng::new(seed);
        for _ in 0..600 {
            match rng.below(40) {
                0 => drop(world.split_shards("t", None).len().min(64)),
                1 => drop(world.roll_over_shards("t", None)),
                2 => world.advance(20 * 60 * 1000),
                _ if rng.chance(0.3) => {
                    world
                        .delete_item("t", &key(&rng.below(30).to_string()))
                        .expect("delete");
                }
                _ => put(
                    &mut world,
                    &rng.below(30).to_string(),
                    &rng.below(5).to_string(),
                ),
            }
            if shard_ids(&world).len() > 200 {
                break;
            }
        }
        let mut replica: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut ended = BTreeSet::new();
        for shard in shard_ids(&world) {
            let mut last = (0, String::new());
            let (records, end) = drain_with_patience(&mut world, &shard);
            ended.insert((shard, end));
            for record in records {
                let number = (record.sequence_number.len(), record.sequence_number.clone());
                assert!(
                    number > last && (21..=40).contains(&number.0),
                    "seed {seed}"
                );
                last = number;
                match record.new {
                    Some(new) => replica.insert(record.keys.to_vec(), new.to_vec()),
                    None => replica.remove(record.keys.as_ref()),
                };
            }
        }
        let mut got: Vec<_> = replica.into_values().collect();
        let mut want: Vec<_> = world
            .table_items("t")
            .iter()
            .map(|item| item.to_vec())
            .collect();
        got.sort();
        want.sort();
        assert_eq!(got, want, "seed {seed}");
    }
}

/// Reads on after empty pages, as a reader of AWS must.
fn drain_with_patience(world: &mut World, shard: &str) -> (Vec<aws_sim::StreamRecord>, bool) {
    let arn = stream_arn(world);
    let mut token = world
        .get_shard_iterator(&arn, shard, "TRIM_HORIZON", None, None)
        .expect("an iterator");
    let mut records = Vec::new();
    let mut empty = 0;
    while empty < 20 {
        let page = world.get_records(&token, Some(5)).expect("a page");
        empty = if page.records.is_empty() {
            empty + 1
        } else {
            0
        };
        records.extend(page.records);
        match page.next {
            Some(next) => token = next,
            None => return (records, true),
        }
    }
    (records, false)
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let run = || {
        let mut world = world(|config| config.seed = 9);
        for n in 0..50 {
            put(&mut world, &n.to_string(), "1");
            if n % 10 == 0 {
                world.split_shards("t", None);
            }
        }
        drain_all(&mut world)
            .iter()
            .map(|record| (record.sequence_number.clone(), record.event_id.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn children_may_be_listed_late() {
    let mut world = world(|config| config.stream.children_delay_ms = 60_000);
    let arn = stream_arn(&world);
    let parent = shard_ids(&world)[0].clone();
    let child = world.roll_over_shards("t", Some(&parent))[0].clone();
    let listed = |world: &mut World| {
        let filter = json!({"Type": "CHILD_SHARDS", "ShardId": parent.clone()});
        let answer = world
            .streams(
                "DescribeStream",
                json!({"StreamArn": arn, "ShardFilter": filter}),
            )
            .expect("describe");
        answer["StreamDescription"]["Shards"]
            .as_array()
            .expect("shards")
            .clone()
    };
    assert!(listed(&mut world).is_empty());
    let early = world
        .get_shard_iterator(&arn, &child, "TRIM_HORIZON", None, None)
        .expect_err("not visible");
    assert_eq!(early.code, "ResourceNotFoundException");
    world.advance(60_000);
    assert_eq!(listed(&mut world)[0]["ShardId"], json!(child));
}

#[test]
fn records_and_shards_leave_after_a_day() {
    let mut world = world(|_| ());
    let arn = stream_arn(&world);
    put(&mut world, "a", "1");
    let first = drain_all(&mut world)[0].sequence_number.clone();
    let owner = shard_ids(&world)
        .into_iter()
        .find(|id| !drain(&mut world, id).0.is_empty())
        .expect("one has it");
    let at = world
        .get_shard_iterator(&arn, &owner, "AT_SEQUENCE_NUMBER", Some(&first), None)
        .expect("an iterator");
    assert_eq!(
        world.get_records(&at, None).expect("a page").records.len(),
        1
    );
    world.roll_over_shards("t", None);
    world.advance(14 * 60 * 1000);
    assert!(world.get_records(&at, None).is_ok());
    world.advance(2 * 60 * 1000);
    assert_eq!(
        world.get_records(&at, None).expect_err("too old").code,
        "ExpiredIteratorException"
    );
    world.config.stream.iterator_ttl_ms = i64::MAX;
    world.advance(23 * HOUR_MS);
    assert!(world.get_records(&at, None).is_ok());
    world.advance(HOUR_MS);
    let gone = world.get_records(&at, None).expect_err("the shard is gone");
    assert!(gone.message.contains("Shard does not exist"), "{gone}");
    assert!(shard_ids(&world).iter().all(|id| *id != owner));
}

#[test]
fn a_trimmed_position_is_told_apart_from_one_behind_it() {
    let mut world = world(|config| config.stream.shards = 1);
    let arn = stream_arn(&world);
    let shard = shard_ids(&world)[0].clone();
    put(&mut world, "a", "1");
    put(&mut world, "b", "1");
    let numbers: Vec<_> = drain_all(&mut world)
        .iter()
        .map(|record| record.sequence_number.clone())
        .collect();
    world.trim_shard(&arn, &shard);
    put(&mut world, "c", "1");
    let mut iterate =
        |kind: &str, number: &str| world.get_shard_iterator(&arn, &shard, kind, Some(number), None);
    assert_eq!(
        iterate("AT_SEQUENCE_NUMBER", &numbers[1])
            .expect_err("gone")
            .code,
        "TrimmedDataAccessException"
    );
    assert_eq!(
        iterate("AFTER_SEQUENCE_NUMBER", &numbers[0])
            .expect_err("gone")
            .code,
        "TrimmedDataAccessException"
    );
    assert!(iterate("AFTER_SEQUENCE_NUMBER", &numbers[1]).is_ok());
}

#[test]
fn a_new_stream_starts_after_the_old_one_and_misses_what_was_between() {
    let mut world = world(|_| ());
    let old = stream_arn(&world);
    put(&mut world, "a", "1");
    world
        .dynamodb(
            "UpdateTable",
            json!({"TableName": "t", "StreamSpecification": {"StreamEnabled": false}}),
        )
        .expect("off");
    world.advance(1000);
    put(&mut world, "a", "2");
    let on = json!({"TableName": "t", "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}});
    world.dynamodb("UpdateTable", on.clone()).expect("on");
    let busy = world.dynamodb("UpdateTable", on.clone()).expect_err("busy");
    assert_eq!(busy.code, "ResourceInUseException");
    world.advance(1000);
    let again = world.dynamodb("UpdateTable", on).expect_err("on already");
    assert!(
        again.code == "ValidationException" && again.message.contains("already"),
        "{again}"
    );
    put(&mut world, "a", "3");
    assert_ne!(stream_arn(&world), old);
    let records = drain_all(&mut world);
    assert_eq!(records.len(), 1);
    let status = world
        .streams("DescribeStream", json!({"StreamArn": old}))
        .expect("still listed");
    assert_eq!(status["StreamDescription"]["StreamStatus"], "DISABLED");
}

#[test]
fn pages_stop_at_a_thousand_records_and_a_megabyte() {
    let mut world = world(|config| config.stream.shards = 1);
    let arn = stream_arn(&world);
    let shard = shard_ids(&world)[0].clone();
    for n in 0..1500 {
        put(&mut world, &n.to_string(), "1");
    }
    let token = world
        .get_shard_iterator(&arn, &shard, "TRIM_HORIZON", None, None)
        .expect("an iterator");
    assert_eq!(
        world
            .get_records(&token, None)
            .expect("a page")
            .records
            .len(),
        1000
    );
    world.generate_items("t", 0, 20, 200_000).expect("items");
    let mut page = world.get_records(&token, None).expect("a page");
    while page
        .records
        .first()
        .is_none_or(|record| record.size_bytes < 100_000)
    {
        page = world
            .get_records(&page.next.expect("open"), None)
            .expect("a page");
    }
    let bytes: usize = page.records.iter().map(|record| record.size_bytes).sum();
    assert!(page.records.len() > 1 && bytes <= 1024 * 1024, "{bytes}");
}
