//! `AWS_ENDPOINT_URL` and its relatives, each in a process of its own: the environment belongs to everyone.

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use mirror::error::ErrorKind;
use mirror::source::Sources;
use source_dynamodb::{AwsOptions, AwsSources};

use crate::exports::{completed, lines, quick, request};
use crate::scene::{Scene, failure, spec};

const PROBE: &str = "DYNAMIRROR_TEST_ENDPOINT_PROBE";
const NOWHERE: &str = "http://127.0.0.1:1";

/// Runs in the child; as a test of its own it has nothing to look at.
#[tokio::test]
async fn probe_from_the_environment() {
    let Ok(spool) = std::env::var(PROBE) else {
        return;
    };
    let options = AwsOptions {
        role_retries: 0,
        max_attempts: 1,
        connect_timeout: Duration::from_millis(500),
        ..AwsOptions::new(spool)
    };
    let sources = AwsSources::new(options);
    let caller = sources.caller_identity().await.unwrap();
    assert_eq!(caller.account, "123456789012");
    let source = sources.connect(&spec()).await.unwrap();
    let stream = source.describe_table().await.unwrap().stream.unwrap();
    source.describe_stream(&stream.arn).await.unwrap();
    source.check_bucket().await.unwrap();
    let export = completed(source.as_ref(), &request("t1", "p")).await;
    let manifest = source.read_manifest(&export).await.unwrap();
    assert_eq!(lines(source.as_ref(), &manifest).await.len(), 500);
}

fn probe(scene: &Scene, variables: &[(&str, &str)]) -> bool {
    run(scene, "endpoints::probe_from_the_environment", variables)
}

fn run(scene: &Scene, test: &str, variables: &[(&str, &str)]) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env(PROBE, &scene.options.spool_dir)
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "x")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("running 1 test"), "{told}");
    output.status.success()
}

#[test]
fn one_variable_sets_every_service() {
    let scene = quick();
    assert!(probe(&scene, &[("AWS_ENDPOINT_URL", &scene.sim.url)]));
    assert!(!probe(&scene, &[("AWS_ENDPOINT_URL", NOWHERE)]));
}

#[test]
fn variables_of_single_services_win_over_the_general_one() {
    let scene = quick();
    let url = scene.sim.url.as_str();
    let own = [
        ("AWS_ENDPOINT_URL", NOWHERE),
        ("AWS_ENDPOINT_URL_STS", url),
        ("AWS_ENDPOINT_URL_DYNAMODB", url),
        ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", url),
        ("AWS_ENDPOINT_URL_S3", url),
    ];
    assert!(probe(&scene, &own));
    for left_out in 1..own.len() {
        let rest: Vec<_> = own
            .iter()
            .copied()
            .enumerate()
            .filter(|(index, _)| *index != left_out)
            .map(|(_, pair)| pair)
            .collect();
        assert!(
            !probe(&scene, &rest),
            "without {} it goes to the general one",
            own[left_out].0
        );
    }
    // Without the general one, S3's own must still be spoken to with the bucket in the path.
    assert!(probe(&scene, &own[1..]));
}

/// Runs in the child.
#[tokio::test]
async fn probe_without_credentials() {
    let Ok(spool) = std::env::var(PROBE) else {
        return;
    };
    let sources = AwsSources::new(AwsOptions::new(spool));
    let errors = [
        failure(sources.caller_identity().await),
        failure(sources.connect(&spec()).await),
        failure(sources.resolve_credentials().await),
    ];
    for error in errors {
        assert_eq!(
            error.kind,
            ErrorKind::CredentialsMissing,
            "{}",
            error.report()
        );
    }
}

#[test]
fn an_environment_without_credentials_is_told_what_to_do() {
    let scene = quick();
    let url = scene.sim.url.as_str();
    let none = [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ];
    assert!(run(&scene, "endpoints::probe_without_credentials", &none));
}

#[test]
fn a_profile_gives_credentials_too() {
    let scene = quick();
    let file = scene.options.spool_dir.join("credentials");
    std::fs::write(
        &file,
        "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = x\n",
    )
    .unwrap();
    let variables = [
        ("AWS_ENDPOINT_URL", scene.sim.url.as_str()),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()),
        ("AWS_PROFILE", "work"),
    ];
    assert!(probe(&scene, &variables));
}

/// Runs in the child.
#[tokio::test]
async fn probe_through_a_proxy() {
    let Ok(spool) = std::env::var(PROBE) else {
        return;
    };
    let options = AwsOptions {
        max_attempts: 1,
        ..AwsOptions::new(spool)
    };
    let error = AwsSources::new(options)
        .caller_identity()
        .await
        .unwrap_err();
    if let Ok(words) = std::env::var("EXPECTED") {
        assert!(error.report().contains(&words), "{}", error.report());
    }
}

#[test]
fn aws_is_reached_through_the_proxy_and_plain_endpoints_are_not() {
    let scene = quick();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 503 closed\r\n\r\n").unwrap();
        String::from_utf8(head).unwrap()
    });
    let probe_of = |variables: &[(&str, &str)]| {
        let cleared = [
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
            "NO_PROXY",
            "no_proxy",
        ];
        let all: Vec<_> = cleared
            .iter()
            .map(|name| (*name, ""))
            .chain(variables.iter().copied())
            .collect();
        run(&scene, "endpoints::probe_through_a_proxy", &all)
    };
    // Without a scheme, as many write it.
    let url = format!("user:pass@{address}");
    assert!(probe_of(&[
        ("HTTPS_PROXY", &url),
        ("AWS_REGION", "us-east-1")
    ]));
    let head = proxy.join().unwrap().to_lowercase();
    assert!(
        head.starts_with("connect sts.us-east-1.amazonaws.com:443 http/1.1\r\n"),
        "{head}"
    );
    // user:pass
    assert!(
        head.contains("proxy-authorization: basic dxnlcjpwyxnz"),
        "{head}"
    );

    let broken = [
        ("HTTPS_PROXY", "http://not a url"),
        ("EXPECTED", "HTTPS_PROXY: it is no URL"),
    ];
    assert!(probe_of(&broken));
    let plain = [
        ("AWS_ENDPOINT_URL", scene.sim.url.as_str()),
        ("HTTPS_PROXY", NOWHERE),
        ("ALL_PROXY", NOWHERE),
    ];
    assert!(probe(&scene, &plain));
}
