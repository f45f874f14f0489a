//! What a client on the same machine asks first.

use serde_json::json;

use crate::harness::{Server, answer};

#[tokio::test]
async fn tokens_are_handed_to_loopback_names_only() {
    let server = Server::start().await;
    let keys: Vec<&String> = server.tokens.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["user_token", "admin_token", "workspace_admin_token"]);
    let request = server
        .request("GET", "/tokens", "")
        .header("host", "rebound.example:7181");
    let (status, body) = answer(request).await;
    assert_eq!(status, 403);
    assert!(body["error"].is_string());
    let request = server
        .request("GET", "/tokens", "")
        .header("host", "localhost:7181");
    assert_eq!(answer(request).await.0, 200);
}

#[tokio::test]
async fn health_says_whether_clickhouse_answers() {
    let server = Server::start().await;
    let (status, body) = server.get("/v0/health", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({ "status": "ok", "clickhouse": "25.8", "version": "0.1.0-test" })
    );
    assert_eq!(server.get("/v0/health/readiness", "").await.0, 200);
    server.host.warehouse.world().down = true;
    assert_eq!(server.get("/v0/health", "").await.0, 200);
    let (status, body) = server.get("/v0/health/readiness", "").await;
    assert_eq!(status, 503);
    assert!(body["error"].is_string());
}

#[tokio::test]
async fn small_answers_have_their_shapes() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/v0/regions?x=y", "").await.1,
        json!({ "regions": [] })
    );
    assert_eq!(server.ok("GET", "/v0/jobs").await, json!({ "jobs": [] }));
    assert_eq!(server.get("/version", "").await.1["version"], "0.1.0-test");
    let (status, body) = server.get("/v0/nothing", server.token()).await;
    assert_eq!(
        (status, body),
        (
            404,
            json!({ "error": "there is no GET /v0/nothing in this API" })
        )
    );
    let (status, body) = answer(server.request("PATCH", "/v0/sql", server.token())).await;
    assert_eq!(status, 405);
    assert!(body["error"].is_string());
}

#[tokio::test]
async fn both_loopback_addresses_answer() {
    let server = Server::start().await;
    let probe = tokio::net::TcpListener::bind("[::1]:0").await;
    if probe.is_err() {
        // A machine without IPv6: the server says so in its log and goes on.
        return;
    }
    let url = format!("http://[::1]:{}/tokens", server.port);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);
}
