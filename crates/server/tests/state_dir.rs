//! One server for a folder, one key for its secrets, one port.

use std::os::unix::fs::PermissionsExt;

use server::run::{ServerError, run};
use server::state_dir::{StateDir, StateDirError};
use tokio_util::sync::CancellationToken;

use crate::harness::{Host, Server};

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_by_name() {
    let server = Server::start().await;
    let path = server.host.dir.path().to_owned();
    let error = StateDir::open(&path).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StateDirError::InUse { .. }), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    let host = server.stop().await;
    assert!(StateDir::open(host.dir.path()).is_ok());
}

#[tokio::test]
async fn the_server_file_is_there_while_the_server_listens() {
    let server = Server::start().await;
    let path = server.host.dir.path().join("server.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(file["pid"], std::process::id());
    assert_eq!(file["host"], "127.0.0.1");
    assert_eq!(file["port"], server.port);
    assert_eq!(file["version"], "0.1.0-test");
    assert_eq!(file["aws_credentials"], true);
    assert!(file["started_at"].is_string());
    let _host = server.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_taken_port_is_named_and_nothing_is_touched() {
    let server = Server::start().await;
    let host = Host::new();
    let state = StateDir::open(host.dir.path()).unwrap();
    let settings = host.settings(server.port);
    let error = run(settings, &state, host.parts(), CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ServerError::PortTaken { .. }));
    let text = error.to_string();
    assert!(text.contains(&server.port.to_string()), "{text}");
    assert!(
        text.contains("TB_LOCAL_PORT") && text.contains("tb local status"),
        "{text}"
    );
    assert!(!host.dir.path().join("metadata.db").exists());
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    state.master_key().unwrap();
    let key = dir.path().join("key");
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = state.master_key().unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, "short").unwrap();
    assert!(matches!(
        state.master_key().unwrap_err(),
        StateDirError::KeyBroken { bytes: 5, .. }
    ));
}

#[test]
fn a_lost_key_is_not_replaced_by_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    std::fs::write(state.database_path(), "").unwrap();
    assert!(matches!(
        state.master_key().unwrap_err(),
        StateDirError::KeyLost { .. }
    ));
}

#[tokio::test]
async fn with_another_key_the_server_starts_and_says_what_it_cannot_read() {
    let server = Server::with_secret().await;
    server
        .build("?with_connections=true", crate::harness::ORDERS)
        .await;
    let old = server.token().to_owned();
    let host = server.stop().await;
    std::fs::write(host.dir.path().join("key"), [7; 32]).unwrap();
    let server = host.start().await;
    assert_eq!(server.get("/v1/workspace", &old).await.0, 403);
    let mirror = server.ok("GET", "/v0/mirrors/orders").await;
    assert_eq!(mirror["state"], "broken", "{mirror}");
    assert!(
        mirror["reason"].as_str().unwrap().contains("key file"),
        "{mirror}"
    );
    let body = server.build("", crate::harness::ORDERS).await;
    let error = body["errors"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("tb secret set dynamodb_role_arn_my_ddb"),
        "{error}"
    );
    // With the secret set again, the mirror goes on where it was.
    server
        .set_secret("dynamodb_role_arn_my_ddb", crate::ports::dynamo::ROLE)
        .await;
    let body = server
        .build("?with_connections=true", crate::harness::ORDERS)
        .await;
    assert_eq!(body["result"], "success", "{body}");
    let after = server.ok("GET", "/v0/mirrors/orders").await;
    assert_eq!(after["id"], mirror["id"]);
    assert_ne!(after["state"], "broken", "{after}");
    assert_eq!(server.account().lock().unwrap().exports.len(), 1);
}
