//! Branches: workspaces made from another one.

use serde_json::{Value, json};

use crate::harness::{DEADLINE, ORDERS, Server, answer, form, masked, project};
use crate::ports::dynamo::ROLE;

/// Makes a branch as clients do and gives its token.
pub(crate) async fn branch(server: &Server, name: &str) -> String {
    let made = server
        .ok("POST", &format!("/v1/environments?name={name}&data="))
        .await;
    let job = made["job"]["job_id"].as_str().unwrap();
    let job = server
        .ok("GET", &format!("/v0/jobs/{job}?debug=blocks"))
        .await;
    assert_eq!(
        (&job["status"], &job["kind"]),
        (&json!("done"), &json!("branch"))
    );
    let found = server
        .ok("GET", &format!("/v0/environments/{name}?with_token=true"))
        .await;
    assert_eq!(found["id"], made["workspace"]["id"]);
    found["token"].as_str().unwrap().to_owned()
}

async fn upload(server: &Server, token: &str, path: &str) -> Value {
    let request = server
        .request("POST", path, token)
        .multipart(form(&project(ORDERS)));
    let (status, body) = answer(request).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn a_branch_is_listed_as_clients_need_it() {
    let server = Server::start().await;
    branch(&server, "feature_x").await;
    let listed = server.ok("GET", "/v1/environments").await;
    assert_eq!(
        masked(listed.clone()),
        json!({ "environments": [{
            "id": "<id>",
            "name": "feature_x",
            "created_at": "<created_at>",
            "token": "<token>",
            "main": listed["environments"][0]["main"],
            "owner": listed["environments"][0]["owner"],
            "members": [{ "id": "<id>", "email": "admin@localhost" }],
            "is_branch": true,
        }] })
    );
    let main = server.ok("GET", "/v1/workspace").await;
    assert_eq!(listed["environments"][0]["main"], main["id"]);
    let with = server
        .ok("GET", "/v1/user/workspaces/?with_environments=true")
        .await;
    let names: Vec<_> = with["workspaces"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2);
    assert_eq!(
        (&names[1]["name"], &names[1]["is_branch"], &names[1]["main"]),
        (&json!("feature_x"), &json!(true), &main["id"])
    );
    let without = server.ok("GET", "/v1/user/workspaces").await;
    assert_eq!(without["workspaces"].as_array().unwrap().len(), 1);
    let (status, _) = server.get("/v0/environments/other", server.token()).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_python_sdk_gets_a_branch_with_the_keys_it_knows() {
    let server = Server::start().await;
    branch(&server, "x").await;
    let request = server
        .request("GET", "/v1/environments", server.token())
        .header("user-agent", "Python-urllib/3.12");
    let (_, listed) = answer(request).await;
    let keys: Vec<_> = listed["environments"][0]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(keys, ["id", "name", "created_at", "token"]);
}

#[tokio::test]
async fn a_name_is_taken_once_by_each_workspace() {
    let server = Server::start().await;
    branch(&server, "x").await;
    for (name, status) in [("x", 409), ("main", 400), ("a%20b", 400), ("", 400)] {
        let path = format!("/v1/environments?name={name}");
        let (answered, body) = answer(server.request("POST", &path, server.token())).await;
        assert_eq!(answered, status, "{name}: {body}");
        assert!(body["error"].is_string());
    }
    // Another workspace has names of its own, and a branch does not take the name of a workspace.
    let user = server.tokens["user_token"].as_str().unwrap();
    let request = server.request("POST", "/v1/workspaces?name=x", user);
    let (status, other) = answer(request).await;
    assert_eq!(status, 200, "{other}");
    let token = other["token"].as_str().unwrap();
    let (status, _) = answer(server.request("POST", "/v1/environments?name=x", token)).await;
    assert_eq!(status, 200);
    let (_, listed) = server.get("/v1/environments", token).await;
    assert_eq!(listed["environments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_of_a_branch_opens_nothing_but_the_branch() {
    let server = Server::start().await;
    let one = branch(&server, "one").await;
    branch(&server, "two").await;
    let (_, listed) = server.get("/v1/environments", &one).await;
    let listed = listed["environments"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["name"]), (1, &json!("one")));
    let (_, all) = server
        .get("/v1/user/workspaces?with_environments=true", &one)
        .await;
    assert_eq!(all["workspaces"].as_array().unwrap().len(), 1, "{all}");
    assert_eq!(server.get("/v0/environments/two", &one).await.0, 404);
    let request = server.request("POST", "/v1/environments?name=three", &one);
    assert_eq!(answer(request).await.0, 403);
    let two = server.ok("GET", "/v0/environments/two").await;
    let path = format!("/v0/environments/{}", two["id"].as_str().unwrap());
    assert_eq!(answer(server.request("DELETE", &path, &one)).await.0, 404);
}

#[tokio::test]
async fn a_branch_has_its_parents_secrets_until_it_sets_its_own() {
    let server = Server::with_secret().await;
    let token = branch(&server, "x").await;
    let (_, listed) = server.get("/v0/variables", &token).await;
    assert_eq!(listed["variables"][0]["inherited"], true);
    assert!(!listed.to_string().contains(ROLE));
    let built = upload(&server, &token, "/v1/build").await;
    assert_eq!(built["result"], "success", "{built}");
    let form = [
        ("name", "dynamodb_role_arn_my_ddb"),
        ("value", "not a role"),
    ];
    let request = server.request("POST", "/v0/variables", &token).form(&form);
    assert_eq!(answer(request).await.0, 200);
    let built = upload(&server, &token, "/v1/build").await;
    assert_eq!(built["result"], "failed", "{built}");
    // The parent's is as it was.
    assert_eq!(server.build("", ORDERS).await["result"], "success");
}

#[tokio::test]
async fn a_fresh_export_starts_once_in_each_branch_with_the_parents_external_id() {
    let server = Server::live(&[("a", "1", "x")]).await;
    let exports = |server: &Server| server.account().lock().unwrap().exports.len();
    assert_eq!(exports(&server), 1);
    let token = branch(&server, "x").await;
    // Without connections a branch asks AWS for nothing.
    upload(&server, &token, "/v1/build").await;
    assert_eq!(exports(&server), 1);
    let built = upload(&server, &token, "/v1/build?with_connections=true").await;
    assert_eq!(built["result"], "success", "{built}");
    assert_eq!(built["build"]["data_linkers"].as_array().unwrap().len(), 1);
    let warned = built["build"]["feedback"].to_string();
    assert!(
        warned.contains("the same DynamoDB table as") && warned.contains("two readers"),
        "{built}"
    );
    upload(&server, &token, "/v1/build?with_connections=true").await;
    assert_eq!(exports(&server), 2);
    let started = std::time::Instant::now();
    loop {
        let (_, mirror) = server.get("/v0/mirrors/orders", &token).await;
        if mirror["state"] == "live" {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{mirror}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_branch_that_is_removed_takes_its_table_and_its_tokens_with_it() {
    let server = Server::with_secret().await;
    let token = branch(&server, "x").await;
    upload(&server, &token, "/v1/build").await;
    let found = server.ok("GET", "/v0/environments/x").await;
    let path = format!("/v0/environments/{}", found["id"].as_str().unwrap());
    server.ok("DELETE", &path).await;
    assert_eq!(server.get("/v1/workspace", &token).await.0, 403);
    let listed = server.ok("GET", "/v1/environments").await;
    assert_eq!(listed, json!({ "environments": [] }));
    // Its name is free again.
    branch(&server, "x").await;
}

#[tokio::test]
async fn branches_go_with_their_workspace() {
    let server = Server::start().await;
    let token = branch(&server, "x").await;
    let main = server.ok("GET", "/v1/workspace").await;
    let path = format!(
        "/v1/workspaces/{}?hard_delete_confirmation=yes",
        main["id"].as_str().unwrap()
    );
    server.ok("DELETE", &path).await;
    assert_eq!(server.get("/v1/workspace", &token).await.0, 403);
    let server = server.restart().await;
    let admin = server.tokens["admin_token"].as_str().unwrap();
    let (_, left) = server
        .get("/v1/user/workspaces?with_environments=true", admin)
        .await;
    assert_eq!(left["workspaces"].as_array().unwrap().len(), 1, "{left}");
}
