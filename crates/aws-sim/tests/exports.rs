use std::io::Read as _;

use aws_sim::{Fault, FaultKind, World};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::scenario::{code, key, put, world};

const MINUTE_MS: i64 = 60 * 1000;

fn arn() -> &'static str {
    "arn:aws:dynamodb:us-east-1:123456789012:table/t"
}

pub(crate) fn start(world: &mut World, more: Value) -> Result<Value, aws_sim::ApiError> {
    let mut body = json!({"TableArn": arn(), "S3Bucket": "b"});
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        body[name] = value;
    }
    world
        .dynamodb("ExportTableToPointInTime", body)
        .map(|answer| answer["ExportDescription"].clone())
}

fn describe(world: &mut World, export: &Value) -> Value {
    let answer = world
        .dynamodb("DescribeExport", json!({"ExportArn": export["ExportArn"]}))
        .expect("describe");
    answer["ExportDescription"].clone()
}

fn manifest(world: &World, done: &Value) -> (Value, Vec<Value>) {
    let read = |key: &str| world.s3.body("b", key).expect("an object");
    let summary: Value =
        serde_json::from_slice(&read(done["ExportManifest"].as_str().expect("a key")))
            .expect("a summary");
    let text = read(summary["manifestFilesS3Key"].as_str().expect("a key"));
    let files = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    (
        summary,
        files
            .map(|line| serde_json::from_slice(line).expect("a line"))
            .collect(),
    )
}

pub(crate) fn lines(world: &World, done: &Value) -> Vec<Value> {
    let (_, files) = manifest(world, done);
    let mut out = Vec::new();
    for file in files {
        let body = world
            .s3
            .body("b", file["dataFileS3Key"].as_str().expect("a key"))
            .expect("an object");
        let mut text = String::new();
        if !body.is_empty() {
            MultiGzDecoder::new(body.as_ref())
                .read_to_string(&mut text)
                .expect("gzip");
        }
        let rows: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line"))
            .collect();
        assert_eq!(json!(rows.len()), file["itemCount"]);
        out.extend(rows);
    }
    out
}

fn values(world: &World, done: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = lines(world, done)
        .iter()
        .map(|line| {
            (
                text(&line["Item"]["pk"]["S"]),
                text(&line["Item"]["v"]["N"]),
            )
        })
        .collect();
    found.sort();
    found
}

pub(crate) fn finished(world: &mut World, export: &Value) -> Value {
    world.advance(world.config.export.duration_ms);
    describe(world, export)
}

#[test]
fn an_export_is_the_table_at_its_export_time() {
    let mut world = world(|config| config.export.duration_ms = 10 * MINUTE_MS);
    world.s3.create_bucket("b", "us-east-1");
    put(&mut world, "a", "1");
    put(&mut world, "b", "1");
    world.advance(10_000);
    let past = world.now_ms() / 1000;
    world.advance(10_000);
    put(&mut world, "a", "2");
    world.delete_item("t", &key("b")).expect("delete");
    put(&mut world, "c", "1");
    let earlier = start(&mut world, json!({"ExportTime": past})).expect("an export");
    let now = start(&mut world, json!({"S3Prefix": "p"})).expect("an export");
    put(&mut world, "a", "3");
    world.advance(5 * MINUTE_MS);
    assert_eq!(describe(&mut world, &now)["ExportStatus"], "IN_PROGRESS");
    assert!(
        world
            .s3
            .keys("b", "p/")
            .iter()
            .any(|key| key.contains("/data/")),
        "files appear before the end"
    );
    let (earlier, now) = (finished(&mut world, &earlier), describe(&mut world, &now));
    assert_eq!(now["ExportStatus"], "COMPLETED");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(values(&world, &earlier), [pair("a", "1"), pair("b", "1")]);
    assert_eq!(values(&world, &now), [pair("a", "2"), pair("c", "1")]);
    assert!(
        now["ExportManifest"]
            .as_str()
            .is_some_and(|key| key.starts_with("p/AWSDynamoDB/"))
    );
}

#[test]
fn fuzz_moves_the_cut_by_less_than_its_bound() {
    for seed in 0..20 {
        let mut world = world(|config| {
            config.seed = seed;
            config.export.duration_ms = 10 * MINUTE_MS;
            config.export.fuzz_ms = MINUTE_MS;
        });
        world.s3.create_bucket("b", "us-east-1");
        let write = |world: &mut World, from: i64, to: i64| {
            for second in from..to {
                for name in ["a", "b", "c", "d", "e"] {
                    put(world, name, &second.to_string());
                }
                world.advance(1000);
            }
        };
        write(&mut world, 0, 200);
        let export = start(&mut world, json!({})).expect("an export");
        write(&mut world, 200, 400);
        let done = finished(&mut world, &export);
        for (name, value) in values(&world, &done) {
            let second: i64 = value.parse().expect("a number");
            assert!(
                (138..=261).contains(&second),
                "seed {seed}: {name} is from second {second}"
            );
        }
    }
}

#[test]
fn tokens_are_idempotent_for_eight_hours() {
    let mut world = world(|_| ());
    world.s3.create_bucket("b", "us-east-1");
    let first = start(&mut world, json!({"ClientToken": "x"})).expect("an export");
    let again = start(&mut world, json!({"ClientToken": "x"})).expect("the same");
    assert_eq!(first["ExportArn"], again["ExportArn"]);
    assert_eq!(
        code(start(
            &mut world,
            json!({"ClientToken": "x", "S3Prefix": "p"})
        )),
        "ExportConflictException"
    );
    assert_eq!(
        code(start(
            &mut world,
            json!({"ClientToken": "y", "S3Prefix": ""})
        )),
        "ValidationException"
    );
    assert!(
        start(&mut world, json!({"ClientToken": "y"})).is_ok(),
        "a refused request does not use up its token"
    );
    world.advance(9 * 60 * MINUTE_MS);
    let later = start(&mut world, json!({"ClientToken": "x"})).expect("a new export");
    assert_ne!(first["ExportArn"], later["ExportArn"]);
    let future = world.now_ms() / 1000 + 60;
    assert_eq!(
        code(start(&mut world, json!({"ExportTime": future}))),
        "InvalidExportTimeException"
    );
    assert_eq!(
        code(start(&mut world, json!({"ExportTime": 1}))),
        "InvalidExportTimeException"
    );
}

#[test]
fn incremental_exports_hold_one_line_per_changed_item() {
    let mut world = world(|_| ());
    world.s3.create_bucket("b", "us-east-1");
    put(&mut world, "a", "1");
    put(&mut world, "b", "1");
    world.advance(20 * MINUTE_MS);
    let from = world.now_ms() / 1000;
    world.advance(1000);
    put(&mut world, "a", "2");
    put(&mut world, "a", "3");
    world.delete_item("t", &key("b")).expect("delete");
    put(&mut world, "brief", "1");
    world.delete_item("t", &key("brief")).expect("delete");
    put(&mut world, "new", "1");
    world.advance(20 * MINUTE_MS);
    let to = world.now_ms() / 1000;
    put(&mut world, "a", "9");
    let spec = json!({"ExportFromTime": from, "ExportToTime": to});
    let request =
        json!({"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": spec});
    let export = start(&mut world, request).expect("an export");
    let done = finished(&mut world, &export);
    let (summary, files) = manifest(&world, &done);
    assert_eq!(summary["version"], "2023-08-01");
    assert!(files.iter().all(|file| {
        file["dataFileS3Key"]
            .as_str()
            .is_some_and(|key| key.starts_with("AWSDynamoDB/data/"))
    }));
    let mut lines = lines(&world, &done);
    lines.sort_by_key(|line| line["Keys"]["pk"]["S"].to_string());
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            json!([
                line["Keys"]["pk"]["S"],
                line["OldImage"]["v"]["N"],
                line["NewImage"]["v"]["N"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!(["a", "1", "3"]),
            json!(["b", "1", null]),
            json!(["new", null, "1"])
        ]
    );
}

#[test]
fn failures_show_when_the_export_ends() {
    let mut world = world(|_| ());
    put(&mut world, "a", "1");
    let absent = start(&mut world, json!({})).expect("accepted");
    let absent = finished(&mut world, &absent);
    assert_eq!(
        (&absent["ExportStatus"], &absent["FailureCode"]),
        (&json!("FAILED"), &json!("S3NoSuchBucket"))
    );
    world.s3.create_bucket("b", "us-east-1");
    let fault = FaultKind::ExportFailed {
        code: "Boom".to_owned(),
        message: "why".to_owned(),
    };
    world
        .faults
        .add(Fault::new("ExportTableToPointInTime", fault).times(1));
    let planned = start(&mut world, json!({})).expect("accepted");
    assert_eq!(finished(&mut world, &planned)["FailureMessage"], "why");
    let update = |on: bool| json!({"TableName": "t", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": on}});
    let running = start(&mut world, json!({})).expect("accepted");
    world
        .dynamodb("UpdateContinuousBackups", update(false))
        .expect("off");
    assert_eq!(
        code(start(&mut world, json!({}))),
        "PointInTimeRecoveryUnavailableException"
    );
    assert_eq!(finished(&mut world, &running)["ExportStatus"], "COMPLETED");
}

#[test]
fn manifest_faults_are_visible_to_a_verifying_reader() {
    let mut world = world(|_| ());
    world.s3.create_bucket("b", "us-east-1");
    put(&mut world, "a", "1");
    for kind in [
        FaultKind::WrongManifestMd5,
        FaultKind::WrongManifestItemCount,
        FaultKind::TruncatedDataFile,
    ] {
        world
            .faults
            .add(Fault::new("ExportTableToPointInTime", kind.clone()).times(1));
        let export = start(&mut world, json!({})).expect("accepted");
        let done = finished(&mut world, &export);
        let (summary, files) = manifest(&world, &done);
        let counted: i64 = files
            .iter()
            .filter_map(|file| file["itemCount"].as_i64())
            .sum();
        let wrong = files.iter().any(|file| {
            let body = world
                .s3
                .body("b", file["dataFileS3Key"].as_str().unwrap_or_default())
                .unwrap_or_default();
            let mut text = String::new();
            !body.is_empty()
                && MultiGzDecoder::new(body.as_ref())
                    .read_to_string(&mut text)
                    .is_err()
        });
        match kind {
            FaultKind::WrongManifestItemCount => assert_ne!(json!(counted), summary["itemCount"]),
            FaultKind::TruncatedDataFile => assert!(wrong),
            _ => assert!(
                files
                    .iter()
                    .any(|file| file["md5Checksum"] == "WlpaWlpaWlpaWlpaWlpaWg==")
            ),
        }
    }
}

#[test]
fn an_export_may_be_ready_beforehand() {
    let mut world = world(|_| ());
    world.s3.create_bucket("b", "us-east-1");
    for name in ["a", "b", "c", "d", "e"] {
        put(&mut world, name, "1");
    }
    let done = start(&mut world, json!({})).expect("an export");
    world.advance(MINUTE_MS);
    let done = describe(&mut world, &done);
    let (_, files) = manifest(&world, &done);
    let folder = std::env::temp_dir().join(format!("aws-sim-ready-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("data")).expect("a folder");
    let mut text = String::new();
    for file in &files {
        let key = file["dataFileS3Key"].as_str().expect("a key");
        let name = key.rsplit('/').next().expect("a name");
        let body = world.s3.body("b", key).expect("an object");
        std::fs::write(folder.join("data").join(name), body).expect("written");
        text.push_str(&format!("{file}\n"));
    }
    std::fs::write(folder.join("manifest-files.json"), text).expect("written");

    let mut other = crate::scenario::world(|_| ());
    other.s3.create_bucket("b", "us-east-1");
    let items = other.offer_export("t", &folder).expect("a ready export");
    let again = start(&mut other, json!({})).expect("an export");
    other.advance(MINUTE_MS);
    let again = describe(&mut other, &again);
    assert_eq!(again["ExportStatus"], "COMPLETED");
    assert_eq!(again["ItemCount"], json!(items));
    assert_eq!((lines(&other, &again), items), (lines(&world, &done), 5));

    std::fs::write(folder.join("manifest-files.json"), "{\"itemCount\":1}\n").expect("written");
    assert!(other.offer_export("t", &folder).is_err());
    std::fs::remove_dir_all(&folder).expect("removed");
}
