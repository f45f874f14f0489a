//! The Local server's process: found by the lock it holds, started in a session of its own, ended.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Url;
use rustix::process::Signal;

use super::Options;
use crate::client::Client;
use crate::failure::{Exit, Failure, Outcome};
use crate::local_state::{self, Holder, LocalState, ServerFile};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::resolve::{self, Environment, LOCAL_PORT};
use crate::text;

/// The engine of a large state may take a while to open its tables.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Batches in flight are finished within this time, or repeated after the next start.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Nothing stays after SIGKILL but what the kernel still has to clean up.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of the log that explain a failed start.
const TAIL_LINES: usize = 20;

/// A server that holds the state folder.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: u32,
    /// `None` until it listens.
    pub(super) file: Option<ServerFile>,
}

/// Who holds the state folder. A server that just took it has a moment to write its process id.
pub(super) async fn running(state: &LocalState) -> Outcome<Option<Running>> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let holder = state.holder().map_err(|error| {
            Failure::new(
                Exit::Server,
                format!("cannot look into {}", state.path().display()),
            )
            .because(&error)
        })?;
        match holder {
            Holder::Nobody => return Ok(None),
            Holder::Process(pid) => {
                return Ok(Some(Running {
                    pid,
                    file: state.server_file(pid),
                }));
            }
            Holder::Unnamed if Instant::now() > deadline => {
                return Err(Failure::new(
                    Exit::Server,
                    format!(
                        "{} is locked by a process that does not say which",
                        state.path().display()
                    ),
                )
                .hint(
                    "find it with: fuser -v STATE/lock"
                        .replace("STATE", &state.path().display().to_string()),
                ));
            }
            Holder::Unnamed => tokio::time::sleep(LOOK).await,
        }
    }
}

pub(super) fn client(file: &ServerFile) -> Outcome<Client> {
    let port = file.port.unwrap_or(LOCAL_PORT);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/"))
        .map_err(|error| Failure::new(Exit::Server, "server.json names no port").because(&error))?;
    Client::new(url, true)
}

/// Starts the server as a process of its own that outlives this one.
pub(super) fn spawn(options: &Options, env: &Environment, state: &LocalState) -> Outcome<Child> {
    let cannot = |error: std::io::Error| {
        Failure::new(Exit::Server, "cannot start the Local server").because(&error)
    };
    let log = state.open_log().map_err(cannot)?;
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    command
        .args(["server", "--local", "--detached", "--port"])
        .arg(options.port.to_string());
    command.arg("--state-dir").arg(state.path());
    if !options.use_aws_creds {
        command.arg("--no-aws");
    }
    command
        .env_clear()
        .envs(resolve::local_server_environment(
            env,
            options.use_aws_creds,
        ))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(cannot)?)
        .stderr(log);
    command.spawn().map_err(cannot)
}

/// Waits until the server answers; a child that ends before tells why through its log.
pub(super) async fn ready(
    state: &LocalState,
    pid: u32,
    mut child: Option<&mut Child>,
    log_start: u64,
    printer: &Printer,
) -> Outcome<Client> {
    let progress = Progress::new(printer);
    let mut line = progress.line(printer);
    if printer.err_is_terminal() {
        line.say("Starting the Local server");
    }
    let deadline = Instant::now() + START_TIMEOUT;
    let outcome = loop {
        if let Some(child) = child.as_deref_mut()
            && let Ok(Some(status)) = child.try_wait()
        {
            break Err(failed_start(
                state,
                log_start,
                &format!("the server ended with {status}"),
                printer,
            ));
        }
        if let Some(file) = state.server_file(pid) {
            let client = client(&file)?;
            if client.get("/v0/health", &[]).await.is_ok() {
                break Ok(client);
            }
        }
        if Instant::now() > deadline {
            break Err(failed_start(
                state,
                log_start,
                "it did not answer within two minutes",
                printer,
            ));
        }
        tokio::time::sleep(LOOK).await;
    };
    line.clear();
    outcome
}

fn failed_start(state: &LocalState, log_start: u64, cause: &str, printer: &Printer) -> Failure {
    let tail = state
        .log_tail(log_start, TAIL_LINES)
        .map_or_else(|_| Vec::new(), |(tail, _)| tail);
    for line in &tail {
        printer.note(format_args!("  | {}", text::printable(line)));
    }
    let in_use = tail
        .iter()
        .any(|line| line.contains("something else listens"));
    let hint = if in_use {
        "choose another port with --port or TB_LOCAL_PORT; 0 takes a free one".to_owned()
    } else {
        format!("the whole log is in {}", state.log_path().display())
    };
    let mut failure = Failure::new(Exit::Server, "the Local server did not start").hint(hint);
    failure.causes.push(cause.to_owned());
    failure
}

/// Ends the server that holds the folder. False if there is none.
pub(super) async fn end(state: &LocalState, printer: &Printer) -> Outcome<bool> {
    let Some(Running { pid, .. }) = running(state).await? else {
        return Ok(false);
    };
    let cannot = |error: std::io::Error| {
        Failure::new(Exit::Server, format!("cannot stop process {pid}")).because(&error)
    };
    local_state::signal(pid, Signal::TERM).map_err(cannot)?;
    if !gone(pid, STOP_TIMEOUT).await {
        printer.warning(format_args!(
            "process {pid} did not stop within {} s and is ended by force; nothing that was acknowledged is lost",
            STOP_TIMEOUT.as_secs()
        ));
        local_state::signal(pid, Signal::KILL).map_err(cannot)?;
        if !gone(pid, KILL_TIMEOUT).await {
            return Err(
                Failure::new(Exit::Server, format!("process {pid} does not end")).hint(
                    "look at it with: ps -o pid,stat,wchan,cmd -p PID"
                        .replace("PID", &pid.to_string()),
                ),
            );
        }
    }
    Ok(true)
}

/// Whether the process ends in time. It gives the folder up a moment before: its engine ends last.
async fn gone(pid: u32, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while local_state::is_alive(pid) {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}
