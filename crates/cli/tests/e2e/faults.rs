//! What breaks later: the mirror says so, goes on by itself, and nothing is lost or doubled under FINAL.

use aws_sim::{Fault, FaultKind, Role, WorldConfig};

use super::flow::{churn, fill};
use super::oracle::equal;
use super::stage::{ROLE, Stage, orders_table, signal, wait};

const TABLE_ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";

/// A backfill that meets `fault` and is live in the end, without anybody's help.
fn backfill_through(fault: Fault) -> Stage {
    let mut stage = Stage::new();
    fill(&stage, 200);
    stage.aws.handle.with(|world| world.faults.add(fault));
    stage.start();
    stage.set_secret();
    stage
        .tb(&["build", "--with-connections", "--no-wait"])
        .success();
    stage.wait_for_state(&["live"]);
    stage
}

#[test]
fn a_failed_export_shows_aws_s_code_and_message_and_is_asked_for_again() {
    let mut stage = Stage::new();
    fill(&stage, 50);
    let failed = FaultKind::ExportFailed {
        code: "S3AccessDenied".to_owned(),
        message: "Access Denied (Service: Amazon S3; Status Code: 403)".to_owned(),
    };
    stage.aws.handle.with(|world| {
        world
            .faults
            .add(Fault::new("ExportTableToPointInTime", failed))
    });
    stage.start();
    stage.set_secret();
    stage
        .tb(&["build", "--with-connections", "--no-wait"])
        .success();
    let broken = stage.wait_for_state(&["broken"]);
    let text = broken.to_string();
    assert!(
        text.contains("S3AccessDenied") && text.contains("Access Denied (Service: Amazon S3"),
        "{text}"
    );
    // Until it fails again, the export that is asked for next is `exporting`.
    wait("the list to say that it is broken", || {
        let listed = stage.tb(&["datasource", "ls"]).success().all();
        listed.contains("broken")
    });
    assert!(stage.log_text().contains("S3AccessDenied"));
    stage.aws.handle.with(|world| world.faults.clear());
    stage.wait_for_state(&["live"]);
    assert_eq!(equal(&stage), 50);
}

#[test]
fn a_manifest_that_lies_about_a_count_fails_the_export_and_a_new_one_is_taken() {
    let stage = backfill_through(
        Fault::new(
            "ExportTableToPointInTime",
            FaultKind::WrongManifestItemCount,
        )
        .times(1),
    );
    assert_eq!(equal(&stage), 200);
    assert!(
        stage.log_text().contains("the summary says 200"),
        "the log says what was promised"
    );
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        2
    );
}

#[test]
fn a_manifest_that_lies_about_an_md5_fails_the_export_and_a_new_one_is_taken() {
    let stage = backfill_through(
        Fault::new("ExportTableToPointInTime", FaultKind::WrongManifestMd5).times(1),
    );
    assert_eq!(equal(&stage), 200);
    assert!(stage.log_text().to_lowercase().contains("md5"));
}

#[test]
fn a_truncated_gzip_fails_the_export_and_a_new_one_is_taken() {
    let stage = backfill_through(
        Fault::new("ExportTableToPointInTime", FaultKind::TruncatedDataFile).times(1),
    );
    assert_eq!(equal(&stage), 200);
    assert!(stage.log_text().to_lowercase().contains("gzip"));
}

#[test]
fn downloads_that_break_are_resumed() {
    let stage = backfill_through(
        Fault::new("GetObject", FaultKind::CutBody { fraction: 0.5 })
            .containing("/data/")
            .times(3),
    );
    assert_eq!(equal(&stage), 200);
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        1
    );
}

#[test]
fn lost_answers_resets_and_5xx_lose_and_double_nothing() {
    let mut stage = Stage::new();
    fill(&stage, 100);
    stage.aws.handle.with(|world| {
        world
            .faults
            .add(Fault::new("ExportTableToPointInTime", FaultKind::LostAnswer).times(2));
        world.faults.add(
            Fault::new("GetRecords", FaultKind::ConnectionReset)
                .probability(0.2)
                .times(30),
        );
        world.faults.add(
            Fault::new("GetRecords", FaultKind::ServerError { status: 503 })
                .probability(0.2)
                .times(30),
        );
        world.faults.add(
            Fault::new("GetRecords", FaultKind::ExpireIterator)
                .probability(0.1)
                .times(10),
        );
        world.faults.add(
            Fault::new("DescribeStream", FaultKind::ServerError { status: 500 })
                .probability(0.3)
                .times(10),
        );
    });
    stage.set_up();
    for round in 0..5 {
        churn(&stage, round, 100);
        stage
            .aws
            .handle
            .with(|world| world.roll_over_shards("orders", None));
    }
    equal(&stage);
    assert_eq!(
        stage.aws.handle.with(|world| world.export_states().count()),
        1,
        "a lost answer asks for the same export again"
    );
}

#[test]
fn a_role_that_is_taken_away_is_shouted_about_and_the_mirror_goes_on_when_it_is_back() {
    let mut stage = Stage::with(
        WorldConfig {
            session_ms: Some(2_000),
            ..Default::default()
        },
        &orders_table(),
    );
    let role = || {
        Role::new(ROLE, "123456789012", &[]).with_connector_policy(TABLE_ARN, "my-orders-exports")
    };
    stage.aws.handle.with(|world| {
        world.config.open_roles = false;
        world.iam.add_role(role());
    });
    fill(&stage, 10);
    stage.set_up();
    stage.aws.handle.with(|world| {
        world.iam.roles.clear();
        world.iam.expire_sessions(ROLE);
    });
    churn(&stage, 1, 100);
    let broken = stage.wait_for_state(&["broken"]);
    assert!(broken.to_string().contains(ROLE), "{broken}");
    assert!(
        broken["headroom_seconds"]
            .as_f64()
            .is_some_and(|left| left > 3600.0),
        "{broken}"
    );
    let logs = |stage: &Stage| stage.tb(&["logs"]).success().out;
    wait("a log of the broken role", || {
        logs(&stage).contains("is broken")
    });
    stage.aws.handle.with(|world| world.iam.add_role(role()));
    stage.wait_for_state(&["live"]);
    equal(&stage);
    let live_again = |stage: &Stage| logs(stage).trim_end().ends_with("orders: is live");
    wait("a log of the end", || live_again(&stage));
    // What happened before a start is not told again after it.
    stage.kill();
    stage.start();
    wait("a log of the start", || {
        logs(&stage).contains("the server started") && live_again(&stage)
    });
    let logs = logs(&stage);
    for once in ["asked AWS for an export", "backfill loaded"] {
        assert_eq!(logs.matches(once).count(), 1, "{logs}");
    }
    let mut rest = logs.as_str();
    for line in [
        "INFO    mirror orders: asked AWS for an export: arn:",
        "INFO    mirror orders: backfill loaded: 10 items",
        "INFO    mirror orders: is live",
        "ERROR   mirror orders: is broken: ",
        "What to do: check the role's trust policy",
        "INFO    mirror orders: is live",
        "INFO    server: the server started",
        "INFO    mirror orders: is live",
    ] {
        let at = rest
            .find(line)
            .unwrap_or_else(|| panic!("{line} in {logs}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn an_engine_that_is_killed_again_and_again_loses_nothing() {
    let mut stage = Stage::new();
    fill(&stage, 100);
    stage.set_up();
    for round in 0..4 {
        churn(&stage, round, 150);
        let engine = stage.engine_pid().unwrap();
        signal("-KILL", engine);
        churn(&stage, round + 100, 150);
        wait("another engine", || {
            stage.engine_pid().is_some_and(|pid| pid != engine)
        });
    }
    equal(&stage);
}

#[test]
fn clickhouse_that_stands_still_holds_the_checkpoint_and_nothing_else() {
    let mut stage = Stage::new();
    fill(&stage, 20);
    stage.set_up();
    let engine = stage.engine_pid().unwrap();
    signal("-STOP", engine);
    churn(&stage, 1, 200);
    std::thread::sleep(std::time::Duration::from_secs(3));
    signal("-CONT", engine);
    equal(&stage);
}
