//! Describing and switching on.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType as SdkKeyType, OnDemandThroughput,
    ProvisionedThroughput, ScalarAttributeType, StreamSpecification,
};
use aws_sim::{Fault, FaultKind, TableSpec, ViewType, WorldConfig};
use mirror::checks::{TableLimits, check_table};
use mirror::error::ErrorKind;
use mirror::source::{Source, SourceSpec, Sources};
use mirror::table::{KeyAttribute, KeyType, StreamViewType};

use crate::scene::{BUCKET, ROLE, Scene, TABLE, failure, spec, until};

/// A client with the right to do anything.
pub(crate) fn admin(scene: &Scene) -> aws_sdk_dynamodb::Client {
    let keys = aws_sdk_dynamodb::config::Credentials::new("AKIAADMIN", "x", None, None, "test");
    let config = aws_sdk_dynamodb::config::Builder::new()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(keys)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(&scene.sim.url);
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

fn key_schema() -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name("pk")
        .key_type(SdkKeyType::Hash)
        .build()
        .unwrap()
}

fn key_definition() -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name("pk")
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap()
}

async fn refusals(source: &dyn Source) -> Vec<&'static str> {
    let table = source.describe_table().await.unwrap();
    check_table(&table, TableLimits::default())
        .iter()
        .map(|refusal| refusal.code.name())
        .collect()
}

fn bare_table(view: Option<ViewType>, pitr: bool, config: WorldConfig) -> Scene {
    Scene::empty(config, |world| {
        world
            .create_table(&TableSpec {
                view,
                pitr,
                ..TableSpec::new("orders")
            })
            .unwrap();
        world.s3.create_bucket(BUCKET, "us-east-1");
    })
}

#[tokio::test]
async fn a_table_is_described_with_its_keys_stream_and_backups() {
    let scene = Scene::empty(WorldConfig::default(), |world| {
        world
            .create_table(&TableSpec::new("orders").hash("id", "N").range("at", "B"))
            .unwrap();
        world.set_reported_bytes("orders", Some(501_000_000_000));
    });
    let source = scene.connect().await;
    let table = source.describe_table().await.unwrap();
    assert_eq!(
        (
            table.name.as_str(),
            table.arn.as_str(),
            table.status.as_str()
        ),
        ("orders", TABLE, "ACTIVE")
    );
    let key = |name: &str, key_type| KeyAttribute {
        name: name.to_owned(),
        key_type,
    };
    assert_eq!(table.keys, [key("id", KeyType::N), key("at", KeyType::B)]);
    assert!(table.pitr_enabled);
    let stream = table.stream.unwrap();
    assert_eq!(stream.view_type, StreamViewType::NewAndOldImages);
    assert!(stream.arn.starts_with(&format!("{TABLE}/stream/")));
    assert!(!table.table_id.is_empty() && !table.table_id.contains(TABLE));
    assert_eq!(
        table.write_capacity_units, None,
        "an uncapped on-demand table has no number"
    );
    assert_eq!(refusals(source.as_ref()).await, ["table_too_large"]);
}

#[tokio::test]
async fn provisioned_units_and_on_demand_caps_count_as_write_capacity() {
    let scene = Scene::empty(WorldConfig::default(), |_| {});
    let admin = admin(&scene);
    let throughput = ProvisionedThroughput::builder()
        .read_capacity_units(1)
        .write_capacity_units(300)
        .build()
        .unwrap();
    let create = || {
        admin
            .create_table()
            .table_name("orders")
            .key_schema(key_schema())
            .attribute_definitions(key_definition())
    };
    create()
        .provisioned_throughput(throughput)
        .send()
        .await
        .unwrap();
    let source = scene.connect().await;
    assert_eq!(
        source.describe_table().await.unwrap().write_capacity_units,
        Some(300)
    );
    assert!(
        refusals(source.as_ref())
            .await
            .contains(&"table_wcu_exceeds_limit")
    );
    let first = source.describe_table().await.unwrap().table_id;
    for (cap, expected) in [(400, Some(400)), (-1, None)] {
        admin
            .delete_table()
            .table_name("orders")
            .send()
            .await
            .unwrap();
        let cap = OnDemandThroughput::builder()
            .max_write_request_units(cap)
            .build();
        create()
            .billing_mode(BillingMode::PayPerRequest)
            .on_demand_throughput(cap)
            .send()
            .await
            .unwrap();
        let table = source.describe_table().await.unwrap();
        assert_eq!(table.write_capacity_units, expected);
        assert_ne!(table.table_id, first, "a table made again is another table");
    }
}

#[tokio::test]
async fn what_is_off_can_be_switched_on_and_switched_on_again() {
    let scene = bare_table(None, false, WorldConfig::default());
    let source = scene.connect().await;
    assert_eq!(
        refusals(source.as_ref()).await,
        ["pitr_disabled", "stream_disabled"]
    );
    source.enable_pitr().await.unwrap();
    source.enable_stream().await.unwrap();
    let table = until(async || {
        let table = source.describe_table().await.unwrap();
        (table.status == "ACTIVE" && table.pitr_enabled && table.stream.is_some()).then_some(table)
    })
    .await;
    assert_eq!(
        table.stream.unwrap().view_type,
        StreamViewType::NewAndOldImages
    );
    source.enable_pitr().await.unwrap();
    source.enable_stream().await.unwrap();
    assert_eq!(refusals(source.as_ref()).await, [""; 0]);
}

#[tokio::test]
async fn already_enabled_has_two_spellings_and_busy_is_neither() {
    let scene = Scene::new();
    let source = scene.connect().await;
    let error = |code: &str, message: &str| FaultKind::Error {
        code: code.to_owned(),
        message: Some(message.to_owned()),
        status: None,
    };
    for code in ["ValidationException", "ResourceInUseException"] {
        scene.fault(
            Fault::new(
                "UpdateTable",
                error(
                    code,
                    "Table already has an enabled stream: TableName: orders",
                ),
            )
            .times(1),
        );
        source.enable_stream().await.unwrap();
    }
    scene.fault(
        Fault::new(
            "UpdateTable",
            error("ResourceInUseException", "Table is being updated: orders"),
        )
        .times(1),
    );
    assert_eq!(
        failure(source.enable_stream().await).kind,
        ErrorKind::Unavailable
    );
    scene.fault(
        Fault::new(
            "UpdateTable",
            error("ValidationException", "Something else"),
        )
        .times(1),
    );
    assert_eq!(
        failure(source.enable_stream().await).kind,
        ErrorKind::Permanent
    );
}

#[tokio::test]
async fn backups_that_are_not_ready_pass_with_time() {
    let scene = bare_table(
        None,
        false,
        WorldConfig {
            backups_unavailable_ms: 400,
            ..WorldConfig::default()
        },
    );
    let source = scene.connect().await;
    assert_eq!(
        failure(source.enable_pitr().await).kind,
        ErrorKind::PitrUnavailable
    );
    until(async || source.enable_pitr().await.ok()).await;
}

#[tokio::test]
async fn a_stream_that_was_switched_off_is_not_reported() {
    let scene = Scene::new();
    let source = scene.connect().await;
    let before = source.describe_table().await.unwrap().stream.unwrap();
    let off = StreamSpecification::builder()
        .stream_enabled(false)
        .build()
        .unwrap();
    admin(&scene)
        .update_table()
        .table_name("orders")
        .stream_specification(off)
        .send()
        .await
        .unwrap();
    assert_eq!(source.describe_table().await.unwrap().stream, None);
    assert_eq!(
        source.describe_stream(&before.arn).await.unwrap().status,
        "DISABLED"
    );
}

#[tokio::test]
async fn a_stream_of_keys_only_is_seen_for_what_it_is() {
    let scene = bare_table(Some(ViewType::KeysOnly), true, WorldConfig::default());
    assert_eq!(
        refusals(scene.connect().await.as_ref()).await,
        ["stream_view_invalid"]
    );
}

#[tokio::test]
async fn a_table_that_is_not_there_is_not_found() {
    let scene = Scene::empty(WorldConfig::default(), |_| {});
    let source = scene.connect().await;
    for error in [
        failure(source.describe_table().await),
        failure(source.enable_pitr().await),
        failure(source.enable_stream().await),
    ] {
        assert_eq!(error.kind, ErrorKind::TableNotFound, "{}", error.report());
    }
    let other = SourceSpec {
        table_arn: TABLE.replace("us-east-1", "eu-west-1"),
        ..spec()
    };
    let scene = Scene::new();
    scene.iam(|iam| iam.add_role(aws_sim::Role::new(ROLE, "*", &[])));
    let source = scene.sources().connect(&other).await.unwrap();
    let error = failure(source.describe_table().await);
    assert_eq!(
        error.kind,
        ErrorKind::TableNotFound,
        "a table of that name elsewhere is not ours: {}",
        error.report()
    );
}

#[tokio::test]
async fn a_missing_right_names_action_and_resource() {
    let scene = Scene::new();
    let source = scene.connect().await;
    scene.iam(|iam| iam.deny(ROLE, "dynamodb:DescribeContinuousBackups", "*"));
    let error = failure(source.describe_table().await);
    assert_eq!(error.kind, ErrorKind::AccessDenied);
    let text = error.report();
    assert!(
        text.contains(&format!(
            "dynamodb:DescribeContinuousBackups on resource: {TABLE}"
        )),
        "{text}"
    );
    assert!(
        text.contains("HTTP 400") && text.contains("request id"),
        "{text}"
    );
}
