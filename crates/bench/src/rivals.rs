//! Other ways to bring the same items into the same table, and what the hardware alone would need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::backfill::Store;
use crate::data::Export;
use crate::engine::Engine;
use crate::process::{cpu_seconds, own_cpu_seconds};
use crate::stage::Programs;
use crate::{Result, machine};

/// Rows of the blocks that are inserted ready-made.
const BLOCK_ROWS: u64 = 50_000;
/// Any time of the export will do.
const VERSION: &str = "fromUnixTimestamp64Milli(1790000000000)";

/// The recipe that ClickHouse documents for DynamoDB: a table for the snapshot and a materialized view that takes the
/// items apart.
const RECIPE: &[&str] = &[
    "CREATE TABLE bench.snapshot (item String) ENGINE = MergeTree ORDER BY tuple()",
    "CREATE MATERIALIZED VIEW bench.snapshot_mv TO bench.orders AS SELECT \
     JSONExtractString(item, 'pk', 'S') AS pk, JSONExtractString(item, 'sk', 'S') AS sk, item AS _record, \
     CAST(NULL AS Nullable(String)) AS _old_record, {version} AS _timestamp, 'EXPORT' AS _event_name, 0 AS _is_deleted FROM bench.snapshot",
    "INSERT INTO bench.snapshot SELECT Item FROM file('{files}', 'JSONEachRow', 'Item String') SETTINGS {threads}, \
     input_format_json_read_objects_as_strings = 1",
];

/// The fastest SQL we found in a day of trying, with every switch that helps.
const TUNED: &[&str] = &[
    "INSERT INTO bench.orders SELECT simpleJSONExtractString(simpleJSONExtractRaw(json, 'pk'), 'S'), \
     simpleJSONExtractString(simpleJSONExtractRaw(json, 'sk'), 'S'), substring(json, 9, length(json) - 9), NULL, \
     {version}, 'EXPORT', 0 FROM file('{files}', 'JSONAsString') SETTINGS {threads}, optimize_on_insert = 0",
];

/// Rows ready to be inserted.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    bodies: Vec<Vec<u8>>,
    rows: u64,
}

/// How long something took and what it cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

impl Cost {
    pub(crate) fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    /// CPU seconds for a million rows.
    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.rows as f64
    }
}

/// A fresh engine with a fresh empty table like the product's, merges stopped. It goes, with its files, when dropped.
struct Ground {
    engine: Option<Engine>,
    folder: PathBuf,
}

impl Ground {
    fn new(programs: &Programs, folder: PathBuf, store: &Store) -> Result<Self> {
        let engine = Engine::start(programs, &folder.join("data"), &store.engine_xml())?;
        engine.sql("CREATE DATABASE bench")?;
        engine.sql(&store.create_table("bench.orders"))?;
        engine.sql("SYSTEM STOP MERGES")?;
        Ok(Self {
            engine: Some(engine),
            folder,
        })
    }

    fn engine(&self) -> Result<&Engine> {
        Ok(self.engine.as_ref().ok_or("the engine is gone")?)
    }

    /// Does `work`, which has to leave `rows` rows, and says what it cost this process and the engine.
    fn measure(&self, rows: u64, work: impl FnOnce(&Engine) -> Result<()>) -> Result<Cost> {
        let engine = self.engine()?;
        let cpu = || own_cpu_seconds() + cpu_seconds(engine.pid());
        let (before, begun) = (cpu(), Instant::now());
        work(engine)?;
        let cost = Cost {
            rows,
            seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: cpu() - before,
        };
        let found = engine.number("SELECT count() FROM bench.orders")?;
        if found == rows {
            return Ok(cost);
        }
        Err(format!("{found} rows instead of {rows}").into())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            let _ = engine.stop();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The documented recipe.
pub(crate) fn recipe(
    programs: &Programs,
    folder: PathBuf,
    store: &Store,
    export: &Export,
) -> Result<Cost> {
    statements(programs, folder, store, export, RECIPE)
}

/// The best SQL.
pub(crate) fn tuned(
    programs: &Programs,
    folder: PathBuf,
    store: &Store,
    export: &Export,
) -> Result<Cost> {
    statements(programs, folder, store, export, TUNED)
}

fn statements(
    programs: &Programs,
    folder: PathBuf,
    store: &Store,
    export: &Export,
    statements: &[&str],
) -> Result<Cost> {
    let ground = Ground::new(programs, folder, store)?;
    let files = export.folder.join("data/*.json.gz").display().to_string();
    let cores = machine::cores();
    let threads = format!("max_threads = {cores}, max_insert_threads = {cores}");
    let (last, first) = statements.split_last().ok_or("no statement")?;
    let filled = |statement: &str| {
        statement
            .replace("{files}", &files)
            .replace("{threads}", &threads)
            .replace("{version}", VERSION)
    };
    for statement in first {
        ground.engine()?.sql(&filled(statement))?;
    }
    ground.measure(export.rows, |engine| engine.sql(&filled(last)).map(drop))
}

/// Compressed files in memory.
pub(crate) fn read_files(export: &Export) -> Result<Vec<Vec<u8>>> {
    let mut bodies = Vec::new();
    for file in export.files()? {
        bodies.push(fs::read(file)?);
    }
    Ok(bodies)
}

/// Only gunzip, with the fastest library we know, on all cores, from memory to memory.
pub(crate) fn gunzip(bodies: &[Vec<u8>], export: &Export) -> Result<Cost> {
    let next = AtomicUsize::new(0);
    let (cpu, begun) = (own_cpu_seconds(), Instant::now());
    let work = || -> Result<u64> {
        let (mut plain, mut bytes) = (Vec::new(), 0);
        let mut library = libdeflater::Decompressor::new();
        while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            // The last four bytes of a gzip member are the size of what is in it.
            let tail = body.last_chunk::<4>().ok_or("an empty file")?;
            plain.resize(u32::from_le_bytes(*tail) as usize, 0);
            bytes += library.gzip_decompress(body, &mut plain)? as u64;
        }
        Ok(bytes)
    };
    let bytes: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..machine::cores()).map(|_| scope.spawn(work)).collect();
        let sums = workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| "a worker failed")?);
        sums.sum::<Result<u64>>()
    })?;
    if bytes != export.raw_bytes {
        return Err(format!("{bytes} bytes instead of {}", export.raw_bytes).into());
    }
    Ok(Cost {
        rows: export.rows,
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: own_cpu_seconds() - cpu,
    })
}

/// Rows of the product's own table as sorted blocks in ClickHouse's Native format, at most `limit`.
pub(crate) fn blocks(engine: &Engine, table: &str, limit: u64) -> Result<Blocks> {
    let rows = engine
        .number(&format!("SELECT count() FROM {table}"))?
        .min(limit);
    let block_rows = BLOCK_ROWS.min(rows).max(1);
    let settings = format!("SETTINGS max_threads = 1, max_block_size = {block_rows}");
    let bodies: Vec<_> = (0..rows / block_rows)
        .map(|number| {
            let from = number * block_rows;
            engine.bytes(&format!(
                "SELECT * FROM (SELECT * FROM {table} LIMIT {block_rows} OFFSET {from}) ORDER BY pk, sk {settings} FORMAT Native"
            ))
        })
        .collect::<Result<_>>()?;
    Ok(Blocks {
        rows: bodies.len() as u64 * block_rows,
        bodies,
    })
}

/// Only the insert: two inserters send ready-made blocks.
pub(crate) fn native(
    programs: &Programs,
    folder: PathBuf,
    store: &Store,
    blocks: &Blocks,
) -> Result<Cost> {
    let ground = Ground::new(programs, folder, store)?;
    let next = AtomicUsize::new(0);
    let slots: Vec<_> = blocks
        .bodies
        .iter()
        .map(|body| std::sync::Mutex::new(Some(body.clone())))
        .collect();
    ground.measure(blocks.rows, |engine| {
        let work = || -> Result<()> {
            while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                let body = slot.lock().map_err(|_| "an inserter failed")?.take();
                engine.insert(
                    "INSERT INTO bench.orders FORMAT Native",
                    body.unwrap_or_default(),
                )?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let inserters = [scope.spawn(work), scope.spawn(work)];
            inserters
                .into_iter()
                .try_for_each(|inserter| inserter.join().map_err(|_| "an inserter failed")?)
        })
    })
}

/// The script that one would write in Python.
pub(crate) fn python(
    programs: &Programs,
    folder: PathBuf,
    store: &Store,
    export: &Export,
    python: &Path,
) -> Result<Cost> {
    let ground = Ground::new(programs, folder, store)?;
    let mut command = Command::new(python);
    command
        .arg(programs.root.join("bench/python/load.py"))
        .args(["--url", ground.engine()?.url(), "--table", "bench.orders"])
        .arg(export.folder.join("data"));
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("load.py: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let (rows, seconds) = (said["rows"].as_u64(), said["seconds"].as_f64());
    let found = ground
        .engine()?
        .number("SELECT count() FROM bench.orders")?;
    match (rows, seconds) {
        (Some(rows), Some(seconds)) if rows == found && rows == export.rows => Ok(Cost {
            rows,
            seconds,
            cpu_seconds: said["cpu_seconds"].as_f64().unwrap_or(seconds),
        }),
        _ => Err(format!("load.py said {said}, the table has {found} rows").into()),
    }
}
