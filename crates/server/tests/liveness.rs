//! What `/v0/mirrors` says of a mirror that moves and of one that does not, and readiness.

use serde_json::json;

use crate::harness::{Server, answer};

#[tokio::test]
async fn a_live_mirror_says_how_far_it_is() {
    let server = Server::live(&[("a", "1", "x")]).await;
    let mirror = server.ok("GET", "/v0/mirrors/orders").await;
    let watermark = mirror["watermark"].as_str().unwrap();
    assert_eq!(watermark.len(), "2026-01-01T00:00:00.000+00:00".len());
    assert!(mirror["lag_seconds"].as_f64().unwrap() < 60.0, "{mirror}");
    let headroom = mirror["headroom_seconds"].as_u64().unwrap();
    assert!((86_000..=86_400).contains(&headroom), "{mirror}");
    assert!(mirror["last_read_at"].is_string(), "{mirror}");
    assert_eq!(mirror["active_shards"], 1);
    for nothing in ["stalled", "healing", "resync"] {
        assert_eq!(mirror[nothing], json!(null), "{nothing}");
    }
    assert_eq!(mirror["gap"], false);
}

#[tokio::test]
async fn a_server_with_a_mirror_that_stands_still_is_not_ready() {
    let server = Server::live(&[]).await;
    let (status, body) = server.get("/v0/health/readiness", "").await;
    assert_eq!((status, body["status"].as_str()), (200, Some("ready")));
    server.account().lock().unwrap().silent = true;
    server
        .until("the stream is silent", |mirror| mirror["state"] == "live")
        .await;
    server.host.clock.set_forward(300_000);
    let mirror = server
        .until("the mirror is stalled", |mirror| {
            mirror["stalled"].is_string()
        })
        .await;
    assert_eq!(mirror["state"], "stalled", "{mirror}");
    assert!(mirror["next_action"].is_string(), "{mirror}");
    let (status, body) = server.get("/v0/health/readiness", "").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(body["stalled"][0]["mirror"], "Workspace/orders", "{body}");
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("Workspace/orders: "), "{error}");
    // What a person stopped need not move.
    server.ok("POST", "/v0/datasources/orders/stop").await;
    let (status, body) = server.get("/v0/health/readiness", "").await;
    assert_eq!(status, 200, "{body}");
    server.host.warehouse.world().down = true;
    let (status, _) = answer(server.request("GET", "/v0/health/readiness", "")).await;
    assert_eq!(status, 503);
}
