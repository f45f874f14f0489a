//! The quarantine of a data source: looked at, and put back.

use mirror::sink::QuarantinedRecord;
use serde_json::{Value, json};

use crate::harness::{Server, answer};

fn record(position: &str, column: &str, raw: &str, version_ms: i64) -> QuarantinedRecord {
    QuarantinedRecord {
        origin: "shardId-1".to_owned(),
        position: position.to_owned(),
        column: column.to_owned(),
        reason: "an earlier version did not like it".to_owned(),
        raw_record: raw.as_bytes().to_vec(),
        version_ms,
    }
}

/// A record of each kind that can be put back, and two that cannot.
fn records() -> Vec<QuarantinedRecord> {
    let stream = r#"{"eventName":"MODIFY","eventID":"e1","Keys":{"pk":{"S":"s"},"sk":{"S":"1"}},"NewImage":{"pk":{"S":"s"},"sk":{"S":"1"},"n":{"N":"1"}},"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}}"#;
    let gone = r#"{"eventName":"REMOVE","eventID":"e2","Keys":{"pk":{"S":"g"},"sk":{"S":"1"}}}"#;
    let export = r#"{"Item":{"pk":{"S":"x"},"sk":{"S":"1"}}}"#;
    let window = r#"{"Metadata":{"WriteTimestampMicros":{"N":"1700000000000000"}},"Keys":{"pk":{"S":"w"},"sk":{"S":"1"}},"NewImage":{"pk":{"S":"w"},"sk":{"S":"1"}}}"#;
    let whole = r#"{"eventName":"MODIFY","Keys":{"awsRegion":"us-east-1","dynamodb":{"Keys":{"pk":{"S":"a"},"sk":{"S":"1"}},"NewImage":{"pk":{"S":"a"},"sk":{"S":"1"}},"SequenceNumber":"5"},"eventID":"e3","eventName":"INSERT"}}"#;
    let unknown = whole.replace("INSERT", "EXPLODE");
    vec![
        record("1", "n", stream, 5_000),
        record("2", "", gone, 5_000),
        record("3", "", export, 5_000),
        record("4", "", window, 5_000),
        record("5", "", whole, 5_000),
        record("6", "", &unknown, 5_000),
        record("7", "pk", r#"{"Item":{"pk":{"N":"1"}}}"#, 5_000),
    ]
}

async fn server() -> Server {
    let server = Server::live(&[]).await;
    {
        let mut world = server.host.warehouse.world();
        let quarantine = world
            .quarantine
            .entry("ws_1.orders".to_owned())
            .or_default();
        for record in records() {
            let key = (
                record.origin.clone(),
                record.position.clone(),
                record.column.clone(),
            );
            quarantine.insert(key, record);
        }
    }
    server
}

async fn replay(server: &Server, query: &str) -> Value {
    let path = format!("/v0/datasources/orders/quarantine/replay{query}");
    server.ok("POST", &path).await
}

#[tokio::test]
async fn records_are_listed_in_pages_and_shown_one_by_one() {
    let server = server().await;
    let mut path = "/v0/datasources/orders/quarantine?limit=3".to_owned();
    let mut positions = Vec::new();
    for _ in 0..3 {
        let page = server.ok("GET", &path).await;
        for record in page["records"].as_array().unwrap() {
            assert_eq!(
                record["raw_record"],
                json!(null),
                "items are not for everybody"
            );
            positions.push(record["position"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v0/datasources/orders/quarantine?limit=3&after={next}");
    }
    assert_eq!(positions, ["1", "2", "3", "4", "5", "6", "7"]);
    let one = "/v0/datasources/orders/quarantine?origin=shardId-1&position=3";
    let body = server.ok("GET", one).await;
    assert_eq!(
        body["records"][0]["raw_record"],
        r#"{"Item":{"pk":{"S":"x"},"sk":{"S":"1"}}}"#
    );
    assert_eq!(body["records"].as_array().unwrap().len(), 1);
    for (query, expected) in [
        ("origin=shardId-1&position=33", 404),
        ("limit=0", 400),
        ("after=?", 400),
    ] {
        let path = format!("/v0/datasources/orders/quarantine?{query}");
        let (status, body) = server.get(&path, server.token()).await;
        assert_eq!(status, expected, "{query}: {body}");
    }
}

#[tokio::test]
async fn a_replay_puts_back_what_can_be_read_by_now() {
    let server = server().await;
    server.host.warehouse.take_log();
    let expected = |dry_run: bool| {
        json!({
            "dry_run": dry_run,
            "replayed": 5,
            "failed": [
                { "reason": "column pk: the attribute is a number, not a string", "records": 1 },
                { "reason": "the record cannot be read: x", "records": 1 },
            ],
        })
    };
    let masked = |mut body: Value| {
        for failed in body["failed"].as_array_mut().unwrap() {
            failed["reason"] = json!("");
        }
        body
    };
    let dry = replay(&server, "?dry_run=true").await;
    assert_eq!(masked(dry), masked(expected(true)));
    assert_eq!(server.host.warehouse.take_log(), Vec::<String>::new());
    let done = replay(&server, "").await;
    assert_eq!(masked(done), masked(expected(false)));
    let log = server.host.warehouse.take_log();
    let order: Vec<&str> = log
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    // Rows first; only then may the records go.
    assert_eq!(order, ["insert", "quarantine", "discharge"]);
    {
        let world = server.host.warehouse.world();
        let alive = |pk: &str| {
            let versions = &world.contents["ws_1.orders"][&[pk.to_owned(), "1".to_owned()][..]];
            let (version_ms, row) = versions.last_key_value().unwrap();
            assert_eq!(*version_ms, 5_000, "its own version");
            !row.deleted
        };
        for (pk, expected) in [
            ("s", true),
            ("g", false),
            ("x", true),
            ("w", true),
            ("a", true),
        ] {
            assert_eq!(alive(pk), expected, "{pk}");
        }
        let left = world.quarantine["ws_1.orders"].values();
        for record in left {
            assert_ne!(record.reason, "an earlier version did not like it");
        }
    }
    let again = replay(&server, "").await;
    assert_eq!(again["replayed"], 0);
    assert_eq!(again["failed"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_replay_that_dies_half_way_loses_nothing() {
    let server = server().await;
    server.host.warehouse.world().fails = Some("discharge");
    let path = "/v0/datasources/orders/quarantine/replay";
    let (status, body) = answer(server.request("POST", path, server.token())).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(replay(&server, "").await["replayed"], 5);
}

#[tokio::test]
async fn the_count_of_a_mirror_goes_down() {
    let server = server().await;
    let store = server::store::SqliteStore::open(&server.host.dir.path().join("metadata.db"))
        .await
        .unwrap();
    let id = server.ok("GET", "/v0/mirrors/orders").await["id"].clone();
    use mirror::store::Store;
    let shard = mirror::checkpoint::ShardCheckpoint {
        shard_id: "shardId-00000000000000000001-0000".to_owned(),
        parent: None,
        position: None,
        clock_ms: 0,
        finished: true,
        finished_at_ms: Some(1),
        watermark_ms: None,
    };
    store
        .commit_shards(id.as_str().unwrap(), &[shard], 7)
        .await
        .unwrap();
    replay(&server, "").await;
    let mirror = server.ok("GET", "/v0/mirrors/orders").await;
    assert_eq!(mirror["quarantined"], 2, "{mirror}");
    let server = server.restart().await;
    server
        .until("the count is stored", |mirror| mirror["quarantined"] == 2)
        .await;
}
