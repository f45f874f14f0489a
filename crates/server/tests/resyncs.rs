//! New backfills beside a table: asked for by people, and by deployments that need another table.

use serde_json::{Value, json};

use crate::harness::{ORDERS, Server, answer};

async fn asked(server: &Server) -> (u16, Value) {
    let request = server.request("POST", "/v0/datasources/orders/resync", server.token());
    answer(request.json(&json!({ "reason": "the numbers look odd" }))).await
}

fn notes(server: &Server) -> Vec<String> {
    let world = server.host.warehouse.world();
    let rows = world.contents["ws_1.orders"].values();
    rows.filter_map(|versions| versions.last_key_value())
        .filter(|(_, row)| !row.deleted)
        .map(|(_, row)| row.record.clone())
        .collect()
}

#[tokio::test]
async fn a_resync_is_shown_and_replaces_the_table() {
    let server = Server::live(&[("a", "1", "x"), ("a", "2", "y")]).await;
    {
        let mut account = server.account().lock().unwrap();
        account.items.clear();
        account.put("a", "1", "fresh");
        account.exports_complete = false;
    }
    let (status, body) = asked(&server).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["state"], "resyncing");
    let mirror = server
        .until("the resync exports", |mirror| {
            mirror["resync"]["backfill"]["phase"] == "exporting"
        })
        .await;
    assert_eq!(mirror["resync"]["reason"], "the numbers look odd");
    assert_eq!(mirror["state"], "live", "{mirror}");
    assert_eq!(
        notes(&server).len(),
        2,
        "the table stays as it is meanwhile"
    );
    // It goes on after a restart.
    let server = server.restart().await;
    server.account().lock().unwrap().exports_complete = true;
    server
        .until("the resync is over", |mirror| {
            mirror["resync"].is_null() && mirror["state"] == "live"
        })
        .await;
    assert_eq!(notes(&server), [r#"{"note":"fresh","pk":"a","sk":"1"}"#]);
    assert_eq!(server.account().lock().unwrap().exports.len(), 2);
    assert_eq!(server.host.warehouse.columns("ws_1.orders__resync"), None);
}

#[tokio::test]
async fn a_mirror_that_does_not_run_is_not_resynced() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    let (status, body) = asked(&server).await;
    assert_eq!(status, 400);
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("tb build --with-connections"), "{error}");
    server.build("?with_connections=true", ORDERS).await;
    server.ok("POST", "/v0/datasources/orders/stop").await;
    let (status, body) = asked(&server).await;
    assert_eq!(status, 400);
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("tb datasource start orders"), "{error}");
}

#[tokio::test]
async fn a_deployment_that_needs_another_table_fills_it_beside_the_live_one() {
    let server = Server::live(&[("a", "1", "x")]).await;
    server.account().lock().unwrap().exports_complete = false;
    let before = server.ok("GET", "/v0/mirrors/orders").await;
    let sorted = ORDERS.replace("pk, sk\"", "sk, pk\"");
    let built = server.build("?with_connections=true", &sorted).await;
    assert_eq!(built["result"], "success", "{built}");
    let feedback = built["build"]["feedback"].to_string();
    assert!(
        feedback.contains("ENGINE_SORTING_KEY changes"),
        "{feedback}"
    );
    assert!(feedback.contains("new full export"), "{feedback}");
    let mirror = server
        .until("the resync exports", |mirror| {
            mirror["resync"]["backfill"]["phase"] == "exporting"
        })
        .await;
    assert_eq!(mirror["id"], before["id"]);
    // Another restart and another change on the way: the live table is still the first one.
    let server = server.restart().await;
    let with_note = sorted.replace(
        "    sk String `json:$.Item.sk`,\n",
        "    sk String `json:$.Item.sk`,\n    note String `json:$.Item.note`,\n",
    );
    let built = server.build("?with_connections=true", &with_note).await;
    assert_eq!(built["result"], "success", "{built}");
    let first = server.host.warehouse.columns("ws_1.orders").unwrap();
    assert!(!first.contains(&"note".to_owned()), "{first:?}");
    assert_eq!(notes(&server), [r#"{"note":"x","pk":"a","sk":"1"}"#]);
    let server = server.restart().await;
    server
        .until("the live table is followed", |mirror| {
            mirror["state"] == "live"
        })
        .await;
    server.account().lock().unwrap().exports_complete = true;
    server
        .until("the new table is live", |mirror| {
            mirror["resync"].is_null() && mirror["state"] == "live"
        })
        .await;
    let columns = server.host.warehouse.columns("ws_1.orders").unwrap();
    assert!(columns.contains(&"note".to_owned()), "{columns:?}");
    {
        let world = server.host.warehouse.world();
        let key = world.contents["ws_1.orders"].keys().next().unwrap();
        assert_eq!(key, &["1".to_owned(), "a".to_owned()]);
    }
    // The same files again change nothing, now and after a restart.
    let server = server.restart().await;
    let exports = server.account().lock().unwrap().exports.len();
    let built = server.build("?with_connections=true", &with_note).await;
    assert_eq!(built["result"], "success", "{built}");
    let mirror = server
        .until("it is live", |mirror| mirror["state"] == "live")
        .await;
    assert_eq!(mirror["resync"], json!(null));
    assert_eq!(server.account().lock().unwrap().exports.len(), exports);
}

#[tokio::test]
async fn names_of_tables_that_the_server_makes_are_refused() {
    let server = Server::with_secret().await;
    for name in ["orders__resync", "orders__verify"] {
        let file = format!("datasources/{name}.datasource");
        let files = [
            (file.as_str(), ORDERS),
            ("my_ddb.connection", crate::harness::CONNECTION),
        ];
        let body = server.upload("/v1/build", &files).await;
        let error = body["errors"][0]["error"].as_str().unwrap();
        assert!(error.contains("rename this file"), "{error}");
    }
}
