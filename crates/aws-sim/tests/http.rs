use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_sim::{Fault, FaultKind, RunningSim, Sim, TableSpec, World, WorldConfig};

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
