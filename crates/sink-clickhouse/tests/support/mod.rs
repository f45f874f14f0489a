//! Starts engines in temporary folders and describes tables.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mirror::batch::Batch;
use mirror::column_type::ColumnType;
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::warehouse::{QueryLimits, Warehouse};
use sink_clickhouse::ClickHouse;
use sink_clickhouse::engine::{EngineExecutable, EngineHandle, EngineOptions};
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

    pub(crate) async fn stop(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().await.unwrap();
    }
}
