//! Against ministack, a simulator of AWS by other people: its STS, its tables and its streams instead of ours, with
//! authentication on. It has no export files, so that only the stream brings rows. `make ministack` installs it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::oracle::compare_items;
use super::stage::{Stage, wait};

/// A running ministack; killed when dropped.
struct Ministack {
    process: Child,
    folder: tempfile::TempDir,
    url: String,
}

fn program(name: &str) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = checkout.join("target/ministack-venv/bin").join(name);
    assert!(
        program.exists(),
        "ministack is not installed: run `make ministack`, or set MINISTACK=off"
    );
    program
}

impl Ministack {
    fn start() -> Self {
        // It cannot choose a port itself; should somebody take this one meanwhile, it says so and another is tried.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            if let Some(running) = Self::start_on(port) {
                return running;
            }
        }
        panic!("ministack did not start");
    }

    fn start_on(port: u16) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program("ministack"))
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("AUTH", "true")
            .env("SERVICES", "dynamodb,dynamodbstreams,s3,sts,iam")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self {
            process,
            folder,
            url: format!("http://127.0.0.1:{port}"),
        };
        let mut ended = false;
        wait("ministack to listen", || {
            ended = running.process.try_wait().unwrap().is_some();
            let log = fs::read_to_string(running.folder.path().join("log")).unwrap_or_default();
            ended || log.contains("Running on http://127.0.0.1")
        });
        (!ended).then_some(running)
    }

    /// What `ministack.py` answers.
    #[track_caller]
    fn does(&self, arguments: &[&str]) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/ministack.py");
        let output = Command::new(program("python"))
            .arg(script)
            .arg(arguments[0])
            .arg(&self.url)
            .args(&arguments[1..])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn ministack_wants_our_external_id_and_its_stream_arrives() {
    if std::env::var("MINISTACK").is_ok_and(|value| value == "off") {
        eprintln!("NOT RUN: MINISTACK=off");
        return;
    }
    let ministack = Ministack::start();
    let made = ministack.does(&["set_up"]);
    let mut stage = Stage::new();
    for (name, value) in [
        ("AWS_ENDPOINT_URL", ministack.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ] {
        stage.server_env.push((name.to_owned(), value.to_owned()));
    }
    stage.edit(
        "datasources/orders.datasource",
        "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
        made["table"].as_str().unwrap(),
    );
    stage.start();
    let role = made["role"].as_str().unwrap();
    stage
        .tb(&["secret", "set", "dynamodb_role_arn_my_ddb", role])
        .success();

    // The role trusts another external id than ours; the refusal says which one it should trust.
    let refused = stage.tb(&["build", "--with-connections"]).failure().all();
    assert!(refused.contains("403"), "{refused}");
    let external_id = external_id_in(&refused).unwrap_or_else(|| panic!("{refused}"));
    ministack.does(&["trust", &external_id]);
    // It waits some seconds for the ARN of an export, which waits until the stream is old enough.
    let mut build = stage.begin(&["build", "--with-connections", "--no-wait"]);

    for version in ["1", "2"] {
        let written = ministack.does(&["write", version]);
        let items = written["items"].as_array().unwrap();
        assert_eq!(items.len(), 45);
        wait("ministack's items", || {
            compare_items(&stage, items).is_some_and(|compared| compared.is_equal())
        });
        // What was read is remembered.
        stage.kill();
        stage.start();
    }
    build.kill().unwrap();
    build.wait().unwrap();
}

/// An external id is 32 hexadecimal digits.
fn external_id_in(text: &str) -> Option<String> {
    let is_id = |word: &&str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(|character: char| !character.is_ascii_alphanumeric())
        .rfind(is_id)
        .map(str::to_owned)
}
