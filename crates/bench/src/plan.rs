//! What is measured, in which order, and with how much data.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::data::{self, Export, Kind};
use crate::results::Results;
use crate::stage::Programs;
use crate::{Result, RunOptions, machine};
use crate::{backfill, freshness, idle, instructions, queries, start, stream, transcode};

/// Something to measure: its name for `--only`, whether a quick run does it, and the work.
type Measurement = (&'static str, bool, fn(&mut Bench) -> Result<()>);

const MEASUREMENTS: &[Measurement] = &[
    ("backfill", true, backfill::run),
    ("kinds", true, backfill::kinds),
    ("queries", true, queries::run),
    ("transcode", true, transcode::run),
    ("stream", true, stream::run),
    ("freshness", true, freshness::run),
    ("idle", true, idle::run),
    ("start", true, start::run),
    ("instructions", false, instructions::run),
];

const DEFAULT_LIBRARY: &str = "engine/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so";

/// What every measurement has.
pub(crate) struct Bench {
    pub(crate) options: RunOptions,
    pub(crate) programs: Programs,
    pub(crate) results: Results,
    /// A store that the product filled with the typical items, once one is there.
    pub(crate) store: Option<backfill::Store>,
    folders: u32,
}

impl Bench {
    pub(crate) fn quick(&self) -> bool {
        self.options.quick
    }

    /// Repeats of what is compared.
    pub(crate) fn repeats(&self) -> usize {
        let usual = if self.quick() { 3 } else { 5 };
        self.options.repeats.unwrap_or(usual).max(1)
    }

    /// Items of the typical export.
    pub(crate) fn rows(&self) -> u64 {
        let usual = if self.quick() { 300_000 } else { 5_000_000 };
        self.options.rows.unwrap_or(usual)
    }

    /// Seconds for which freshness is measured at one rate.
    pub(crate) fn seconds(&self) -> u64 {
        let usual = self.pick(300, 10);
        self.options.seconds.unwrap_or(usual)
    }

    /// One of two numbers.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick() { quick } else { full }
    }

    pub(crate) fn export(&mut self, kind: Kind, rows: u64) -> Result<Export> {
        let begun = Instant::now();
        let export = data::export(&self.options.work.join("data"), kind, rows)?;
        if begun.elapsed() > Duration::from_secs(1) {
            say(&format!("made {} {} items", export.rows, kind.name()));
        }
        let name = format!("{}_{rows}", kind.name());
        self.results.data.insert(name, export.describe());
        Ok(export)
    }

    /// A new empty folder; its user removes it.
    pub(crate) fn folder(&mut self, name: &str) -> Result<PathBuf> {
        self.folders += 1;
        let folder = self
            .options
            .work
            .join(format!("run/{name}-{}", self.folders));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// Runs what is wanted, prints the table and writes the results.
pub(crate) fn run(options: &RunOptions) -> Result<()> {
    let unknown = options
        .only
        .iter()
        .find(|name| !MEASUREMENTS.iter().any(|(known, ..)| known == name));
    if let Some(name) = unknown {
        let known: Vec<_> = MEASUREMENTS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("{name:?} is none of {}", known.join(", ")).into());
    }
    let begun = Instant::now();
    let mut bench = begin(options)?;
    let mut failed = Vec::new();
    for (name, in_quick, measure) in MEASUREMENTS {
        let only = &bench.options.only;
        let wanted = match only.is_empty() {
            true => *in_quick || !bench.quick(),
            false => only.iter().any(|one| one == name),
        };
        if !wanted {
            continue;
        }
        let begun = Instant::now();
        if let Err(error) = measure(&mut bench) {
            say(&format!("{name} failed: {error}"));
            bench.results.miss(name, &format!("failed: {error}"));
            failed.push(*name);
        } else {
            bench.results.missing.remove(*name);
            say(&format!("{name}: {:.0} s", begun.elapsed().as_secs_f64()));
        }
        bench.results.write(&bench.options.files.results)?;
    }
    drop(bench.store.take());
    clean(&bench.options.work);
    println!(
        "\n{}\nIn {}, after {:.0} s. ± is half the distance between the smallest and the largest sample.",
        bench.results.table(),
        bench.options.files.results.display(),
        begun.elapsed().as_secs_f64()
    );
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed: {}", failed.join(", ")).into())
}

/// Loads exports of one kind into new servers, as often as wanted.
pub(crate) fn load(options: &RunOptions, kind: Kind) -> Result<()> {
    let mut bench = begin(options)?;
    let rows = kind.rows(bench.rows());
    let export = bench.export(kind, rows)?;
    for _ in 0..bench.repeats() {
        println!("{}", backfill::one_load(&mut bench, &export)?.describe());
    }
    clean(&bench.options.work);
    Ok(())
}

/// Lets a mirror catch up with a full stream, as often as wanted.
pub(crate) fn follow(options: &RunOptions, shards: u32, changes: u64) -> Result<()> {
    let mut bench = begin(options)?;
    for _ in 0..bench.repeats() {
        println!("{}", stream::one_run(&mut bench, shards, changes)?);
    }
    clean(&bench.options.work);
    Ok(())
}

/// Measures freshness at one rate, as often as wanted.
pub(crate) fn freshness(options: &RunOptions, rate: u64) -> Result<()> {
    let mut bench = begin(options)?;
    for _ in 0..bench.repeats() {
        println!("{}", freshness::one_run(&mut bench, rate)?);
    }
    clean(&bench.options.work);
    Ok(())
}

fn begin(options: &RunOptions) -> Result<Bench> {
    fs::create_dir_all(&options.work)?;
    let options = RunOptions {
        work: fs::canonicalize(&options.work)?,
        ..options.clone()
    };
    let mode = if options.quick { "quick" } else { "full" };
    let programs = programs(&options)?;
    let mut results = Results::begin(&options.files.results, mode, &options.root, &options.work);
    let engine = machine::package(&programs.library);
    results.versions.insert("engine".to_owned(), engine);
    let bench = Bench {
        programs,
        results,
        store: None,
        folders: 0,
        options,
    };
    clean(&bench.options.work);
    Ok(bench)
}

/// What a run that was killed may have left.
fn clean(work: &Path) {
    let _ = fs::remove_dir_all(work.join("run"));
}

fn programs(options: &RunOptions) -> Result<Programs> {
    let library = match &options.library {
        Some(library) => library.clone(),
        None => options.root.join(DEFAULT_LIBRARY),
    };
    let present = |path: &Path, how: &str| {
        fs::canonicalize(path).map_err(|error| format!("{}: {error}; {how}", path.display()))
    };
    let bin = present(&options.bin, "run: make release")?;
    present(&bin.join("tb"), "run: make release")?;
    present(&bin.join("aws-sim"), "run: make release")?;
    Ok(Programs {
        bin,
        library: present(&library, "run: make engine")?,
        root: present(&options.root, "give the checkout with --root")?,
    })
}

/// Progress, on stderr: the table alone is on stdout.
pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}
