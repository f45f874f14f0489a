//! Runs the engine as `tb engine` does, for this crate's own tests.
//!
//! `engine-child --library FILE --data DIR --conf DIR` is the engine.
//! `engine-child parent DIR` starts an engine as its child, prints the child's process id, and waits to be killed.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use sink_clickhouse::engine::{EngineExecutable, EngineHandle, EngineOptions, run_engine};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [mode, folder] if mode == "parent" => parent(Path::new(folder)),
        _ => run_engine(arguments),
    }
}

fn parent(folder: &Path) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let options = EngineOptions {
            data_dir: folder.join("data"),
            conf_dir: folder.join("conf"),
            logs_dir: folder.join("logs"),
            library: None,
            max_memory_bytes: 1_000_000_000,
            executable: EngineExecutable::this_program([] as [&str; 0]),
            reader_slots: 1,
        };
        match EngineHandle::start(options).await {
            Ok((_client, engine)) => {
                let _ = writeln!(std::io::stdout(), "{}", engine.pid().unwrap_or(0));
                std::future::pending::<ExitCode>().await
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{}", error.report());
                ExitCode::FAILURE
            }
        }
    })
}
