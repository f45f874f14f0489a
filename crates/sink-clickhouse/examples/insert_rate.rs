//! Rows per second into the embedded engine: 1,000,000 rows of 567 bytes, blocks of 50,000, two inserters.
//!
//! `cargo run --release -p sink-clickhouse --example insert_rate [rows]`

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mirror::batch::Batch;
use mirror::column_type::ColumnType;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::Warehouse;
use sink_clickhouse::ClickHouse;
use sink_clickhouse::engine::{EngineExecutable, EngineHandle, EngineOptions, run_engine};

const BLOCK_ROWS: usize = 50_000;
const INSERTERS: usize = 2;
const ENCODE_REPEATS: usize = 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == "engine").is_some() {
        return run_engine(arguments);
    }
    let rows = arguments
        .next()
        .and_then(|text| text.to_str()?.parse().ok())
        .unwrap_or(1_000_000);
    let measured = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(INSERTERS)
        .enable_all()
        .build()
        .map_err(|error| Error::with_source(ErrorKind::Permanent, "start the runtime", error))
        .and_then(|runtime| runtime.block_on(measure(rows)));
    match measured {
        Ok(report) => {
            let _ = write!(std::io::stdout(), "{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", error.report());
            ExitCode::FAILURE
        }
    }
}

async fn measure(rows: usize) -> Result<String> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::with_source(ErrorKind::Permanent, "make a folder", error))?;
    let path = |name: &str| folder.path().join(name);
    let begun = Instant::now();
    let (client, engine) = EngineHandle::start(EngineOptions {
        data_dir: path("data"),
        conf_dir: path("conf"),
        logs_dir: path("logs"),
        library: None,
        max_memory_bytes: 4_000_000_000,
        executable: EngineExecutable::this_program(["engine"]),
        reader_slots: 64,
    })
    .await?;
    let mut report = format!("start {:.2} s\n", begun.elapsed().as_secs_f64());
    client.create_database("ws_1").await?;
    let runs = [
        ("as given, fsync", RowOrder::AsGiven, true),
        ("sorted here, fsync", RowOrder::Free, true),
        ("as given", RowOrder::AsGiven, false),
        ("sorted here", RowOrder::Free, false),
        ("as given, fsync", RowOrder::AsGiven, true),
        ("sorted here, fsync", RowOrder::Free, true),
        ("as given", RowOrder::AsGiven, false),
        ("sorted here", RowOrder::Free, false),
    ];
    for (number, (name, order, fsync)) in runs.into_iter().enumerate() {
        let plan = Arc::new(plan(&format!("run{number}"), fsync)?);
        client.create_table(&plan).await?;
        client.hold_merges(&plan, true).await?;
        let blocks: Vec<_> = (0..rows.div_ceil(BLOCK_ROWS))
            .map(|block| block_of(&plan, block))
            .collect();
        let bytes: usize = blocks.iter().map(Batch::bytes).sum();
        let pid = engine.pid().unwrap_or(0).to_string();
        let (begun, ours, engines) = (Instant::now(), cpu_seconds("self"), cpu_seconds(&pid));
        insert_all(&client, &plan, blocks, order).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let per_million = 1e6 / rows as f64;
        let ours = (cpu_seconds("self") - ours) * per_million;
        let engines = (cpu_seconds(&pid) - engines) * per_million;
        report.push_str(&format!(
            "{name}: {:.0} krows/s, {:.0} MB/s; CPU s per M rows: engine {engines:.2}, client {ours:.2}\n",
            rows as f64 / seconds / 1e3,
            bytes as f64 / seconds / 1e6
        ));
    }
    let plan = plan("encode", false)?;
    for order in [RowOrder::AsGiven, RowOrder::Free] {
        let block = block_of(&plan, 0);
        let (begun, mut bytes) = (cpu_seconds("self"), 0);
        for _ in 0..ENCODE_REPEATS {
            bytes = sink_clickhouse::native_block(&plan, &block, order)?.len();
        }
        let seconds = (cpu_seconds("self") - begun) * 1e6 / (ENCODE_REPEATS * BLOCK_ROWS) as f64;
        report.push_str(&format!(
            "encode {order:?}: {seconds:.2} CPU s per M rows, {bytes} bytes a block\n"
        ));
    }
    drop(client);
    let begun = Instant::now();
    engine.stop().await;
    report.push_str(&format!("stop {:.2} s\n", begun.elapsed().as_secs_f64()));
    Ok(report)
}

/// CPU time of a process, user and system, which other load on the machine changes little. 0 if unknown.
fn cpu_seconds(pid: &str) -> f64 {
    // Fields 14 and 15 of proc(5) stat, in ticks of 1/100 s; the name before them ends with a bracket.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat
        .rsplit_once(')')
        .map_or("", |(_, fields)| fields)
        .split_whitespace();
    fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

async fn insert_all(
    client: &Arc<ClickHouse>,
    plan: &Arc<MirrorPlan>,
    blocks: Vec<Batch>,
    order: RowOrder,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let blocks = Arc::new(blocks);
    let inserters: Vec<_> = (0..INSERTERS)
        .map(|_| {
            let (client, plan, blocks, next) = (
                Arc::clone(client),
                Arc::clone(plan),
                Arc::clone(&blocks),
                Arc::clone(&next),
            );
            tokio::spawn(async move {
                while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    client.insert(&plan, block, order).await?;
                }
                Ok(())
            })
        })
        .collect();
    for inserter in inserters {
        inserter
            .await
            .map_err(|error| Error::with_source(ErrorKind::Permanent, "insert", error))??;
    }
    Ok(())
}

/// The table of the connector: key, record, and what the mirror adds.
fn plan(table: &str, fsync: bool) -> Result<MirrorPlan> {
    let columns = [
        ("pk", "String"),
        ("sk", "String"),
        ("_record", "String"),
        ("_old_record", "Nullable(String)"),
        ("_timestamp", "DateTime64(3)"),
        ("_event_name", "LowCardinality(String)"),
        ("_is_deleted", "UInt8"),
    ];
    let columns = columns.into_iter().map(|(name, declared)| {
        let column_type = ColumnType::parse(declared)
            .map_err(|error| Error::new(ErrorKind::Permanent, error.to_string()))?;
        Ok(PlanColumn {
            name: name.to_owned(),
            declared_type: declared.to_owned(),
            column_type,
            path: RecordPath::Version,
            default: None,
            codec: None,
            is_key: false,
        })
    });
    Ok(MirrorPlan {
        database: "ws_1".to_owned(),
        table: table.to_owned(),
        columns: columns.collect::<Result<_>>()?,
        sorting_key: "pk, sk".to_owned(),
        sorting_columns: vec![0, 1],
        version_column: "_timestamp".to_owned(),
        is_deleted_column: "_is_deleted".to_owned(),
        partition_key: None,
        primary_key: None,
        sampling_key: None,
        ttl: None,
        settings: (!fsync).then(|| "fsync_after_insert = 0, fsync_part_directory = 0".to_owned()),
        indexes: Vec::new(),
        keys: Vec::new(),
    })
}

/// Keys in random order, as an export has them; a record is 503 bytes of JSON.
fn block_of(plan: &MirrorPlan, number: usize) -> Batch {
    let mut batch = plan.new_batch();
    for row in 0..BLOCK_ROWS {
        let mut random = ((number * BLOCK_ROWS + row) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        random ^= random >> 29;
        let pk = format!("customer#{random:016x}");
        let sk = format!("order#{:017}", random % 1_000_003);
        let mut record =
            format!("{{\"pk\":\"{pk}\",\"sk\":\"{sk}\",\"status\":\"shipped\",\"text\":\"");
        while record.len() < 501 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            record.push(char::from(b'a' + ((random >> 33) % 26) as u8));
        }
        record.push_str("\"}");
        batch.columns[0].push_text(pk.as_bytes());
        batch.columns[1].push_text(sk.as_bytes());
        batch.columns[2].push_text(record.as_bytes());
        batch.columns[3].push_null();
        batch.columns[4].push_fixed(&1_700_000_000_000_i64.to_le_bytes());
        batch.columns[5].push_text(b"EXPORT");
        batch.columns[6].push_fixed(&[0]);
        batch.rows += 1;
    }
    batch
}
