//! What cannot work is refused on the spot, with the sentence users search for and what to do.

use aws_sim::{Fault, FaultKind, Role, TableSpec, ViewType, WorldConfig};

use super::flow::fill;
use super::oracle::equal;
use super::stage::{ROLE, Stage, TABLE_ARN, orders_table};

#[track_caller]
fn refused(stage: &Stage, words: &[&str]) {
    let said = stage.tb(&["build", "--with-connections"]).failure();
    for word in words {
        assert!(said.all().contains(word), "no «{word}» in:\n{}", said.all());
    }
}

#[test]
fn a_missing_secret_names_file_line_and_command() {
    let mut stage = Stage::new();
    stage.start();
    refused(
        &stage,
        &[
            "my_ddb.connection",
            "dynamodb_role_arn_my_ddb",
            "tb secret set dynamodb_role_arn_my_ddb",
        ],
    );
}

#[test]
fn every_mistake_of_a_project_is_reported_at_once() {
    let stage = Stage::new();
    stage.edit(
        "datasources/orders.datasource",
        "\"ReplacingMergeTree\"",
        "\"MergeTree\"",
    );
    stage.edit(
        "datasources/orders.datasource",
        "my-orders-exports",
        "s3://my-orders-exports",
    );
    stage.edit("connections/my_ddb.connection", "us-east-1", "eu-west-1");
    let said = stage.tb(&["check"]).failure();
    for word in [
        "MergeTree",
        "s3://",
        "eu-west-1",
        "orders.datasource",
        "my_ddb.connection",
    ] {
        assert!(said.all().contains(word), "no «{word}» in:\n{}", said.all());
    }
    assert_eq!(said.code, Some(1));
}

#[test]
fn a_refused_role_names_principal_and_external_id_and_then_works() {
    let mut stage = Stage::with(
        WorldConfig {
            open_roles: false,
            ..Default::default()
        },
        &orders_table(),
    );
    fill(&stage, 10);
    stage.start();
    stage.set_secret();
    let said = stage.tb(&["build", "--with-connections"]).failure().all();
    assert!(said.contains("403"), "{said}");
    let mut words = said
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
    let external_id = words
        .rfind(|word| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit()))
        .expect("the external id is in the message")
        .to_owned();
    stage.aws.handle.with(|world| {
        let role = Role::new(ROLE, "123456789012", &[&external_id])
            .with_connector_policy(TABLE_ARN, "my-orders-exports");
        world.iam.add_role(role);
    });
    stage
        .tb(&["build", "--with-connections", "--wait"])
        .success();
    assert_eq!(equal(&stage), 10);
}

#[test]
fn a_table_that_does_not_exist_is_named() {
    let mut stage = Stage::empty(WorldConfig::default());
    stage.start();
    stage.set_secret();
    refused(&stage, &["The DynamoDB table was not found.", TABLE_ARN]);
}

#[test]
fn pitr_and_stream_that_are_off_are_switched_on() {
    let mut stage = Stage::empty(WorldConfig::default());
    let spec = TableSpec {
        view: None,
        pitr: false,
        ..orders_table()
    };
    stage
        .aws
        .handle
        .with(|world| world.create_table(&spec).unwrap());
    fill(&stage, 10);
    stage.start();
    stage.set_secret();
    let said = stage
        .tb(&["build", "--with-connections", "--no-wait"])
        .success()
        .all();
    assert!(
        said.contains("Point-in-Time Recovery (PITR) was off and has been switched on"),
        "{said}"
    );
    assert!(
        said.contains("DynamoDB Streams was off and has been switched on"),
        "{said}"
    );
}

#[test]
fn pitr_and_stream_that_may_not_be_switched_on_are_refused() {
    for (spec, action, sentence) in [
        (
            TableSpec {
                pitr: false,
                ..orders_table()
            },
            "dynamodb:UpdateContinuousBackups",
            "Point-in-Time Recovery (PITR) must be enabled.",
        ),
        (
            TableSpec {
                view: None,
                ..orders_table()
            },
            "dynamodb:UpdateTable",
            "DynamoDB Streams must be enabled.",
        ),
    ] {
        let mut stage = Stage::with(WorldConfig::default(), &spec);
        stage.aws.handle.with(|world| {
            let role = Role::new(ROLE, "123456789012", &[])
                .with_connector_policy(TABLE_ARN, "my-orders-exports");
            world.iam.add_role(role);
            world.iam.deny(ROLE, action, TABLE_ARN);
        });
        stage.start();
        stage.set_secret();
        refused(&stage, &[sentence, action]);
    }
}

#[test]
fn a_stream_without_new_images_is_refused() {
    let mut stage = Stage::with(
        WorldConfig::default(),
        &TableSpec {
            view: Some(ViewType::KeysOnly),
            ..orders_table()
        },
    );
    stage.start();
    stage.set_secret();
    refused(
        &stage,
        &["DynamoDB Streams must use NEW_IMAGE or NEW_AND_OLD_IMAGES."],
    );
}

#[test]
fn a_table_over_the_limits_is_refused() {
    let mut stage = Stage::new();
    stage
        .aws
        .handle
        .with(|world| world.set_reported_bytes("orders", Some(600_000_000_000)));
    stage.start();
    stage.set_secret();
    refused(
        &stage,
        &[
            "The DynamoDB table exceeds the current size limit.",
            "600 GB",
        ],
    );
}

#[test]
fn a_table_that_may_be_written_too_fast_is_refused() {
    let mut stage = Stage::empty(WorldConfig::default());
    let table = serde_json::json!({
        "TableName": "orders",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"}
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"}
        ],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 300},
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    });
    stage
        .aws
        .handle
        .with(|world| world.dynamodb("CreateTable", table).unwrap());
    stage.start();
    stage.set_secret();
    refused(
        &stage,
        &[
            "The DynamoDB table exceeds the current write-capacity limit.",
            "300",
            "max_write_capacity_units",
        ],
    );
}

#[test]
fn a_missing_bucket_is_refused_before_anything_is_made() {
    let mut stage = Stage::new();
    stage
        .aws
        .handle
        .with(|world| world.s3.delete_bucket("my-orders-exports"));
    stage.start();
    stage.set_secret();
    refused(&stage, &["my-orders-exports"]);
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        0
    );
}

#[test]
fn a_bucket_in_another_region_works() {
    let mut stage = Stage::new();
    stage.aws.handle.with(|world| {
        world.s3.delete_bucket("my-orders-exports");
        world.s3.create_bucket("my-orders-exports", "eu-west-1");
    });
    fill(&stage, 10);
    stage.set_up();
    assert_eq!(equal(&stage), 10);
}

#[test]
fn a_sorting_key_that_misses_a_key_is_refused_with_the_line_to_write() {
    let mut stage = Stage::new();
    stage.edit(
        "datasources/orders.datasource",
        "ENGINE_SORTING_KEY \"pk, sk\"",
        "ENGINE_SORTING_KEY \"pk\"",
    );
    stage.start();
    stage.set_secret();
    refused(
        &stage,
        &["ENGINE_SORTING_KEY \"pk, sk\"", "orders.datasource"],
    );
}

#[test]
fn a_server_without_credentials_builds_without_connections_and_says_so() {
    let mut stage = Stage::new();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        stage.server_env.push((name.to_owned(), String::new()));
    }
    stage.start();
    stage.set_secret();
    stage.tb(&["build"]).success();
    refused(&stage, &["--use-aws-creds"]);
}

#[test]
fn a_second_server_on_the_same_state_is_refused() {
    let mut stage = Stage::new();
    stage.start();
    let state = stage.state();
    let said = stage
        .tb(&[
            "server",
            "--local",
            "--port",
            "0",
            "--state-dir",
            state.to_str().unwrap(),
        ])
        .failure();
    assert!(said.all().contains("state"), "{}", said.all());
    stage.tb(&["datasource", "ls"]).success();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let stage = Stage::new();
    let state = stage.state();
    let said = stage
        .tb(&[
            "server",
            "--local",
            "--port",
            &port,
            "--state-dir",
            state.to_str().unwrap(),
        ])
        .failure();
    assert!(
        said.all().contains(&port) && said.all().contains("TB_LOCAL_PORT"),
        "{}",
        said.all()
    );
}

#[test]
fn throttles_while_setting_up_only_take_time() {
    let mut stage = Stage::new();
    fill(&stage, 20);
    for action in [
        "AssumeRole",
        "DescribeTable",
        "DescribeStream",
        "ExportTableToPointInTime",
        "DescribeExport",
        "GetShardIterator",
        "GetRecords",
    ] {
        let code = if action == "ExportTableToPointInTime" {
            "LimitExceededException"
        } else {
            "ThrottlingException"
        };
        let fault = FaultKind::Error {
            code: code.to_owned(),
            message: None,
            status: None,
        };
        stage
            .aws
            .handle
            .with(|world| world.faults.add(Fault::new(action, fault).times(2)));
    }
    stage.set_up();
    assert_eq!(equal(&stage), 20);
}
