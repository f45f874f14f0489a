//! The doctor: each permission taken away once, and named.

use serde_json::{Value, json};

use super::stage::{ROLE, Stage, TABLE_ARN};
use super::wizard::{paste, policies, stage};

const ACTIONS: [(&str, &str); 13] = [
    ("dynamodb:Scan", ""),
    ("dynamodb:DescribeStream", "/stream/*"),
    ("dynamodb:DescribeExport", "/export/*"),
    ("dynamodb:GetRecords", "/stream/*"),
    ("dynamodb:GetShardIterator", "/stream/*"),
    ("dynamodb:DescribeTable", ""),
    ("dynamodb:DescribeContinuousBackups", ""),
    ("dynamodb:ExportTableToPointInTime", ""),
    ("dynamodb:UpdateTable", ""),
    ("dynamodb:UpdateContinuousBackups", ""),
    ("s3:PutObject", "bucket/*"),
    ("s3:GetObject", "bucket/*"),
    ("s3:ListBucket", "bucket"),
];

fn set_up() -> Stage {
    let mut stage = stage();
    stage.start();
    let documents = policies(
        &stage,
        &["--table", "orders", "--bucket", "my-orders-exports"],
    );
    paste(&stage, ROLE, &documents);
    let given = [
        "--name",
        "my_ddb",
        "--bucket",
        "my-orders-exports",
        "--role-arn",
        ROLE,
        "--table-arn",
        TABLE_ARN,
    ];
    let create = ["connection", "create", "dynamodb", "--yes"];
    stage.tb(&[&create, &given[..]].concat()).success();
    stage
}

fn examined(stage: &Stage, well: bool) -> Value {
    let said = stage.tb(&["connection", "doctor", "my_ddb", "--output", "json"]);
    assert_eq!(said.code, Some(i32::from(!well)), "{}", said.all());
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["ok"], well);
    report["tables"][0].clone()
}

fn actions_with(report: &Value, outcome: &str) -> Vec<String> {
    let all = report["permissions"].as_array().unwrap();
    let some = all.iter().filter(|one| one["outcome"] == outcome);
    some.map(|one| one["action"].as_str().unwrap().to_owned())
        .collect()
}

/// Everything that a call could have changed.
fn world(stage: &Stage) -> String {
    stage.aws.handle.with(|world| {
        let table = world.table_state("orders").unwrap();
        let exports = world.export_states().count();
        let objects: Vec<usize> = world
            .s3
            .buckets
            .values()
            .map(|bucket| bucket.objects.len())
            .collect();
        let (stream, pitr) = (table.stream.clone(), table.pitr.period_days);
        format!(
            "{} {stream:?} {pitr} {exports} {objects:?} {}",
            table.items.len(),
            world.s3.uploads.len()
        )
    })
}

#[test]
fn each_permission_that_is_taken_away_is_named_and_nothing_changes() {
    let stage = set_up();
    let before = world(&stage);
    let report = examined(&stage, true);
    assert_eq!(report["statements_to_add"], json!([]));
    let mut guide = actions_with(&report, "missing");
    guide.sort();
    assert_eq!(guide, ["s3:AbortMultipartUpload", "s3:PutObjectAcl"]);
    for (action, suffix) in ACTIONS {
        stage
            .aws
            .handle
            .with(|world| world.iam.deny(ROLE, action, "*"));
        let report = examined(&stage, false);
        let mut missing = actions_with(&report, "missing");
        missing.retain(|action| !guide.contains(action));
        assert_eq!(missing, [action]);
        let resource = match suffix.strip_prefix("bucket") {
            Some(rest) => format!("arn:aws:s3:::my-orders-exports{rest}"),
            None => format!("arn:aws:dynamodb:*:*:table/orders{suffix}"),
        };
        assert_eq!(
            report["statements_to_add"],
            json!([{ "Effect": "Allow", "Action": [action], "Resource": [resource] }])
        );
        stage.aws.handle.with(|world| world.iam.restore(ROLE));
    }
    assert_eq!(world(&stage), before);
    stage
        .aws
        .handle
        .with(|world| world.iam.deny(ROLE, "dynamodb:GetRecords", "*"));
    let said = stage.tb(&["connection", "doctor", "my_ddb"]).failure();
    assert_eq!(said.code, Some(1));
    let words = [
        "the dynamodb statement of the access policy has to allow dynamodb:GetRecords on arn:aws:dynamodb:*:*:table/orders/stream/*",
        "s3:AbortMultipartUpload",
        "AWS's guide",
    ];
    for word in words {
        assert!(said.all().contains(word), "no «{word}» in:\n{}", said.all());
    }
    // A plan says so too.
    let plan = stage.tb(&["plan"]).success();
    let word = "missing      dynamodb:GetRecords: ";
    assert!(
        plan.out.contains(word) && plan.err.contains("tb connection doctor"),
        "{}",
        plan.all()
    );
}

#[test]
fn what_is_off_cannot_be_tried_and_a_role_that_is_refused_is_explained() {
    let stage = set_up();
    stage.aws.handle.with(|world| {
        let off = json!({ "TableName": "orders", "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": false } });
        world.dynamodb("UpdateContinuousBackups", off).unwrap();
        let off = json!({ "TableName": "orders", "StreamSpecification": { "StreamEnabled": false } });
        world.dynamodb("UpdateTable", off).unwrap();
    });
    stage.aws.handle.advance(5000);
    let before = world(&stage);
    let report = examined(&stage, false);
    assert_eq!(
        actions_with(&report, "not_tried"),
        ["dynamodb:UpdateContinuousBackups", "dynamodb:GetRecords"]
    );
    let reasons: Vec<&Value> = report["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["reason"])
        .collect();
    assert_eq!(reasons, ["pitr_disabled", "stream_disabled"]);
    assert_eq!(world(&stage), before);

    let other = aws_sim::Role::new(ROLE, "arn:aws:iam::123456789012:root", &["another id"]);
    stage.aws.handle.with(|world| world.iam.add_role(other));
    let said = stage
        .tb(&["connection", "doctor", "my_ddb"])
        .failure()
        .all();
    for word in ["403", "external ID", "tb connection policy NAME"] {
        assert!(said.contains(word), "no «{word}» in:\n{said}");
    }
}
