//! Verifications and repairs, while the mirror runs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Server, answer};
use crate::ports::warehouse::Row;

const ITEMS: [(&str, &str, &str); 4] = [
    ("a", "1", "same"),
    ("a", "2", "changed unseen"),
    ("b", "1", "lost"),
    ("c", "1", "deleted unseen"),
];

/// A mirror with a row that is wrong, one that is missing, and one that should not be there any more.
async fn damaged() -> Server {
    let server = Server::live(&ITEMS).await;
    {
        let mut account = server.account().lock().unwrap();
        account.put("a", "2", "the truth");
        account.items.remove(&("c".to_owned(), "1".to_owned()));
        // Nobody told the mirror, and it never had this one.
        account.put("d", "1", "new");
        let mut world = server.host.warehouse.world();
        let rows = world.contents.get_mut("ws_1.orders").unwrap();
        rows.remove(&["b".to_owned(), "1".to_owned()][..]);
    }
    server
}

async fn verify(server: &Server, query: &str) -> Value {
    let path = format!("/v0/datasources/orders/verify?{query}");
    let job = server.ok("POST", &path).await;
    let id = job["id"].as_str().unwrap().to_owned();
    let started = Instant::now();
    loop {
        let job = server.ok("GET", &format!("/v0/jobs/{id}")).await;
        if job["status"] != "working" {
            return job;
        }
        assert!(started.elapsed() < 4 * DEADLINE, "{job:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn keys(job: &Value) -> Vec<String> {
    let keys = job["result"]["keys"].as_array().unwrap().iter();
    let mut keys: Vec<String> = keys
        .map(|one| {
            let key = &one["key"];
            format!("{} {}{}", one["kind"], key["pk"], key["sk"]).replace('"', "")
        })
        .collect();
    keys.sort();
    keys
}

const WRONG: [&str; 4] = ["different a2", "extra c1", "missing b1", "missing d1"];

fn alive(server: &Server, pk: &str, sk: &str) -> Option<(i64, Row)> {
    let world = server.host.warehouse.world();
    let key = [pk.to_owned(), sk.to_owned()];
    let (version_ms, row) = world.contents["ws_1.orders"]
        .get(&key[..])?
        .last_key_value()?;
    (!row.deleted).then(|| (*version_ms, row.clone()))
}

#[tokio::test]
async fn a_sample_finds_what_is_wrong_and_repairs_it() {
    let server = damaged().await;
    let job = verify(&server, "mode=sample&count=100").await;
    assert_eq!(job["status"], "done", "{job:#}");
    assert_eq!(keys(&job), WRONG);
    assert_eq!(job["result"]["checked"], 5);
    assert_eq!(job["result"]["remaining"], 4);
    let before = alive(&server, "a", "2").unwrap();
    let job = verify(&server, "mode=sample&count=100&repair=true").await;
    assert_eq!(job["result"]["repaired"], 4, "{job:#}");
    assert_eq!(job["result"]["remaining"], 0, "{job:#}");
    let (version_ms, row) = alive(&server, "a", "2").unwrap();
    assert!(row.record.contains("the truth"), "{row:?}");
    assert_eq!(version_ms, before.0 + 1, "any later change wins over it");
    assert_eq!(alive(&server, "c", "1"), None);
    assert!(alive(&server, "d", "1").is_some());
    let world_has_it = server.host.warehouse.columns("ws_1.orders__verify");
    assert_eq!(world_has_it, None, "nothing is left behind");
    let id = server.ok("GET", "/v0/mirrors/orders").await["id"].clone();
    let store = server::store::SqliteStore::open(&server.host.dir.path().join("metadata.db"))
        .await
        .unwrap();
    use mirror::store::Store;
    let progress = store.load(id.as_str().unwrap()).await.unwrap();
    assert!(
        progress.coverage.repaired_ms.is_some(),
        "a healing must know"
    );
}

#[tokio::test]
async fn an_export_finds_what_is_wrong() {
    let server = damaged().await;
    let job = verify(&server, "mode=full").await;
    assert_eq!(job["status"], "done", "{job:#}");
    assert_eq!(keys(&job), WRONG);
    assert_eq!(server.account().lock().unwrap().exports.len(), 2);
}

#[tokio::test]
async fn without_the_right_to_read_items_an_export_finds_and_repairs_it() {
    let server = damaged().await;
    server.account().lock().unwrap().no_item_reads = true;
    let job = verify(&server, "mode=full").await;
    assert_eq!(keys(&job), WRONG);
    assert_eq!(job["result"]["repaired"], 0);
    let notes = job["result"]["notes"].to_string();
    assert!(notes.contains("dynamodb:BatchGetItem"), "{notes}");

    let before = alive(&server, "a", "2").unwrap();
    let job = verify(&server, "mode=full&repair=true").await;
    assert_eq!(keys(&job), WRONG);
    assert_eq!(job["result"]["repaired"], 4, "{job:#}");
    assert_eq!(job["result"]["remaining"], 0, "{job:#}");
    let (version_ms, row) = alive(&server, "a", "2").unwrap();
    assert!(row.record.contains("the truth"), "{row:?}");
    let export_ms = server.account().lock().unwrap().taken.last().unwrap().0;
    assert_eq!(version_ms, export_ms - 5 * 60_000 + 1);
    assert!(version_ms > before.0, "it wins over the wrong row");
    assert_eq!(alive(&server, "c", "1"), None);
    for (pk, sk) in [("b", "1"), ("d", "1")] {
        assert_eq!(alive(&server, pk, sk).unwrap().0, version_ms);
    }
    let job = verify(&server, "mode=full").await;
    assert_eq!(job["result"]["differences"], 0, "{job:#}");
}

#[tokio::test]
async fn a_repair_by_export_loses_to_a_newer_row() {
    let server = damaged().await;
    server.account().lock().unwrap().no_item_reads = true;
    // A change that comes between the comparison and the repair: it has a version of now.
    server.host.warehouse.world().before_adopt = Some(Box::new(|live| {
        let versions = live.get_mut(&["a".to_owned(), "2".to_owned()][..]).unwrap();
        let row = Row {
            deleted: false,
            record: "newer".to_owned(),
        };
        versions.insert(i64::MAX / 2, row);
    }));
    let job = verify(&server, "mode=full&repair=true").await;
    assert_eq!(job["result"]["remaining"], 0, "{job:#}");
    let (_, row) = alive(&server, "a", "2").unwrap();
    assert_eq!(row.record, "newer");
}

#[tokio::test]
async fn a_repair_by_export_buries_nothing_that_an_unreadable_item_may_be() {
    let server = damaged().await;
    {
        let mut account = server.account().lock().unwrap();
        account.no_item_reads = true;
        account.put_unreadable("c", "1");
    }
    let job = verify(&server, "mode=full&repair=true").await;
    assert_eq!(keys(&job), WRONG);
    assert_eq!(job["result"]["repaired"], 3, "{job:#}");
    assert_eq!(job["result"]["unreadable"], 1, "{job:#}");
    assert!(alive(&server, "c", "1").is_some());
    let notes = job["result"]["notes"].to_string();
    assert!(notes.contains("quarantine"), "{notes}");
}

#[tokio::test]
async fn without_the_right_to_read_items_a_sample_says_what_to_do() {
    let server = damaged().await;
    server.account().lock().unwrap().no_item_reads = true;
    let job = verify(&server, "mode=sample").await;
    assert_eq!(job["status"], "error", "{job:#}");
    let error = job["error"].as_str().unwrap();
    assert!(error.contains("dynamodb:BatchGetItem"), "{error}");
    assert!(error.contains("--full"), "{error}");
}

#[tokio::test]
async fn keys_that_change_while_they_are_looked_at_are_not_called_wrong() {
    let server = Server::live(&[("a", "1", "v0")]).await;
    let path = "/v0/datasources/orders/verify?mode=sample";
    let job = server.ok("POST", path).await;
    let (status, body) = answer(server.request("POST", path, server.token())).await;
    assert_eq!(status, 409, "one at a time: {body}");
    let id = job["id"].as_str().unwrap();
    let mut version = 0;
    let job = loop {
        // Item and row change together, and whoever looks at one and then at the other sees a difference.
        version += 1;
        {
            let mut account = server.account().lock().unwrap();
            account.put("a", "1", &format!("v{version}"));
            let mut world = server.host.warehouse.world();
            let rows = world.contents.get_mut("ws_1.orders").unwrap();
            let versions = rows.get_mut(&["a".to_owned(), "1".to_owned()][..]).unwrap();
            let (last, _) = versions.last_key_value().unwrap();
            let row = Row {
                deleted: false,
                record: format!(r#"{{"note":"v{version}","pk":"a","sk":"1"}}"#),
            };
            let next = last + 1;
            versions.insert(next, row);
        }
        let job = server.ok("GET", &format!("/v0/jobs/{id}")).await;
        if job["status"] != "working" {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(job["result"]["differences"], 0, "{job:#}");
    assert_eq!(job["result"]["changing"], 1, "{job:#}");
}

#[tokio::test]
async fn a_verification_can_be_ended_and_ends_with_the_server() {
    let server = Server::live(&[]).await;
    server.account().lock().unwrap().exports_complete = false;
    let path = "/v0/datasources/orders/verify?mode=full";
    let job = server.ok("POST", path).await;
    let id = job["id"].as_str().unwrap();
    server.ok("DELETE", &format!("/v0/jobs/{id}")).await;
    let started = Instant::now();
    while server.ok("GET", &format!("/v0/jobs/{id}")).await["status"] != "cancelled" {
        assert!(started.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.ok("POST", path).await;
    let listed = server.ok("GET", "/v0/jobs").await;
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 2);
    let started = Instant::now();
    let server = server.restart().await;
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "nobody waits for it"
    );
    assert_eq!(server.ok("GET", "/v0/jobs").await, json!({ "jobs": [] }));
}

#[tokio::test]
async fn only_a_mirror_that_is_live_is_verified() {
    let server = Server::with_secret().await;
    server
        .build("?with_connections=true", crate::harness::ORDERS)
        .await;
    let path = "/v0/datasources/orders/verify";
    let (status, body) = answer(server.request("POST", path, server.token())).await;
    assert_eq!(status, 400);
    assert!(
        body["error"].as_str().unwrap().contains("backfill"),
        "{body}"
    );
    for query in ["mode=half", "mode=sample&count=0", "count=x"] {
        let path = format!("{path}?{query}");
        let (status, _) = answer(server.request("POST", &path, server.token())).await;
        assert_eq!(status, 400, "{query}");
    }
}
