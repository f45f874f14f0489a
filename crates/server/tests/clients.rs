//! What the official clients ask for beside the life of a connection. `make clients` runs the clients themselves.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{ORDERS, PIPE, Server, answer, masked};

#[tokio::test]
async fn pipes_are_listed_and_their_files_come_back() {
    let server = Server::with_secret().await;
    let empty = json!({ "pipes": [] });
    assert_eq!(server.ok("GET", "/v0/pipes").await, empty);
    server.build("", ORDERS).await;
    let wanted = json!({
        "id": "<id>",
        "name": "order_count",
        "description": "",
        "type": "endpoint",
        "endpoint": null,
        "nodes": [{
            "id": "<id>",
            "name": "endpoint",
            "sql": "SELECT count() AS orders FROM orders FINAL",
            "description": "",
            "node_type": "endpoint",
        }],
        "created_at": "<created_at>",
        "updated_at": "<updated_at>",
    });
    for path in [
        "/v0/pipes?dependencies=false&attrs=&node_attrs=",
        "/v1/pipes",
    ] {
        let body = server.ok("GET", path).await;
        assert_eq!(masked(body), json!({ "pipes": [wanted] }), "{path}");
    }
    let body = server.ok("GET", "/v0/pipes/order_count").await;
    assert_eq!(masked(body), wanted);
    for path in [
        "/v1/pipes/order_count.pipe",
        "/v0/pipes/order_count?format=pipe",
    ] {
        let request = server.request("GET", path, server.token());
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain", "{path}");
        assert_eq!(response.text().await.unwrap(), PIPE, "{path}");
    }
    // The token that the file asks for reads this pipe; one for something else does not see it.
    let made = server
        .ok(
            "POST",
            "/v0/tokens?name=other&scope=DATASOURCES:READ:orders",
        )
        .await;
    let other = made["token"].as_str().unwrap();
    assert_eq!(server.get("/v0/pipes", other).await, (200, empty));
    assert_eq!(server.get("/v0/pipes/order_count", other).await.0, 403);
    assert_eq!(server.get("/v0/pipes", "").await.0, 403);
}

#[tokio::test]
async fn a_pipe_that_is_asked_for_data_says_that_it_is_not_run() {
    let server = Server::with_secret().await;
    let built = server.build("", ORDERS).await;
    let said = built["build"]["feedback"].to_string();
    assert!(said.contains("'order_count' is kept and not run"), "{said}");
    for (method, path) in [
        ("GET", "/v0/pipes/order_count.json?a=1"),
        ("GET", "/v0/pipes/order_count.csv"),
        ("POST", "/v0/pipes/order_count.ndjson"),
        ("POST", "/v0/pipes/order_count/copy?mode=append"),
        ("POST", "/v0/pipes/order_count/nodes/endpoint/population"),
    ] {
        let (status, body) = answer(server.request(method, path, server.token())).await;
        let error = body["error"].as_str().unwrap();
        assert_eq!(status, 400, "{path}: {error}");
        assert!(
            error.contains("not part of this version") && error.contains("/v0/sql"),
            "{path}: {error}"
        );
    }
    for path in [
        "/v0/pipes/none.json",
        "/v0/pipes/none",
        "/v1/pipes/none.pipe",
    ] {
        let (status, body) = server.get(path, server.token()).await;
        let wanted = json!({ "error": "there is no pipe \"none\"; GET /v0/pipes lists them" });
        assert_eq!((status, body), (404, wanted), "{path}");
    }
}

#[tokio::test]
async fn what_this_version_does_not_do_is_refused_with_what_to_do_instead() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    for (method, path, instead) in [
        (
            "POST",
            "/v0/events?name=orders&wait=true",
            "write to the table",
        ),
        (
            "POST",
            "/v0/datasources?name=orders&mode=append",
            "write to the table",
        ),
        (
            "POST",
            "/v1/datasources/orders/append?format=ndjson",
            "write to the table",
        ),
        (
            "POST",
            "/v1/datasources/orders/replace?format=csv",
            "write to the table",
        ),
        ("POST", "/v0/datasources/orders/delete", "delete the items"),
        ("POST", "/v1/datasources/orders/delete", "delete the items"),
        (
            "POST",
            "/v0/datasources/orders/truncate",
            "delete the items",
        ),
        (
            "POST",
            "/v0/datasources/orders/scheduling/runs",
            "/v0/datasources/orders/resync",
        ),
        ("POST", "/v0/analyze", "tb datasource create --dynamodb"),
        ("POST", "/v0/jobs/1/retry", "once more"),
        (
            "GET",
            "/examples/query.http?format=json&pipe=order_count",
            "/v0/sql",
        ),
        (
            "GET",
            "/api/cli-login?apiHost=x&code=1&method=code",
            "--token",
        ),
    ] {
        let (status, body) = answer(server.request(method, path, server.token())).await;
        // 404 would mean to the command line that there is no such data source.
        assert_eq!(status, 400, "{path}: {body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.contains(instead), "{path}: {error}");
    }
    let request = server.request("POST", "/v0/events?name=orders", "p.bad");
    assert_eq!(answer(request).await.0, 403);
}

/// The SDK for TypeScript said «fetch failed»: the connection was reset while it was still sending.
#[tokio::test]
async fn a_refusal_arrives_although_nobody_read_the_upload() {
    const UPLOAD_BYTES: usize = 16 << 20;
    let server = Server::start().await;
    let mut client = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let head = format!(
        "POST /v1/deploy HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer p.wrong\r\ncontent-length: {UPLOAD_BYTES}\r\nconnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![b'x'; UPLOAD_BYTES]).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("invalid authentication token"), "{answer}");
}

#[tokio::test]
async fn the_limits_of_a_workspace_are_an_object() {
    let server = Server::start().await;
    let workspace = server.ok("GET", "/v0/workspace").await;
    assert_eq!(workspace["limits"], json!({}));
}

/// `tb local clear` and the SDK's `clear --local` list workspaces to see that the one they deleted is gone.
#[tokio::test]
async fn the_default_workspace_is_cleared_as_clients_do_it() {
    let server = Server::with_secret().await;
    server.build("", ORDERS).await;
    let user = server.tokens["user_token"].as_str().unwrap();
    let names = async || {
        let listed = server.get("/v1/user/workspaces", user).await.1;
        let listed = listed["workspaces"].as_array().unwrap().clone();
        let name = |workspace: &serde_json::Value| workspace["name"].as_str().unwrap().to_owned();
        listed.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["Workspace"]);
    let path = "/v1/workspaces/Workspace?hard_delete_confirmation=yes";
    let (status, body) = answer(server.request("DELETE", path, user)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(names().await, Vec::<String>::new());
    let request = server.request("POST", "/v1/workspaces?name=Workspace", user);
    assert_eq!(answer(request).await.0, 200);
    assert_eq!(names().await, ["Workspace"]);
    // It is the one that the server's own tokens use, and it is empty.
    let (_, datasources) = server.get("/v0/datasources", user).await;
    assert_eq!(datasources, json!({ "datasources": [] }));
}
