//! A server on a free port with its state in a temporary folder, and a client that speaks as others do.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mirror::clock::Clock;
use mirror::source::Sources;
use mirror::warehouse::QueryLimits;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use server::deploy::prices::Prices;
use server::run::{Parts, ServerError, run};
use server::settings::Settings;
use server::state_dir::StateDir;
use server::system_clock::SystemClock;
use server::worker::WorkerSettings;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::ports::dynamo::{Account, MemoryDynamo};
use crate::ports::warehouse::MemoryWarehouse;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const CONNECTION: &str = "TYPE dynamodb\nDYNAMODB_ARN {{ tb_secret(\"dynamodb_role_arn_my_ddb\") }}\nDYNAMODB_REGION us-east-1\n";

pub(crate) const ORDERS: &str = r#"SCHEMA >
    pk String `json:$.Item.pk`,
    sk String `json:$.Item.sk`,
    _record String `json:$.NewImage`,
    _old_record Nullable(String) `json:$.OldImage`,
    _timestamp DateTime64(3) `json:$.ApproximateCreationDateTime`,
    _event_name LowCardinality(String) `json:$.eventName`,
    _is_deleted UInt8 `json:$._is_deleted`

ENGINE "ReplacingMergeTree"
ENGINE_SORTING_KEY "pk, sk"
ENGINE_VER "_timestamp"
ENGINE_IS_DELETED "_is_deleted"

IMPORT_CONNECTION_NAME my_ddb
IMPORT_TABLE_ARN arn:aws:dynamodb:us-east-1:123456789012:table/orders
IMPORT_EXPORT_BUCKET my-orders-exports
"#;

pub(crate) const PIPE: &str = "TOKEN dashboard READ\n\nNODE endpoint\nSQL >\n    SELECT count() AS orders FROM orders FINAL\n\nTYPE endpoint\n";

/// What survives a restart.
pub(crate) struct Host {
    pub(crate) dir: TempDir,
    pub(crate) warehouse: Arc<MemoryWarehouse>,
    pub(crate) dynamo: Arc<MemoryDynamo>,
    pub(crate) credentials: bool,
    pub(crate) clock: Arc<ShiftedClock>,
}

/// The machine's clock, which a test may set forward.
#[derive(Default)]
pub(crate) struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    pub(crate) fn set_forward(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.load(Ordering::Relaxed)
    }

    async fn sleep_ms(&self, ms: u64) {
        SystemClock.sleep_ms(ms).await;
    }
}

pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) tokens: Value,
    client: reqwest::Client,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ServerError>>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            warehouse: Arc::default(),
            dynamo: Arc::new(MemoryDynamo::new()),
            credentials: true,
            clock: Arc::default(),
        }
    }

    pub(crate) fn settings(&self, port: u16) -> Settings {
        Settings {
            state_dir: self.dir.path().to_owned(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port,
            local: true,
            version: "0.1.0-test".to_owned(),
            query_limits: QueryLimits {
                max_execution_seconds: 10,
                max_memory_bytes: 1 << 30,
                max_result_bytes: 1 << 26,
            },
            prices: Prices::default(),
            worker: WorkerSettings::default(),
        }
    }

    pub(crate) fn parts(&self) -> Parts {
        let sources = Arc::clone(&self.dynamo) as Arc<dyn Sources>;
        Parts {
            warehouse: self.warehouse.clone(),
            sink: self.warehouse.clone(),
            verifier: self.warehouse.clone(),
            sources: self.credentials.then_some(sources),
            clock: self.clock.clone(),
        }
    }

    pub(crate) async fn start(self) -> Server {
        install_tls();
        let state = StateDir::open(self.dir.path()).unwrap();
        let shutdown = CancellationToken::new();
        let (settings, parts, stop) = (self.settings(0), self.parts(), shutdown.clone());
        let task = tokio::spawn(async move { run(settings, &state, parts, stop).await });
        let port = wait_for_port(self.dir.path(), &task).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut server = Server {
            host: self,
            port,
            tokens: Value::Null,
            client,
            shutdown,
            task,
        };
        let (status, tokens) = server.get("/tokens", "").await;
        assert_eq!(status, 200, "{tokens}");
        server.tokens = tokens;
        server
    }
}

/// TLS is never spoken here, but the client wants to know how.
pub(crate) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

async fn wait_for_port(dir: &Path, task: &JoinHandle<Result<(), ServerError>>) -> u16 {
    let started = Instant::now();
    loop {
        if let Ok(text) = std::fs::read(dir.join("server.json")) {
            let file: Value = serde_json::from_slice(&text).unwrap();
            return u16::try_from(file["port"].as_u64().unwrap()).unwrap();
        }
        assert!(!task.is_finished(), "the server did not start");
        assert!(started.elapsed() < DEADLINE, "the server does not listen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Host::new().start().await
    }

    /// A server whose default workspace has the role's secret.
    pub(crate) async fn with_secret() -> Self {
        let server = Self::start().await;
        server
            .set_secret("dynamodb_role_arn_my_ddb", crate::ports::dynamo::ROLE)
            .await;
        server
    }

    pub(crate) async fn set_secret(&self, name: &str, value: &str) {
        let form = [("name", name), ("value", value)];
        let request = self
            .request("POST", "/v0/variables", self.token())
            .form(&form);
        let (status, body) = answer(request).await;
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) async fn stop(self) -> Host {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        self.host
    }

    /// Leaves the server to whatever becomes of its runtime.
    pub(crate) fn abandon(self) -> Host {
        self.host
    }

    pub(crate) async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    pub(crate) fn token(&self) -> &str {
        self.tokens["workspace_admin_token"].as_str().unwrap()
    }

    /// A server whose table has been exported, loaded and is followed.
    pub(crate) async fn live(items: &[(&str, &str, &str)]) -> Self {
        let server = Self::with_secret().await;
        {
            let mut account = server.account().lock().unwrap();
            account.exports_complete = true;
            for (pk, sk, note) in items {
                account.put(pk, sk, note);
            }
        }
        let built = server.build("?with_connections=true", ORDERS).await;
        assert_eq!(built["result"], "success", "{built}");
        server
            .until("the mirror is live", |mirror| {
                let lag = mirror["lag_seconds"].as_f64();
                mirror["state"] == "live" && lag.is_some_and(|lag| lag < 60.0)
            })
            .await;
        server
    }

    /// Waits until the mirror of orders is as wanted.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let mirror = self.ok("GET", "/v0/mirrors/orders").await;
            if done(&mirror) {
                return mirror;
            }
            assert!(started.elapsed() < 3 * DEADLINE, "{what}: {mirror:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn account(&self) -> &Mutex<Account> {
        &self.host.dynamo.0
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn request(&self, method: &str, path: &str, token: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        let request = self.client.request(method, self.url(path));
        if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        answer(self.request("GET", path, token)).await
    }

    pub(crate) async fn ok(&self, method: &str, path: &str) -> Value {
        let (status, body) = answer(self.request(method, path, self.token())).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
        body
    }

    pub(crate) async fn upload(&self, path: &str, files: &[(&str, &str)]) -> Value {
        let cli_version = Part::text("1.0.0").file_name("cli-version");
        let form = form(files).part("context://", cli_version);
        let (status, body) = answer(self.request("POST", path, self.token()).multipart(form)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The usual project.
    pub(crate) async fn build(&self, query: &str, datasource: &str) -> Value {
        let path = format!("/v1/build{query}");
        self.upload(&path, &project(datasource)).await
    }

    pub(crate) async fn deploy(&self, query: &str, datasource: &str) -> Value {
        let path = format!("/v1/deploy{query}");
        self.upload(&path, &project(datasource)).await
    }
}

/// The files as a client sends them.
pub(crate) fn form(files: &[(&str, &str)]) -> Form {
    let mut form = Form::new().percent_encode_noop();
    for (name, text) in files {
        let part = Part::text((*text).to_owned()).file_name((*name).to_owned());
        form = form.part("data_project://", part.mime_str("text/plain").unwrap());
    }
    form
}

pub(crate) fn project(datasource: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("datasources/orders.datasource", datasource),
        ("pipes/order_count.pipe", PIPE),
        ("connections/my_ddb.connection", CONNECTION),
    ]
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, body)
}

/// Replaces what is different in every run.
pub(crate) fn masked(mut value: Value) -> Value {
    mask(&mut value);
    value
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let varies = matches!(
                    key.as_str(),
                    "id" | "datasource_id"
                        | "token"
                        | "created_at"
                        | "updated_at"
                        | "user_id"
                        | "organization_id"
                );
                match value {
                    Value::String(text) if varies && text.len() > 4 => {
                        *value = json!(format!("<{key}>"))
                    }
                    _ => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}
