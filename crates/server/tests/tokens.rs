//! Tokens and what they may do.

use serde_json::{Value, json};

use crate::harness::{ORDERS, Server, answer};

async fn scoped_token(server: &Server, name: &str) -> String {
    let body = server.ok("GET", "/v0/tokens").await;
    let tokens = body["tokens"].as_array().unwrap();
    let token = tokens.iter().find(|token| token["name"] == name).unwrap();
    token["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_taken_from_header_query_and_form() {
    let server = Server::start().await;
    let token = server.token().to_owned();
    assert!(token.starts_with("p.ey"));
    assert_eq!(server.get("/v1/workspace", &token).await.0, 200);
    assert_eq!(
        server
            .get(&format!("/v1/workspace?token={token}"), "")
            .await
            .0,
        200
    );
    let form = [("token", token.as_str()), ("name", "a"), ("value", "b")];
    let (status, body) = answer(server.request("POST", "/v0/variables", "").form(&form)).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_forbidden() {
    let server = Server::start().await;
    let token = server.token().to_owned();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{flipped}{}", &signature[1..]);
    for bad in ["", "x", "p.e30.x", forged.as_str()] {
        let (status, body) = server.get("/v1/workspace", bad).await;
        assert_eq!(status, 403, "{bad}");
        assert!(body["error"].is_string());
        assert!(bad.is_empty() || !body.to_string().contains(bad));
    }
    let other = Server::start().await;
    assert_eq!(other.get("/v1/workspace", &token).await.0, 403);
}

#[tokio::test]
async fn a_scoped_token_reads_its_data_source_and_no_more() {
    let server = Server::with_secret().await;
    let files = [
        (
            "orders.datasource",
            format!("TOKEN reader READ\n\n{ORDERS}"),
        ),
        (
            "users.datasource",
            ORDERS.replace("table/orders", "table/users"),
        ),
        ("my_ddb.connection", crate::harness::CONNECTION.to_owned()),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let body = server.upload("/v1/build", &files).await;
    assert_eq!(body["result"], "success", "{body}");
    let token = scoped_token(&server, "reader").await;
    let (status, body) = server.get("/v0/datasources", &token).await;
    assert_eq!(status, 200);
    let names: Vec<&Value> = body["datasources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| &d["name"])
        .collect();
    assert_eq!(names, [&json!("orders")]);
    assert_eq!(server.get("/v0/datasources/orders", &token).await.0, 200);
    for path in [
        "/v0/datasources/users",
        "/v0/sql?q=SELECT%201",
        "/v0/variables",
        "/v0/tokens",
        "/v1/user/workspaces",
    ] {
        let (status, body) = server.get(path, &token).await;
        assert_eq!(status, 403, "{path}: {body}");
        assert!(
            body["error"].as_str().unwrap().contains("lacks the scope"),
            "{path}: {body}"
        );
    }
    // The line goes, the token goes.
    let files = [("orders.datasource", ORDERS), files[1], files[2]];
    let body = server.upload("/v1/build", &files).await;
    assert_eq!(
        body["build"]["token_changes"][0]["change_type"], "deleted",
        "{body}"
    );
    assert_eq!(server.get("/v0/datasources", &token).await.0, 403);
}

#[tokio::test]
async fn a_workspaces_token_does_not_reach_another_workspace() {
    let server = Server::start().await;
    let user = server.tokens["user_token"].as_str().unwrap();
    let request = server.request("POST", "/v1/workspaces?name=other", user);
    let (_, other) = answer(request).await;
    server.set_secret("mine", "1").await;
    let token = other["token"].as_str().unwrap();
    assert_eq!(
        server.get("/v0/variables", token).await.1,
        json!({ "variables": [] })
    );
    let own = server.get("/v1/user/workspaces", token).await.1;
    assert_eq!(own["workspaces"].as_array().unwrap().len(), 1);
    let (status, _) = answer(server.request("POST", "/v1/workspaces?name=third", token)).await;
    assert_eq!(status, 403);
    let id = server.ok("GET", "/v1/workspace").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/workspaces/{id}?hard_delete_confirmation=yes");
    let (status, _) = answer(server.request("DELETE", &path, token)).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn tokens_stay_the_same_over_a_restart_and_their_texts_are_not_stored() {
    let server = Server::start().await;
    let before = server.tokens.clone();
    let host = server.stop().await;
    let signature = before["admin_token"]
        .as_str()
        .unwrap()
        .rsplit('.')
        .next()
        .unwrap()
        .to_owned();
    for entry in std::fs::read_dir(host.dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(signature.len())
                .any(|window| window == signature.as_bytes())
        );
    }
    let server = host.start().await;
    assert_eq!(server.tokens, before);
}

#[tokio::test]
async fn a_user_token_is_known_as_one() {
    let server = Server::start().await;
    let user = server.tokens["user_token"].as_str().unwrap();
    assert_eq!(
        server.get("/v0/auth", user).await.1,
        json!({ "is_valid": true, "is_user": true })
    );
    assert_eq!(server.ok("GET", "/v0/auth").await["is_user"], false);
}
