//! A second table beside the live one, and the exchange of their names.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mirror::error::ErrorKind;
use mirror::plan::MirrorPlan;
use mirror::plan::SHADOW_SUFFIX;
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use mirror::warehouse::Warehouse;
use sink_clickhouse::ClickHouse;

use crate::support::{DATABASE, Engine, ExternalServer, ask, ask_in, column, rows, simple_plan};

fn shadow_of(plan: &MirrorPlan) -> MirrorPlan {
    let mut shadow = plan.clone();
    shadow.table.push_str(SHADOW_SUFFIX);
    shadow
}

fn quarantined(position: &str) -> QuarantinedRecord {
    QuarantinedRecord {
        origin: "shard".to_owned(),
        position: position.to_owned(),
        column: String::new(),
        reason: "broken".to_owned(),
        raw_record: Vec::new(),
        version_ms: 0,
    }
}

async fn count(client: &ClickHouse, table: &str) -> String {
    ask(client, &format!("SELECT count() FROM `{table}` FINAL")).await
}

#[tokio::test]
async fn a_shadow_with_the_mark_stays_and_any_other_is_made_anew() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let shadow = shadow_of(&simple_plan("orders"));
    let mark = "resync 'one' \\ é";
    for mark in [mark, "two", mark] {
        client
            .create_shadow(&shadow, mark)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(count(client, "orders__resync").await, "0");
        client
            .insert(&shadow, &rows(&shadow, 0..10), RowOrder::Free)
            .await
            .unwrap();
        client
            .quarantine(&shadow, &[quarantined("1")])
            .await
            .unwrap();
        client.create_shadow(&shadow, mark).await.unwrap();
        assert_eq!(count(client, "orders__resync").await, "10");
        assert_eq!(count(client, "orders__resync_quarantine").await, "1");
    }
    // A table that nobody marked, as a process leaves it that knows of no marks.
    client.drop_table(DATABASE, &shadow.table).await.unwrap();
    client.create_table(&shadow).await.unwrap();
    client
        .insert(&shadow, &rows(&shadow, 0..10), RowOrder::Free)
        .await
        .unwrap();
    client.create_shadow(&shadow, mark).await.unwrap();
    assert_eq!(count(client, "orders__resync").await, "0");
    assert!(client.create_shadow(&shadow, "").await.is_err());
    // The same mark on another schema is somebody's mistake.
    let mut other = shadow.clone();
    other.columns.insert(2, column("more", "String"));
    let error = client.create_shadow(&other, mark).await.unwrap_err();
    assert!(
        error.report().contains("column more is missing"),
        "{}",
        error.report()
    );
    engine.stop().await;
}

#[tokio::test]
async fn an_exchange_is_done_once_however_often_and_wherever_it_was_cut_off() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let plan = simple_plan("orders");
    // Another sorting key and another column: what a resync is for.
    let mut shadow = shadow_of(&plan);
    shadow.columns.insert(2, column("sk", "String"));
    shadow.sorting_key = "pk, sk".to_owned();
    client.create_table(&plan).await.unwrap();
    client
        .insert(&plan, &rows(&plan, 0..5), RowOrder::Free)
        .await
        .unwrap();
    client
        .quarantine(&plan, &[quarantined("1"), quarantined("2")])
        .await
        .unwrap();
    let exchange = || client.exchange(DATABASE, "orders", "orders__resync", "m");

    let error = exchange().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(
        error.report().contains("there is no table orders__resync"),
        "{}",
        error.report()
    );
    client.create_shadow(&shadow, "another").await.unwrap();
    let error = exchange().await.unwrap_err();
    assert!(
        error.report().contains("made for something else"),
        "{}",
        error.report()
    );
    client.create_shadow(&shadow, "m").await.unwrap();
    let mut batch = shadow.new_batch();
    for key in ["a", "b", "c"] {
        for text in [0, 1, 2] {
            batch.columns[text].push_text(key.as_bytes());
        }
        batch.columns[3].push_fixed(&1_700_000_000_000_i64.to_le_bytes());
        batch.columns[4].push_fixed(&[0]);
        batch.rows += 1;
    }
    client
        .insert(&shadow, &batch, RowOrder::Free)
        .await
        .unwrap();
    assert!(
        client
            .exchange(DATABASE, "orders", "orders__resync", "")
            .await
            .is_err()
    );
    for _ in 0..3 {
        exchange()
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(count(client, "orders").await, "3");
        assert_eq!(count(client, "orders__resync").await, "5");
        assert_eq!(count(client, "orders_quarantine").await, "0");
        assert_eq!(count(client, "orders__resync_quarantine").await, "2");
    }
    // The live table goes on under its name.
    let mut live = shadow.clone();
    live.table = "orders".to_owned();
    client.create_table(&live).await.unwrap();
    client.insert(&live, &batch, RowOrder::Free).await.unwrap();
    client.drop_table(DATABASE, "orders__resync").await.unwrap();
    exchange().await.unwrap();
    assert_eq!(count(client, "orders").await, "3");
    let error = client
        .exchange(DATABASE, "nothing", "nowhere", "m")
        .await
        .unwrap_err();
    assert!(
        error.report().contains("there is no table nothing"),
        "{}",
        error.report()
    );
    engine.stop().await;
}

#[tokio::test]
async fn a_table_that_is_gone_is_replaced_and_nothing_else_takes_its_name() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let plan = simple_plan("orders");
    let shadow = shadow_of(&plan);
    client.create_table(&plan).await.unwrap();
    client.create_shadow(&shadow, "m").await.unwrap();
    client
        .insert(&shadow, &rows(&shadow, 0..3), RowOrder::Free)
        .await
        .unwrap();
    client.drop_table(DATABASE, "orders").await.unwrap();
    let exchange = |mark| client.exchange(DATABASE, "orders", "orders__resync", mark);
    let error = exchange("another").await.unwrap_err().report();
    assert!(error.contains("made for something else"), "{error}");
    for _ in 0..2 {
        exchange("m").await.unwrap();
        assert_eq!(count(client, "orders").await, "3");
    }
    engine.stop().await;
}

#[tokio::test]
async fn an_exchange_that_was_cut_between_the_tables_and_their_quarantines_is_finished() {
    let server = ExternalServer::start().await;
    let client = server.client();
    client.create_database("a").await.unwrap();
    assert_eq!(
        server
            .ask("SELECT engine FROM system.databases WHERE name = 'a'")
            .await,
        "Atomic"
    );
    let mut plan = simple_plan("orders");
    plan.database = "a".to_owned();
    let shadow = shadow_of(&plan);
    for (done, cut) in [
        ("first", "EXCHANGE TABLES a.orders AND a.orders__resync"),
        (
            "second",
            "EXCHANGE TABLES a.orders_quarantine AND a.orders__resync_quarantine",
        ),
    ] {
        client.create_table(&plan).await.unwrap();
        client
            .insert(&plan, &rows(&plan, 0..5), RowOrder::Free)
            .await
            .unwrap();
        client.quarantine(&plan, &[quarantined("1")]).await.unwrap();
        client.create_shadow(&shadow, done).await.unwrap();
        server.ask(cut).await;
        client
            .exchange("a", "orders", "orders__resync", done)
            .await
            .unwrap();
        for (table, rows) in [
            ("orders", "0"),
            ("orders__resync", "5"),
            ("orders_quarantine", "0"),
            ("orders__resync_quarantine", "1"),
        ] {
            let sql = format!("SELECT count() FROM a.{table} FINAL");
            assert_eq!(server.ask(&sql).await, rows, "{done}: {table}");
        }
        client.drop_table("a", "orders").await.unwrap();
        client.drop_table("a", "orders__resync").await.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_database_that_cannot_exchange_is_told_before_anything_is_done() {
    let server = ExternalServer::start().await;
    let client = server.client();
    // Not Atomic: the engine's own database.
    let mut plan = simple_plan("orders");
    plan.database = "default".to_owned();
    client.create_table(&plan).await.unwrap();
    let error = client
        .create_shadow(&shadow_of(&plan), "m")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(
        error.report().contains("engine Atomic"),
        "{}",
        error.report()
    );
    assert_eq!(server.ask("EXISTS TABLE default.orders__resync").await, "0");
    server.stop().await;
}

#[tokio::test]
async fn readers_never_meet_a_missing_or_empty_table() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let mut plan = simple_plan("orders");
    client.create_table(&plan).await.unwrap();
    client
        .insert(&plan, &rows(&plan, 0..1000), RowOrder::Free)
        .await
        .unwrap();
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let read = async {
        while !stop.load(Ordering::SeqCst) {
            let answer = ask_in(
                client,
                DATABASE,
                "SELECT count(), uniqExact(value) FROM orders FINAL",
            )
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
            assert_eq!(answer, "1000\t1000");
            answers.fetch_add(1, Ordering::SeqCst);
        }
    };
    let exchange = async {
        for round in 0..50 {
            let mark = format!("round {round}");
            // Every other round with another sorting key.
            plan.sorting_key = ["pk", "pk, cityHash64(pk)"][round % 2].to_owned();
            let shadow = shadow_of(&plan);
            client.create_shadow(&shadow, &mark).await.unwrap();
            client
                .insert(&shadow, &rows(&shadow, 0..1000), RowOrder::Free)
                .await
                .unwrap();
            let before = answers.load(Ordering::SeqCst);
            client
                .exchange(DATABASE, "orders", "orders__resync", &mark)
                .await
                .unwrap_or_else(|error| panic!("{}", error.report()));
            client.drop_table(DATABASE, "orders__resync").await.unwrap();
            while answers.load(Ordering::SeqCst) < before + 2 {
                tokio::task::yield_now().await;
            }
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(read, read_quarantine(client, &stop), exchange);
    assert!(answers.load(Ordering::SeqCst) > 100);
    assert_eq!(
        ask(client, "SHOW TABLES").await,
        "orders\norders_quarantine"
    );
    engine.stop().await;
}

async fn read_quarantine(client: &ClickHouse, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        assert_eq!(count(client, "orders_quarantine").await, "0");
    }
}

#[tokio::test]
async fn statistics_do_not_show_shadows() {
    let engine = Engine::start().await;
    let client = &engine.client;
    let plan = simple_plan("orders");
    client.create_table(&plan).await.unwrap();
    client.create_shadow(&shadow_of(&plan), "m").await.unwrap();
    let tables: Vec<_> = client
        .stats(DATABASE)
        .await
        .unwrap()
        .into_iter()
        .map(|stats| stats.table)
        .collect();
    assert_eq!(tables, ["orders", "orders_quarantine"]);
    engine.stop().await;
}
