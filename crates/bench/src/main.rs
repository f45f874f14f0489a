//! `bench`: what Dynamirror costs and how fast it is, against other ways of doing the same on the same machine.
//!
//! It starts the release binaries `tb` and `aws-sim` on loopback, as a user would, and measures from outside: nothing of
//! the product is linked in. Start reading in [`plan`], which lists the measurements; `docs/performance.md` says what
//! the figures mean.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod backfill;
mod data;
mod engine;
mod freshness;
mod history;
mod http;
mod idle;
mod instructions;
mod machine;
mod page;
mod pictures;
mod plan;
mod process;
mod queries;
mod results;
mod rivals;
mod stage;
mod start;
mod statistics;
mod stream;
mod transcode;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// What a measurement needs to go on is missing, or something it started failed.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Measures Dynamirror on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, print a table, write the results file
    Run(RunOptions),
    /// Compare the results' ratios with the last record of the same kind; exit code 1 if one is worse by more than 10 %
    Check(Files),
    /// Append the results' ratios to the history
    Record(Files),
    /// Draw the pictures of the documentation from the results, and write its table
    Draw {
        #[command(flatten)]
        files: Files,
        /// Folder of the pictures
        #[arg(long, default_value = "docs/pictures")]
        pictures: PathBuf,
        /// The page with the table
        #[arg(long, default_value = "docs/performance.md")]
        page: PathBuf,
    },
    /// Only our own backfill, a JSON line each time: to be looked at with a profiler
    Load {
        #[command(flatten)]
        options: RunOptions,
        #[arg(long, default_value = "typical")]
        kind: data::Kind,
    },
    /// Only our own catching up with a stream that is full, a JSON line each time: to be looked at with a profiler
    Follow {
        #[command(flatten)]
        options: RunOptions,
        #[arg(long, default_value_t = 64)]
        shards: u32,
        #[arg(long, default_value_t = 500_000)]
        changes: u64,
    },
    /// Only how soon changes are seen, at one rate
    Freshness {
        #[command(flatten)]
        options: RunOptions,
        /// Changes a second
        #[arg(long, default_value_t = 1000)]
        rate: u64,
    },
    /// Only write an export as AWS would leave it in S3
    Export {
        #[arg(long, default_value = "typical")]
        kind: data::Kind,
        #[arg(long, default_value_t = 300_000)]
        rows: u64,
        #[arg(long, default_value = "target/bench/data")]
        out: PathBuf,
    },
}

/// The files that outlive a run.
#[derive(Clone, Debug, Args)]
struct Files {
    #[arg(long, default_value = "bench/results.json")]
    results: PathBuf,
    #[arg(long, default_value = "bench/history.jsonl")]
    history: PathBuf,
}

/// How to measure.
#[derive(Clone, Debug, Args)]
struct RunOptions {
    #[command(flatten)]
    files: Files,
    /// Smaller data and fewer repeats; leaves the long measurements out
    #[arg(long)]
    quick: bool,
    /// Only these, separated by commas: backfill, kinds, transcode, stream, freshness, idle, queries, start
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Repeats of what is compared (5, quick: 3)
    #[arg(long)]
    repeats: Option<usize>,
    /// Items of the big export (5,000,000, quick: 300,000)
    #[arg(long)]
    rows: Option<u64>,
    /// Length of a run of `freshness` at one rate (300, quick: 10)
    #[arg(long)]
    seconds: Option<u64>,
    /// Folder of the release binaries `tb` and `aws-sim`
    #[arg(long, default_value = "target/release")]
    bin: PathBuf,
    /// The engine's library; searched where `make engine` leaves it if absent
    #[arg(long, env = "TB_ENGINE_LIBRARY")]
    library: Option<PathBuf>,
    /// Everything temporary goes here
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// The checkout, for the example project
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Python with the packages of bench/python/requirements.txt; without it that rival is left out
    #[arg(long)]
    python: Option<PathBuf>,
    /// The example `transcode_rate`; without it the transcoder is left out
    #[arg(long)]
    transcode: Option<PathBuf>,
}

fn main() -> ExitCode {
    // reqwest is built without a TLS provider of its own. Installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match Options::parse().command {
        Command::Run(options) => plan::run(&options),
        Command::Load { options, kind } => plan::load(&options, kind),
        Command::Follow {
            options,
            shards,
            changes,
        } => plan::follow(&options, shards, changes),
        Command::Freshness { options, rate } => plan::freshness(&options, rate),
        Command::Check(files) => history::check(&files),
        Command::Record(files) => history::record(&files),
        Command::Draw {
            files,
            pictures,
            page,
        } => pictures::draw(&files.results, &pictures)
            .and_then(|()| page::write(&files.results, &page)),
        Command::Export { kind, rows, out } => {
            data::export(&out, kind, rows).map(|export| println!("{}", export.folder.display()))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
