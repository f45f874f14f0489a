//! What scripts read: with `--output json` a command prints one JSON document, and nothing else, on stdout.

use serde_json::Value;

use super::flow::fill;
use super::stage::{ROLE, Stage};

const COMMANDS: &[&[&str]] = &[
    &["info"],
    &["check"],
    &["fmt"],
    &["local", "status"],
    &["local", "version"],
    &["workspace", "ls"],
    &["workspace", "current"],
    &["connection", "ls"],
    &["connection", "policy", "my_ddb"],
    &["secret", "set", "dynamodb_role_arn_my_ddb", ROLE],
    &["secret", "ls"],
    &["plan"],
    &["build"],
    &["deploy", "--check"],
    &["deploy", "--wait"],
    &["deployment", "ls"],
    &["datasource", "ls"],
    &["datasource", "show", "orders"],
    &["datasource", "stop", "orders"],
    &["datasource", "start", "orders"],
    &["datasource", "quarantine", "ls", "orders"],
    &["datasource", "verify", "orders"],
    &["sql", "SELECT count() FROM orders FINAL"],
    &[
        "token",
        "create",
        "reader",
        "--scope",
        "DATASOURCES:READ:orders",
    ],
    &["token", "ls"],
    &["token", "refresh", "reader", "--yes"],
    &["token", "rm", "reader", "--yes"],
    &["job", "ls"],
    &["logs"],
    &["open", "--no-browser"],
    &["secret", "rm", "dynamodb_role_arn_my_ddb"],
    &["connection", "rm", "my_ddb", "--with-datasources", "--yes"],
    &["local", "stop"],
    &["local", "remove", "--yes"],
];

#[test]
fn every_command_answers_with_one_document() {
    let mut stage = Stage::new();
    fill(&stage, 20);
    stage.start();
    for command in COMMANDS {
        let arguments: Vec<&str> = command
            .iter()
            .copied()
            .chain(["--output", "json"])
            .collect();
        let said = stage.tb(&arguments).success();
        let document: Result<Value, _> = serde_json::from_str(&said.out);
        assert!(
            document.is_ok(),
            "{command:?}: {document:?}\n{}",
            said.all()
        );
    }
}
