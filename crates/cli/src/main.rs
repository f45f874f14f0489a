//! The `tb` program: the command line and the server in one binary.
//!
//! Start reading in `args` (what can be said), `commands` (one file per command) and `assemble` (the only
//! place that names the server, the engine and AWS).

mod allocator;
mod args;
mod assemble;
mod client;
mod commands;
mod config_file;
mod diagnostics;
mod dispatch;
mod env_vars;
mod failure;
mod files;
mod follow;
mod interview;
mod local_state;
mod mirrors;
mod printer;
mod progress;
mod prompt;
mod resolve;
mod table;
mod text;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The engine's process is this program again, and has to become the engine before anything else runs.
    if let Some(code) = assemble::engine_child() {
        return code;
    }
    let cli = args::Cli::parse();
    let printer = dispatch::printer_for(&cli);
    match dispatch::run(cli, &printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}
