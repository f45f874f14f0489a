//! One engine process, from its start to its end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mirror::error::{Error, ErrorKind};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

/// A start takes 0.1-0.9 s; a store that needs repair may take longer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// A clean stop takes under 0.1 s, or about 5 s with connections still open.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const TAIL_LINES: usize = 12;
const TAIL_LINE_CHARS: usize = 400;

/// The program that is started as the engine: `tb` itself, with the arguments that make it call
/// [`run_engine`](super::run_engine).
#[derive(Clone, Debug)]
pub struct EngineExecutable {
    /// The program.
    pub program: PathBuf,
    /// Arguments before those of the engine: `["engine"]` for `tb`.
    pub arguments: Vec<OsString>,
}

impl EngineExecutable {
    /// The running program itself, started again with `arguments`: the same file even if another
    /// version has taken its place on the disk since.
    pub fn this_program(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            program: "/proc/self/exe".into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        }
    }
}

/// A running engine.
pub(super) struct Child {
    process: tokio::process::Child,
    /// The engine ends when this closes.
    stdin: Option<ChildStdin>,
    pub(super) pid: u32,
    pub(super) port: u16,
}

/// Why a start failed.
pub(super) enum StartError {
    /// Another process has the data directory.
    InUse,
    /// `Unavailable` if a signal ended it, which the next one may be spared; else `Permanent`.
    Failed(Error),
}

impl Child {
    /// Starts the engine and waits until it can be called.
    pub(super) async fn start(
        executable: &EngineExecutable,
        library: &Path,
        data: &Path,
        conf: &Path,
    ) -> std::result::Result<Self, StartError> {
        let mut process = command(executable, library, data, conf)
            .spawn()
            .map_err(|error| {
                let context = format!("start the engine with {}", executable.program.display());
                StartError::Failed(Error::with_source(ErrorKind::Permanent, context, error))
            })?;
        let (Some(stdin), Some(stdout), Some(stderr), Some(pid)) = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
            process.id(),
        ) else {
            return Err(failed("start the engine: it has no pipes"));
        };
        let mut stderr = Stderr::follow(stderr);
        let mut lines = BufReader::new(stdout).lines();
        let port = match tokio::time::timeout(READY_TIMEOUT, ready_port(&mut lines)).await {
            Ok(Some(port)) => port,
            Ok(None) => {
                let end = stop(&mut process, Some(stdin)).await;
                let tail = stderr.rest().await;
                if tail.contains("Cannot lock file") {
                    return Err(StartError::InUse);
                }
                let status = end.text();
                let context = format!("start the engine: it ended ({status}) and said: {tail}");
                // Somebody else ended it: the kernel for want of memory, or a person.
                if end.by_signal_of_others() {
                    return Err(StartError::Failed(Error::new(
                        ErrorKind::Unavailable,
                        context,
                    )));
                }
                return Err(failed(context));
            }
            Err(_) => {
                let _ = process.start_kill();
                stop(&mut process, Some(stdin)).await;
                let (seconds, tail) = (READY_TIMEOUT.as_secs(), stderr.rest().await);
                return Err(failed(format!(
                    "start the engine: not ready after {seconds} s; it said: {tail}"
                )));
            }
        };
        // Nothing more is expected there, but a full pipe would block the engine.
        drop(tokio::spawn(async move {
            while let Ok(Some(_)) = lines.next_line().await {}
        }));
        Ok(Self {
            process,
            stdin: Some(stdin),
            pid,
            port,
        })
    }

    /// Waits until the engine ends by itself; says how. What it said last may quote queries and stays in
    /// its log.
    pub(super) async fn ended(&mut self) -> String {
        match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends the engine: running inserts are finished first. Kills it when it takes too long.
    pub(super) async fn stop(mut self) {
        stop(&mut self.process, self.stdin.take()).await;
    }

    /// Ends the engine at once; acknowledged rows survive that.
    pub(super) async fn kill(mut self) {
        let _ = self.process.start_kill();
        stop(&mut self.process, None).await;
    }
}

/// How a process ended.
struct End {
    status: std::io::Result<ExitStatus>,
    /// It took too long, so that we killed it.
    killed: bool,
}

impl End {
    fn text(&self) -> String {
        match &self.status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    fn by_signal_of_others(&self) -> bool {
        !self.killed && matches!(&self.status, Ok(status) if status.signal().is_some())
    }
}

async fn stop(process: &mut tokio::process::Child, stdin: Option<ChildStdin>) -> End {
    drop(stdin);
    match tokio::time::timeout(STOP_TIMEOUT, process.wait()).await {
        Ok(status) => End {
            status,
            killed: false,
        },
        Err(_) => {
            let _ = process.start_kill();
            End {
                status: process.wait().await,
                killed: true,
            }
        }
    }
}

fn failed(context: impl Into<String>) -> StartError {
    StartError::Failed(Error::new(ErrorKind::Permanent, context))
}

fn command(executable: &EngineExecutable, library: &Path, data: &Path, conf: &Path) -> Command {
    let mut command = Command::new(&executable.program);
    command
        // What `ps` shows.
        .arg0("tb-engine")
        .args(&executable.arguments)
        .arg("--library")
        .arg(library)
        .arg("--data")
        .arg(data)
        .arg("--conf")
        .arg(conf)
        .current_dir(data)
        // The engine has no business with credentials of the environment.
        .env_clear()
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C at the terminal is for us; we end the engine in order.
        .process_group(0);
    command
}

/// The port of the `ready` line, `None` if the engine ends without one.
async fn ready_port(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<u16> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(port) = line.strip_prefix("ready\t") {
            return port.trim().parse().ok();
        }
    }
    None
}

/// The last lines of the engine's stderr, for the error of a failed start.
struct Stderr {
    tail: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stderr {
    fn follow(stderr: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL_LINES)));
        let shared = Arc::clone(&tail);
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.trim().is_empty() || line.starts_with("Logging ") {
                    continue;
                }
                let mut tail = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line.chars().take(TAIL_LINE_CHARS).collect());
            }
        });
        Self {
            tail,
            reader: Some(reader),
        }
    }

    /// The last lines, once the process has ended.
    async fn rest(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = tokio::time::timeout(Duration::from_secs(1), reader).await;
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" | ")
    }
}
