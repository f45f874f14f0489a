//! The backfill: an export in S3 becomes rows, by us and by others.

mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::data::{Export, Kind};
use crate::engine::Engine;
use crate::plan::{Bench, say};
use crate::process::{cpu_seconds, peak_mb};
use crate::rivals::{self, Cost};
use crate::stage::{Aws, Programs, Server};
use crate::{Error, Result};

/// Rows that are inserted ready-made: enough to tell what one costs.
const NATIVE_ROWS: u64 = 1_000_000;
/// Items the Python script loads: its rate does not depend on it.
const PYTHON_ROWS: (u64, u64) = (50_000, 20_000);

/// What a backfill of ours took and cost.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) rows: u64,
    pub(crate) raw_bytes: u64,
    /// From the first file's download to the last file's commit, by the server's own clock.
    pub(crate) seconds: f64,
    /// From `tb build` to the last commit, seen from outside.
    pub(crate) wall_seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) engine_cpu_seconds: f64,
    pub(crate) simulator_cpu_seconds: f64,
    pub(crate) server_peak_mb: f64,
    pub(crate) engine_peak_mb: f64,
}

impl Load {
    pub(crate) fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    /// As JSON; processor seconds are for a million rows.
    pub(crate) fn describe(&self) -> Value {
        let of_a_million = |seconds: f64| (seconds * 1e8 / self.rows as f64).round() / 100.0;
        json!({
            "rows_per_s": self.rows_per_second().round(),
            "server_cpu_s": of_a_million(self.server_cpu_seconds),
            "engine_cpu_s": of_a_million(self.engine_cpu_seconds),
            "simulator_cpu_s": of_a_million(self.simulator_cpu_seconds),
            "server_peak_mb": self.server_peak_mb.round(),
            "engine_peak_mb": self.engine_peak_mb.round(),
        })
    }
}

/// The state folder that a server of ours left, with the typical items in its table `orders`. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    create: String,
    /// Database and table.
    pub(crate) table: String,
    pub(crate) rows: u64,
}

impl Store {
    /// Takes over the folder of a server that has stopped.
    fn new(programs: &Programs, folder: PathBuf, rows: u64) -> Result<Self> {
        let mut store = Self {
            folder,
            create: String::new(),
            table: String::new(),
            rows,
        };
        let engine = store.engine(programs)?;
        let from = "FROM system.tables WHERE name = 'orders' FORMAT TSVRaw";
        store.table = engine.sql(&format!("SELECT database || '.' || name {from}"))?;
        store.create = engine.sql(&format!("SELECT create_table_query {from}"))?;
        engine.stop()?;
        Ok(store)
    }

    /// The settings that our server gave its engine.
    pub(crate) fn engine_xml(&self) -> PathBuf {
        self.folder.join("state/engine/conf/engine.xml")
    }

    /// The statement that makes a table like ours.
    pub(crate) fn create_table(&self, name: &str) -> String {
        self.create.replacen(&self.table, name, 1)
    }

    /// An engine on the data that our server left.
    pub(crate) fn engine(&self, programs: &Programs) -> Result<Engine> {
        let copy = self.folder.join("engine.xml");
        fs::copy(self.engine_xml(), &copy)?;
        Engine::start(programs, &self.folder.join("state/engine/data"), &copy)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One backfill of ours into a new server. The folder stays.
fn load(programs: &Programs, folder: &Path, export: &Export, settings: &str) -> Result<Load> {
    let aws = Aws::start(programs, folder, 4)?;
    aws.create_table("orders")?;
    let offer = json!({"table": "orders", "folder": export.folder});
    aws.command("ready_export", &offer)?;
    aws.come_to_the_present()?;
    let mut server = Server::prepare(programs, folder, &aws, &["orders".to_owned()])?;
    server.configure(settings)?;
    let simulator_before = cpu_seconds(aws.pid());
    let begun = Instant::now();
    server.set_up()?;
    let mirror = server.loaded("orders")?;
    let wall_seconds = begun.elapsed().as_secs_f64();
    let (pid, engine) = (server.pid(), server.engine_pid());
    let seconds = mirror["backfill"]["elapsed_seconds"].as_f64();
    let load = Load {
        rows: export.rows,
        raw_bytes: export.raw_bytes,
        seconds: seconds.ok_or("the mirror says no time")?,
        wall_seconds,
        server_cpu_seconds: cpu_seconds(pid),
        engine_cpu_seconds: cpu_seconds(engine),
        simulator_cpu_seconds: cpu_seconds(aws.pid()) - simulator_before,
        server_peak_mb: peak_mb(pid).unwrap_or(0.0),
        engine_peak_mb: peak_mb(engine).unwrap_or(0.0),
    };
    let found = server.number("SELECT count() FROM orders FINAL")?;
    if found != export.rows {
        return Err(format!("{found} rows instead of {}", export.rows).into());
    }
    server.stop()?;
    aws.stop()?;
    Ok(load)
}

/// One backfill of ours whose server logs what took how long. The folder stays.
fn with_debug_log(
    programs: &Programs,
    folder: &Path,
    export: &Export,
) -> Result<Vec<(&'static str, f64)>> {
    load(programs, folder, export, "[log]\nlevel = \"debug\"\n")?;
    Ok(report::stages(&fs::read_to_string(
        folder.join("server.log"),
    )?))
}

/// One backfill of ours; nothing stays.
pub(crate) fn one_load(bench: &mut Bench, export: &Export) -> Result<Load> {
    let folder = bench.folder("ours")?;
    let load = load(&bench.programs, &folder, export, "")?;
    fs::remove_dir_all(folder)?;
    Ok(load)
}

/// The typical items in a store of ours, filled at the first need.
pub(crate) fn store(bench: &mut Bench) -> Result<&Store> {
    if bench.store.is_none() {
        let rows = bench.rows();
        let export = bench.export(Kind::Typical, rows)?;
        let folder = bench.folder("store")?;
        let stages = with_debug_log(&bench.programs, &folder, &export)?;
        report::add_stages(bench, &stages);
        bench.store = Some(Store::new(&bench.programs, folder, rows)?);
    }
    Ok(bench.store.as_ref().ok_or("no store")?)
}

/// Costs of one round, or of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    pub(crate) ours: Vec<Load>,
    pub(crate) recipe: Vec<Cost>,
    pub(crate) tuned: Vec<Cost>,
    pub(crate) gunzip: Vec<Cost>,
    pub(crate) native: Vec<Cost>,
    pub(crate) python: Vec<Cost>,
}

/// Ours against all rivals, interleaved: each round runs each of them once, in an order that moves on.
pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    // Also the warm-up: exports and programs are in the page cache afterwards.
    store(bench)?;
    let rows = bench.rows();
    let export = bench.export(Kind::Typical, rows)?;
    let small = bench.export(Kind::Typical, bench.pick(PYTHON_ROWS.0, PYTHON_ROWS.1))?;
    let bodies = rivals::read_files(&export)?;
    let blocks = {
        let store = store(bench)?;
        let table = store.table.clone();
        let engine = bench
            .store
            .as_ref()
            .ok_or("no store")?
            .engine(&bench.programs)?;
        let blocks = rivals::blocks(&engine, &table, NATIVE_ROWS)?;
        engine.stop()?;
        blocks
    };
    let mut costs = Costs::default();
    for round in 0..bench.repeats() {
        for turn in 0..6 {
            one(
                bench,
                (round + turn) % 6,
                &export,
                &small,
                &bodies,
                &blocks,
                &mut costs,
            )?;
        }
        say(&format!("backfill: round {} done", round + 1));
    }
    report::add(bench, &costs);
    Ok(())
}

fn one(
    bench: &mut Bench,
    which: usize,
    export: &Export,
    small: &Export,
    bodies: &[Vec<u8>],
    blocks: &rivals::Blocks,
    costs: &mut Costs,
) -> Result<()> {
    if which == 0 {
        let load = one_load(bench, export).map_err(of("ours"))?;
        costs.ours.push(load);
        return Ok(());
    }
    let folder = bench.folder("rival")?;
    let programs = &bench.programs;
    let store = bench.store.as_ref().ok_or("no store")?;
    match which {
        1 => costs
            .recipe
            .push(rivals::recipe(programs, folder, store, export).map_err(of("recipe"))?),
        2 => costs
            .tuned
            .push(rivals::tuned(programs, folder, store, export).map_err(of("tuned SQL"))?),
        3 => costs
            .gunzip
            .push(rivals::gunzip(bodies, export).map_err(of("gunzip"))?),
        4 => costs
            .native
            .push(rivals::native(programs, folder, store, blocks).map_err(of("native"))?),
        _ => {
            if let Some(python) = &bench.options.python {
                let cost = rivals::python(programs, folder, store, small, python);
                costs.python.push(cost.map_err(of("Python"))?);
            }
        }
    }
    Ok(())
}

fn of(who: &'static str) -> impl Fn(Error) -> Error {
    move |error| format!("{who}: {error}").into()
}

/// Ours against the best SQL for items of the other kinds.
pub(crate) fn kinds(bench: &mut Bench) -> Result<()> {
    store(bench)?;
    let rounds = bench.pick(3, 2);
    for kind in Kind::ALL {
        if kind == Kind::Typical {
            continue;
        }
        let rows = kind.rows(bench.rows());
        let export = bench.export(kind, rows)?;
        let mut costs = Costs::default();
        for _ in 0..rounds {
            let load = one_load(bench, &export).map_err(of(kind.name()))?;
            costs.ours.push(load);
            let folder = bench.folder("rival")?;
            let store = bench.store.as_ref().ok_or("no store")?;
            let tuned = rivals::tuned(&bench.programs, folder, store, &export);
            costs.tuned.push(tuned.map_err(of(kind.name()))?);
        }
        report::add_kind(bench, kind, &costs);
    }
    Ok(())
}
