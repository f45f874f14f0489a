//! A mirror that is wrong, and the ways back: verify and repair, resync, replay of the quarantine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sim::Poison;
use serde_json::Value;

use super::clickhouse::External;
use super::flow::{fill, key, order};
use super::oracle::equal;
use super::stage::{Stage, wait};

/// A mirror of 200 items in a ClickHouse that a test can damage.
fn live() -> (External, Stage) {
    let mut stage = Stage::new();
    let external = External::start(&stage.folder.path().join("clickhouse"));
    let url = format!("http://operator:secret@127.0.0.1:{}", external.port);
    stage.server_env.push(("CLICKHOUSE_URL".to_owned(), url));
    fill(&stage, 200);
    stage.set_up();
    assert_eq!(equal(&stage), 200);
    stage.wait_for_state(&["live"]);
    (external, stage)
}

/// Runs SQL behind the server's back.
#[track_caller]
fn sql(external: &External, query: &str) -> String {
    let mut wire = TcpStream::connect(("127.0.0.1", external.port)).unwrap();
    let head = "POST /?user=operator&password=secret HTTP/1.0\r\nContent-Length:";
    write!(wire, "{head} {}\r\n\r\n{query}", query.len()).unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{query}: {answer}");
    body.to_owned()
}

#[test]
fn a_table_that_somebody_dropped_is_filled_anew_by_a_resync() {
    let (external, stage) = live();
    let tables = "SELECT database FROM system.tables WHERE name = 'orders'";
    let database = sql(&external, tables);
    let database = database.trim();
    sql(&external, &format!("DROP TABLE {database}.orders SYNC"));
    sql(
        &external,
        &format!("DROP TABLE {database}.orders_quarantine SYNC"),
    );
    stage.put(&order(900, 1));
    let broken = stage.wait_for_state(&["broken"]).to_string();
    assert!(broken.contains("tb datasource resync"), "{broken}");
    stage
        .tb(&["datasource", "resync", "orders", "--yes", "--wait"])
        .success();
    assert_eq!(equal(&stage), 201);
    stage.wait_for_state(&["live"]);
}

/// Changes a row, loses one, and makes one up.
fn damage(external: &External) {
    let tables = "SELECT database FROM system.tables WHERE name = 'orders'";
    let table = format!("{}.orders", sql(external, tables).trim());
    let columns = "pk, sk, _record, _old_record, _timestamp, _event_name, _is_deleted";
    let row = "FROM {t} FINAL WHERE pk = 'CUSTOMER#00001' AND sk = 'ORDER#00001'";
    let row = row.replace("{t}", &table);
    sql(
        external,
        &format!(
            "INSERT INTO {table} ({columns}) SELECT pk, sk, '{{}}', NULL, _timestamp + INTERVAL 1 MILLISECOND, _event_name, 0 {row}"
        ),
    );
    sql(
        external,
        &format!(
            "INSERT INTO {table} ({columns}) SELECT 'CUSTOMER#00001', 'GHOST', _record, NULL, _timestamp, _event_name, 0 {row}"
        ),
    );
    sql(
        external,
        &format!("DELETE FROM {table} WHERE pk = 'CUSTOMER#00002' AND sk = 'ORDER#00002'"),
    );
}

fn found(said: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(said).unwrap();
    let mut found: Vec<String> = report["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            format!("{} {}", text(&one["kind"]), text(&one["key"]["sk"]))
        })
        .collect();
    found.sort();
    found
}

const DAMAGE: [&str; 3] = [
    "different ORDER#00001",
    "extra GHOST",
    "missing ORDER#00002",
];

/// Writes to a few keys, again and again, while `work` runs.
fn while_others_write<T>(stage: &Stage, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let done = &done;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut version = 1;
            while !done.load(Ordering::SeqCst) {
                version += 1;
                let number = 100 + version % 20;
                stage.aws.handle.with(|world| match version % 5 {
                    0 => world.delete_item("orders", &key(number)).unwrap(),
                    _ => world.put_item("orders", &order(number, version)).unwrap(),
                });
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let result = work();
        done.store(true, Ordering::SeqCst);
        result
    })
}

#[test]
fn a_damaged_mirror_is_found_and_repaired_while_writes_go_on() {
    let (external, stage) = live();
    let sample = ["datasource", "verify", "orders", "--output", "json"];
    let said = while_others_write(&stage, || stage.tb(&sample).success());
    assert_eq!(
        found(&said.out),
        Vec::<String>::new(),
        "nothing is wrong yet"
    );
    damage(&external);
    let said = while_others_write(&stage, || stage.tb(&sample).failure());
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert_eq!(found(&said.out), DAMAGE);
    let repair = ["datasource", "verify", "orders", "--repair"];
    let said = while_others_write(&stage, || stage.tb(&repair).success());
    assert!(
        said.err.contains("3 differences found and repaired"),
        "{}",
        said.all()
    );
    equal(&stage);
}

#[test]
fn an_export_finds_the_same() {
    let (external, stage) = live();
    // What changed in the minutes before the export says nothing.
    stage.aws.handle.advance(10 * 60 * 1000);
    damage(&external);
    let full = [
        "datasource",
        "verify",
        "orders",
        "--full",
        "--output",
        "json",
    ];
    let said = std::thread::scope(|scope| {
        // The mirror must be past the export's time by a minute.
        scope.spawn(|| {
            let exports = || stage.aws.handle.with(|world| world.export_states().count());
            wait("the export", || exports() == 2);
            stage.aws.handle.advance(65_000);
        });
        stage.tb(&full).failure()
    });
    assert_eq!(found(&said.out), DAMAGE);
    stage
        .tb(&["datasource", "resync", "orders", "--yes", "--wait"])
        .success();
    equal(&stage);
}

#[test]
fn a_change_of_the_sorting_key_fills_a_new_table_beside_the_live_one() {
    let (external, stage) = live();
    let file = "datasources/orders.datasource";
    stage.edit(file, "SORTING_KEY \"pk, sk\"", "SORTING_KEY \"sk, pk\"");
    let said = stage
        .tb(&["build", "--with-connections", "--no-wait"])
        .success();
    assert!(said.all().contains("a new full export"), "{}", said.all());
    while_others_write(&stage, || {
        wait("the new table", || {
            let mirror = stage.mirror().unwrap();
            mirror["resync"].is_null() && mirror["state"] == "live"
        });
    });
    let keys = "SELECT sorting_key FROM system.tables WHERE name = 'orders'";
    assert_eq!(sql(&external, keys).trim(), "sk, pk");
    equal(&stage);
}

#[test]
fn what_cannot_be_converted_is_shown_and_stays_until_it_can() {
    let (_external, stage) = live();
    stage
        .aws
        .handle
        .with(|world| world.plant_poison("orders", &key(3), Poison::UnknownEvent))
        .unwrap();
    wait("the quarantine", || {
        stage.mirror().unwrap()["quarantined"] == 1
    });
    let ls = [
        "datasource",
        "quarantine",
        "ls",
        "orders",
        "--output",
        "json",
    ];
    let listed: Value = serde_json::from_str(&stage.tb(&ls).success().out).unwrap();
    let text = |name: &str| listed[0][name].as_str().unwrap().to_owned();
    assert!(!text("reason").is_empty());
    let (origin, position) = (text("origin"), text("position"));
    let show = [
        "datasource",
        "quarantine",
        "show",
        "orders",
        &origin,
        &position,
    ];
    let raw: Value = serde_json::from_str(&stage.tb(&show).success().out).unwrap();
    let whole = &raw["Keys"];
    assert_eq!(whole["eventName"], "REPLICATE", "the record as AWS sent it");
    assert_eq!(whole["dynamodb"]["Keys"]["sk"]["S"], "ORDER#00003");
    let replay = ["datasource", "quarantine", "replay", "orders"];
    let said = stage.tb(&replay).failure();
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("1 record stays"), "{}", said.all());
    assert_eq!(stage.mirror().unwrap()["quarantined"], 1);
}
