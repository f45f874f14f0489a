use aws_sim::{ApiRequest, ApiResponse, Call, Delivery, Fault, FaultKind, World};
use serde_json::json;

use crate::scenario::world;

fn put(world: &mut World, key: &str) -> ApiResponse {
    let body = json!({"TableName": "t", "Item": {"pk": {"S": key}}}).to_string();
    let call = Call::DynamoDb("PutItem".to_owned(), body.into());
    world.call(&ApiRequest {
        call,
        access_key: Some("AKIA1".to_owned()),
        region: None,
    })
}

#[test]
fn a_lost_answer_had_effect_and_a_reset_had_none() {
    let mut world = world(|_| ());
    world
        .faults
        .add(Fault::new("PutItem", FaultKind::LostAnswer).times(1));
    assert_eq!(put(&mut world, "a").delivery, Delivery::Reset);
    assert_eq!(world.table_items("t").len(), 1);
    world
        .faults
        .add(Fault::new("PutItem", FaultKind::ConnectionReset).times(1));
    assert_eq!(put(&mut world, "b").delivery, Delivery::Reset);
    assert_eq!(world.table_items("t").len(), 1);
    assert_eq!(put(&mut world, "b").delivery, Delivery::Normal);
}

#[test]
fn faults_hit_the_calls_they_name() {
    let mut world = world(|_| ());
    let fault = Fault::error_once("PutItem", "ProvisionedThroughputExceededException");
    world
        .faults
        .add(fault.containing("special").skip(1).times(2));
    let statuses: Vec<_> = ["special", "plain", "special", "special", "special"]
        .map(|key| put(&mut world, key).status)
        .to_vec();
    assert_eq!(statuses, [200, 200, 400, 400, 200]);
    world
        .faults
        .add(Fault::new("*", FaultKind::ServerError { status: 503 }).probability(0.5));
    let hits = (0..400)
        .filter(|n| put(&mut world, &n.to_string()).status == 503)
        .count();
    assert!((120..280).contains(&hits), "{hits}");
    world.faults.clear();
    assert_eq!(put(&mut world, "a").status, 200);
}

#[test]
fn faults_read_from_json_as_documented() {
    let text =
        r#"{"fault":{"error":{"code":"ThrottlingException"}},"action":"GetRecords","times":3}"#;
    let fault: Fault = serde_json::from_str(text).expect("a fault");
    assert_eq!(
        fault,
        Fault::error_once("GetRecords", "ThrottlingException").times(3)
    );
}

#[test]
fn typed_calls_feel_the_same_faults() {
    let mut world = world(|_| ());
    let put = json!({"TableName": "t", "Item": {"pk": {"S": "a"}}});
    world
        .faults
        .add(Fault::new("PutItem", FaultKind::LostAnswer).times(1));
    assert_eq!(
        world.dynamodb("PutItem", put).expect_err("lost").code,
        "LostAnswer"
    );
    assert_eq!(world.table_items("t").len(), 1);
    world
        .faults
        .add(Fault::new("GetRecords", FaultKind::ExpireIterator).times(1));
    let read = world.with_faults("GetRecords", b"", |world, _| world.get_records("x", None));
    assert_eq!(read.expect_err("expired").code, "ExpiredIteratorException");
}
