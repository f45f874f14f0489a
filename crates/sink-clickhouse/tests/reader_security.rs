//! What SQL of a user can and cannot do.

use mirror::error::ErrorKind;
use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::{QueryLimits, Warehouse};
use sink_clickhouse::ClickHouse;

use crate::support::{Engine, LIMITS, ask, ask_in, rows, simple_plan};

/// Whether ClickHouse, or we for it, refuse the query; any other failure fails the test.
async fn is_refused(client: &ClickHouse, sql: &str) -> bool {
    match client.user_query("ws_1", sql, "TSV", &LIMITS).await {
        Ok(_) => false,
        Err(error) => {
            assert!(
                matches!(error.kind, ErrorKind::Rejected { .. }),
                "{sql}: {}",
                error.report()
            );
            true
        }
    }
}

/// An engine with `ws_1.orders` of 10 rows and `ws_2.hidden_things` of 5.
async fn two_workspaces() -> Engine {
    let engine = Engine::start().await;
    let client = &engine.client;
    client.create_database("ws_2").await.unwrap();
    let mine = simple_plan("orders");
    client.create_table(&mine).await.unwrap();
    client
        .insert(&mine, &rows(&mine, 0..10), RowOrder::AsGiven)
        .await
        .unwrap();
    let mut theirs = simple_plan("hidden_things");
    theirs.database = "ws_2".to_owned();
    client.create_table(&theirs).await.unwrap();
    client
        .insert(&theirs, &rows(&theirs, 0..5), RowOrder::AsGiven)
        .await
        .unwrap();
    engine
}

#[tokio::test]
async fn a_user_reads_its_own_workspace_and_nothing_else() {
    let engine = two_workspaces().await;
    let client = &engine.client;
    for (sql, answer) in [
        ("SELECT count() FROM orders FINAL;; ", "10"),
        ("SELECT count() FROM ws_1.orders", "10"),
        ("WITH 2 AS x SELECT x + count() FROM orders", "12"),
        ("SELECT sum(number) FROM numbers(4)", "6"),
        ("SELECT c1 FROM values('c1 UInt8', (7))", "7"),
        ("SHOW TABLES", "orders\norders_quarantine"),
        ("EXISTS TABLE orders", "1"),
        ("SELECT 1 SETTINGS join_use_nulls = 1", "1"),
        ("SELECT dummy FROM system.one", "0"),
        // Accepted, and without effect: the limits are those of the call.
        (
            "SELECT getSetting('readonly'), getSetting('max_execution_time') SETTINGS profile = 'default'",
            "1\t20",
        ),
    ] {
        assert_eq!(ask(client, sql).await, answer, "{sql}");
    }
    assert!(
        ask(client, "DESCRIBE TABLE orders")
            .await
            .contains("_timestamp")
    );
    assert!(
        ask(client, "EXPLAIN SELECT * FROM orders")
            .await
            .contains("ReadFromMergeTree")
    );
    let answer = client
        .user_query("ws_1", "SELECT 1 AS a FORMAT JSONCompact", "TSV", &LIMITS)
        .await
        .unwrap();
    assert_eq!(answer.format, "JSONCompact");
    let error = ask_in(client, "ws_1", "SELECT nothing FROM orders")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected { code: 47 });
    assert!(
        error.report().contains("UNKNOWN_IDENTIFIER") && !error.report().contains("version"),
        "{}",
        error.report()
    );

    let mut accepted = Vec::new();
    for sql in FORBIDDEN {
        if !is_refused(client, sql).await {
            accepted.push(*sql);
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    assert_eq!(ask(client, "SELECT count() FROM orders FINAL").await, "10");
    assert_eq!(
        ask_in(client, "ws_2", "SELECT count() FROM hidden_things")
            .await
            .unwrap(),
        "5"
    );
    engine.stop().await;
}

const FORBIDDEN: &[&str] = &[
    // Writing.
    "INSERT INTO orders (pk) VALUES ('x')",
    "INSERT INTO FUNCTION null('a UInt8') VALUES (1)",
    "DROP TABLE orders",
    "TRUNCATE TABLE orders",
    "ALTER TABLE orders ADD COLUMN x UInt8",
    "ALTER TABLE orders DELETE WHERE 1",
    "DELETE FROM orders WHERE 1",
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a",
    "CREATE TEMPORARY TABLE t (a UInt8)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE DATABASE ws_3",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER x",
    "GRANT SELECT ON *.* TO reader_1",
    "RENAME TABLE orders TO o",
    "OPTIMIZE TABLE orders FINAL",
    "DETACH TABLE orders",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE orders TO Disk('default', 'x')",
    // The server.
    "SYSTEM STOP MERGES",
    "SYSTEM STOP LISTEN HTTP",
    "SYSTEM SHUTDOWN",
    "SYSTEM DROP MARK CACHE",
    // Other workspaces.
    "SELECT * FROM ws_2.hidden_things",
    "SELECT * FROM orders UNION ALL SELECT * FROM ws_2.hidden_things",
    "SELECT (SELECT count() FROM ws_2.hidden_things)",
    "SELECT * FROM merge('ws_2', 'hidden_things')",
    "SELECT * FROM merge(REGEXP('ws_.*'), 'hidden_things')",
    "SELECT * FROM cluster('default', 'ws_2', 'hidden_things')",
    "SELECT * FROM loop('ws_2', 'hidden_things')",
    "SELECT * FROM mergeTreeIndex('ws_2', 'hidden_things')",
    "SELECT joinGet('ws_2.hidden_things', 'value', 'key1')",
    "SELECT dictGet('ws_2.hidden_things', 'value', 'key1')",
    "SELECT hasColumnInTable('ws_2', 'hidden_things', 'pk')",
    "SHOW CREATE TABLE ws_2.hidden_things",
    "DESCRIBE TABLE ws_2.hidden_things",
    "EXPLAIN SELECT * FROM ws_2.hidden_things",
    "EXPLAIN ESTIMATE SELECT * FROM ws_2.hidden_things",
    "USE ws_2",
    // Files and the network.
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM file('/dev/stdin', 'LineAsString')",
    "SELECT file('/etc/passwd')",
    "SELECT `file`('/etc/passwd')",
    "SELECT `fi\\x6ce`('/etc/passwd')",
    "SELECT arrayMap(file, ['/etc/passwd'])",
    "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/passwd')",
    "EXPLAIN SELECT file('/etc/passwd')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1', 'ws_2', 'hidden_things')",
    "SELECT * FROM remoteSecure('127.0.0.1', 'ws_2', 'hidden_things')",
    "SELECT * FROM s3('http://127.0.0.1:1/b/x', 'CSV')",
    "SELECT * FROM executable('x', 'TSV', 'a String')",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM sqlite('/tmp/x', 't')",
    "SELECT * FROM input('a String')",
    "SELECT * FROM filesystem('/')",
    "SELECT * FROM python('x')",
    "SELECT * FROM deltaLake('http://127.0.0.1:1/b/x')",
    "SELECT * FROM iceberg('http://127.0.0.1:1/b/x')",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT 1 INTO OUTFILE '/tmp/dynamirror-outfile'",
    "SELECT 1 INTO OUTFILE '/dev/stdout' APPEND",
    // Secrets and other people's doings.
    "SELECT * FROM system.users",
    "SELECT * FROM system.processes",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.grants",
    "SELECT * FROM system.quotas_usage",
    "SELECT * FROM system.session_log",
    "SELECT * FROM system.merges",
    "SELECT * FROM system.macros",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.environment",
    "SHOW PROCESSLIST",
    "SHOW ACCESS",
    "SHOW CREATE USER engine",
    "SHOW GRANTS FOR engine",
    "SELECT getMacro('x')",
    "SELECT addressToSymbol(1)",
    "SELECT demangle('x')",
    // Limits.
    "SET max_execution_time = 1000",
    "SELECT 1 SETTINGS max_execution_time = 1000",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "SELECT 1 SETTINGS max_result_bytes = 0",
    "SELECT 1 SETTINGS result_overflow_mode = 'break'",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS readonly = 2",
    "SELECT 1 SETTINGS allow_ddl = 0",
    "WITH t AS (SELECT 1 SETTINGS readonly = 0) SELECT * FROM t",
    "SELECT 1 SETTINGS max_memory_usage = 0 UNION ALL SELECT 1",
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
    "SELECT 1 SETTINGS profile = 'reader'",
    "SELECT 1 SETTINGS max_threads = 1000",
    // More than one statement.
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE orders",
    "",
];

#[tokio::test]
async fn system_tables_show_nothing_of_other_workspaces() {
    let engine = two_workspaces().await;
    let client = &engine.client;
    for table in [
        "databases",
        "tables",
        "columns",
        "parts",
        "parts_columns",
        "mutations",
        "replicas",
        "data_skipping_indices",
        "detached_parts",
        "dictionaries",
        "functions",
        "completions",
    ] {
        let sql = format!("SELECT * FROM system.{table}");
        match ask_in(client, "ws_1", &sql).await {
            Ok(text) => {
                let leaks: Vec<_> = text
                    .lines()
                    .filter(|line| line.contains("ws_2") || line.contains("hidden_things"))
                    .collect();
                assert!(leaks.is_empty(), "{sql}: {leaks:?}");
            }
            Err(error) => assert!(
                matches!(error.kind, ErrorKind::Rejected { .. }),
                "{}",
                error.report()
            ),
        }
    }
    assert_eq!(ask(client, "SELECT DISTINCT database FROM system.tables WHERE database != 'system' AND lower(database) != 'information_schema'").await, "ws_1");
    let databases = ask(client, "SHOW DATABASES").await;
    assert!(!databases.contains("ws_2"), "{databases}");
    engine.stop().await;
}

#[tokio::test]
async fn limits_hold() {
    let engine = two_workspaces().await;
    let client = &engine.client;
    let small = QueryLimits {
        max_execution_seconds: 1,
        max_memory_bytes: 20_000_000,
        max_result_bytes: 10_000,
    };
    for (sql, code) in [
        (
            "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))",
            159,
        ),
        (
            "SELECT sleepEachRow(1) FROM numbers(100) SETTINGS max_block_size = 1",
            164,
        ),
        ("SELECT groupArray(number) FROM numbers(100000000)", 241),
        ("SELECT number FROM numbers(100000)", 396),
        // Few bytes for ClickHouse, many as text.
        (
            "SELECT repeat('x', 9000), repeat('y', 900), repeat('\\0', 90) FORMAT JSON",
            0,
        ),
    ] {
        let result = client.user_query("ws_1", sql, "TSV", &small).await;
        if code == 0 {
            assert!(
                result.is_ok() || result.unwrap_err().kind == ErrorKind::Rejected { code: 396 }
            );
        } else {
            assert_eq!(
                result.unwrap_err().kind,
                ErrorKind::Rejected { code },
                "{sql}"
            );
        }
    }
    assert_eq!(ask(client, "SELECT count() FROM orders").await, "10");
    engine.stop().await;
}

#[tokio::test]
async fn sql_in_a_datafile_cannot_leave_its_workspace() {
    let engine = two_workspaces().await;
    let client = &engine.client;
    let mut injected = simple_plan("injected");
    injected.sorting_key = "pk) AS SELECT * FROM ws_2.hidden_things --".to_owned();
    assert!(client.create_table(&injected).await.is_err());
    for default in [
        "file('/etc/passwd')",
        "arrayMap(file, ['/etc/passwd'])[1]",
        "(SELECT max(value) FROM ws_2.hidden_things)",
    ] {
        let mut reads = simple_plan("reads");
        reads.columns[1].default = Some(default.to_owned());
        assert!(client.create_table(&reads).await.is_err(), "{default}");
    }
    // The engine itself confines the owner, too.
    let mut looks_up = simple_plan("looks_up");
    looks_up.columns[1].default =
        Some("toString(joinGet('ws_2.hidden_things', 'value', pk))".to_owned());
    assert!(client.create_table(&looks_up).await.is_err());
    engine.stop().await;
}

#[tokio::test]
async fn texts_of_a_query_do_not_reach_the_engines_logs() {
    let engine = two_workspaces().await;
    let sql = "SELECT throwIf(value = 'value3'), 'top-s3cret' FROM orders";
    let error = ask_in(&engine.client, "ws_1", sql).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected { code: 395 });
    let _ = ask_in(&engine.client, "ws_1", "SELECT toUInt8('top-s3cret')")
        .await
        .unwrap_err();
    let folder = engine.stop().await;
    for file in std::fs::read_dir(folder.path().join("logs")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
    }
}
