//! `POST /v1/build`.

use serde_json::json;

use crate::harness::{Host, ORDERS, Server, masked, project};

#[tokio::test]
async fn a_build_without_connections_makes_the_table_and_starts_nothing() {
    let server = Server::with_secret().await;
    let answer = server.build("", ORDERS).await;
    assert_eq!(
        masked(answer),
        json!({
            "result": "success",
            "build": {
                "id": "<id>",
                "datasources": [{ "id": "<id>", "name": "orders", "type": "datasource" }],
                "pipes": [{ "id": "<id>", "name": "order_count", "type": "pipe" }],
                "feedback": [{
                    "level": "INFO",
                    "resource": "datasources/orders.datasource",
                    "message": "data source 'orders' is not connected to its DynamoDB table yet; run: tb build --with-connections",
                }, {
                    "level": "WARNING",
                    "resource": "pipes/order_count.pipe",
                    "message": "pipe 'order_count' is kept and not run: endpoints, materializations, copies and sinks are not part of this version; run its SQL with: tb sql",
                }],
                "token_changes": [{
                    "token_name": "dashboard",
                    "change_type": "new",
                    "permission_changes": {
                        "added_permissions": [{ "resource_name": "order_count", "resource_type": "pipe", "permission": "READ" }],
                        "removed_permissions": [],
                    },
                }],
                "data_linkers": [],
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
    assert!(server.host.warehouse.columns("ws_1.orders").is_some());
    assert_eq!(server.account().lock().unwrap().connects, 0);
    assert_eq!(
        server.ok("GET", "/v0/mirrors").await,
        json!({ "mirrors": [] })
    );
}

#[tokio::test]
async fn a_build_with_connections_names_the_export_and_does_not_start_another() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    let answer = server.build("?with_connections=true", ORDERS).await;
    let build = &answer["build"];
    assert_eq!(
        build["changed_datasource_names"],
        json!(["orders"]),
        "{answer}"
    );
    assert_eq!(build["new_datasource_names"], json!([]));
    let id = &build["datasources"][0]["id"];
    assert_eq!(
        build["data_linkers"],
        json!([{
            "service": "dynamodb",
            "datasource_id": id,
            "settings": { "initial_export_arn": format!("{}/export/00", crate::ports::dynamo::ORDERS) },
        }])
    );
    let again = server.build("?with_connections=true", ORDERS).await;
    assert_eq!(again["build"]["data_linkers"], json!([]));
    assert_eq!(again["build"]["changed_datasource_names"], json!([]));
    assert_eq!(server.account().lock().unwrap().exports.len(), 1);
}

#[tokio::test]
async fn a_restarted_server_goes_on_with_the_same_mirror_and_export() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    let before = server.ok("GET", "/v0/mirrors/orders").await;
    let server = server.restart().await;
    let after = server.ok("GET", "/v0/mirrors/orders").await;
    assert_eq!(before["id"], after["id"]);
    assert_ne!(after["state"], "stopped");
    server.build("?with_connections=true", ORDERS).await;
    assert_eq!(server.account().lock().unwrap().exports.len(), 1);
}

#[tokio::test]
async fn all_mistakes_of_all_files_are_told_at_once() {
    let server = Server::start().await;
    let broken = ORDERS
        .replace("ENGINE \"ReplacingMergeTree\"", "ENGINE \"MergeTree\"")
        .replace("my-orders-exports", "s3://my-orders-exports/x");
    let answer = server.build("", &broken).await;
    assert_eq!(answer["result"], "failed");
    let errors = answer["errors"].as_array().unwrap();
    let texts: Vec<String> = errors
        .iter()
        .map(|e| {
            format!(
                "{}: {}",
                e["filename"].as_str().unwrap(),
                e["error"].as_str().unwrap()
            )
        })
        .collect();
    assert!(texts.iter().any(|t| t.contains("MergeTree")), "{texts:#?}");
    assert!(
        texts
            .iter()
            .any(|t| t.contains("s3://") || t.contains("bucket")),
        "{texts:#?}"
    );
    let secret = "connections/my_ddb.connection: 2:14: the secret dynamodb_role_arn_my_ddb is not set [secret-not-set]; help: run: tb secret set dynamodb_role_arn_my_ddb <value>";
    assert!(texts.iter().any(|t| t == secret), "{texts:#?}");
    assert!(answer["error"].is_string());
    // Nothing was changed by it.
    assert_eq!(
        server.ok("GET", "/v0/datasources").await,
        json!({ "datasources": [] })
    );
    assert_eq!(server.host.warehouse.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn a_sorting_key_without_the_tables_key_is_refused_when_the_table_is_known() {
    let server = Server::with_secret().await;
    let broken = ORDERS.replace("\"pk, sk\"", "\"pk\"");
    let answer = server.build("?with_connections=true", &broken).await;
    assert_eq!(answer["result"], "failed", "{answer}");
    assert!(
        answer["errors"][0]["error"]
            .as_str()
            .unwrap()
            .contains("sk"),
        "{answer}"
    );
    assert_eq!(server.account().lock().unwrap().exports.len(), 0);
}

#[tokio::test]
async fn a_table_that_is_missing_is_told_in_the_words_that_users_search_for() {
    let server = Server::with_secret().await;
    let missing = ORDERS.replace("table/orders", "table/nothing");
    let answer = server.build("?with_connections=true", &missing).await;
    let error = answer["errors"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("The DynamoDB table was not found."),
        "{error}"
    );
    assert_eq!(
        answer["errors"][0]["filename"],
        "datasources/orders.datasource"
    );
}

#[tokio::test]
async fn a_refused_role_names_the_external_id() {
    let server = Server::start().await;
    server
        .set_secret(
            "dynamodb_role_arn_my_ddb",
            "arn:aws:iam::123456789012:role/other",
        )
        .await;
    let answer = server.build("?with_connections=true", ORDERS).await;
    let connectors = server
        .ok(
            "GET",
            "/v0/integrations/dynamodb/policies/trust-policy?external_id_seed=my_ddb",
        )
        .await;
    let external_id = connectors["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"]
        .as_str()
        .unwrap();
    let error = answer["errors"][0]["error"].as_str().unwrap();
    assert!(error.contains(external_id), "{error}");
}

#[tokio::test]
async fn what_is_off_is_switched_on_and_said() {
    let server = Server::with_secret().await;
    server
        .account()
        .lock()
        .unwrap()
        .tables
        .get_mut(crate::ports::dynamo::ORDERS)
        .unwrap()
        .pitr_enabled = false;
    let answer = server.build("?with_connections=true", ORDERS).await;
    let feedback = answer["build"]["feedback"].to_string();
    assert!(feedback.contains("Point-in-Time Recovery"), "{answer}");
}

#[tokio::test]
async fn without_credentials_builds_work_and_connections_do_not() {
    let host = Host {
        credentials: false,
        ..Host::new()
    };
    let server = host.start().await;
    server
        .set_secret("dynamodb_role_arn_my_ddb", crate::ports::dynamo::ROLE)
        .await;
    let answer = server.build("", ORDERS).await;
    assert_eq!(answer["result"], "success");
    assert_eq!(answer["build"]["feedback"][0]["level"], "WARNING");
    let message = answer["build"]["feedback"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("tb local start --use-aws-creds"),
        "{message}"
    );
    let answer = server.build("?with_connections=true", ORDERS).await;
    assert_eq!(answer["result"], "failed");
    assert!(
        answer["errors"][0]["error"]
            .as_str()
            .unwrap()
            .starts_with("missing_credentials")
    );
}

#[tokio::test]
async fn a_connection_that_was_deployed_before_need_not_be_uploaded_again() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    let files: Vec<_> = project(ORDERS).into_iter().take(2).collect();
    let answer = server.upload("/v1/build", &files).await;
    assert_eq!(answer["result"], "success", "{answer}");
    assert_eq!(answer["build"]["deleted_data_connector_names"], json!([]));
}

#[tokio::test]
async fn a_new_column_is_added_and_the_mirror_goes_on() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    let before = server.ok("GET", "/v0/mirrors/orders").await;
    let wider = ORDERS.replace(
        "    _record",
        "    status Nullable(String) `json:$.Item.status`,\n    _record",
    );
    let answer = server.build("", &wider).await;
    assert_eq!(answer["result"], "success", "{answer}");
    assert_eq!(
        answer["build"]["changed_datasource_names"],
        json!(["orders"])
    );
    assert!(
        answer["build"]["feedback"]
            .to_string()
            .contains("hold the default in the new columns status")
    );
    let columns = server.host.warehouse.columns("ws_1.orders").unwrap();
    assert_eq!(columns.last().unwrap(), "status");
    let after = server.ok("GET", "/v0/mirrors/orders").await;
    assert_eq!(before["id"], after["id"]);
}

#[tokio::test]
async fn builds_at_the_same_time_do_not_mix() {
    let server = Server::with_secret().await;
    let builds = (0..6).map(|_| server.build("?with_connections=true", ORDERS));
    for answer in futures::future::join_all(builds).await {
        assert_eq!(answer["result"], "success", "{answer}");
    }
    assert_eq!(server.account().lock().unwrap().exports.len(), 1);
    let log = server.host.warehouse.take_log();
    assert_eq!(log, ["create_database ws_1", "create_table ws_1.orders"]);
}

#[tokio::test]
async fn another_role_moves_the_mirror_and_keeps_its_progress() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    let before = server.ok("GET", "/v0/mirrors/orders").await;
    let other = ORDERS.replace("my-orders-exports", "other-exports");
    let answer = server.build("?with_connections=true", &other).await;
    assert_eq!(answer["result"], "success", "{answer}");
    let after = server.ok("GET", "/v0/mirrors/orders").await;
    assert_eq!(before["id"], after["id"]);
    assert_eq!(server.account().lock().unwrap().exports.len(), 1);
}

#[tokio::test]
async fn an_empty_body_is_not_a_project() {
    let server = Server::start().await;
    let request = server
        .request("POST", "/v1/build", server.token())
        .body("hello");
    let (status, body) = crate::harness::answer(request).await;
    assert_eq!(status, 400);
    assert_eq!(body["result"], "failed");
    assert!(body["error"].is_string());
}
