//! A server that is reached by URL. Here it is a second engine with a configured user of its own.

use mirror::error::ErrorKind;
use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::Warehouse;
use sink_clickhouse::{ClickHouse, ExternalOptions};

use crate::support::{ExternalServer, ask_in, rows, simple_plan};

#[tokio::test]
async fn an_external_server_takes_rows_and_says_what_it_lacks() {
    let server = ExternalServer::start().await;
    let client = ClickHouse::external(
        &server.url,
        "operator",
        "pass word é",
        ExternalOptions::default(),
    )
    .unwrap();
    assert_eq!(client.ping().await.unwrap(), "26.7.2.1");
    // Any name is fine there.
    client.create_database("analytics").await.unwrap();
    let mut plan = simple_plan("orders");
    plan.database = "analytics".to_owned();
    client.create_table(&plan).await.unwrap();
    client
        .insert(&plan, &rows(&plan, 0..100), RowOrder::Free)
        .await
        .unwrap();
    assert_eq!(
        ask_in(&client, "analytics", "SELECT count() FROM orders FINAL")
            .await
            .unwrap(),
        "100"
    );
    // This server cannot make users, so queries run as the configured user, read-only.
    let warnings = client.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("grant ACCESS MANAGEMENT"),
        "{warnings:?}"
    );
    for sql in [
        "DROP TABLE orders",
        "WITH 1 AS x INSERT INTO orders (pk) SELECT 'x'",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM (SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString') SETTINGS readonly = 0)",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT 1 SETTINGS max_execution_time = 0",
    ] {
        let error = ask_in(&client, "analytics", sql).await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Rejected { .. }),
            "{sql}: {}",
            error.report()
        );
    }
    assert_eq!(client.stats("analytics").await.unwrap()[0].rows, 100);

    let strict = ClickHouse::external(
        &server.url,
        "operator",
        "pass word é",
        ExternalOptions {
            require_reader: true,
        },
    )
    .unwrap();
    let error = ask_in(&strict, "analytics", "SELECT 1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(
        error.report().contains("grant ACCESS MANAGEMENT"),
        "{}",
        error.report()
    );

    client.drop_table("analytics", "orders").await.unwrap();
    client.drop_database("analytics").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn wrong_passwords_and_wrong_addresses_are_told_apart() {
    let server = ExternalServer::start().await;
    let client =
        ClickHouse::external(&server.url, "operator", "wrong", ExternalOptions::default()).unwrap();
    let error = client.ping().await.unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Rejected { code: 516 },
        "{}",
        error.report()
    );
    assert!(!error.report().contains("wrong"));
    let url = server.url.clone();
    server.stop().await;
    let error = ClickHouse::external(&url, "operator", "x", ExternalOptions::default())
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.report().contains("cannot be reached"),
        "{}",
        error.report()
    );
    for url in [
        "localhost:8123",
        "ftp://localhost",
        "http://user:pw@localhost:8123",
        "",
        "clickhouse://x",
    ] {
        let error = ClickHouse::external(url, "u", "p", ExternalOptions::default()).unwrap_err();
        assert!(
            error.report().contains("CLICKHOUSE_URL"),
            "{}",
            error.report()
        );
        assert!(!error.report().contains("pw"));
    }
    // TLS is there without any set-up by the caller.
    ClickHouse::external(
        "https://localhost:8443",
        "u",
        "p",
        ExternalOptions::default(),
    )
    .unwrap();
}
