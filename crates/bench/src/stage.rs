//! A simulated AWS and a server of ours, as a user would start them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{self, Process};
use crate::{Result, http};

pub(crate) const BUCKET: &str = "my-orders-exports";
const ROLE: &str = "arn:aws:iam::123456789012:role/dynamirror-bench";
const SECRET: &str = "dynamodb_role_arn_my_ddb";
/// Streams of tables are older than this when a mirror starts: what it waits for with a young one is no work.
const AGE_MS: u64 = 600_000;
const PATIENCE: Duration = Duration::from_secs(1800);

/// Where the programs and the checkout are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) bin: PathBuf,
    pub(crate) library: PathBuf,
    pub(crate) root: PathBuf,
}

impl Programs {
    /// A command without settings of whoever runs the benchmark.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        for (name, _) in std::env::vars() {
            let prefixes = ["AWS_", "TB_", "TINYBIRD_", "CLICKHOUSE_"];
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    /// `tb` as a user has it.
    pub(crate) fn tb(&self) -> Command {
        let mut command = self.command("tb");
        command
            .env("TB_ENGINE_LIBRARY", &self.library)
            .env("NO_COLOR", "1");
        command
    }
}

/// The simulator of AWS.
#[derive(Debug)]
pub(crate) struct Aws {
    process: Process,
    pub(crate) url: String,
}

impl Aws {
    /// Starts it with the bucket and streams of `shards` shards; its clock is ten minutes behind.
    pub(crate) fn start(programs: &Programs, folder: &Path, shards: u32) -> Result<Self> {
        let mut command = programs.command("aws-sim");
        command
            .args(["--port", "0", "--export-seconds", "0.2", "--rollover-hours"])
            .args(["0", "--bucket", BUCKET, "--shards", &shards.to_string()])
            .args(["--start-ago-seconds", &(AGE_MS / 1000).to_string()])
            .stdout(Stdio::piped());
        let mut process = Process::start("aws-sim", &mut command, &folder.join("aws-sim.log"))?;
        let out = process.child().stdout.take().ok_or("no pipe")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .ok_or_else(|| format!("aws-sim said {line:?} instead of its address"))?;
        Ok(Self {
            url: url.to_owned(),
            process,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn dynamodb(&self, action: &str, body: &Value) -> Result<Value> {
        let target = format!("DynamoDB_20120810.{action}");
        // The simulator looks at the access key only.
        let signed = "AWS4-HMAC-SHA256 Credential=BENCH/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
        let headers = [("x-amz-target", target.as_str()), ("authorization", signed)];
        http::post_json(&self.url, body, &headers)
    }

    /// A command that AWS does not have.
    pub(crate) fn command(&self, name: &str, body: &Value) -> Result<Value> {
        http::post_json(&format!("{}/_sim/{name}", self.url), body, &[])
    }

    /// Makes a table with keys `pk` and `sk`, point-in-time recovery and a stream.
    pub(crate) fn create_table(&self, name: &str) -> Result<()> {
        let attribute = |name| json!({"AttributeName": name, "AttributeType": "S"});
        let key = |name, kind| json!({"AttributeName": name, "KeyType": kind});
        self.dynamodb(
            "CreateTable",
            &json!({
                "TableName": name,
                "AttributeDefinitions": [attribute("pk"), attribute("sk")],
                "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
                "BillingMode": "PAY_PER_REQUEST",
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            }),
        )?;
        let recovery = json!({"PointInTimeRecoveryEnabled": true});
        let request = json!({"TableName": name, "PointInTimeRecoverySpecification": recovery});
        self.dynamodb("UpdateContinuousBackups", &request).map(drop)
    }

    /// Ten minutes pass: the clock is the machine's from here on.
    pub(crate) fn come_to_the_present(&self) -> Result<()> {
        self.command("advance", &json!({"ms": AGE_MS})).map(drop)
    }

    /// Items made inside the simulator, which are changes of its stream.
    pub(crate) fn generate(&self, table: &str, start: u64, count: u64, bytes: u64) -> Result<()> {
        let body = json!({"table": table, "start": start, "count": count, "bytes": bytes});
        self.command("generate", &body).map(drop)
    }

    /// Calls of AWS so far, by action.
    pub(crate) fn calls(&self) -> Result<BTreeMap<String, u64>> {
        let text = http::get(&format!("{}/_sim/calls", self.url), None)?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.stop()
    }
}

/// A server of ours with a project.
#[derive(Debug)]
pub(crate) struct Server {
    programs: Programs,
    pub(crate) folder: PathBuf,
    aws_url: String,
    process: Option<Process>,
    token: String,
}

impl Server {
    /// Nothing runs yet; `datasources` are tables of the same names.
    pub(crate) fn prepare(
        programs: &Programs,
        folder: &Path,
        aws: &Aws,
        datasources: &[String],
    ) -> Result<Self> {
        let project = folder.join("project");
        fs::create_dir_all(project.join("datasources"))?;
        fs::create_dir_all(project.join("connections"))?;
        let example = programs.root.join("examples/orders");
        let connection = "connections/my_ddb.connection";
        fs::copy(example.join(connection), project.join(connection))?;
        let text = fs::read_to_string(example.join("datasources/orders.datasource"))?;
        for name in datasources {
            let file = project.join(format!("datasources/{name}.datasource"));
            fs::write(
                file,
                text.replace(":table/orders", &format!(":table/{name}")),
            )?;
        }
        // Everything else is as a user finds it.
        fs::write(
            folder.join("server.toml"),
            "host = \"127.0.0.1\"\nport = 0\n",
        )?;
        Ok(Self {
            programs: programs.clone(),
            folder: folder.to_owned(),
            aws_url: aws.url.clone(),
            process: None,
            token: String::new(),
        })
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Adds lines to the server's settings.
    pub(crate) fn configure(&self, lines: &str) -> Result<()> {
        let file = self.folder.join("server.toml");
        let text = fs::read_to_string(&file)?;
        Ok(fs::write(file, text + lines)?)
    }

    fn command(&self) -> Command {
        let mut command = self.programs.tb();
        command
            .current_dir(self.folder.join("project"))
            .env("TB_LOCAL_STATE", self.state())
            .env("TB_LOCAL_PORT", "0")
            .env("HOME", &self.folder)
            .env("AWS_ACCESS_KEY_ID", "BENCH")
            .env("AWS_SECRET_ACCESS_KEY", "bench-secret")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.aws_url)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// Runs `tb` in the project folder; what it printed.
    pub(crate) fn tb(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command().args(arguments).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let said = text(&output.stderr) + &text(&output.stdout);
        Err(format!("tb {}: {}: {said}", arguments.join(" "), output.status).into())
    }

    /// Starts the server; returns when it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = self.command();
        command
            .args(["server", "--local", "--config"])
            .arg(self.folder.join("server.toml"))
            .arg("--state-dir")
            .arg(self.state())
            .stdout(Stdio::null());
        self.process = Some(Process::start(
            "tb server",
            &mut command,
            &self.folder.join("server.log"),
        )?);
        let process = &mut self.process;
        let file = self.folder.join("state/server.json");
        process::wait_for(
            "the server to answer",
            Duration::from_secs(60),
            Duration::from_millis(2),
            || {
                if let Some(process) = process {
                    process.must_run()?;
                }
                let Ok(text) = fs::read_to_string(&file) else {
                    return Ok(None);
                };
                let server: Value = serde_json::from_str(&text)?;
                let url = format!("http://127.0.0.1:{}/v0/health", server["port"]);
                Ok(http::get(&url, None).ok())
            },
        )
        .map(drop)
    }

    /// The set-up of a user: server, secret, build. Backfills run when this returns.
    pub(crate) fn set_up(&mut self) -> Result<()> {
        self.set_up_without_build()?;
        self.build()
    }

    pub(crate) fn set_up_without_build(&mut self) -> Result<()> {
        self.start()?;
        self.tb(&["secret", "set", SECRET, ROLE]).map(drop)
    }

    pub(crate) fn build(&mut self) -> Result<()> {
        self.tb(&["build", "--with-connections", "--no-wait"])?;
        self.find_token()
    }

    fn find_token(&mut self) -> Result<()> {
        let current: Value =
            serde_json::from_str(&self.tb(&["workspace", "current", "--output", "json"])?)?;
        let tokens = http::get_json(&self.url("/tokens")?, None)?;
        let admin = tokens["admin_token"].as_str().ok_or("no admin token")?;
        let path = format!("/v1/user/workspaces?token={admin}");
        let listed = http::get_json(&self.url(&path)?, None)?;
        let found = listed["workspaces"].as_array().and_then(|all| {
            let ours = all.iter().find(|one| one["name"] == current["name"])?;
            ours["token"].as_str()
        });
        found
            .ok_or("the workspace has no token")?
            .clone_into(&mut self.token);
        Ok(())
    }

    fn url(&self, path: &str) -> Result<String> {
        let text = fs::read_to_string(self.state().join("server.json"))?;
        let server: Value = serde_json::from_str(&text)?;
        Ok(format!("http://127.0.0.1:{}{path}", server["port"]))
    }

    /// The mirror of a data source as the server describes it.
    pub(crate) fn mirror(&self, name: &str) -> Result<Value> {
        http::get_json(
            &self.url(&format!("/v0/mirrors/{name}"))?,
            Some(&self.token),
        )
    }

    /// Waits until the mirror's backfill is loaded.
    pub(crate) fn loaded(&mut self, name: &str) -> Result<Value> {
        process::wait_for("the backfill", PATIENCE, Duration::from_millis(50), || {
            let mirror = self.mirror(name)?;
            if mirror["state"] == "broken" {
                return Err(format!("the mirror is broken: {}", mirror["reason"]).into());
            }
            Ok((mirror["backfill"]["phase"] == "loaded").then_some(mirror))
        })
    }

    /// An answer of ClickHouse through the server, as any client gets it.
    pub(crate) fn sql(&self, sql: &str) -> Result<String> {
        let body = http::post(&self.url("/v0/sql")?, sql.to_owned(), Some(&self.token))?;
        Ok(String::from_utf8(body)?.trim_end().to_owned())
    }

    /// The one number that a query answers.
    pub(crate) fn number(&self, sql: &str) -> Result<u64> {
        let text = self.sql(&format!("{sql} FORMAT TSV"))?;
        Ok(text
            .parse()
            .map_err(|_| format!("{sql}: {text:?} is no number"))?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// The engine, a child of the server.
    pub(crate) fn engine_pid(&self) -> u32 {
        process::child_of(self.pid()).unwrap_or(0)
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut server| server.stop())
    }
}
