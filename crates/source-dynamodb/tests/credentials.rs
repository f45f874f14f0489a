//! Assuming the role: right, refused, renewed, lost.

use std::time::{Duration, Instant};

use aws_sim::{Fault, FaultKind, Role, WorldConfig};
use mirror::error::ErrorKind;
use mirror::source::{SourceSpec, Sources};
use source_dynamodb::{AwsOptions, AwsSources, BaseCredentials};

use crate::scene::{EXTERNAL_ID, ROLE, SECRET, Scene, TABLE, failure, spec, until};

#[tokio::test]
async fn the_right_external_id_opens_the_table_under_our_session_name() {
    let scene = Scene::new();
    let table = scene.connect().await.describe_table().await.unwrap();
    assert_eq!(table.arn, TABLE);
    scene.iam(|iam| {
        let names: Vec<_> = iam
            .sessions
            .values()
            .map(|session| session.name.as_str())
            .collect();
        assert_eq!(names, ["dynamirror-test"]);
    });
}

#[tokio::test]
async fn wrong_missing_and_unknown_are_one_refusal_with_advice_and_awss_text() {
    let scene = Scene::new();
    let cases = [
        SourceSpec {
            external_id: "Install-1".to_owned(),
            ..spec()
        },
        SourceSpec {
            external_id: String::new(),
            ..spec()
        },
        SourceSpec {
            role_arn: "arn:aws:iam::123456789012:role/nobody".to_owned(),
            ..spec()
        },
    ];
    for spec in cases {
        let id = match spec.external_id.as_str() {
            "" => "(none was given)",
            id => id,
        };
        let error = scene.refusal(&spec).await;
        assert_eq!(error.kind, ErrorKind::RoleRefused);
        let text = error.report();
        assert!(
            text.contains(&format!(
                "AWS refused to let arn:aws:iam::123456789012:root assume {} (HTTP 403)",
                spec.role_arn
            )),
            "{text}"
        );
        assert!(
            text.contains(&format!("include(s) the following external ID: {id}.")),
            "{text}"
        );
        assert!(
            text.contains("is not authorized to perform: sts:AssumeRole on resource"),
            "{text}"
        );
        assert!(text.contains("request id"), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_stranger_is_refused_the_role() {
    let scene = Scene::new();
    scene.iam(|iam| iam.add_user("AKIAEXAMPLE", "arn:aws:iam::999999999999:user/eve"));
    let error = scene.refusal(&spec()).await;
    assert_eq!(error.kind, ErrorKind::RoleRefused);
    assert!(
        error
            .report()
            .contains("let arn:aws:iam::999999999999:user/eve assume"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn a_role_made_moments_ago_is_tried_again() {
    let mut scene = Scene::new();
    scene.world(|world| {
        let visible_ms = world.now_ms() + 300;
        world.iam.add_role(Role {
            visible_ms,
            ..Role::new(ROLE, "123456789012", &[EXTERNAL_ID])
        });
    });
    assert_eq!(scene.refusal(&spec()).await.kind, ErrorKind::RoleRefused);
    scene.options.role_retries = 50;
    scene.options.role_retry_wait = Duration::from_millis(50);
    scene.connect().await;
}

#[tokio::test]
async fn a_short_session_is_renewed_before_it_ends() {
    let scene = Scene::with(WorldConfig {
        session_ms: Some(2500),
        ..WorldConfig::default()
    });
    let source = scene.connect().await;
    let sessions = || scene.world(|world| world.iam.sessions.len());
    let calls = std::cell::Cell::new(0);
    until(async || {
        source.describe_table().await.unwrap();
        calls.set(calls.get() + 1);
        (sessions() >= 3).then_some(())
    })
    .await;
    assert!(
        calls.get() > 3 * sessions(),
        "the session is kept between calls"
    );
}

#[tokio::test]
async fn a_session_that_aws_ends_early_is_replaced_once_for_all_callers() {
    let scene = Scene::new();
    let source = scene.connect().await;
    scene.iam(|iam| iam.expire_sessions(ROLE));
    let calls = (0..8).map(|_| source.describe_table());
    for outcome in futures_join(calls).await {
        outcome.unwrap();
    }
    assert_eq!(scene.world(|world| world.iam.sessions.len()), 2);
    scene.iam(|iam| iam.expire_sessions(ROLE));
    source.check_bucket().await.unwrap();
}

async fn futures_join<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    let mut outcomes: Vec<Option<T>> = calls.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (call, outcome) in calls.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let std::task::Poll::Ready(done) = call.as_mut().poll(context)
            {
                *outcome = Some(done);
            }
        }
        if outcomes.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_token_that_stays_bad_is_an_outage_and_not_a_loop() {
    let scene = Scene::new();
    let source = scene.connect().await;
    scene.fault(Fault::new(
        "DescribeTable",
        FaultKind::Error {
            code: "ExpiredTokenException".to_owned(),
            message: None,
            status: None,
        },
    ));
    assert_eq!(
        failure(source.describe_table().await).kind,
        ErrorKind::Unavailable
    );
    assert_eq!(scene.world(|world| world.iam.sessions.len()), 2);
}

#[tokio::test]
async fn a_role_lost_in_mid_run_is_refused_on_every_kind_of_call() {
    let scene = Scene::new();
    let source = scene.connect().await;
    scene.iam(|iam| {
        iam.add_role(Role::new(ROLE, "123456789012", &["changed"]));
        iam.expire_sessions(ROLE);
    });
    let table = failure(source.describe_table().await);
    assert_eq!(table.kind, ErrorKind::RoleRefused);
    assert!(
        table
            .report()
            .contains("include(s) the following external ID: install-1"),
        "{}",
        table.report()
    );
    assert_eq!(
        failure(source.get_records("x").await).kind,
        ErrorKind::RoleRefused
    );
    assert_eq!(
        failure(source.check_bucket().await).kind,
        ErrorKind::RoleRefused
    );
    scene.iam(|iam| iam.add_role(Role::new(ROLE, "123456789012", &[EXTERNAL_ID])));
    source.describe_table().await.unwrap();
}

#[tokio::test]
async fn an_outage_of_sts_does_not_end_a_session_that_still_works() {
    let scene = Scene::with(WorldConfig {
        session_ms: Some(4000),
        ..WorldConfig::default()
    });
    let source = scene.connect().await;
    let started = Instant::now();
    let outage = Fault::new("AssumeRole", FaultKind::ServerError { status: 503 });
    scene.fault(outage.times(1000));
    let error = until(async || source.describe_table().await.err()).await;
    assert_eq!(error.kind, ErrorKind::Unavailable);
    // Expiration is told in whole seconds, so the session ends between three and four seconds after it began;
    // renewal was due, and tried, at three quarters of that.
    assert!(started.elapsed() > Duration::from_millis(2900));
    let left = scene.world(|world| world.faults.list()[0].times);
    assert!(left.is_some_and(|left| left <= 1000 - 6), "{left:?}");
    scene.world(|world| world.faults.clear());
    source.describe_table().await.unwrap();
}

#[tokio::test]
async fn an_outage_is_never_taken_for_a_refusal() {
    let scene = Scene::new();
    scene.fault(Fault::new("AssumeRole", FaultKind::ServerError { status: 500 }).times(3));
    assert_eq!(scene.refusal(&spec()).await.kind, ErrorKind::Unavailable);
    scene.fault(Fault::new("AssumeRole", FaultKind::ConnectionReset).times(3));
    assert_eq!(scene.refusal(&spec()).await.kind, ErrorKind::Unavailable);
    let throttling = FaultKind::Error {
        code: "Throttling".to_owned(),
        message: None,
        status: None,
    };
    scene.fault(Fault::new("AssumeRole", throttling).times(3));
    assert_eq!(scene.refusal(&spec()).await.kind, ErrorKind::Throttled);
    scene.connect().await;
}

#[tokio::test]
async fn a_host_without_an_answer_is_unavailable() {
    let mut scene = Scene::new();
    scene.options.endpoint_url = Some("http://127.0.0.1:1".to_owned());
    assert_eq!(scene.refusal(&spec()).await.kind, ErrorKind::Unavailable);
    assert_eq!(
        failure(scene.sources().caller_identity().await).kind,
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn the_caller_is_who_the_base_credentials_are() {
    let scene = Scene::new();
    let caller = scene.sources().caller_identity().await.unwrap();
    assert_eq!(
        (caller.account.as_str(), caller.arn.as_str()),
        ("123456789012", "arn:aws:iam::123456789012:root")
    );
}

#[tokio::test]
async fn no_credentials_and_bad_credentials_say_what_to_do() {
    let scene = Scene::with(WorldConfig {
        open_keys: false,
        ..WorldConfig::default()
    });
    let absent = AwsSources::new(AwsOptions {
        credentials: BaseCredentials::Absent,
        ..scene.options.clone()
    });
    let errors = [
        failure(absent.connect(&spec()).await),
        failure(absent.caller_identity().await),
        failure(absent.resolve_credentials().await),
        scene.refusal(&spec()).await,
        failure(scene.sources().caller_identity().await),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::CredentialsMissing);
        assert!(
            error.report().contains("tb local start --use-aws-creds"),
            "{}",
            error.report()
        );
    }
}

#[tokio::test]
async fn resolved_credentials_show_no_secret() {
    let scene = Scene::new();
    let keys = scene.sources().resolve_credentials().await.unwrap();
    assert_eq!(keys.secret_access_key, SECRET);
    assert!(!format!("{keys:?} {:?}", scene.options).contains(SECRET));
}
