//! Workspaces.

use serde_json::{Value, json};

use crate::harness::{ORDERS, Server, answer, masked};

#[tokio::test]
async fn workspaces_are_listed_as_the_command_line_needs_them() {
    let server = Server::start().await;
    let admin = server.tokens["admin_token"].as_str().unwrap();
    for path in [
        format!("/v1/user/workspaces?with_organization=true&token={admin}"),
        format!("/v1/user/workspaces/?with_environments=false&token={admin}"),
    ] {
        let (status, body) = server.get(&path, "").await;
        assert_eq!(status, 200);
        assert_eq!(
            masked(body),
            json!({
                "id": "<id>",
                "organization_id": "<organization_id>",
                "workspaces": [{
                    "id": "<id>",
                    "name": "Workspace",
                    "token": "<token>",
                    "role": "admin",
                    "plan": "self-hosted",
                    "is_branch": false,
                    "main": null,
                    "current": true,
                }],
            })
        );
    }
    let body = masked(server.ok("GET", "/v1/workspace?from=python-sdk").await);
    assert_eq!(
        body,
        json!({
            "id": "<id>",
            "name": "Workspace",
            "user_id": "<user_id>",
            "user_email": "admin@localhost",
            "scope": "admin",
            "main": null,
        })
    );
}

#[tokio::test]
async fn the_python_sdk_gets_the_keys_it_knows_and_no_others() {
    let server = Server::start().await;
    let admin = server.tokens["admin_token"].as_str().unwrap();
    let request = server
        .request(
            "GET",
            &format!("/v1/user/workspaces?with_organization=true&token={admin}"),
            "",
        )
        .header("user-agent", "Python-urllib/3.12");
    let (_, body) = answer(request).await;
    let keys: Vec<&String> = body["workspaces"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "name", "token"]);
}

#[tokio::test]
async fn a_workspace_is_made_from_a_form_or_a_query_and_deleted_with_its_data() {
    let server = Server::with_secret().await;
    let user = server.tokens["user_token"].as_str().unwrap();
    let form = [("name", "feature_a")];
    let (status, made) = answer(server.request("POST", "/v1/workspaces", user).form(&form)).await;
    assert_eq!(status, 200, "{made}");
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "name", "token"]);
    let (status, body) =
        answer(server.request("POST", "/v1/workspaces?name=feature_a", user)).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().contains("already"));

    let token = made["token"].as_str().unwrap();
    let secret = [
        ("name", "dynamodb_role_arn_my_ddb"),
        ("value", crate::ports::dynamo::ROLE),
    ];
    answer(server.request("POST", "/v0/variables", token).form(&secret)).await;
    let files = crate::harness::form(&crate::harness::project(ORDERS));
    let build = server
        .request("POST", "/v1/build?with_connections=true", token)
        .multipart(files);
    let (_, body) = answer(build).await;
    assert_eq!(body["result"], "success", "{body}");
    assert!(server.host.warehouse.columns("ws_2.orders").is_some());

    let id = made["id"].as_str().unwrap();
    let (status, _) = answer(server.request("DELETE", &format!("/v1/workspaces/{id}"), user)).await;
    assert_eq!(status, 400);
    let path = format!("/v1/workspaces/{id}?hard_delete_confirmation=yes");
    let (status, body) = answer(server.request("DELETE", &path, user)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(server.host.warehouse.columns("ws_2.orders"), None);
    assert_eq!(server.get("/v1/workspace", token).await.0, 403);
    let (_, made) = answer(server.request("POST", "/v1/workspaces?name=feature_a", user)).await;
    assert!(
        made["id"] != Value::Null && made["id"] != json!(id),
        "{made}"
    );
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_finished_by_the_next_start() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    server.host.warehouse.world().fails = Some("drop_database");
    let user = server.tokens["user_token"].as_str().unwrap();
    let delete = server
        .request("DELETE", "/v1/workspaces/Workspace", user)
        .form(&[("confirmation", "yes")]);
    assert_eq!(answer(delete).await.0, 503);
    let server = server.restart().await;
    let started = std::time::Instant::now();
    while server.host.warehouse.columns("ws_1.orders").is_some() {
        assert!(started.elapsed() < crate::harness::DEADLINE);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // The default workspace is there again, empty.
    assert_eq!(
        server.ok("GET", "/v0/datasources").await,
        json!({ "datasources": [] })
    );
    assert_eq!(
        server.ok("GET", "/v0/variables").await,
        json!({ "variables": [] })
    );
}
