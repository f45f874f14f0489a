//! `/v0/datasources`, `/v0/connectors` and `/v0/mirrors`.

use serde_json::json;

use crate::harness::{CONNECTION, ORDERS, Server, answer, masked};

#[tokio::test]
async fn a_data_source_is_described_as_the_official_parser_would() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    server
        .host
        .warehouse
        .world()
        .rows
        .insert("ws_1.orders".to_owned(), 3);
    let list = masked(server.ok("GET", "/v0/datasources?&attrs=name").await);
    let listed = &list["datasources"][0];
    assert_eq!(listed["name"], "orders");
    assert_eq!(listed["type"], "dynamodb");
    assert_eq!(listed["service"], "dynamodb");
    assert_eq!(listed["statistics"], json!({ "row_count": 3, "bytes": 30 }));
    let detail = server.ok("GET", "/v0/datasources/orders").await;
    assert_eq!(
        detail["created_at"].as_str().unwrap().len(),
        "2026-01-01 00:00:00.000000".len()
    );
    assert_eq!(
        detail["schema"]["columns"][3],
        json!({
            "name": "_old_record",
            "type": "String",
            "nullable": true,
            "normalized_name": "_old_record",
            "jsonpath": "$.OldImage",
            "default_value": null,
            "codec": null,
        })
    );
    assert_eq!(
        detail["engine"],
        json!({
            "engine": "ReplacingMergeTree",
            "sorting_key": "pk, sk",
            "engine_ver": "_timestamp",
            "engine_is_deleted": "_is_deleted",
        })
    );
    let id = detail["id"].as_str().unwrap();
    let by_id = server.ok("GET", &format!("/v0/datasources/{id}")).await;
    assert_eq!(by_id["name"], "orders");
    let (status, body) = server.get("/v0/datasources/nothing", server.token()).await;
    assert_eq!(
        (status, body),
        (
            404,
            json!({ "error": "there is no data source \"nothing\"; see: tb datasource ls" })
        )
    );
}

#[tokio::test]
async fn files_come_back_as_they_were_and_as_plain_text() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    for (path, text) in [
        (
            "/v0/datasources/orders.datasource?include_all_shared_with=false",
            ORDERS,
        ),
        ("/v0/connectors/my_ddb.connection", CONNECTION),
    ] {
        let response = server
            .request("GET", path, server.token())
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.text().await.unwrap(), text);
    }
    let body = server
        .ok(
            "GET",
            "/v0/connectors/my_ddb.connection?include_metadata=true",
        )
        .await;
    assert_eq!(body, json!({ "content": CONNECTION, "warnings": [] }));
}

#[tokio::test]
async fn connectors_show_no_role() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    let body = server.ok("GET", "/v0/connectors").await;
    let connector = &body["connectors"][0];
    assert_eq!(connector["service"], "dynamodb");
    assert_eq!(
        connector["settings"]["dynamodb_iamrole_region"],
        "us-east-1"
    );
    assert_eq!(connector["linkers"].as_array().unwrap().len(), 1);
    assert!(!body.to_string().contains("role/reader"), "{body}");
}

#[tokio::test]
async fn a_stopped_mirror_stays_stopped_until_it_is_started() {
    let server = Server::with_secret().await;
    let (status, body) =
        answer(server.request("POST", "/v0/datasources/orders/stop", server.token())).await;
    assert_eq!(status, 404, "{body}");
    server.build("?with_connections=true", ORDERS).await;
    server.ok("POST", "/v0/datasources/orders/stop").await;
    assert_eq!(
        server.ok("GET", "/v0/mirrors/orders").await["state"],
        "stopped"
    );
    let server = server.restart().await;
    let mirror = server.ok("GET", "/v0/mirrors/orders").await;
    assert_eq!(mirror["state"], "stopped");
    assert_eq!(mirror["next_action"], "tb datasource start orders");
    let body = server.build("?with_connections=true", ORDERS).await;
    assert!(
        body["build"]["feedback"].to_string().contains("is stopped"),
        "{body}"
    );
    assert_eq!(
        server.ok("GET", "/v0/mirrors/orders").await["state"],
        "stopped"
    );
    server.ok("POST", "/v0/datasources/orders/start").await;
    assert_ne!(
        server.ok("GET", "/v0/mirrors/orders").await["state"],
        "stopped"
    );
}

#[tokio::test]
async fn a_mirror_has_all_its_fields() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    let body = server.ok("GET", "/v0/mirrors").await;
    let mirror = body["mirrors"][0].as_object().unwrap();
    let fields: Vec<&str> = mirror.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "id",
            "datasource",
            "table_arn",
            "state",
            "reason",
            "reason_code",
            "next_action",
            "stalled",
            "gap",
            "healing",
            "resync",
            "backfill",
            "stream_rows",
            "quarantined",
            "watermark",
            "lag_seconds",
            "headroom_seconds",
            "active_shards",
            "waiting_shards",
            "last_read_at",
            "last_insert_at",
            "last_error",
            "last_error_at",
            "warnings",
        ]
    );
    let backfill: Vec<&str> = mirror["backfill"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        backfill,
        [
            "phase",
            "export_arn",
            "files_loaded",
            "files_total",
            "items_loaded",
            "items_total",
            "bytes",
            "elapsed_seconds",
            "seconds_left",
        ]
    );
}

#[tokio::test]
async fn lists_work_while_clickhouse_is_down() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    server.host.warehouse.world().down = true;
    let body = server.ok("GET", "/v0/datasources").await;
    assert_eq!(
        body["datasources"][0]["statistics"]["row_count"],
        json!(null)
    );
}
