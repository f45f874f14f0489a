//! Builds that were cut short.

use serde_json::json;

use crate::harness::{DEADLINE, Host, ORDERS, Server, answer, form, project};

async fn broken_build(server: &Server, query: &str, datasource: &str, fails: &'static str) {
    server.host.warehouse.world().fails = Some(fails);
    let path = format!("/v1/build{query}");
    let request = server
        .request("POST", &path, server.token())
        .multipart(form(&project(datasource)));
    let (status, body) = answer(request).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(body["result"], "failed");
    assert!(body["error"].is_string());
}

#[tokio::test]
async fn a_build_that_could_not_make_its_table_is_done_by_the_next_one() {
    let server = Server::with_secret().await;
    broken_build(&server, "", ORDERS, "create_table").await;
    assert_eq!(
        server.ok("GET", "/v0/datasources").await,
        json!({ "datasources": [] })
    );
    let server = server.restart().await;
    let body = server.build("", ORDERS).await;
    assert_eq!(
        body["build"]["new_datasource_names"],
        json!(["orders"]),
        "{body}"
    );
}

#[tokio::test]
async fn a_table_of_a_build_that_failed_does_not_keep_its_old_columns() {
    let server = Server::with_secret().await;
    // The table is made, but the project does not become live: as if the process had died in between.
    let two = ORDERS.replace("table/orders", "table/users");
    server.host.warehouse.take_log();
    server.host.warehouse.world().fails = None;
    let files = [
        ("a_orders.datasource", ORDERS),
        ("b_users.datasource", two.as_str()),
        ("my_ddb.connection", crate::harness::CONNECTION),
    ];
    let second_fails = || server.host.warehouse.world().fails = Some("create_table");
    // The first table is made by a build of its own, which is then undone by hand in the log only.
    let body = server
        .upload(
            "/v1/build",
            &files[..1]
                .iter()
                .chain(&files[2..])
                .copied()
                .collect::<Vec<_>>(),
        )
        .await;
    assert_eq!(body["result"], "success", "{body}");
    second_fails();
    let request = server
        .request("POST", "/v1/build", server.token())
        .multipart(form(&files));
    assert_eq!(answer(request).await.0, 503);
    // b_users was begun. Whatever is there under its name is dropped before it is made.
    let wider = two.replace(
        "    _record",
        "    status Nullable(String) `json:$.Item.status`,\n    _record",
    );
    server
        .host
        .warehouse
        .world()
        .tables
        .insert("ws_1.b_users".to_owned(), vec!["old".to_owned()]);
    let body = server
        .upload(
            "/v1/build",
            &[files[0], ("b_users.datasource", &wider), files[2]],
        )
        .await;
    assert_eq!(body["result"], "success", "{body}");
    let columns = server.host.warehouse.columns("ws_1.b_users").unwrap();
    assert!(
        columns.contains(&"status".to_owned()) && !columns.contains(&"old".to_owned()),
        "{columns:?}"
    );
}

#[tokio::test]
async fn a_recreation_that_failed_half_way_is_redone_without_asking_again() {
    let server = Server::with_secret().await;
    server.build("?with_connections=true", ORDERS).await;
    let other = ORDERS.replace("table/orders", "table/users");
    let query = "?with_connections=true&allow_destructive_operations=true";
    broken_build(&server, query, &other, "create_table").await;
    // The mirror of the dropped table must not be started by a restart.
    let server = server.restart().await;
    assert_eq!(
        server.ok("GET", "/v0/mirrors").await,
        json!({ "mirrors": [] })
    );
    let body = server.build("?with_connections=true", &other).await;
    assert_eq!(body["result"], "success", "{body}");
    assert_eq!(
        body["build"]["data_linkers"].as_array().unwrap().len(),
        1,
        "{body}"
    );
    assert!(server.host.warehouse.columns("ws_1.orders").is_some());
    // And nothing is left to redo.
    server.host.warehouse.take_log();
    server.build("?with_connections=true", &other).await;
    assert_eq!(server.host.warehouse.take_log(), Vec::<String>::new());
}

/// A runtime that is shut down drops every task where it waits, which is what a killed process leaves behind.
#[test]
fn a_server_that_dies_in_the_middle_of_a_build_has_it_done_by_the_next_one() {
    for hangs in ["create_database", "create_table", "drop_table"] {
        let runtime = || tokio::runtime::Runtime::new().unwrap();
        let first = runtime();
        let host = first.block_on(die_at(hangs));
        first.shutdown_timeout(DEADLINE);
        host.warehouse.world().hangs = None;
        runtime().block_on(async {
            let server = host.start().await;
            let body = server.build("?with_connections=true", ORDERS).await;
            assert_eq!(body["result"], "success", "{hangs}: {body}");
            let columns = server.host.warehouse.columns("ws_1.orders").unwrap();
            assert!(
                columns.contains(&"_event_name".to_owned()),
                "{hangs}: {columns:?}"
            );
            let mirrors = server.ok("GET", "/v0/mirrors").await;
            assert_eq!(mirrors["mirrors"].as_array().unwrap().len(), 1, "{hangs}");
            let body = server.build("?with_connections=true", ORDERS).await;
            assert_eq!(
                body["build"]["changed_datasource_names"],
                json!([]),
                "{hangs}"
            );
        });
    }
}

async fn die_at(hangs: &'static str) -> Host {
    let server = Server::with_secret().await;
    if hangs == "drop_table" {
        // There is something to drop.
        let narrow = ORDERS.replace(
            "    _event_name LowCardinality(String) `json:$.eventName`,\n",
            "",
        );
        let narrow = narrow.replace("DateTime64(3)", "DateTime64(6)");
        let body = server.build("?with_connections=true", &narrow).await;
        assert_eq!(body["result"], "success", "{body}");
    }
    server.host.warehouse.world().hangs = Some(hangs);
    let path = "/v1/build?with_connections=true&allow_destructive_operations=true";
    let build = server.request("POST", path, server.token());
    tokio::spawn(build.multipart(form(&project(ORDERS))).send());
    let started = std::time::Instant::now();
    while !server.host.warehouse.world().hung {
        assert!(started.elapsed() < DEADLINE, "{hangs} was not reached");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.abandon()
}
