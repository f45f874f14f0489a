//! The highest version, and tombstones for rows that nobody told us are gone.

use mirror::change::EventKind;
use mirror::plan::{MirrorPlan, RecordPath};
use mirror::sink::{RowOrder, Sink};
use mirror::table::KeyType;
use mirror::warehouse::Warehouse;

use crate::support::{
    Engine, ExternalServer, ask, column, keyed_plan, kill_and_wait, push, simple_plan, write_change,
};

const REGION: &str = "eu-west-1";

fn path(text: &str) -> Vec<String> {
    text.split('.')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A table with a column for every path, Nullable, not Nullable, and with a DEFAULT.
fn every_path(table: &str) -> MirrorPlan {
    let mut plan = keyed_plan(
        table,
        ("String", KeyType::S),
        ("Int64", KeyType::N),
        Vec::new(),
    );
    let paths = [
        RecordPath::Item(path("pk")),
        RecordPath::Keys(path("pk")),
        RecordPath::Keys(Vec::new()),
        RecordPath::Keys(path("other")),
        RecordPath::Item(Vec::new()),
        RecordPath::Item(path("name")),
        RecordPath::Item(path("m.x")),
        RecordPath::NewImage(Vec::new()),
        RecordPath::NewImage(path("pk")),
        RecordPath::OldImage(Vec::new()),
        RecordPath::OldImage(path("name")),
        RecordPath::EventName,
        RecordPath::EventId,
        RecordPath::SequenceNumber,
        RecordPath::AwsRegion,
        RecordPath::UserIdentityType,
        RecordPath::UserIdentityPrincipal,
    ];
    for (at, path) in paths.into_iter().enumerate() {
        for (name, declared, default) in [
            (format!("c{at}"), "String", None),
            (format!("c{at} null"), "Nullable(String)", None),
            (
                format!("c{at} default"),
                "String",
                Some("concat('d', toString(sk))"),
            ),
            (
                format!("c{at} low"),
                "LowCardinality(Nullable(String))",
                None,
            ),
        ] {
            let mut column = column(&name, declared);
            column.path = path.clone();
            column.default = default.map(str::to_owned);
            plan.columns.push(column);
        }
    }
    for (at, declared) in [
        "DateTime",
        "DateTime64(0)",
        "DateTime64(9)",
        "Nullable(DateTime64(6))",
        "Int64",
        "UInt64",
        "Int128",
    ]
    .into_iter()
    .enumerate()
    {
        let mut column = column(&format!("version{at}"), declared);
        column.path = RecordPath::Version;
        plan.columns.push(column);
    }
    let mut mark = column("mark", "Nullable(Bool)");
    mark.path = RecordPath::IsDeleted;
    plan.columns.push(mark);
    plan
}

fn item(sk: usize) -> String {
    format!(
        r#"{{"pk":{{"S":"it's \\ é"}},"sk":{{"N":"{sk}"}},"name":{{"S":"n"}},"m":{{"M":{{"x":{{"S":"y"}}}}}}}}"#
    )
}

fn keys(sk: usize) -> String {
    format!(r#"{{"pk":{{"S":"it's \\ é"}},"sk":{{"N":"{sk}"}}}}"#)
}

#[tokio::test]
async fn a_buried_row_is_the_row_that_the_stream_would_have_made() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let (buried, streamed) = (every_path("buried"), every_path("streamed"));
    for plan in [&buried, &streamed] {
        client
            .create_table(plan)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        for sk in 0..3 {
            write_change(
                client,
                plan,
                EventKind::Insert,
                &keys(sk),
                &item(sk),
                1_700_000_000_000,
            )
            .await;
        }
    }
    for sk in 0..3 {
        write_change(
            client,
            &streamed,
            EventKind::Remove,
            &keys(sk),
            "",
            1_700_000_123_457,
        )
        .await;
    }
    let count = client
        .bury(
            &buried,
            REGION,
            1_700_000_000_000..=1_700_000_000_000,
            1_700_000_123_457,
        )
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(count, 3);
    let rows = |table: &str| {
        format!("SELECT * FROM {table} WHERE _is_deleted = 1 ORDER BY pk, sk FORMAT JSONEachRow")
    };
    let expected = ask(client, &rows("streamed")).await;
    assert_eq!(expected.lines().count(), 3);
    assert_eq!(ask(client, &rows("buried")).await, expected);
    engine.stop().await;
}

#[tokio::test]
async fn only_living_rows_inside_the_range_are_buried_once_and_for_good() {
    let engine = Engine::start().await;
    let client = &engine.client;
    // A part of the table for every thousand versions: a newer row of a key lies elsewhere than the older.
    let mut plan = simple_plan("orders");
    plan.columns[2] = column("_timestamp", "UInt64");
    plan.columns[2].path = RecordPath::Version;
    plan.columns[3].path = RecordPath::IsDeleted;
    plan.partition_key = Some("intDiv(_timestamp, 1000)".to_owned());
    client.create_table(&plan).await.unwrap();
    assert_eq!(client.highest_version(&plan).await.unwrap(), None);
    assert_eq!(client.bury(&plan, REGION, 0..=9000, 9500).await.unwrap(), 0);
    for (key, version, is_deleted) in [
        ("below", 4999, 0),
        ("first", 5000, 0),
        ("middle", 5500, 0),
        ("last", 6000, 0),
        ("above", 6001, 0),
        ("was inside", 5500, 0),
        ("was inside", 7500, 0),
        ("came back", 4000, 1),
        ("came back", 5500, 0),
        ("was deleted", 5500, 0),
        ("was deleted", 5600, 1),
        ("deleted at once", 5500, 1),
    ] {
        let mut batch = plan.new_batch();
        push(&mut batch, key, "v", version, is_deleted);
        client
            .insert(&plan, &batch, RowOrder::AsGiven)
            .await
            .unwrap();
    }
    assert_eq!(client.highest_version(&plan).await.unwrap(), Some(7500));
    let alive = "SELECT arrayStringConcat(groupArray(pk), ', ') FROM (SELECT pk FROM orders FINAL ORDER BY pk)";
    assert_eq!(
        client.bury(&plan, REGION, 5000..=6000, 8000).await.unwrap(),
        4
    );
    let left = "above, below, was inside";
    assert_eq!(ask(client, alive).await, left);
    assert_eq!(
        client.bury(&plan, REGION, 5000..=6000, 8000).await.unwrap(),
        0
    );
    assert_eq!(client.highest_version(&plan).await.unwrap(), Some(8000));
    // A row that comes late is older than its tombstone.
    let mut batch = plan.new_batch();
    push(&mut batch, "middle", "late", 7999, 0);
    client
        .insert(&plan, &batch, RowOrder::AsGiven)
        .await
        .unwrap();
    assert_eq!(ask(client, alive).await, left);
    for tombstone in [-1, i64::MAX] {
        assert!(
            client
                .bury(&plan, REGION, 0..=9000, tombstone)
                .await
                .is_err()
        );
    }

    kill_and_wait(&engine).await;
    assert_eq!(ask(client, alive).await, left);
    engine.stop().await;
}

#[tokio::test]
async fn tombstones_are_on_the_disk_when_bury_returns() {
    let server = ExternalServer::start().await;
    let client = server.client();
    client.create_database("a").await.unwrap();
    let mut synced = simple_plan("synced");
    let mut lazy = simple_plan("lazy");
    lazy.settings = Some("fsync_after_insert = 0, fsync_part_directory = 0".to_owned());
    let mut syncs = Vec::new();
    for plan in [&mut synced, &mut lazy] {
        plan.database = "a".to_owned();
        plan.columns[2].path = RecordPath::Version;
        plan.columns[3].path = RecordPath::IsDeleted;
        client.create_table(plan).await.unwrap();
        let mut batch = plan.new_batch();
        push(&mut batch, "k", "v", 1_700_000_000_000, 0);
        client
            .insert(plan, &batch, RowOrder::AsGiven)
            .await
            .unwrap();
        let count =
            "SELECT sum(value) FROM system.events WHERE event IN ('FileSync', 'DirectorySync')";
        let before: u64 = server.ask(count).await.parse().unwrap();
        let range = 0..=1_700_000_000_000;
        assert_eq!(
            client
                .bury(plan, REGION, range, 1_700_000_000_001)
                .await
                .unwrap(),
            1
        );
        let after: u64 = server.ask(count).await.parse().unwrap();
        syncs.push(after - before);
    }
    assert!(syncs[0] > 0 && syncs[1] == 0, "{syncs:?}");
    server.stop().await;
}
