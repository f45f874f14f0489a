//! Starts engines in temporary folders and describes tables.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mirror::batch::Batch;
use mirror::change::{ChangeRecord, EventKind};
use mirror::column_type::ColumnType;
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::projection::Projection;
use mirror::sink::{RowOrder, Sink};
use mirror::table::{KeyAttribute, KeyType};
use mirror::warehouse::{QueryLimits, Warehouse};
use sink_clickhouse::engine::{EngineExecutable, EngineHandle, EngineOptions};
use sink_clickhouse::{ClickHouse, ExternalOptions};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

pub(crate) const DATABASE: &str = "ws_1";

pub(crate) const LIMITS: QueryLimits = QueryLimits {
    max_execution_seconds: 20,
    max_memory_bytes: 500_000_000,
    max_result_bytes: 50_000_000,
};

/// An engine of one test, and the folder that goes with it.
pub(crate) struct Engine {
    pub(crate) client: Arc<ClickHouse>,
    pub(crate) handle: EngineHandle,
    pub(crate) folder: TempDir,
}

pub(crate) fn options(folder: &Path) -> EngineOptions {
    EngineOptions {
        data_dir: folder.join("data"),
        conf_dir: folder.join("conf"),
        logs_dir: folder.join("logs"),
        library: None,
        max_memory_bytes: 2_000_000_000,
        executable: EngineExecutable {
            program: env!("CARGO_BIN_EXE_engine-child").into(),
            arguments: Vec::new(),
        },
        reader_slots: 64,
    }
}

impl Engine {
    /// An engine with the database [`DATABASE`].
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (client, handle) = start_in(folder.path()).await;
        client
            .create_database(DATABASE)
            .await
            .unwrap_or_else(|error| panic!("{}", error.report()));
        Self {
            client,
            handle,
            folder,
        }
    }

    pub(crate) async fn stop(self) -> TempDir {
        drop(self.client);
        self.handle.stop().await;
        self.folder
    }
}

pub(crate) async fn start_in(folder: &Path) -> (Arc<ClickHouse>, EngineHandle) {
    EngineHandle::start(options(folder))
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

/// The answer of a user's query as text, without the last line end.
pub(crate) async fn ask(client: &ClickHouse, sql: &str) -> String {
    ask_in(client, DATABASE, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {}", error.report()))
}

pub(crate) async fn ask_in(
    client: &ClickHouse,
    database: &str,
    sql: &str,
) -> mirror::error::Result<String> {
    let answer = client.user_query(database, sql, "TSV", &LIMITS).await?;
    Ok(String::from_utf8(answer.body)
        .unwrap()
        .trim_end()
        .to_owned())
}

pub(crate) fn column(name: &str, declared: &str) -> PlanColumn {
    PlanColumn {
        name: name.to_owned(),
        declared_type: declared.to_owned(),
        column_type: ColumnType::parse(declared).unwrap(),
        path: RecordPath::Item(vec![name.to_owned()]),
        default: None,
        codec: None,
        is_key: false,
    }
}

/// A table of the given columns between the key `pk` and the columns of the version.
pub(crate) fn plan(table: &str, middle: Vec<PlanColumn>) -> MirrorPlan {
    let mut columns = vec![column("pk", "String")];
    columns.extend(middle);
    columns.push(column("_timestamp", "DateTime64(3)"));
    columns.push(column("_is_deleted", "UInt8"));
    MirrorPlan {
        database: DATABASE.to_owned(),
        table: table.to_owned(),
        columns,
        sorting_key: "pk".to_owned(),
        sorting_columns: vec![0],
        version_column: "_timestamp".to_owned(),
        is_deleted_column: "_is_deleted".to_owned(),
        partition_key: None,
        primary_key: None,
        sampling_key: None,
        ttl: None,
        settings: None,
        indexes: Vec::new(),
        keys: Vec::new(),
    }
}

/// A table `pk, value, _timestamp, _is_deleted`.
pub(crate) fn simple_plan(table: &str) -> MirrorPlan {
    plan(table, vec![column("value", "String")])
}

/// Fills key, version and mark of a row whose other columns are filled already.
pub(crate) fn finish_row(plan: &MirrorPlan, batch: &mut Batch, pk: &str) {
    batch.columns[0].push_text(pk.as_bytes());
    let last = plan.columns.len() - 1;
    batch.columns[last - 1].push_fixed(&1_700_000_000_000_i64.to_le_bytes());
    batch.columns[last].push_fixed(&[0]);
    batch.rows += 1;
}

/// A table of the keys `pk` and `sk` with the given columns, made for a DynamoDB table that has these keys.
pub(crate) fn keyed_plan(
    table: &str,
    pk: (&str, KeyType),
    sk: (&str, KeyType),
    more: Vec<PlanColumn>,
) -> MirrorPlan {
    let mut middle = vec![column("sk", sk.0)];
    middle.extend(more);
    let mut plan = plan(table, middle);
    plan.columns[0] = column("pk", pk.0);
    for at in [0, 1] {
        plan.columns[at].is_key = true;
    }
    plan.sorting_key = "pk, sk".to_owned();
    plan.sorting_columns = vec![0, 1];
    plan.keys = [("pk", pk.1), ("sk", sk.1)]
        .map(|(name, key_type)| KeyAttribute {
            name: name.to_owned(),
            key_type,
        })
        .to_vec();
    let last = plan.columns.len() - 1;
    plan.columns[last - 1].path = RecordPath::Version;
    plan.columns[last].path = RecordPath::IsDeleted;
    plan
}

/// Inserts what a change makes of keys and item, both DynamoDB JSON.
pub(crate) async fn write_change(
    client: &ClickHouse,
    plan: &MirrorPlan,
    kind: EventKind,
    keys: &str,
    item: &str,
    version_ms: i64,
) {
    let change = ChangeRecord {
        kind,
        keys: keys.as_bytes(),
        new_image: (kind != EventKind::Remove).then_some(item.as_bytes()),
        old_image: None,
        version_ms,
        event_id: "",
        sequence_number: "",
        aws_region: "eu-west-1",
        user_identity: None,
    };
    let mut batch = plan.new_batch();
    Projection::new(plan)
        .project(&change, &mut batch)
        .unwrap_or_else(|error| panic!("{error}"));
    client
        .insert(plan, &batch, RowOrder::AsGiven)
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
}

/// Appends a row to a batch of [`simple_plan`].
pub(crate) fn push(batch: &mut Batch, pk: &str, value: &str, version_ms: i64, is_deleted: u8) {
    batch.columns[0].push_text(pk.as_bytes());
    batch.columns[1].push_text(value.as_bytes());
    batch.columns[2].push_fixed(&version_ms.to_le_bytes());
    batch.columns[3].push_fixed(&[is_deleted]);
    batch.rows += 1;
}

pub(crate) fn rows(plan: &MirrorPlan, keys: std::ops::Range<usize>) -> Batch {
    let mut batch = plan.new_batch();
    for key in keys {
        push(
            &mut batch,
            &format!("key{key}"),
            &format!("value{key}"),
            1_700_000_000_000,
            0,
        );
    }
    batch
}

/// Waits until `condition` holds; fails the test after 20 s.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    // A zombie has no memory any more.
    std::fs::read_to_string(format!("/proc/{pid}/statm")).is_ok_and(|text| !text.starts_with("0 "))
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Kills the engine and waits until it is there again.
pub(crate) async fn kill_and_wait(engine: &Engine) {
    kill(engine.handle.pid().unwrap());
    eventually("the engine answers again", async || {
        engine.handle.restarts() > 0 && ask_in(&engine.client, DATABASE, "SELECT 1").await.is_ok()
    })
    .await;
}

/// A ClickHouse that somebody else runs: user `operator`, password `pass word é`.
pub(crate) struct ExternalServer {
    pub(crate) url: String,
    process: tokio::process::Child,
    _folder: TempDir,
}

impl ExternalServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("data")).unwrap();
        let users = path("users.xml").display().to_string();
        std::fs::write(
            path("engine.xml"),
            format!("<clickhouse><users_config>{users}</users_config></clickhouse>"),
        )
        .unwrap();
        std::fs::write(
            users,
            "<clickhouse><profiles><default/></profiles><quotas><q/></quotas><users>\
             <default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>q</quota></default>\
             <operator><password>pass word é</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>\
             <quota>q</quota><access_management>1</access_management></operator></users></clickhouse>",
        )
        .unwrap();
        let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_engine-child"))
            .arg("--library")
            .arg(
                sink_clickhouse::engine::find_library()
                    .unwrap_or_else(|error| panic!("{}", error.report())),
            )
            .arg("--data")
            .arg(path("data"))
            .arg("--conf")
            .arg(folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        let port = line.trim().strip_prefix("ready\t").unwrap();
        Self {
            url: format!("http://127.0.0.1:{port}"),
            process,
            _folder: folder,
        }
    }

    /// A client as the user `operator`.
    pub(crate) fn client(&self) -> ClickHouse {
        ClickHouse::external(
            &self.url,
            "operator",
            "pass word é",
            ExternalOptions::default(),
        )
        .unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// The answer of any SQL, without the last line end.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        let answer = reqwest::Client::new()
            .post(&self.url)
            .query(&[("user", "operator"), ("password", "pass word é")])
            .body(sql.to_owned())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{sql}: {text}");
        text.trim_end().to_owned()
    }

    pub(crate) async fn stop(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().await.unwrap();
    }
}
