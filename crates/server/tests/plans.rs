//! Plans: what a deployment would change and what it costs, without changing anything. And samples, whose refusals
//! need no engine.

use serde_json::{Value, json};

use crate::branches::branch;
use crate::harness::{Host, ORDERS, Server, answer, form, project};

async fn plan(server: &Server, datasource: &str) -> Value {
    server.deploy("?check=true&plan=true", datasource).await
}

#[tokio::test]
async fn a_plan_has_texts_and_mirrors_and_leaves_no_deployment() {
    let server = Server::with_secret().await;
    let planned = plan(&server, ORDERS).await;
    assert_eq!(planned["result"], "success");
    let files = planned["plan"]["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    assert_eq!(files[0]["path"], "connections/my_ddb.connection");
    assert_eq!(files[0]["before"], Value::Null);
    let mirrors = planned["plan"]["mirrors"].as_array().unwrap();
    assert_eq!(
        (&mirrors[0]["datasource"], &mirrors[0]["reason"]),
        (&json!("orders"), &json!("new"))
    );
    assert_eq!(planned["plan"]["prices"]["export_per_gb"], 100_000);
    assert_eq!(planned["plan"]["prices"]["of"], "us-east-1, 2024-11-01");
    let deployments = server.ok("GET", "/v1/deployments").await;
    assert_eq!(deployments["deployments"], json!([]));
    assert_eq!(
        server.ok("GET", "/v0/datasources").await["datasources"],
        json!([])
    );
    assert!(server.account().lock().unwrap().exports.is_empty());
    // Who does not ask for a plan gets the answer that clients know.
    let checked = server.deploy("?check=true", ORDERS).await;
    assert_eq!(checked.get("plan"), None);
}

#[tokio::test]
async fn a_resync_is_planned_with_its_export() {
    let server = Server::live(&[("a", "1", "x")]).await;
    let same = plan(&server, ORDERS).await;
    assert_eq!(
        (&same["result"], &same["plan"]["mirrors"]),
        (&json!("no_changes"), &json!([]))
    );
    let changed = ORDERS.replace(
        "ENGINE_SORTING_KEY \"pk, sk\"",
        "ENGINE_SORTING_KEY \"sk, pk\"",
    );
    let planned = plan(&server, &changed).await;
    let mirror = &planned["plan"]["mirrors"][0];
    assert!(
        mirror["reason"]
            .as_str()
            .unwrap()
            .contains("ENGINE_SORTING_KEY"),
        "{planned:#}"
    );
    let file = &planned["plan"]["files"][0];
    assert_eq!(
        (&file["before"], &file["after"]),
        (&json!(ORDERS), &json!(changed))
    );
    assert_eq!(server.account().lock().unwrap().exports.len(), 1);
}

#[tokio::test]
async fn a_sample_is_refused_where_it_makes_no_sense() {
    let server = Server::with_secret().await;
    let sample = async |name: &str, body: Value| {
        let path = format!("/v0/datasources/{name}/sample");
        // As the official client sends it: JSON without a content type.
        let request = server.request("POST", &path, server.token());
        answer(request.body(body.to_string())).await
    };
    let (status, body) = sample("orders", json!({})).await;
    assert_eq!(status, 404, "{body}");
    server.build("", ORDERS).await;
    for (body, words) in [
        (json!({ "rows": 0 }), "from 1 to"),
        (json!({ "rows": 1_000_000 }), "from 1 to"),
        (json!({ "rows": "many" }), "whole number"),
        (
            json!({ "max_files": 1, "full_export": true }),
            "--with-connections",
        ),
    ] {
        let (status, refused) = sample("orders", body.clone()).await;
        assert_eq!(status, 400, "{body}");
        assert!(
            refused["error"].as_str().unwrap().contains(words),
            "{refused}"
        );
    }
    server.build("?with_connections=true", ORDERS).await;
    let (status, refused) = sample("orders", json!({})).await;
    assert_eq!(status, 400);
    assert!(
        refused["error"].as_str().unwrap().contains("is connected"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_sample_needs_credentials_and_a_role() {
    let mut host = Host::new();
    host.credentials = false;
    let server = host.start().await;
    let built = server.build("", ORDERS).await;
    assert_eq!(built["result"], "success", "{built}");
    let feedback = built["build"]["feedback"].to_string();
    assert!(
        feedback.contains("connection my_ddb is skipped here"),
        "{feedback}"
    );
    let path = "/v0/datasources/orders/sample";
    let (status, refused) = answer(server.request("POST", path, server.token())).await;
    assert_eq!(status, 400);
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("no AWS credentials"),
        "{refused}"
    );
    // With connections a role that is not set is a mistake, credentials or not.
    let built = server.build("?with_connections=true", ORDERS).await;
    assert_eq!(built["result"], "failed");
}

#[tokio::test]
async fn what_happened_is_told_oldest_first_and_only_to_who_may_deploy() {
    let server = Server::with_secret().await;
    server.deploy("?auto_promote=true", ORDERS).await;
    branch(&server, "x").await;
    let logs = server.ok("GET", "/v0/logs").await;
    let events = logs["events"].as_array().unwrap();
    let has = |source: &str, words: &str| {
        events.iter().any(|event| {
            event["source"] == source && event["message"].as_str().unwrap().contains(words)
        })
    };
    assert!(has("deployment", "is live"), "{logs:#}");
    assert!(
        has("mirror", "table/orders made") && has("job", "branch done"),
        "{logs:#}"
    );
    let times: Vec<&str> = events
        .iter()
        .map(|it| it["time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let one = server.ok("GET", "/v0/logs?limit=1").await;
    assert_eq!(one["events"].as_array().unwrap().len(), 1);
    let made = server
        .ok("POST", "/v0/tokens?name=r&scope=DATASOURCES:READ:orders")
        .await;
    let token = made["token"].as_str().unwrap();
    assert_eq!(server.get("/v0/logs", token).await.0, 403);
}

#[tokio::test]
async fn tokens_are_made_changed_renewed_and_removed_as_clients_do() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    let made = server
        .ok("POST", "/v0/tokens/?name=r&origin=C&scope=DATASOURCES:READ:orders&scope=PIPES:READ:order_count")
        .await;
    assert_eq!(
        made["scopes"],
        json!([
            { "type": "DATASOURCES:READ", "resource": "orders" },
            { "type": "PIPES:READ", "resource": "order_count" },
        ])
    );
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/v0/datasources/orders", &token).await.0, 200);
    assert_eq!(server.get("/v0/tokens", &token).await.0, 403);
    // Found by name, by id and by its own text.
    for by in ["r", made["id"].as_str().unwrap(), token.as_str()] {
        let found = server.ok("GET", &format!("/v0/tokens/{by}")).await;
        assert_eq!(found["id"], made["id"]);
    }
    server
        .ok("PUT", "/v0/tokens/r?scope=PIPES:READ:order_count")
        .await;
    assert_eq!(server.get("/v0/datasources/orders", &token).await.0, 403);
    let fresh = server.ok("POST", "/v0/tokens/r/refresh").await;
    assert_ne!(fresh["token"], made["token"]);
    assert_eq!(server.get("/v1/workspace", &token).await.0, 403);
    let fresh = fresh["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/v1/workspace", &fresh).await.0, 200);
    server.ok("DELETE", "/v0/tokens/r").await;
    assert_eq!(server.get("/v1/workspace", &fresh).await.0, 403);
    for (path, status) in [
        ("/v0/tokens?name=a", 400),
        ("/v0/tokens?scope=ADMIN", 400),
        ("/v0/tokens?name=a&scope=ALL", 400),
        ("/v0/tokens?name=a&scope=ADMIN:x", 400),
        ("/v0/tokens?name=a&scope=DATASOURCES:READ:o:a%3D1", 400),
        ("/v0/tokens?name=a&scope=ADMIN&expiration_time=1", 400),
        ("/v0/tokens?name=dashboard&scope=ADMIN", 409),
        ("/v0/tokens?name=admin%20token&scope=ADMIN", 409),
    ] {
        let (answered, body) = answer(server.request("POST", path, server.token())).await;
        assert_eq!(answered, status, "{path}: {body}");
    }
    // What a file asks for stays until the file changes; its text may be renewed.
    let request = server.request("DELETE", "/v0/tokens/dashboard", server.token());
    assert_eq!(answer(request).await.0, 400);
    server.ok("POST", "/v0/tokens/dashboard/refresh").await;
    let request = server
        .request("POST", "/v1/build", server.token())
        .multipart(form(&project(ORDERS)));
    assert_eq!(answer(request).await.1["build"]["token_changes"], json!([]));
}
