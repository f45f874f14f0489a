//! Changes that would lose data.

use serde_json::{Value, json};

use crate::harness::{CONNECTION, ORDERS, PIPE, Server};

const ALLOWED: &str = "?with_connections=true&allow_destructive_operations=true";

async fn refused(server: &Server, query: &str, datasource: &str, reason: &str) {
    let answer = server.build(query, datasource).await;
    assert_eq!(answer["result"], "failed", "{answer}");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{answer}");
    assert_eq!(errors[0]["filename"], "datasources/orders.datasource");
    let error = errors[0]["error"].as_str().unwrap();
    assert!(error.contains(reason), "{error}");
    assert!(error.contains("--allow-destructive-operations"), "{error}");
}

#[tokio::test]
async fn changes_that_lose_data_are_refused_one_by_one() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    server.host.warehouse.take_log();
    // Without connections no new export can be asked for.
    let line = "    _old_record Nullable(String) `json:$.OldImage`,\n";
    let dropped = ORDERS.replace(line, "");
    refused(&server, "", &dropped, "the column _old_record is dropped").await;
    let retyped = ORDERS.replace("LowCardinality(String)", "String");
    refused(&server, "", &retyped, "the type of _event_name changes").await;
    let sorted = ORDERS.replace("pk, sk", "sk, pk");
    refused(&server, "", &sorted, "ENGINE_SORTING_KEY changes").await;
    refused(&server, "", &sorted, "tb build --with-connections").await;
    let moved = ORDERS.replace("table/orders", "table/users");
    let connected = "?with_connections=true";
    refused(&server, connected, &moved, "IMPORT_TABLE_ARN changes").await;
    server.ok("POST", "/v0/datasources/orders/stop").await;
    refused(&server, connected, &sorted, "tb datasource start orders").await;
    assert_eq!(server.host.warehouse.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn an_allowed_change_starts_over_with_a_new_mirror_and_export() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    let before = server.ok("GET", "/v0/mirrors/orders").await;
    server.host.warehouse.take_log();
    let answer = server
        .build(ALLOWED, &ORDERS.replace("table/orders", "table/users"))
        .await;
    assert_eq!(answer["result"], "success", "{answer}");
    let log = server.host.warehouse.take_log();
    assert_eq!(
        log,
        [
            "drop_table ws_1.orders",
            "drop_table ws_1.orders__resync",
            "drop_table ws_1.orders__verify",
            "create_table ws_1.orders"
        ]
    );
    let after = server.ok("GET", "/v0/mirrors/orders").await;
    assert_ne!(before["id"], after["id"]);
    let arn = &answer["build"]["data_linkers"][0]["settings"]["initial_export_arn"];
    assert!(
        arn.as_str().unwrap().contains("table/users/export/"),
        "{answer}"
    );
}

#[tokio::test]
async fn deleting_a_mirrored_data_source_needs_the_flag() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    let files = [
        ("order_count.pipe", PIPE),
        ("my_ddb.connection", CONNECTION),
    ];
    let answer = server.upload("/v1/build", &files).await;
    assert_eq!(
        answer["errors"][0]["filename"], "datasources/orders.datasource",
        "{answer}"
    );
    let answer = server
        .upload("/v1/build?allow_destructive_operations=true", &files)
        .await;
    assert_eq!(
        answer["build"]["deleted_datasource_names"],
        json!(["orders"]),
        "{answer}"
    );
    assert_eq!(server.host.warehouse.columns("ws_1.orders"), None);
    assert_eq!(
        server.ok("GET", "/v0/mirrors").await,
        json!({ "mirrors": [] })
    );
}

#[tokio::test]
async fn an_empty_table_without_a_mirror_loses_nothing() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    let answer = server.build("", &ORDERS.replace("pk, sk", "sk, pk")).await;
    assert_eq!(answer["result"], "success", "{answer}");
    server
        .host
        .warehouse
        .world()
        .rows
        .insert("ws_1.orders".to_owned(), 3);
    let answer = server.build("", ORDERS).await;
    assert!(
        answer["errors"][0]["error"]
            .as_str()
            .unwrap()
            .contains("with 3 rows"),
        "{answer}"
    );
}

#[tokio::test]
async fn when_clickhouse_cannot_say_how_many_rows_there_are_nothing_is_dropped() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    server.host.warehouse.world().down = true;
    let answer: Value = server.build("", &ORDERS.replace("pk, sk", "sk, pk")).await;
    assert_eq!(answer["result"], "failed", "{answer}");
}
