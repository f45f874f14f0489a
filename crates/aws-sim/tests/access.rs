use aws_sim::iam::Caller;
use aws_sim::{ApiRequest, Call, Role, World};
use serde_json::json;

use crate::scenario::world;

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

fn caller(world: &World, key: &str) -> Caller {
    world
        .iam
        .caller(Some(key), &world.config.account, true, world.now_ms())
        .expect("a caller")
}

fn closed() -> World {
    let mut world = world(|config| config.open_roles = false);
    world.iam.add_role(Role::new(
        ROLE,
        "arn:aws:iam::123456789012:root",
        &["One", "two"],
    ));
    world
}

fn describe(world: &mut World, key: &str) -> (u16, String) {
    let body = json!({"TableName": "t"}).to_string();
    let call = Call::DynamoDb("DescribeTable".to_owned(), body.into());
    let answer = world.call(&ApiRequest {
        call,
        access_key: Some(key.to_owned()),
        region: None,
    });
    (
        answer.status,
        String::from_utf8_lossy(&answer.body).into_owned(),
    )
}

#[test]
fn every_wrong_assumption_gets_the_same_answer() {
    let mut world = closed();
    world
        .iam
        .add_user("AKIAOTHER", "arn:aws:iam::999999999999:user/eve");
    let (us, eve) = (caller(&world, "AKIA1"), caller(&world, "AKIAOTHER"));
    assert!(
        world
            .assume_role(&us, ROLE, "session", Some("two"), 3600)
            .is_ok()
    );
    let absent = ROLE.replace("reader", "absent");
    for (who, role, id) in [
        (&us, ROLE, None),
        (&us, ROLE, Some("one")),
        (&eve, ROLE, Some("two")),
        (&us, absent.as_str(), Some("two")),
    ] {
        let error = world
            .assume_role(who, role, "session", id, 3600)
            .expect_err("a refusal");
        assert_eq!((error.code.as_str(), error.status), ("AccessDenied", 403));
        let want = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role}",
            who.arn
        );
        assert_eq!(error.message, want);
    }
}

#[test]
fn sessions_end_and_chained_ones_are_short() {
    let mut world = closed();
    let us = caller(&world, "AKIA1");
    let key = world
        .assume_role(&us, ROLE, "session", Some("One"), 900)
        .expect("a session");
    assert_eq!(describe(&mut world, &key).0, 200);
    let chained = caller(&world, &key);
    assert_eq!(
        chained.arn,
        "arn:aws:sts::123456789012:assumed-role/reader/session"
    );
    if let Some(role) = world.iam.roles.get_mut(ROLE) {
        role.max_session_s = 43_200;
    }
    assert!(
        world
            .assume_role(&chained, ROLE, "session", Some("One"), 3601)
            .is_err()
    );
    world.advance(900_000);
    let (status, body) = describe(&mut world, &key);
    assert!(
        status == 400 && body.contains("ExpiredTokenException"),
        "{body}"
    );
}

#[test]
fn permissions_are_checked_per_action_and_resource() {
    let mut world = closed();
    let table = "arn:aws:dynamodb:us-east-1:123456789012:table/t";
    let role = Role::new(ROLE, "*", &[]).with_connector_policy(table, "b");
    world.iam.add_role(role);
    let us = caller(&world, "AKIA1");
    let key = world
        .assume_role(&us, ROLE, "session", None, 3600)
        .expect("a session");
    let session = caller(&world, &key);
    let may =
        |world: &World, action: &str, resource: &str| world.iam.allowed(&session, action, resource);
    assert!(may(
        &world,
        "dynamodb:GetRecords",
        &format!("{table}/stream/2024-01-01T00:00:00.000")
    ));
    assert!(may(
        &world,
        "dynamodb:DescribeExport",
        &format!("{table}/export/1-a")
    ));
    assert!(may(&world, "s3:GetObject", "arn:aws:s3:::b/x/y"));
    assert!(!may(&world, "dynamodb:ListStreams", "*"));
    assert!(!may(
        &world,
        "dynamodb:DescribeTable",
        "arn:aws:dynamodb:us-east-1:123456789012:table/t2"
    ));
    assert!(!may(&world, "s3:DeleteObject", "arn:aws:s3:::b/x"));
    world.iam.deny(ROLE, "dynamodb:DescribeTable", "*");
    let (status, body) = describe(&mut world, &key);
    let text = format!("is not authorized to perform: dynamodb:DescribeTable on resource: {table}");
    assert!(
        status == 400 && body.contains("AccessDeniedException") && body.contains(&text),
        "{body}"
    );
    world.iam.restore(ROLE);
    assert_eq!(describe(&mut world, &key).0, 200);
}
