//! Shards and records.

use std::collections::{HashMap, HashSet};

use aws_sim::{Fault, FaultKind, StreamConfig, WorldConfig};
use mirror::change::{EventKind, StreamRecord};
use mirror::error::ErrorKind;
use mirror::source::{Shard, ShardPosition, Source};

use crate::scene::{Scene, canonical, failure};

fn streams(stream: StreamConfig) -> Scene {
    Scene::with(WorldConfig {
        stream,
        ..WorldConfig::default()
    })
}

async fn stream_arn(source: &dyn Source) -> String {
    source.describe_table().await.unwrap().stream.unwrap().arn
}

async fn shards(source: &dyn Source) -> Vec<Shard> {
    source
        .describe_stream(&stream_arn(source).await)
        .await
        .unwrap()
        .shards
}

/// Reads a shard until it ends, or until several pages in a row were empty.
async fn read(
    source: &dyn Source,
    shard: &str,
    from: &ShardPosition,
) -> (Vec<(StreamRecord, Vec<u8>)>, bool) {
    let arn = stream_arn(source).await;
    let mut iterator = source.shard_iterator(&arn, shard, from).await.unwrap();
    let (mut found, mut empty) = (Vec::new(), 0);
    while empty < 10 {
        let page = source.get_records(&iterator).await.unwrap();
        empty = if page.records.is_empty() {
            empty + 1
        } else {
            0
        };
        for (index, record) in page.records.iter().enumerate() {
            let change = page.change(index, 0, "us-east-1");
            found.push((
                record.clone(),
                canonical(change.new_image.or(change.old_image).unwrap_or(change.keys)),
            ));
        }
        let Some(next) = page.next_iterator else {
            return (found, true);
        };
        iterator = next;
    }
    (found, false)
}

#[tokio::test]
async fn more_shards_than_a_page_holds_are_all_listed() {
    let scene = streams(StreamConfig {
        shards: 250,
        ..StreamConfig::default()
    });
    let source = scene.connect().await;
    let ids: HashSet<String> = shards(source.as_ref())
        .await
        .into_iter()
        .map(|shard| shard.id)
        .collect();
    assert_eq!(ids.len(), 250);
}

#[tokio::test]
async fn splits_show_parents_closed_and_children_open() {
    let scene = streams(StreamConfig {
        shards: 2,
        ..StreamConfig::default()
    });
    let source = scene.connect().await;
    let arn = stream_arn(source.as_ref()).await;
    let parents: HashSet<String> = shards(source.as_ref())
        .await
        .into_iter()
        .map(|shard| shard.id)
        .collect();
    scene.world(|world| world.split_shards(&arn, None));
    let after = shards(source.as_ref()).await;
    assert_eq!(after.len(), 6);
    for shard in after {
        assert!(shard.starting.is_some());
        assert_eq!(shard.ending.is_some(), parents.contains(&shard.id));
        assert_eq!(shard.parent.is_some(), !parents.contains(&shard.id));
        assert!(shard.parent.is_none_or(|parent| parents.contains(&parent)));
    }
}

#[tokio::test]
async fn every_change_is_read_in_order_with_its_images_and_its_end() {
    let scene = streams(StreamConfig {
        shards: 1,
        ..StreamConfig::default()
    });
    let source = scene.connect().await;
    let item = |n: i32| {
        format!(
            r#"{{"pk":{{"S":"a"}},"n":{{"N":"{n}"}},"b":{{"B":"AP8="}},"t":{{"S":"é\"\n"}},"m":{{"M":{{"z":{{"NULL":true}}}}}}}}"#
        )
    };
    for n in 0..2300 {
        scene.put(&item(n));
    }
    scene.delete(r#"{"pk":{"S":"a"}}"#);
    let arn = stream_arn(source.as_ref()).await;
    let shard = shards(source.as_ref()).await.remove(0).id;
    scene.world(|world| world.roll_over_shards(&arn, None));
    let (found, ended) = read(source.as_ref(), &shard, &ShardPosition::TrimHorizon).await;
    assert!(ended, "a closed shard ends");
    assert_eq!(found.len(), 2301);
    assert_eq!(found[0].0.kind, EventKind::Insert);
    assert_eq!(found[2300].0.kind, EventKind::Remove);
    assert_eq!(
        (
            found[2300].0.new_image.is_some(),
            found[2300].0.old_image.is_some()
        ),
        (false, true)
    );
    for (n, (record, image)) in found.iter().enumerate().take(2300) {
        assert_eq!(*image, canonical(item(n as i32).as_bytes()));
        assert_eq!(record.creation_ms % 1000, 0, "AWS sends whole seconds");
    }
    assert!(found.is_sorted_by(|a, b| a.0.sequence_number < b.0.sequence_number));
    let ids: HashSet<&str> = found
        .iter()
        .map(|(record, _)| record.event_id.as_str())
        .collect();
    assert_eq!(ids.len(), 2301);
    let (rest, _) = read(
        source.as_ref(),
        &shard,
        &ShardPosition::After(found[1999].0.sequence_number.clone()),
    )
    .await;
    assert_eq!(rest.len(), 301);
    assert_eq!(
        rest[0].0,
        StreamRecord {
            keys: rest[0].0.keys.clone(),
            new_image: rest[0].0.new_image.clone(),
            old_image: rest[0].0.old_image.clone(),
            ..found[2000].0.clone()
        }
    );
}

#[tokio::test]
async fn all_lineages_together_hold_every_item_once() {
    let scene = streams(StreamConfig {
        shards: 8,
        ..StreamConfig::default()
    });
    let source = scene.connect().await;
    for n in 0..400 {
        scene.put(&format!(r#"{{"pk":{{"S":"{n}"}}}}"#));
    }
    let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
    for shard in shards(source.as_ref()).await {
        for (_, image) in read(source.as_ref(), &shard.id, &ShardPosition::TrimHorizon)
            .await
            .0
        {
            *seen.entry(image).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 400);
    assert!(seen.values().all(|count| *count == 1));
}

#[tokio::test]
async fn dead_iterators_and_lost_positions_are_told_apart() {
    let scene = streams(StreamConfig {
        shards: 1,
        ..StreamConfig::default()
    });
    let source = scene.connect().await;
    scene.put(r#"{"pk":{"S":"a"}}"#);
    let arn = stream_arn(source.as_ref()).await;
    let shard = shards(source.as_ref()).await.remove(0).id;
    let iterator = source
        .shard_iterator(&arn, &shard, &ShardPosition::TrimHorizon)
        .await
        .unwrap();
    let position = ShardPosition::After(
        source
            .get_records(&iterator)
            .await
            .ok()
            .and_then(|page| page.records.first().cloned())
            .map_or_else(
                || mirror::sequence_number::SequenceNumber::parse("1").unwrap(),
                |record| record.sequence_number,
            ),
    );
    scene.fault(Fault::new("GetRecords", FaultKind::ExpireIterator).times(1));
    assert_eq!(
        failure(source.get_records(&iterator).await).kind,
        ErrorKind::IteratorExpired
    );
    scene.sim.advance(16 * 60 * 1000);
    assert_eq!(
        failure(source.get_records(&iterator).await).kind,
        ErrorKind::IteratorExpired
    );
    scene.put(r#"{"pk":{"S":"b"}}"#);
    let iterator = source
        .shard_iterator(&arn, &shard, &position)
        .await
        .unwrap();
    scene.fault(Fault::new("GetRecords", FaultKind::TrimShard).times(1));
    assert_eq!(
        failure(source.get_records(&iterator).await).kind,
        ErrorKind::TrimmedData
    );
    scene.world(|world| world.trim_shard(&arn, &shard));
    assert_eq!(
        failure(source.shard_iterator(&arn, &shard, &position).await).kind,
        ErrorKind::TrimmedData
    );
    scene.world(|world| {
        world.roll_over_shards(&arn, None);
        assert!(world.forget_shard(&arn, &shard));
    });
    for error in [
        failure(source.get_records(&iterator).await),
        failure(
            source
                .shard_iterator(&arn, &shard, &ShardPosition::TrimHorizon)
                .await,
        ),
        failure(
            source
                .describe_stream(&arn.replace("/stream/", "/stream/x"))
                .await,
        ),
    ] {
        assert_eq!(error.kind, ErrorKind::ShardNotFound, "{}", error.report());
    }
}

#[tokio::test]
async fn a_short_disturbance_is_passed_over_and_a_long_one_is_named() {
    let scene = streams(StreamConfig {
        shards: 1,
        empty_page_chance: 0.0,
        ..StreamConfig::default()
    });
    let source = scene.connect().await;
    scene.put(r#"{"pk":{"S":"a"}}"#);
    let arn = stream_arn(source.as_ref()).await;
    let shard = shards(source.as_ref()).await.remove(0).id;
    let iterator = source
        .shard_iterator(&arn, &shard, &ShardPosition::TrimHorizon)
        .await
        .unwrap();
    let error = |code: &str| FaultKind::Error {
        code: code.to_owned(),
        message: None,
        status: None,
    };
    let cases = [
        (error("ThrottlingException"), ErrorKind::Throttled),
        (error("LimitExceededException"), ErrorKind::Throttled),
        (
            error("ProvisionedThroughputExceededException"),
            ErrorKind::Throttled,
        ),
        (error("InternalServerError"), ErrorKind::Unavailable),
        (
            FaultKind::ServerError { status: 503 },
            ErrorKind::Unavailable,
        ),
        (FaultKind::ConnectionReset, ErrorKind::Unavailable),
        (FaultKind::LostAnswer, ErrorKind::Unavailable),
        (FaultKind::CutBody { fraction: 0.5 }, ErrorKind::Unavailable),
    ];
    for (fault, kind) in cases {
        scene.fault(Fault::new("GetRecords", fault.clone()).times(1));
        assert_eq!(
            source
                .get_records(&iterator)
                .await
                .map_err(|error| error.report())
                .unwrap()
                .records
                .len(),
            1,
            "{fault:?}"
        );
        scene.fault(Fault::new("GetRecords", fault.clone()).times(3));
        let found = failure(source.get_records(&iterator).await);
        assert_eq!(found.kind, kind, "{fault:?}: {}", found.report());
    }
    scene.fault(Fault::new("DescribeStream", error("ThrottlingException")).times(3));
    assert_eq!(
        failure(source.describe_stream(&arn).await).kind,
        ErrorKind::Throttled
    );
}
