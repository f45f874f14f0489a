//! Keeps the engine running: starts it, watches it, starts it again, stops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mirror::error::{ErrorKind, Result};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::child::Child;
use super::config;
use super::launcher::{EngineOptions, Launcher};
use crate::client::ClickHouse;
use crate::endpoint::{Address, Endpoint};

const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
/// Engines that are killed while they start, before the first one runs, until that is an error: 1.5 s of pauses.
const START_TRIES: u32 = 5;
/// An engine that ran this long has proven that it can; its end counts as the first one.
const PROVEN: Duration = Duration::from_secs(60);
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// An engine that does not answer this many pings in a row is killed.
const MISSED_PINGS: u32 = 3;

/// What the engine does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// It can be called.
    Running {
        /// Process id.
        pid: u32,
        /// HTTP port on 127.0.0.1.
        port: u16,
    },
    /// It is being started again; calls fail with `Unavailable`.
    Restarting {
        /// Why.
        reason: String,
    },
    /// It was stopped.
    Stopped,
}

/// A running embedded engine. Dropping it stops the engine in the background; [`stop`](Self::stop) waits.
#[derive(Debug)]
pub struct EngineHandle {
    state: watch::Receiver<EngineState>,
    restarts: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Asks for users for this slot; answered when they are there.
pub(crate) type Growth = (u32, oneshot::Sender<Result<()>>);

impl EngineHandle {
    /// Starts the engine and waits until it can be called: 0.1-0.9 s.
    ///
    /// Fails when the library is missing, when another process has the data directory, and when the
    /// engine does not come up; the error quotes what it said. One that is killed meanwhile is started again, a few times.
    pub async fn start(options: EngineOptions) -> Result<(Arc<ClickHouse>, Self)> {
        let mut launcher = Launcher::new(options)?;
        let (child, address) = first_launch(&mut launcher).await?;
        let endpoint = Arc::new(Endpoint::new(Arc::clone(&address)));
        let (growth, wanted) = mpsc::channel(16);
        let (stop, stopping) = watch::channel(false);
        let (publish, state) = watch::channel(running(&child));
        let restarts = Arc::new(AtomicU64::new(0));
        let supervisor = Supervisor {
            launcher,
            endpoint: Arc::clone(&endpoint),
            state: publish,
            restarts: Arc::clone(&restarts),
            wanted,
            stopping,
        };
        let task = tokio::spawn(supervisor.run(child, address));
        Ok((
            Arc::new(ClickHouse::embedded(endpoint, growth)),
            Self {
                state,
                restarts,
                stop,
                task,
            },
        ))
    }

    /// What the engine does now.
    pub fn state(&self) -> EngineState {
        self.state.borrow().clone()
    }

    /// Process id of the engine, if it runs.
    pub fn pid(&self) -> Option<u32> {
        match *self.state.borrow() {
            EngineState::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// How often the engine was started again, for whatever reason.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Follows the state.
    pub fn watch(&self) -> watch::Receiver<EngineState> {
        self.state.clone()
    }

    /// Stops the engine; running inserts are finished first. Returns when the process has ended.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        // The supervisor does not panic; if it did, the engine would end with its pipe.
        let _ = self.task.await;
    }
}

/// Starts the engine until it is not killed while it starts; everything else that goes wrong stays so.
async fn first_launch(launcher: &mut Launcher) -> Result<(Child, Arc<Address>)> {
    let mut back_off = FIRST_BACK_OFF;
    let mut tries = 1;
    loop {
        let mut error = match launcher.launch().await {
            Ok(next) => return Ok(next),
            Err(error) => error,
        };
        if error.kind != ErrorKind::Unavailable {
            return Err(error);
        }
        if tries == START_TRIES {
            error.context.push_str(&format!(", {tries} times in a row"));
            return Err(error);
        }
        tracing::warn!(error = %error.report(), tries, "the engine was killed while it started, trying again");
        tokio::time::sleep(back_off).await;
        back_off *= 2;
        tries += 1;
    }
}

fn running(child: &Child) -> EngineState {
    EngineState::Running {
        pid: child.pid,
        port: child.port,
    }
}

struct Supervisor {
    launcher: Launcher,
    endpoint: Arc<Endpoint>,
    state: watch::Sender<EngineState>,
    restarts: Arc<AtomicU64>,
    wanted: mpsc::Receiver<Growth>,
    stopping: watch::Receiver<bool>,
}

/// Why a running engine is no longer wanted as it is.
enum Turn {
    Stop,
    Ended(String),
    Hangs,
    Grow(Growth),
}

impl Supervisor {
    async fn run(mut self, mut child: Child, mut address: Arc<Address>) {
        let mut back_off = FIRST_BACK_OFF;
        loop {
            let started = Instant::now();
            let turn = self.watch(&mut child, &address).await;
            // The connections go before the engine is asked to end: it waits for idle ones.
            drop(address);
            let mut grown = None;
            match turn {
                Turn::Stop => {
                    self.endpoint.set_down("it was stopped");
                    child.stop().await;
                    self.state.send_replace(EngineState::Stopped);
                    return;
                }
                Turn::Ended(how) => {
                    tracing::warn!(pid = child.pid, status = %how, "the engine ended unexpectedly");
                    let logs = self.launcher.logs();
                    self.restarting(format!("it ended unexpectedly ({how}); see {logs}"));
                }
                Turn::Hangs => {
                    tracing::warn!(pid = child.pid, "the engine does not answer and is killed");
                    self.restarting("it did not answer".to_owned());
                    child.kill().await;
                }
                Turn::Grow((slot, answer)) => {
                    self.launcher.slots = config::slots_for(slot);
                    tracing::info!(
                        slots = self.launcher.slots,
                        "the engine restarts with more workspaces"
                    );
                    self.restarting("it restarts with more workspaces".to_owned());
                    child.stop().await;
                    grown = Some(answer);
                }
            }
            if started.elapsed() > PROVEN || grown.is_some() {
                back_off = FIRST_BACK_OFF;
            }
            let Some(next) = self.start_again(&mut back_off, grown.is_some()).await else {
                self.state.send_replace(EngineState::Stopped);
                return;
            };
            (child, address) = next;
            self.restarts.fetch_add(1, Ordering::Relaxed);
            self.endpoint.set(Arc::clone(&address));
            self.state.send_replace(running(&child));
            tracing::info!(pid = child.pid, "the engine runs again");
            if let Some(answer) = grown {
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// Returns when something must be done about the running engine.
    async fn watch(&mut self, child: &mut Child, address: &Arc<Address>) -> Turn {
        let ping = pings(address);
        tokio::pin!(ping);
        loop {
            tokio::select! {
                biased;
                // 1. A stop, or nobody who could ask for one.
                _ = self.stopping.wait_for(|stop| *stop) => return Turn::Stop,
                // 2. The process is gone.
                how = child.ended() => return Turn::Ended(how),
                // 3. A workspace without users. Requests that waited for the last restart are served by now.
                Some((slot, answer)) = self.wanted.recv() => {
                    if slot > self.launcher.slots {
                        return Turn::Grow((slot, answer));
                    }
                    let _ = answer.send(Ok(()));
                }
                // 4. The process is there and does not answer.
                () = &mut ping => return Turn::Hangs,
            }
        }
    }

    fn restarting(&self, reason: String) {
        self.endpoint.set_down(&reason);
        self.state.send_replace(EngineState::Restarting { reason });
    }

    /// Tries until the engine runs; `None` if it shall stop. Waits first unless `at_once`.
    async fn start_again(
        &mut self,
        back_off: &mut Duration,
        at_once: bool,
    ) -> Option<(Child, Arc<Address>)> {
        let mut wait = !at_once;
        loop {
            let pause = if wait { *back_off } else { Duration::ZERO };
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stop| *stop) => {
                    self.endpoint.set_down("it was stopped");
                    return None;
                }
                () = tokio::time::sleep(pause) => {}
            }
            if wait {
                *back_off = (*back_off * 2).min(LONGEST_BACK_OFF);
            }
            wait = true;
            match self.launcher.launch().await {
                Ok(next) => return Some(next),
                Err(error) => {
                    let reason = error.report();
                    tracing::error!(error = %reason, "could not start the engine again");
                    self.restarting(reason);
                }
            }
        }
    }
}

/// Ends when the engine has missed several pings in a row.
async fn pings(address: &Address) {
    let mut missed = 0;
    let Ok(url) = address.url.join("ping") else {
        return;
    };
    while missed < MISSED_PINGS {
        tokio::time::sleep(PING_INTERVAL).await;
        let answer = address
            .http
            .get(url.clone())
            .timeout(PING_TIMEOUT)
            .send()
            .await;
        let fine = answer.is_ok_and(|answer| answer.status().is_success());
        missed = if fine { 0 } else { missed + 1 };
    }
}
