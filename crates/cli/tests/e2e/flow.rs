//! The happy path, and the process dying on it.

use aws_sim::{Attr, Map};

use super::oracle::equal;
use super::stage::{Stage, signal, wait};

pub(crate) fn key(number: u32) -> Map {
    let text = |prefix: &str, n: u32| Attr::S(format!("{prefix}#{n:05}"));
    Map::from([
        ("pk".to_owned(), text("CUSTOMER", number / 5)),
        ("sk".to_owned(), text("ORDER", number % 5)),
    ])
}

/// An order with every type of attribute.
pub(crate) fn order(number: u32, version: u32) -> Map {
    let text = |value: &str| Attr::S(value.to_owned());
    let mut item = key(number);
    let digits = format!("{}{:028}", 1_234_567_890_u64 + u64::from(number), version);
    let odd = Map::from([
        ("with.dot \"quote\" ü \u{1}".to_owned(), text("")),
        ("🙂".to_owned(), Attr::L(vec![Attr::Null, Attr::Bool(true)])),
    ]);
    item.extend([
        ("id".to_owned(), Attr::S(format!("order-{number}"))),
        ("version".to_owned(), Attr::N(version.to_string())),
        ("exact".to_owned(), Attr::N(digits)),
        ("amount".to_owned(), Attr::N(format!("{}.5", number % 977))),
        (
            "note".to_owned(),
            text("line\nbreak \\ \"quoted\" – 東京 🙂"),
        ),
        (
            "tags".to_owned(),
            Attr::Ss(vec!["b".to_owned(), "a".to_owned(), "ü".to_owned()]),
        ),
        (
            "scores".to_owned(),
            Attr::Ns(vec!["10".to_owned(), "-2.5".to_owned(), "9".to_owned()]),
        ),
        ("blob".to_owned(), Attr::B(vec![0, 255, number as u8])),
        ("empty".to_owned(), Attr::M(Map::new())),
        ("odd".to_owned(), Attr::M(odd)),
    ]);
    item
}

/// Inserts, updates and deletes that hit the same keys again and again.
pub(crate) fn churn(stage: &Stage, round: u32, changes: u32) {
    stage.aws.handle.with(|world| {
        for n in 0..changes {
            let number = (n * 7919 + round * 31) % 400;
            match (n + round) % 4 {
                0 => world.delete_item("orders", &key(number)).unwrap(),
                _ => world
                    .put_item("orders", &order(number, round * 10_000 + n))
                    .unwrap(),
            }
        }
    });
}

pub(crate) fn fill(stage: &Stage, items: u32) {
    stage.aws.handle.with(|world| {
        for number in 0..items {
            world.put_item("orders", &order(number, 0)).unwrap();
        }
    });
}

#[test]
fn a_table_appears_and_is_followed_through_splits_kills_and_restarts() {
    let mut stage = Stage::new();
    fill(&stage, 300);
    stage.set_up();
    assert_eq!(equal(&stage), 300);
    let live = stage.wait_for_state(&["live"]);
    assert_eq!(live["quarantined"], 0, "{live}");

    for round in 1..=3 {
        churn(&stage, round, 200);
        stage
            .aws
            .handle
            .with(|world| world.split_shards("orders", None));
        churn(&stage, round + 10, 200);
        match round {
            1 => {
                stage.kill();
                churn(&stage, 50, 100);
                stage.start();
            }
            2 => signal("-KILL", stage.engine_pid().unwrap()),
            _ => {
                assert_eq!(stage.stop(), Some(0));
                churn(&stage, 60, 100);
                stage.start();
            }
        }
        churn(&stage, round + 20, 200);
        equal(&stage);
    }
    let exports = stage.aws.handle.with(|world| world.export_states().count());
    assert_eq!(exports, 1, "one export, however often the server died");
}

#[test]
fn the_page_s_own_query_answers() {
    let mut stage = Stage::new();
    fill(&stage, 3);
    stage.set_up();
    let rows = stage.rows(
        "SELECT JSONExtractString(_record, 'id') AS id, _event_name FROM orders FINAL ORDER BY id",
    );
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["id"], "order-0");
}

#[test]
fn changes_before_and_during_the_export_are_kept() {
    let mut stage = Stage::new();
    stage
        .aws
        .handle
        .with(|world| world.config.export.duration_ms = 3_000);
    fill(&stage, 200);
    stage.start();
    stage.set_secret();
    let said = stage
        .tb(&["build", "--with-connections", "--no-wait"])
        .success();
    assert!(
        said.all()
            .contains("arn:aws:dynamodb:us-east-1:123456789012:table/orders/export/"),
        "{}",
        said.all()
    );
    wait("rows of the stream before the export is complete", || {
        !stage.rows("SELECT 1 FROM orders LIMIT 1").is_empty()
    });
    stage.wait_for_state(&["backfilling"]);
    churn(&stage, 1, 300);
    stage.kill();
    stage.start();
    churn(&stage, 2, 300);
    stage.wait_for_state(&["live"]);
    equal(&stage);
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        1
    );
}

#[test]
fn a_removed_item_keeps_its_tombstone_and_leaves_final() {
    let mut stage = Stage::new();
    fill(&stage, 2);
    stage.set_up();
    stage
        .aws
        .handle
        .with(|world| world.delete_item("orders", &key(1)).unwrap());
    assert_eq!(equal(&stage), 1);
    let rows = stage.rows(
        "SELECT _event_name, _is_deleted, _record, _old_record FROM orders WHERE _is_deleted = 1",
    );
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["_event_name"], "REMOVE");
    assert_eq!(rows[0]["_record"], "");
    assert!(rows[0]["_old_record"].as_str().unwrap().contains("order-1"));
}

#[test]
fn stop_holds_a_mirror_and_start_goes_on_where_it_was() {
    let mut stage = Stage::new();
    fill(&stage, 20);
    stage.set_up();
    stage.tb(&["datasource", "stop", "orders"]).success();
    stage.wait_for_state(&["stopped"]);
    churn(&stage, 1, 200);
    stage.kill();
    stage.start();
    stage.wait_for_state(&["stopped"]);
    stage.tb(&["datasource", "start", "orders"]).success();
    equal(&stage);
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        1
    );
}

#[test]
fn a_second_build_changes_nothing_and_asks_for_no_export() {
    let mut stage = Stage::new();
    fill(&stage, 5);
    stage.set_up();
    stage.tb(&["build", "--with-connections"]).success();
    stage.tb(&["build"]).success();
    stage.tb(&["deploy", "--no-wait"]).success();
    equal(&stage);
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        1
    );
}

#[test]
fn a_change_that_loses_data_is_refused_without_the_flag() {
    let mut stage = Stage::new();
    fill(&stage, 30);
    stage.set_up();
    equal(&stage);
    stage.edit(
        "datasources/orders.datasource",
        "    _old_record Nullable(String) `json:$.OldImage`,\n",
        "",
    );
    // With connections it would be filled anew beside the live table, and nothing lost.
    let said = stage.tb(&["build"]).failure();
    assert!(
        said.all().contains("--allow-destructive-operations"),
        "{}",
        said.all()
    );
    assert_eq!(equal(&stage), 30, "nothing was touched");
    stage
        .tb(&[
            "build",
            "--with-connections",
            "--allow-destructive-operations",
            "--wait",
        ])
        .success();
    assert_eq!(equal(&stage), 30, "filled again from a new export");
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        2
    );
}

#[test]
fn number_keys_that_a_float_cannot_hold_go_to_quarantine_and_never_meet() {
    let mut stage = Stage::with(
        aws_sim::WorldConfig::default(),
        &aws_sim::TableSpec::new("orders").range("sk", "N"),
    );
    stage.edit(
        "datasources/orders.datasource",
        "sk String `json:$.Item.sk`",
        "sk Float64 `json:$.Item.sk`",
    );
    for sk in ["1", "9007199254740992", "9007199254740993"] {
        let item = Map::from([
            ("pk".to_owned(), Attr::S("a".to_owned())),
            ("sk".to_owned(), Attr::N(sk.to_owned())),
        ]);
        stage.put(&item);
    }
    stage.set_up();
    let live = stage.wait_for_state(&["live"]);
    wait("the rows", || {
        stage.rows("SELECT sk FROM orders FINAL").len() == 2
    });
    assert!(live["quarantined"].as_u64().unwrap() >= 1, "{live}");
    let rows = stage.rows("SELECT reason, raw_record FROM orders_quarantine FINAL");
    assert!(
        rows.iter().all(|row| row["raw_record"]
            .as_str()
            .unwrap()
            .contains("9007199254740993")),
        "{rows:?}"
    );
    let said = stage.tb(&["datasource", "ls"]).success();
    assert!(said.all().contains("quarantine"), "{}", said.all());
}
