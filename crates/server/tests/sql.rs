//! `/v0/sql`.

use serde_json::json;

use crate::harness::{Server, answer};

#[tokio::test]
async fn a_query_is_answered_in_the_format_it_asks_for() {
    let server = Server::start().await;
    let cases = [
        ("SELECT 1", "application/json"),
        ("SELECT 1 FORMAT JSON", "application/json"),
        ("SELECT 1 format CSVWithNames;", "text/csv"),
        ("SELECT 1 FORMAT JSONEachRow", "application/x-ndjson"),
    ];
    for (sql, content_type) in cases {
        let get = server
            .request("GET", "/v0/sql?release_replacements=true", server.token())
            .query(&[("q", sql)]);
        let post = server
            .request("POST", "/v0/sql", server.token())
            .header("content-type", "text/plain")
            .body(sql);
        let form = server
            .request("POST", "/v0/sql", server.token())
            .form(&[("q", sql)]);
        for request in [get, post, form] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200, "{sql}");
            assert_eq!(response.headers()["content-type"], content_type, "{sql}");
        }
    }
    let body = server.ok("GET", "/v0/sql?q=SELECT%201").await;
    assert_eq!(body["meta"], json!([{ "name": "1", "type": "UInt8" }]));
    assert_eq!(body["data"], json!([{ "1": 1 }]));
    let log = server.host.warehouse.take_log();
    assert!(
        log.contains(&"user_query ws_1: SELECT 1 as CSVWithNames".to_owned()),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_refused_query_carries_clickhouses_words() {
    let server = Server::start().await;
    let (status, body) = server.get("/v0/sql?q=SELEC%201", server.token()).await;
    assert_eq!(
        (status, body),
        (
            400,
            json!({ "error": "Syntax error: failed at position 1" })
        )
    );
    let (status, body) = server.get("/v0/sql", server.token()).await;
    assert_eq!(status, 400);
    assert!(body["error"].is_string());
    server.host.warehouse.world().down = true;
    let (status, body) = answer(
        server
            .request("POST", "/v0/sql", server.token())
            .body("SELECT 1"),
    )
    .await;
    assert_eq!(status, 503);
    assert!(body["error"].as_str().unwrap().contains("ClickHouse"));
}

#[tokio::test]
async fn the_originals_service_data_sources_are_explained() {
    let server = Server::start().await;
    let sql = "SELECT * FROM tinybird.jobs_log";
    let request = server
        .request("GET", "/v0/sql", server.token())
        .query(&[("q", sql)]);
    let (status, body) = answer(request).await;
    let error = body["error"].as_str().unwrap();
    assert_eq!(status, 400, "{error}");
    assert!(
        error.starts_with("Database tinybird does not exist") && error.contains("GET /v0/logs"),
        "{error}"
    );
}
