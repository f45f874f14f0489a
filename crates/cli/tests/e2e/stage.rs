//! A stage for one test: a simulated AWS, a project folder, and a server of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use aws_sim::{Map, RunningSim, Sim, TableSpec, WorldConfig};
use serde_json::Value;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const SERVER_TOML: &str = "host = \"127.0.0.1\"
port = 0
[poll]
export_ms = 300
discovery_ms = 1000
stream_min_ms = 50
stream_idle_max_ms = 200
retry_max_ms = 500
export_retry_ms = 500
";

/// Everything a test has.
pub(crate) struct Stage {
    pub(crate) aws: RunningSim,
    pub(crate) folder: tempfile::TempDir,
    server: Option<Child>,
    /// Extra variables of the server.
    pub(crate) server_env: Vec<(String, String)>,
    /// Whether the server looks for AWS credentials; `tb local start` decides so by `--use-aws-creds`.
    pub(crate) no_aws: bool,
}

/// What a `tb` command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(self.ok, "exit code {:?}\n{}", self.code, self.all());
        self
    }

    #[track_caller]
    pub(crate) fn failure(self) -> Self {
        assert!(!self.ok, "was expected to fail\n{}", self.all());
        self
    }
}

impl Stage {
    /// An AWS with the table `orders` (pk, sk) whose stream is ten minutes old, its bucket, and the example
    /// project. No server runs yet.
    pub(crate) fn new() -> Self {
        Self::with(
            WorldConfig {
                export: aws_sim::ExportConfig {
                    duration_ms: 500,
                    ..Default::default()
                },
                ..Default::default()
            },
            &orders_table(),
        )
    }

    pub(crate) fn with(config: WorldConfig, table: &TableSpec) -> Self {
        let stage = Self::empty(config);
        stage
            .aws
            .handle
            .with(|world| world.create_table(table).unwrap());
        stage.aws.handle.advance(10 * 60 * 1000);
        stage
    }

    /// An AWS with the bucket only, ten minutes ago.
    pub(crate) fn empty(config: WorldConfig) -> Self {
        let sim = Sim::in_the_past(config, 10 * 60 * 1000);
        let aws = sim.listen(([127, 0, 0, 1], 0).into()).unwrap();
        aws.handle
            .with(|world| world.s3.create_bucket("my-orders-exports", "us-east-1"));
        let folder = tempfile::tempdir().unwrap();
        let stage = Self {
            aws,
            folder,
            server: None,
            server_env: Vec::new(),
            no_aws: false,
        };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders");
        for file in [
            "connections/my_ddb.connection",
            "datasources/orders.datasource",
        ] {
            stage.write(file, &fs::read_to_string(example.join(file)).unwrap());
        }
        fs::write(stage.folder.path().join("server.toml"), SERVER_TOML).unwrap();
        stage
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.project().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds lines to `[poll]` of the server's settings.
    pub(crate) fn configure(&self, lines: &str) {
        let file = self.folder.path().join("server.toml");
        fs::write(file, format!("{SERVER_TOML}{lines}")).unwrap();
    }

    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.project().join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        self.write(file, &text.replace(from, to));
    }

    /// `tb`, as every command of the stage is run.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tb"));
        command.current_dir(if self.project().exists() {
            self.project()
        } else {
            self.folder.path().to_owned()
        });
        for (name, _) in std::env::vars() {
            if name.starts_with("AWS_")
                || name.starts_with("TB_")
                || name.starts_with("CLICKHOUSE_")
            {
                command.env_remove(name);
            }
        }
        // Commands run in a temporary folder, away from the checkout that `make engine` filled.
        command
            .env("TB_ENGINE_LIBRARY", library())
            .env("TB_LOCAL_STATE", self.state())
            .env("TB_LOCAL_PORT", "0")
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1")
            .env("AWS_ACCESS_KEY_ID", "TEST")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.aws.url)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
        command
    }

    /// Runs `tb` in the project folder.
    pub(crate) fn tb(&self, arguments: &[&str]) -> Said {
        said(&self.command().args(arguments).output().unwrap())
    }

    /// Starts `tb` in the project folder and does not wait for it.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command();
        command.args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Starts the server; returns when it answers.
    pub(crate) fn start(&mut self) {
        self.spawn();
        wait("the server to answer", || self.http("/v0/health").is_some());
    }

    /// Starts the server and does not wait.
    pub(crate) fn spawn(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let config = self.folder.path().join("server.toml");
        let mut command = self.command();
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
            .args(["server", "--local", "--config"])
            .arg(config)
            .arg("--state-dir")
            .arg(self.state());
        if self.no_aws {
            command.arg("--no-aws");
        }
        command.envs(self.server_env.iter().cloned());
        self.server = Some(
            command
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap(),
        );
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// `kill -9` of the server.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Starts the server again if it has ended, as systemd would. Whether it had.
    pub(crate) fn revive(&mut self) -> bool {
        let server = self.server.as_mut().unwrap();
        let ended = server.try_wait().unwrap().is_some();
        if ended {
            self.spawn();
        }
        ended
    }

    /// SIGTERM, and the server's exit status.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut server = self.server.take().unwrap();
        signal("-TERM", server.id());
        server.wait().unwrap().code()
    }

    pub(crate) fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Process id of the engine, a child of the server.
    pub(crate) fn engine_pid(&self) -> Option<u32> {
        let server = self.server_pid()?;
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).ok()?;
        let of_any_thread = || {
            fs::read_dir(format!("/proc/{server}/task"))
                .ok()?
                .flatten()
                .find_map(|task| {
                    let text = fs::read_to_string(task.path().join("children")).ok()?;
                    text.split_whitespace().next()?.parse().ok()
                })
        };
        children
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .or_else(of_any_thread)
    }

    pub(crate) fn port(&self) -> Option<u64> {
        let text = fs::read_to_string(self.state().join("server.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["port"].as_u64()
    }

    /// GET as a client with the admin token of nobody: only for paths without authentication.
    pub(crate) fn http(&self, path: &str) -> Option<Value> {
        get(&format!("http://127.0.0.1:{}{path}", self.port()?))
    }

    /// The mirror of `orders`, as `tb datasource ls` sees it.
    pub(crate) fn mirror(&self) -> Option<Value> {
        let said = self.tb(&["datasource", "ls", "--output", "json"]);
        let all: Value = serde_json::from_str(&said.out).ok()?;
        let list = all.as_array().or_else(|| all["datasources"].as_array())?;
        list.iter().find(|one| one["name"] == "orders").cloned()
    }

    /// Waits until the mirror's state is one of `states`.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, states: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mirror = self.mirror();
            if let Some(mirror) = &mirror
                && states.iter().any(|state| mirror["state"] == *state)
            {
                return mirror.clone();
            }
            assert!(
                Instant::now() < deadline,
                "the mirror never was {states:?}: {mirror:#?}\n{}",
                tail(&self.log_text())
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Rows of a query, as JSON objects.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Value> {
        let said = self
            .tb(&["sql", "--rows-limit", "0", "--output", "json", sql])
            .success();
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        let rows = answer.as_array().or_else(|| answer["data"].as_array());
        rows.cloned().unwrap_or_default()
    }

    /// The set-up of a user: server, secret, build with connections, backfill loaded.
    #[track_caller]
    pub(crate) fn set_up(&mut self) {
        self.start();
        self.set_secret();
        self.tb(&["build", "--with-connections", "--wait"])
            .success();
    }

    #[track_caller]
    pub(crate) fn set_secret(&self) {
        self.tb(&["secret", "set", "dynamodb_role_arn_my_ddb", ROLE])
            .success();
    }

    /// How often the log has a line with these words.
    pub(crate) fn logged(&self, words: &str) -> usize {
        let log = self.log_text();
        log.lines().filter(|line| line.contains(words)).count()
    }

    pub(crate) fn put(&self, item: &Map) {
        self.aws
            .handle
            .with(|world| world.put_item("orders", item))
            .unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            if std::thread::panicking() {
                eprintln!(
                    "{}",
                    tail(
                        &fs::read_to_string(self.folder.path().join("server.log"))
                            .unwrap_or_default()
                    )
                );
            }
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The engine's library, as `make engine` leaves it.
pub(crate) fn library() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    checkout.join("engine/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so")
}

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/dynamirror";

pub(crate) const TABLE_ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";

/// The table of the example project.
pub(crate) fn orders_table() -> TableSpec {
    TableSpec::new("orders").range("sk", "S")
}

pub(crate) fn signal(name: &str, pid: u32) {
    assert!(
        Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// `kill -9`; whether there was such a process.
pub(crate) fn kill_now(pid: u32) -> bool {
    let mut command = Command::new("kill");
    command.args(["-KILL", &pid.to_string()]);
    command.output().unwrap().status.success()
}

/// Polls until `done`; fails after [`PATIENCE`].
#[track_caller]
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    format!(
        "--- the server's log ---\n{}",
        lines[lines.len().saturating_sub(40)..].join("\n")
    )
}

pub(crate) fn said(output: &Output) -> Said {
    Said {
        ok: output.status.success(),
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A GET without a client library: the tests' own eyes.
pub(crate) fn get(url: &str) -> Option<Value> {
    use std::io::{Read, Write};
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let mut stream = std::net::TcpStream::connect(host).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200")
        .then(|| serde_json::from_str(body).ok())?
}
