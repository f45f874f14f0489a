//! Where everything meets: AWS, ClickHouse and the server. Read this to see the whole.
//!
//! The only file that names `source_dynamodb`, `sink_clickhouse` and `server`.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use mirror::checks::TableLimits;
use mirror::sink::Sink;
use mirror::source::Sources;
use mirror::warehouse::{QueryLimits, Verifier, Warehouse};
use server::deploy::prices::Prices;
use server::run::{Parts, ServerError};
use server::settings::Settings;
use server::state_dir::StateDir;
use server::system_clock::SystemClock;
use server::worker::WorkerSettings;
use sink_clickhouse::engine::{EngineExecutable, EngineHandle, EngineOptions, run_engine};
use sink_clickhouse::{ClickHouse, ExternalOptions};
use source_dynamodb::{AwsOptions, AwsSources};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use crate::commands::server::{Limit, Plan};
use crate::config_file::{LogFormat, LogLevel};
use crate::failure::{Exit, Failure, Outcome};

/// First argument of the engine's process.
const ENGINE: &str = "engine";
/// Workspaces that have their ClickHouse users from the start; more cost a restart of the engine, 0.3 s.
const READER_SLOTS: u32 = 64;
/// The engine gets this share of the machine's memory unless told otherwise; mirrors and the page cache share the rest.
const ENGINE_MEMORY_DIVISOR: u64 = 2;
/// Where the machine does not say how much memory it has, bytes.
const ENGINE_MEMORY_FALLBACK: u64 = 2 * 1024 * 1024 * 1024;

/// Becomes the engine if this process was started as one; nothing else of the program has run by then.
pub(crate) fn engine_child() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == ENGINE).then(|| run_engine(arguments))
}

/// Runs a server until SIGTERM or SIGINT.
pub(crate) fn serve(plan: &Plan) -> Outcome {
    start_logging(plan);
    let failed = |problem: &str, error: &dyn std::error::Error| {
        Failure::new(Exit::Server, problem).because(error)
    };
    // reqwest is built without a TLS provider of its own. Installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("cannot start the runtime", &error))?
        .block_on(serve_until_signal(plan))
}

async fn serve_until_signal(plan: &Plan) -> Outcome {
    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;
    // The lock comes first: a second server must not touch anything, the engine's folder least of all.
    let state = StateDir::open(&plan.state_dir)
        .map_err(|error| Failure::new(Exit::Server, "the server did not start").because(&error))?;
    let (clickhouse, engine) = clickhouse(plan).await?;
    let parts = Parts {
        warehouse: Arc::clone(&clickhouse) as Arc<dyn Warehouse>,
        verifier: Arc::clone(&clickhouse) as Arc<dyn Verifier>,
        sink: clickhouse as Arc<dyn Sink>,
        sources: sources(plan)?,
        clock: Arc::new(SystemClock),
    };
    let outcome = server::run::run(settings(plan), &state, parts, shutdown).await;
    // The engine ends last: workers insert until they have stopped. The state folder is ours until then.
    if let Some(engine) = engine {
        engine.stop().await;
    }
    drop(state);
    outcome.map_err(|error| {
        let failure = Failure::new(Exit::Server, "the server ended");
        match error {
            ServerError::PortTaken { .. } => failure
                .because(&error)
                .hint("choose another port with --port or TB_LOCAL_PORT; 0 takes a free one"),
            error => failure.because(&error),
        }
    })
}

/// An external server if one is named, else the embedded engine.
async fn clickhouse(plan: &Plan) -> Outcome<(Arc<ClickHouse>, Option<EngineHandle>)> {
    let failed = |error: mirror::error::Error| {
        let mut failure = Failure::new(Exit::Server, "ClickHouse did not start");
        failure.causes.push(error.report());
        failure
    };
    if let Some(external) = &plan.clickhouse {
        // On a server that teams share, a workspace must not read what belongs to another one.
        let options = ExternalOptions {
            require_reader: !plan.local,
        };
        let clickhouse = ClickHouse::external(
            external.url.as_str(),
            &external.user,
            external.password.expose(),
            options,
        )
        .map_err(failed)?;
        return Ok((Arc::new(clickhouse), None));
    }
    let folder = plan.state_dir.join("engine");
    let options = EngineOptions {
        data_dir: folder.join("data"),
        conf_dir: folder.join("conf"),
        logs_dir: folder.join("logs"),
        library: None,
        max_memory_bytes: plan
            .engine_memory_bytes
            .unwrap_or_else(default_engine_memory),
        executable: EngineExecutable::this_program([ENGINE]),
        reader_slots: READER_SLOTS,
    };
    let (clickhouse, engine) = EngineHandle::start(options).await.map_err(failed)?;
    Ok((clickhouse, Some(engine)))
}

/// AWS, unless this server may not look for credentials.
fn sources(plan: &Plan) -> Outcome<Option<Arc<dyn Sources>>> {
    if !plan.aws {
        return Ok(None);
    }
    let spool = plan.state_dir.join("spool");
    std::fs::create_dir_all(&spool).map_err(|error| {
        Failure::new(Exit::Server, format!("cannot make {}", spool.display())).because(&error)
    })?;
    let mut options = AwsOptions::new(spool);
    options.session_label = if plan.local { "local" } else { "server" }.to_owned();
    Ok(Some(Arc::new(AwsSources::new(options))))
}

fn settings(plan: &Plan) -> Settings {
    let defaults = WorkerSettings::default();
    let limit = |limit: Limit, default: Option<u64>| match limit {
        Limit::Default => default,
        Limit::At(value) => Some(value),
        Limit::Lifted => None,
    };
    let poll = &plan.poll;
    Settings {
        state_dir: plan.state_dir.clone(),
        host: plan.host,
        port: plan.port,
        local: plan.local,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        query_limits: QueryLimits {
            max_execution_seconds: plan.query_seconds,
            max_memory_bytes: plan.query_memory_bytes,
            max_result_bytes: plan.query_result_bytes,
        },
        prices: {
            let (known, said) = (Prices::default(), &plan.prices);
            Prices {
                export_per_gb: said.export_per_gb.unwrap_or(known.export_per_gb),
                pitr_per_gb_month: said.pitr_per_gb_month.unwrap_or(known.pitr_per_gb_month),
                stream_reads_per_million: said
                    .stream_reads_per_million
                    .unwrap_or(known.stream_reads_per_million),
                stream_reads_free_per_month: said
                    .stream_reads_free_per_month
                    .unwrap_or(known.stream_reads_free_per_month),
            }
        },
        worker: WorkerSettings {
            table_limits: TableLimits {
                max_table_bytes: limit(plan.max_table_bytes, defaults.table_limits.max_table_bytes),
                max_write_capacity_units: limit(
                    plan.max_write_capacity_units,
                    defaults.table_limits.max_write_capacity_units,
                ),
            },
            load_parallelism: poll.load_parallelism.map_or_else(cores, usize::from).max(1),
            export_poll_ms: poll.export_ms.unwrap_or(defaults.export_poll_ms),
            discovery_ms: poll.discovery_ms.unwrap_or(defaults.discovery_ms),
            poll_min_ms: poll.stream_min_ms.unwrap_or(defaults.poll_min_ms),
            poll_idle_max_ms: poll.stream_idle_max_ms.unwrap_or(defaults.poll_idle_max_ms),
            idle_calls_per_hour: poll
                .stream_idle_calls_per_hour
                .unwrap_or(defaults.idle_calls_per_hour),
            retry_max_ms: poll.retry_max_ms.unwrap_or(defaults.retry_max_ms),
            export_retry_ms: poll.export_retry_ms.unwrap_or(defaults.export_retry_ms),
            ..defaults
        },
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Half of the machine's memory, or of the container's if that is less.
fn default_engine_memory() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let kilobytes = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            kilobytes
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        });
    let container = read_number(Path::new("/sys/fs/cgroup/memory.max"));
    let available = [machine, container].into_iter().flatten().min();
    available.map_or(ENGINE_MEMORY_FALLBACK, |bytes| {
        bytes / ENGINE_MEMORY_DIVISOR
    })
}

fn read_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The first SIGTERM or SIGINT asks the server to stop, the second one does not wait for it.
fn stop_on_signals(shutdown: &CancellationToken) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Server, "cannot listen for signals").because(&error)
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                std::process::exit(Exit::Interrupted as i32);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}

fn start_logging(plan: &Plan) {
    let level = match plan.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    // A second subscriber in one process is refused; the first one is as good.
    let _ = match plan.log_format {
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
