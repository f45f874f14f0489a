use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sim::{Fault, FaultKind, RunningSim, Sim, TableSpec, World, WorldConfig};
use serde_json::{Value, json};

fn send(sim: &RunningSim, head: &str, body: &str) -> String {
    let address = sim.url.strip_prefix("http://").expect("plain http");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let auth = "authorization: AWS4-HMAC-SHA256 Credential=AKIA/20240101/us-east-1/x/aws4_request, Signature=0";
    let length = body.len();
    write!(stream, "{head}\r\nhost: sim\r\n{auth}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .expect("sent");
    let mut answer = Vec::new();
    // A broken connection is an answer too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn one_port_serves_every_service() {
    let sim = Sim::start(WorldConfig::default()).expect("a simulator");
    let tables = send(
        &sim,
        "POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.ListTables",
        "{}",
    );
    assert!(
        tables.contains("200 OK") && tables.ends_with(r#"{"TableNames":[]}"#),
        "{tables}"
    );
    let streams = send(
        &sim,
        "POST / HTTP/1.1\r\nx-amz-target: DynamoDBStreams_20120810.ListStreams",
        "{}",
    );
    assert!(streams.ends_with(r#"{"Streams":[]}"#), "{streams}");
    let form = "POST / HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
    let who = send(&sim, form, "Action=GetCallerIdentity&Version=2011-06-15");
    assert!(
        who.contains("<Arn>arn:aws:iam::123456789012:root</Arn>"),
        "{who}"
    );
    assert!(send(&sim, "PUT /bucket HTTP/1.1", "").contains("200 OK"));
    let chunked =
        "PUT /bucket/a%20b HTTP/1.1\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    assert!(
        send(
            &sim,
            chunked,
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n"
        )
        .contains("200 OK")
    );
    let got = send(&sim, "GET /bucket/a%20b HTTP/1.1\r\nrange: bytes=1-3", "");
    assert!(got.contains("206") && got.ends_with("ell"), "{got}");
    sim.stop();
}

#[test]
fn broken_answers_break_on_the_wire() {
    let sim = Sim::start(WorldConfig::default()).expect("a simulator");
    let list = "POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.ListTables";
    sim.handle.with(|world| {
        world
            .faults
            .add(Fault::new("ListTables", FaultKind::ConnectionReset).times(1))
    });
    assert_eq!(send(&sim, list, "{}"), "");
    sim.handle.with(|world| {
        world
            .faults
            .add(Fault::new("ListTables", FaultKind::CutBody { fraction: 0.5 }).times(1))
    });
    let cut = send(&sim, list, "{}");
    assert!(
        cut.contains("content-length: 17") && cut.ends_with("{\"TableN"),
        "{cut}"
    );
    sim.handle.with(|world| {
        world
            .faults
            .add(Fault::new("ListTables", FaultKind::SlowBody { pause_ms: 1 }).times(1))
    });
    assert!(send(&sim, list, "{}").ends_with(r#"{"TableNames":[]}"#));
}

#[test]
fn the_clock_moves_on_command() {
    let sim = Sim::start(WorldConfig::default()).expect("a simulator");
    let before = sim.handle.with(|world| world.now_ms());
    let answer = send(
        &sim,
        "POST /_sim/advance HTTP/1.1\r\ncontent-type: application/json",
        r#"{"ms":3600000}"#,
    );
    assert!(answer.contains("200 OK"), "{answer}");
    assert!(sim.handle.with(|world| world.now_ms()) >= before + 3_600_000);
}

#[test]
fn every_answer_shows_the_worlds_time() {
    let sim = Sim::on_manual_clock(World::new(WorldConfig::default()));
    let sim = sim.listen(([127, 0, 0, 1], 0).into()).expect("a simulator");
    let heads = [
        "POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.ListTables",
        "POST / HTTP/1.1\r\nx-amz-target: DynamoDBStreams_20120810.ListStreams",
        "POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.DescribeTable",
        "GET /nowhere HTTP/1.1",
    ];
    for (ms, time) in [(0, "17:24:52"), (1999, "17:24:53"), (3_600_000, "18:24:53")] {
        sim.advance(ms);
        for head in heads {
            let answer = send(&sim, head, "{}");
            let date = format!("date: Tue, 30 Jul 2024 {time} GMT\r\n");
            assert!(answer.contains(&date), "{answer}");
            assert_eq!(answer.matches("date:").count(), 1, "{answer}");
        }
    }
}

#[test]
fn poison_is_planted_over_http() {
    let sim = Sim::start(WorldConfig::default()).expect("a simulator");
    sim.handle
        .with(|world| world.create_table(&TableSpec::new("orders")))
        .expect("a table");
    let plant = "POST /_sim/poison HTTP/1.1\r\ncontent-type: application/json";
    let body =
        |kind: &str| format!(r#"{{"table":"orders","key":{{"pk":{{"S":"a"}}}},"kind":"{kind}"}}"#);
    assert!(send(&sim, plant, &body("unknown_type")).contains("200 OK"));
    assert!(send(&sim, plant, &body("arsenic")).contains("422"));
    let records = sim.handle.with(|world| {
        let shards = world.stream_states().flat_map(|stream| stream.shards());
        shards.map(|shard| shard.records.len()).sum::<usize>()
    });
    assert_eq!(records, 1);
}

#[test]
fn a_page_on_the_wire_says_what_a_typed_page_says() {
    let mut world = World::new(WorldConfig::default());
    let spec = TableSpec::new("T").range("sk", "S");
    world.create_table(&spec).expect("a table");
    world.generate_items("T", 0, 40, 300).expect("items");
    // Another text of the same items: MODIFY, with both images.
    world.generate_items("T", 0, 20, 300).expect("items");
    let arn = world.stream_states().next().expect("a stream").arn.clone();
    let shards: Vec<String> = world
        .stream_states()
        .flat_map(|stream| stream.shards().map(|shard| shard.id.clone()))
        .collect();
    let mut kinds = BTreeSet::new();
    for shard in shards {
        let iterator = world
            .get_shard_iterator(&arn, &shard, "TRIM_HORIZON", None, None)
            .expect("an iterator");
        world.config.stream.empty_page_chance = 0.0;
        let typed = world.get_records(&iterator, None).expect("a page");
        let wire = world
            .streams("GetRecords", json!({ "ShardIterator": iterator }))
            .expect("a page");
        let wire = wire["Records"].as_array().expect("records");
        assert_eq!(wire.len(), typed.records.len());
        for (wire, typed) in wire.iter().zip(&typed.records) {
            let change = &wire["dynamodb"];
            let image = |image: &Option<Arc<[u8]>>| {
                let image = image.as_ref();
                image.map_or(Value::Null, |image| {
                    serde_json::from_slice(image).expect("JSON")
                })
            };
            // Members of sets come in any order.
            let sorted = |mut image: Value| {
                if let Some(tags) = image.pointer_mut("/tags/SS").and_then(Value::as_array_mut) {
                    tags.sort_by_key(Value::to_string);
                }
                image
            };
            assert_eq!(wire["eventName"], typed.event_name);
            assert_eq!(wire["eventID"], typed.event_id);
            assert_eq!(change["SequenceNumber"], typed.sequence_number);
            assert_eq!(change["SizeBytes"], typed.size_bytes);
            assert_eq!(change["Keys"], image(&Some(typed.keys.clone())));
            assert_eq!(sorted(change["NewImage"].clone()), image(&typed.new));
            assert_eq!(sorted(change["OldImage"].clone()), image(&typed.old));
            let created = change["ApproximateCreationDateTime"].as_f64();
            assert_eq!(created, Some(typed.created_s as f64));
            kinds.insert(typed.event_name);
        }
    }
    assert_eq!(kinds, BTreeSet::from(["INSERT", "MODIFY"]));
}

#[test]
fn a_load_writes_stamped_items_at_its_rate() {
    let sim = Sim::start(WorldConfig::default()).expect("a simulator");
    let spec = TableSpec::new("T").range("sk", "S");
    sim.handle
        .with(|world| world.create_table(&spec))
        .expect("a table");
    let post = "POST /_sim/load HTTP/1.1\r\ncontent-type: application/json";
    let refused = send(&sim, post, r#"{"table":"none","rate":1,"seconds":1}"#);
    assert!(refused.contains("422"), "{refused}");
    let before = SystemTime::now();
    let body = r#"{"table":"T","rate":500,"seconds":0.4,"items":50,"bytes":300}"#;
    let started = send(&sim, post, body);
    assert!(started.ends_with(r#"{"id":1}"#), "{started}");
    let state = loop {
        let state = send(&sim, "GET /_sim/load/1 HTTP/1.1", "");
        if state.contains(r#""running":false"#) {
            break state;
        }
        std::thread::yield_now();
    };
    assert!(state.contains(r#""written":200"#), "{state}");
    // 200 writes at 500 a second: the last one is due after 0.4 s.
    assert!(before.elapsed().expect("time goes on").as_millis() >= 400);
    let items = sim.handle.with(|world| world.table_items("T"));
    assert_eq!(items.len(), 50);
    for item in items {
        let item: Value = serde_json::from_slice(&item).expect("JSON");
        let number = |name: &str| item[name]["N"].as_str().and_then(|text| text.parse().ok());
        let (n, at): (Option<u64>, Option<u64>) = (number("n"), number("written_us"));
        assert!((150..200).contains(&n.expect("a number")), "{item}");
        let at = UNIX_EPOCH + Duration::from_micros(at.expect("a stamp"));
        assert!(at >= before && at <= SystemTime::now(), "{item}");
    }
    let stamped = r#"{"table":"T","rate":1000,"seconds":0.02,"start":7000,"stamp_key":true}"#;
    send(&sim, post, stamped);
    while !send(&sim, "GET /_sim/load/2 HTTP/1.1", "").contains(r#""running":false"#) {
        std::thread::yield_now();
    }
    let items = sim.handle.with(|world| world.table_items("T"));
    let keys = items.iter().filter_map(|item| {
        let item: Value = serde_json::from_slice(item).ok()?;
        Some(item["sk"]["S"].as_str()?.split_once('-')?.0.to_owned())
    });
    assert_eq!(
        keys.filter(|number| number.starts_with("0000000070"))
            .count(),
        20
    );
    assert!(send(&sim, "GET /_sim/load/9 HTTP/1.1", "").contains("404"));
}
