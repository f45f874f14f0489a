//! `POST /v1/deploy` and what comes after.

use serde_json::json;

use crate::harness::{ORDERS, Server, answer, masked};

#[tokio::test]
async fn a_promoted_deployment_is_live_at_once_and_names_its_export() {
    let server = Server::with_secret().await;
    let body = server
        .deploy("?auto_promote=true&from=ts-sdk", ORDERS)
        .await;
    assert_eq!(
        masked(body),
        json!({
            "result": "success",
            "deployment": {
                "id": "1",
                "status": "data_ready",
                "live": true,
                "created_at": "<created_at>",
                "updated_at": "<updated_at>",
                "feedback": [{
                    "level": "WARNING",
                    "resource": "pipes/order_count.pipe",
                    "message": "pipe 'order_count' is kept and not run: endpoints, materializations, copies and sinks are not part of this version; run its SQL with: tb sql",
                }, {
                    "level": "WARNING",
                    "resource": "orders.datasource",
                    "message": "DynamoDB initial export backfill started for data source 'orders'. Export ARN: arn:aws:dynamodb:us-east-1:123456789012:table/orders/export/00",
                }],
                "errors": [],
                "token_changes": [{
                    "token_name": "dashboard",
                    "change_type": "new",
                    "permission_changes": {
                        "added_permissions": [{ "resource_name": "order_count", "resource_type": "pipe", "permission": "READ" }],
                        "removed_permissions": [],
                    },
                }],
                "data_movements": [],
                "disconnected_data_source_names": [],
                "new_data_connector_ids": [],
                "new_datasource_names": ["orders"],
                "changed_datasource_names": [],
                "deleted_datasource_names": [],
                "new_pipe_names": ["order_count"],
                "changed_pipe_names": [],
                "deleted_pipe_names": [],
                "new_data_connector_names": ["my_ddb"],
                "changed_data_connector_names": [],
                "deleted_data_connector_names": [],
            },
        })
    );
    let body = server.ok("GET", "/v1/deployments/1?from=cli").await;
    assert_eq!(body["deployment"]["live"], true);
    assert_eq!(
        body["deployment"]["new_datasource_names"],
        json!(["orders"])
    );
    let body = server.deploy("?auto_promote=true", ORDERS).await;
    assert_eq!(body["result"], "no_changes");
    assert_eq!(body["deployment"]["id"], "1");
}

#[tokio::test]
async fn a_deployment_without_changes_does_not_tell_of_the_last_one_again() {
    let server = Server::with_secret().await;
    let first = server.deploy("?auto_promote=true&from=cli", ORDERS).await;
    assert!(first.to_string().contains("backfill started"), "{first}");
    let second = server.deploy("?auto_promote=true&from=cli", ORDERS).await;
    assert_eq!(second["result"], "no_changes", "{second}");
    let deployment = &second["deployment"];
    assert_eq!(deployment["id"], first["deployment"]["id"]);
    assert_eq!(deployment["live"], true);
    for list in [
        "new_datasource_names",
        "new_pipe_names",
        "new_data_connector_names",
        "token_changes",
        "errors",
    ] {
        assert_eq!(deployment[list], json!([]), "{list}: {second}");
    }
    assert!(!second.to_string().contains("backfill started"), "{second}");
}

#[tokio::test]
async fn a_later_deployment_replaces_the_earlier_one() {
    let server = Server::with_secret().await;
    server.deploy("?auto_promote=true", ORDERS).await;
    let described = format!("DESCRIPTION all orders\n\n{ORDERS}");
    let body = server.deploy("?auto_promote=true", &described).await;
    assert_eq!(body["deployment"]["id"], "2", "{body}");
    let ids = |body: &serde_json::Value| -> Vec<String> {
        let list = body["deployments"].as_array().unwrap();
        list.iter()
            .map(|d| {
                format!(
                    "{} {}",
                    d["id"].as_str().unwrap(),
                    d["status"].as_str().unwrap()
                )
            })
            .collect()
    };
    let body = server.ok("GET", "/v1/deployments").await;
    assert_eq!(ids(&body), ["2 data_ready"]);
    let body = server
        .ok("GET", "/v1/deployments?include_deleted=true")
        .await;
    assert_eq!(ids(&body), ["2 data_ready", "1 deleted"]);
    // One live mirror, one export, for as long as the table stays.
    assert_eq!(server.account().lock().unwrap().exports.len(), 1);
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let server = Server::with_secret().await;
    let body = server.deploy("?check=true&from=cli", ORDERS).await;
    assert_eq!(body["result"], "success", "{body}");
    assert_eq!(
        body["deployment"]["new_datasource_names"],
        json!(["orders"])
    );
    assert_eq!(
        server.ok("GET", "/v1/deployments").await,
        json!({ "deployments": [] })
    );
    assert_eq!(
        server.ok("GET", "/v0/datasources").await,
        json!({ "datasources": [] })
    );
    assert_eq!(server.account().lock().unwrap().exports.len(), 0);
    assert_eq!(server.host.warehouse.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_deployment_tells_every_client_why() {
    let server = Server::start().await;
    let body = server.deploy("?auto_promote=true", ORDERS).await;
    assert_eq!(body["result"], "failed");
    assert!(body.get("error").is_none());
    assert_eq!(body["errors"], body["deployment"]["errors"]);
    assert_eq!(body["deployment"]["status"], "failed");
    assert!(
        body["deployment"]["id"]
            .as_str()
            .unwrap()
            .parse::<u32>()
            .is_ok()
    );
    assert_eq!(
        body["errors"][0]["filename"],
        "connections/my_ddb.connection"
    );
}

#[tokio::test]
async fn a_staged_deployment_is_set_live_or_discarded() {
    let server = Server::with_secret().await;
    server.deploy("?auto_promote=true", ORDERS).await;
    let described = format!("DESCRIPTION all orders\n\n{ORDERS}");
    let body = server.deploy("", &described).await;
    assert_eq!(body["deployment"]["id"], "2");
    assert_eq!(body["deployment"]["status"], "data_ready");
    assert_eq!(body["deployment"]["live"], false);
    let list = server.ok("GET", "/v1/deployments").await;
    assert_eq!(list["deployments"][0]["id"], "1");
    assert_eq!(list["deployments"][1]["id"], "2");
    let body = server.ok("POST", "/v1/deployments/2/set-live").await;
    assert_eq!(body["deployment"]["live"], true, "{body}");
    // The official command line deletes the one that was live, and waits until it is deleted.
    let body = server.ok("DELETE", "/v1/deployments/1").await;
    assert_eq!(body["deployment"]["status"], "deleted");
    let detail = server.ok("GET", "/v0/datasources/orders").await;
    assert_eq!(detail["description"], "all orders");

    server.deploy("", ORDERS).await;
    let body = server.ok("DELETE", "/v1/deployments/3").await;
    assert_eq!(body["deployment"]["status"], "deleted");
    let (status, body) =
        answer(server.request("POST", "/v1/deployments/3/set-live", server.token())).await;
    assert_eq!(status, 400, "{body}");
    let (status, body) =
        answer(server.request("DELETE", "/v1/deployments/2", server.token())).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().contains("is live"));
    let (status, body) =
        answer(server.request("DELETE", "/v1/deployments/0", server.token())).await;
    assert_eq!(status, 404);
    assert!(body["error"].is_string());
}

#[tokio::test]
async fn a_deployment_that_would_lose_data_needs_the_flag() {
    let server = Server::with_secret().await;
    server.deploy("?auto_promote=true", ORDERS).await;
    let other = ORDERS.replace("table/orders", "table/users");
    let body = server.deploy("?auto_promote=true", &other).await;
    assert_eq!(body["result"], "failed");
    assert_eq!(
        body["errors"][0]["filename"],
        "datasources/orders.datasource"
    );
    let body = server
        .deploy(
            "?auto_promote=true&allow_destructive_operations=true",
            &other,
        )
        .await;
    assert_eq!(body["result"], "success", "{body}");
}

#[tokio::test]
async fn a_deployment_that_the_server_did_not_survive_is_failed_and_can_be_made_again() {
    let server = Server::with_secret().await;
    let id = server.ok("GET", "/v1/workspace").await["id"].clone();
    let host = server.stop().await;
    let path = host.dir.path().join("metadata.db");
    let store = server::store::SqliteStore::open(&path).await.unwrap();
    let number = store
        .create_deployment(id.as_str().unwrap(), "[]", 1)
        .await
        .unwrap();
    store.close().await;
    let server = host.start().await;
    let body = server.ok("GET", &format!("/v1/deployments/{number}")).await;
    assert_eq!(body["deployment"]["status"], "failed");
    assert!(
        body["deployment"]["errors"][0]["error"]
            .as_str()
            .unwrap()
            .contains("deploy again")
    );
    let body = server.deploy("?auto_promote=true", ORDERS).await;
    assert_eq!(body["deployment"]["id"], "2", "{body}");
}

#[tokio::test]
async fn a_deployment_that_clickhouse_cut_short_is_failed_with_its_reason() {
    let server = Server::with_secret().await;
    server.host.warehouse.world().fails = Some("create_table");
    let form = crate::harness::form(&crate::harness::project(ORDERS));
    let request = server.request("POST", "/v1/deploy?auto_promote=true", server.token());
    let (status, body) = answer(request.multipart(form)).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(body["result"], "failed");
    let body = server.ok("GET", "/v1/deployments/1").await;
    assert_eq!(body["deployment"]["status"], "failed");
    assert!(
        body["deployment"]["errors"][0]["error"]
            .as_str()
            .unwrap()
            .contains("ClickHouse")
    );
    let body = server.deploy("?auto_promote=true", ORDERS).await;
    assert_eq!(body["result"], "success", "{body}");
}
