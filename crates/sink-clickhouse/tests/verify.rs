//! The mirror against a fresh export, and random keys.

use std::collections::BTreeSet;

use mirror::change::EventKind;
use mirror::plan::{MirrorPlan, RecordPath};
use mirror::sink::{RowOrder, Sink};
use mirror::table::KeyType;
use mirror::warehouse::{Difference, DifferenceKind, KeyState, Verifier, Warehouse};

use crate::support::{
    DATABASE, Engine, ExternalServer, column, keyed_plan, push, simple_plan, write_change,
};

const SINCE: i64 = 1_700_000_000_000;

/// A table with columns of every kind, some named like what a query might call something.
fn orders(table: &str) -> MirrorPlan {
    let mut columns = vec![
        column("name", "Nullable(String)"),
        column("side", "String"),
        column("=print", "LowCardinality(Nullable(String))"),
        column("key0", "Float64"),
        column("amount", "Nullable(Decimal(18, 2))"),
    ];
    for (name, path) in [
        ("image", RecordPath::NewImage(Vec::new())),
        ("event", RecordPath::EventName),
        ("id", RecordPath::EventId),
        ("number", RecordPath::SequenceNumber),
        ("old", RecordPath::OldImage(Vec::new())),
        ("who", RecordPath::UserIdentityType),
        ("time", RecordPath::Version),
    ] {
        let mut column = column(name, if name == "time" { "Int64" } else { "String" });
        column.path = path;
        columns.push(column);
    }
    keyed_plan(
        table,
        ("String", KeyType::S),
        ("Int64", KeyType::N),
        columns,
    )
}

fn item(pk: &str, attributes: &str) -> String {
    format!(r#"{{"pk":{{"S":"{pk}"}},"sk":{{"N":"-7"}}{attributes}}}"#)
}

/// What a mirror is told of one key: kind, attributes, version.
type Changes<'a> = &'a [(EventKind, &'a str, i64)];

fn difference(kind: DifferenceKind, pk: &str, version_ms: Option<i64>) -> Difference {
    Difference {
        kind,
        keys: vec![pk.to_owned(), "-7".to_owned()],
        version_ms,
    }
}

#[tokio::test]
async fn every_difference_is_found_and_what_changed_lately_is_none() {
    use EventKind::{Export, Insert, Modify, Remove};
    let engine = Engine::start().await;
    let client = &engine.client;
    let (live, expected) = (orders("orders"), orders("orders__verify"));
    for plan in [&live, &expected] {
        client.create_table(plan).await.unwrap();
    }
    let same = r#","name":{"S":"x"},"amount":{"N":"1.5"}"#;
    let other = r#","name":{"S":"y"},"amount":{"N":"1.5"}"#;
    let rows: &[(&str, &str, Changes<'_>)] = &[
        // Key, what is expected, what the mirror was told, in the order of arrival.
        (
            "same",
            same,
            &[(Insert, other, SINCE - 2), (Modify, same, SINCE - 1)],
        ),
        (
            "same, late arrival",
            same,
            &[(Modify, same, SINCE - 1), (Insert, other, SINCE - 2)],
        ),
        ("same, new", same, &[(Modify, same, SINCE + 1)]),
        ("different 1", same, &[(Insert, other, SINCE)]),
        (
            "different 2",
            same,
            &[(Insert, same, SINCE - 2), (Modify, other, SINCE - 1)],
        ),
        (
            "different null",
            "",
            &[(Insert, r#","name":{"S":""}"#, SINCE - 1)],
        ),
        (
            "different side",
            r#","side":{"S":"1"}"#,
            &[(Insert, r#","side":{"S":"2"}"#, SINCE - 1)],
        ),
        (
            "different float",
            r#","key0":{"N":"1"}"#,
            &[(Insert, r#","key0":{"N":"2"}"#, SINCE - 1)],
        ),
        (
            "different print",
            r#","=print":{"S":"1"}"#,
            &[(Insert, "", SINCE - 1)],
        ),
        ("different, new", same, &[(Insert, other, SINCE + 1)]),
        (
            "different, was the same",
            same,
            &[(Insert, same, SINCE - 1), (Modify, other, SINCE + 1)],
        ),
        ("missing", same, &[]),
        ("missing, old tombstone", same, &[(Remove, "", SINCE)]),
        (
            "missing, new tombstone",
            same,
            &[(Insert, same, SINCE - 1), (Remove, "", SINCE + 1)],
        ),
        ("extra", "-", &[(Insert, same, SINCE)]),
        ("extra, new", "-", &[(Insert, same, SINCE + 1)]),
        (
            "extra, deleted",
            "-",
            &[(Insert, same, SINCE - 1), (Remove, "", SINCE)],
        ),
    ];
    for (pk, wanted, changes) in rows {
        if *wanted != "-" {
            // A file that is loaded again makes no difference.
            for _ in 0..2 {
                write_change(
                    client,
                    &expected,
                    Export,
                    &item(pk, ""),
                    &item(pk, wanted),
                    SINCE - 300_000,
                )
                .await;
            }
        }
        for (kind, attributes, version) in *changes {
            write_change(
                client,
                &live,
                *kind,
                &item(pk, ""),
                &item(pk, attributes),
                *version,
            )
            .await;
        }
    }
    use DifferenceKind::{Different, Extra, Missing};
    let mut all = vec![
        difference(Different, "different 1", Some(SINCE)),
        difference(Different, "different 2", Some(SINCE - 1)),
        difference(Different, "different float", Some(SINCE - 1)),
        difference(Different, "different null", Some(SINCE - 1)),
        difference(Different, "different print", Some(SINCE - 1)),
        difference(Different, "different side", Some(SINCE - 1)),
        difference(Extra, "extra", Some(SINCE)),
        difference(Missing, "missing", None),
        difference(Missing, "missing, old tombstone", None),
    ];
    let compare = async |both_ways, limit| {
        client
            .compare(&live, "orders__verify", SINCE, both_ways, limit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()))
    };
    assert_eq!(compare(true, 100).await, all);
    assert_eq!(compare(true, 3).await, all[..3]);
    all.retain(|difference| difference.kind != Extra);
    assert_eq!(compare(false, 100).await, all);

    // The first two that differ, in the same order; then all. What changed lately stays as it is.
    for (limit, left) in [(2, 7), (100, 0)] {
        client
            .adopt(&live, "orders__verify", SINCE, limit, SINCE + 1)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(
            compare(true, 100).await.len(),
            left + 1 - usize::from(left > 0)
        );
    }
    let left = client
        .compare(&live, "orders__verify", SINCE + 1, true, 100)
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(
        left,
        [
            difference(Different, "different, new", Some(SINCE + 1)),
            difference(Different, "different, was the same", Some(SINCE + 1)),
            difference(Extra, "extra", Some(SINCE)),
            difference(Extra, "extra, new", Some(SINCE + 1)),
            difference(Missing, "missing, new tombstone", None),
        ]
    );
    engine.stop().await;
}

#[tokio::test]
async fn keys_are_looked_up_with_what_both_tables_say_of_them() {
    use EventKind::{Export, Insert, Modify, Remove};
    let engine = Engine::start().await;
    let client = &engine.client;
    let (live, candidates) = (orders("orders"), orders("orders__verify"));
    for plan in [&live, &candidates] {
        client.create_table(plan).await.unwrap();
    }
    let same = r#","name":{"S":"x"}"#;
    let other = r#","name":{"S":"y"}"#;
    // Key, what DynamoDB says ("-" for nothing), what the mirror was told; expected, alive, equal, version.
    type Answer = (bool, bool, bool, Option<i64>);
    let rows: &[(&str, &str, Changes<'_>, Answer)] = &[
        ("absent in both", "-", &[], (false, false, true, None)),
        (
            "deleted in both",
            "-",
            &[(Insert, same, SINCE - 1), (Remove, "", SINCE)],
            (false, false, true, Some(SINCE)),
        ),
        (
            "different",
            same,
            &[(Insert, same, SINCE - 1), (Modify, other, SINCE)],
            (true, true, false, Some(SINCE)),
        ),
        (
            "ghost",
            "-",
            &[(Insert, same, SINCE)],
            (false, true, false, Some(SINCE)),
        ),
        (
            "ghost of nothing but keys",
            "-",
            &[(Insert, "", SINCE)],
            (false, true, false, Some(SINCE)),
        ),
        ("missing", same, &[], (true, false, false, None)),
        (
            "missing, tombstone",
            same,
            &[(Insert, same, SINCE - 1), (Remove, "", SINCE)],
            (true, false, false, Some(SINCE)),
        ),
        (
            "same",
            same,
            &[(Insert, other, SINCE - 1), (Modify, same, SINCE)],
            (true, true, true, Some(SINCE)),
        ),
    ];
    for (pk, wanted, changes, _) in rows {
        let (kind, attributes) = match *wanted {
            "-" => (Remove, ""),
            attributes => (Export, attributes),
        };
        let (keys, wanted) = (item(pk, ""), item(pk, attributes));
        write_change(client, &candidates, kind, &keys, &wanted, SINCE + 9).await;
        for (kind, attributes, version) in *changes {
            let now = item(pk, attributes);
            write_change(client, &live, *kind, &keys, &now, *version).await;
        }
    }
    // A key that nobody asks about.
    let other_key = item("not asked", "");
    write_change(client, &live, Insert, &other_key, &other_key, SINCE).await;
    let states = client
        .look_up(&live, "orders__verify")
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    let expected = rows.iter().map(
        |(pk, _, _, (expected, alive, equal, version_ms))| KeyState {
            keys: vec![(*pk).to_owned(), "-7".to_owned()],
            expected: *expected,
            alive: *alive,
            equal: *equal,
            version_ms: *version_ms,
        },
    );
    assert_eq!(states, expected.collect::<Vec<_>>());
    engine.stop().await;
}

#[tokio::test]
async fn keys_come_back_as_the_texts_of_dynamodb() {
    let engine = Engine::start().await;
    let client = &engine.client;
    for (at, (pk, sk, item, texts)) in [
        (
            ("String", KeyType::S),
            ("DateTime64(3)", KeyType::S),
            r#"{"pk":{"S":"it's \\ \"é\"\n"},"sk":{"S":"1969-07-20T20:17:40.120Z"}}"#,
            ["it's \\ \"é\"\n", "1969-07-20T20:17:40.120Z"],
        ),
        (
            ("DateTime", KeyType::S),
            ("DateTime64(3)", KeyType::N),
            r#"{"pk":{"S":"2026-01-02T03:04:05Z"},"sk":{"N":"1700000000.25"}}"#,
            ["2026-01-02T03:04:05Z", "1700000000.25"],
        ),
        (
            ("DateTime64(0)", KeyType::S),
            ("DateTime", KeyType::N),
            r#"{"pk":{"S":"2026-01-02T03:04:05Z"},"sk":{"N":"1700000000"}}"#,
            ["2026-01-02T03:04:05Z", "1700000000"],
        ),
        (
            ("String", KeyType::B),
            ("Decimal(38, 5)", KeyType::N),
            r#"{"pk":{"B":"AP8="},"sk":{"N":"-123456789012345678901234567890123.00001"}}"#,
            ["AP8=", "-123456789012345678901234567890123.00001"],
        ),
        (
            ("String", KeyType::N),
            ("Float64", KeyType::N),
            r#"{"pk":{"N":"12345678901234567890123456789012345678"},"sk":{"N":"0.5"}}"#,
            ["12345678901234567890123456789012345678", "0.5"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (live, expected) = (
            keyed_plan(&format!("t{at}"), pk, sk, Vec::new()),
            keyed_plan(&format!("t{at}_expected"), pk, sk, Vec::new()),
        );
        client.create_table(&live).await.unwrap();
        client.create_table(&expected).await.unwrap();
        write_change(client, &live, EventKind::Insert, item, item, SINCE).await;
        let sample = client
            .sample_keys(&live, 10)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(sample.len(), 1);
        assert_eq!(
            (&sample[0].keys[..], sample[0].version_ms),
            (&texts.map(str::to_owned)[..], SINCE)
        );
        let extra = client
            .compare(&live, &expected.table, SINCE, true, 10)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(extra[0].keys, texts);
    }
    // Without keys there is nothing to compare by.
    let error = client
        .sample_keys(&simple_plan("none"), 1)
        .await
        .unwrap_err();
    assert!(
        error.report().contains("no column holds the keys"),
        "{}",
        error.report()
    );
    engine.stop().await;
}

#[tokio::test]
async fn sampled_keys_are_alive_different_and_from_everywhere() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let mut plan = simple_plan("orders");
    plan.columns[0].is_key = true;
    plan.keys = keyed_plan(
        "x",
        ("String", KeyType::S),
        ("String", KeyType::S),
        Vec::new(),
    )
    .keys;
    plan.keys.truncate(1);
    client.create_table(&plan).await.unwrap();
    assert_eq!(client.sample_keys(&plan, 5).await.unwrap(), []);
    // Odd keys have a second row, every third is deleted; the parts are of different lengths.
    for (from, to, step, version, is_deleted) in [
        (0, 60_000, 1, SINCE, 0),
        (60_000, 70_000, 1, SINCE, 0),
        (1, 70_000, 2, SINCE + 1, 0),
        (0, 70_000, 3, SINCE + 2, 1),
    ] {
        let mut batch = plan.new_batch();
        for key in (from..to).step_by(step) {
            push(&mut batch, &format!("{key:06}"), "v", version, is_deleted);
        }
        client.insert(&plan, &batch, RowOrder::Free).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let sample = client
            .sample_keys(&plan, 200)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        let keys: BTreeSet<usize> = sample
            .iter()
            .map(|live| live.keys[0].parse().unwrap())
            .collect();
        assert_eq!(keys.len(), 200);
        assert!(keys.iter().all(|key| key % 3 != 0));
        for live in &sample {
            let odd = live.keys[0].parse::<i64>().unwrap() % 2;
            assert_eq!(live.version_ms, SINCE + odd);
        }
        // 200 of 46,667 keys: none in a seventh of them would be a chance of 1 in 10^13.
        let sevenths: BTreeSet<usize> = keys.iter().map(|key| key / 10_000).collect();
        assert_eq!(sevenths.len(), 7, "{keys:?}");
        seen.insert(keys);
    }
    assert_eq!(seen.len(), 3);
    assert_eq!(
        client.sample_keys(&plan, 100_000).await.unwrap().len(),
        46_666
    );
    engine.stop().await;
}

#[tokio::test]
async fn a_million_rows_are_compared() {
    let server = ExternalServer::start().await;
    let client = server.client();
    client.create_database(DATABASE).await.unwrap();
    let mut image = column("_record", "String");
    image.path = RecordPath::NewImage(Vec::new());
    let plan = |table: &str| {
        keyed_plan(
            table,
            ("String", KeyType::S),
            ("String", KeyType::S),
            vec![image.clone()],
        )
    };
    let (live, expected) = (plan("orders"), plan("expected"));
    for plan in [&live, &expected] {
        client.create_table(plan).await.unwrap();
        let sql = format!(
            "INSERT INTO ws_1.{} SELECT concat('user#', toString(intDiv(number, 10))), toString(number), \
             repeat(hex(sipHash64(number, number = 777777 AND {})), 30), fromUnixTimestamp64Milli({SINCE}), 0 FROM numbers(1000000)",
            plan.table,
            u8::from(plan.table == "orders"),
        );
        server.ask(&sql).await;
    }
    server
        .ask("INSERT INTO ws_1.orders SELECT pk, sk, '', _timestamp, 1 FROM ws_1.orders WHERE sk = '123'")
        .await;
    let found = client
        .compare(&live, "expected", SINCE, true, 10)
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    let found: Vec<_> = found
        .iter()
        .map(|found| (found.kind, found.keys[1].as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (DifferenceKind::Missing, "123"),
            (DifferenceKind::Different, "777777")
        ]
    );
    assert_eq!(client.sample_keys(&live, 100).await.unwrap().len(), 100);
    server.stop().await;
}
