//! Secrets over the API and at rest.

use serde_json::json;

use crate::harness::{Server, answer, masked};

#[tokio::test]
async fn secrets_are_set_changed_listed_and_removed_but_never_shown() {
    let server = Server::start().await;
    assert_eq!(server.get("/v0/variables/a", server.token()).await.0, 404);
    let update = server
        .request("PUT", "/v0/variables/a", server.token())
        .form(&[("value", "x")]);
    assert_eq!(answer(update).await.0, 404);
    server.set_secret("a", "hush-hush").await;
    let update = server
        .request("PUT", "/v0/variables/a", server.token())
        .form(&[("value", "hush-again")]);
    assert_eq!(answer(update).await.0, 200);
    let shown = server.ok("GET", "/v0/variables/a").await;
    let listed = server.ok("GET", "/v0/variables").await;
    let item = json!({ "name": "a", "type": "secret", "created_at": "<created_at>", "updated_at": "<updated_at>" });
    assert_eq!(masked(shown), item);
    assert_eq!(masked(listed), json!({ "variables": [item] }));
    server.ok("DELETE", "/v0/variables/a").await;
    assert_eq!(server.get("/v0/variables/a", server.token()).await.0, 404);
    // JSON is read by its shape, whatever the header says.
    let create = server
        .request("POST", "/v0/variables", server.token())
        .body(r#"{"name":"b","value":""}"#);
    assert_eq!(answer(create).await.0, 200);
}

#[tokio::test]
async fn nothing_in_the_state_folder_can_be_read_without_the_key() {
    let server = Server::with_secret().await;
    server.set_secret("other", "hush-hush").await;
    server
        .build("?with_connections=true", crate::harness::ORDERS)
        .await;
    let host = server.stop().await;
    let mut files = 0;
    for entry in std::fs::read_dir(host.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in ["hush-hush", crate::ports::dynamo::ROLE] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 3);
}
