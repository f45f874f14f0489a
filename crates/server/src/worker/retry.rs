//! Trying again until it works: at a port, failure is a matter of time or of a person, never of giving up.

use std::future::Future;

use mirror::error::Result;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::backoff::Backoff;
use super::board::{Board, Topic};
use super::load_slots::LoadSlots;
use super::{WorkerPorts, WorkerSettings};

/// What all retries of one mirror share.
#[derive(Clone)]
pub(crate) struct Retry {
    pub(crate) mirror: String,
    pub(crate) ports: WorkerPorts,
    pub(crate) settings: WorkerSettings,
    pub(crate) board: Board,
    pub(crate) cancel: CancellationToken,
    /// Set while somebody waits for this mirror to know its tip: idle shards are read as often as busy ones.
    pub(crate) hurry: watch::Receiver<bool>,
    /// What all loads of the process share.
    pub(crate) slots: LoadSlots,
}

impl Retry {
    /// Calls until it succeeds. Failures are on the board and in the log meanwhile. `None` once cancelled.
    pub(crate) async fn until_done<T, F, Fut>(
        &self,
        topic: Topic,
        what: &'static str,
        call: F,
    ) -> Option<T>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let mut backoff = self.backoff(what);
        loop {
            if self.cancel.is_cancelled() {
                return None;
            }
            match call().await {
                Ok(value) => {
                    self.board.solved(topic);
                    return Some(value);
                }
                Err(error) => {
                    let pause = if error.kind.passes() {
                        backoff.next_ms()
                    } else {
                        backoff.slowest_ms()
                    };
                    warn!(mirror = %self.mirror, error = %error.report(), pause_ms = pause, what, "attempt failed, trying again");
                    self.board.problem(topic, &error, self.ports.clock.now_ms());
                    self.pause(pause).await?;
                }
            }
        }
    }

    /// Sleeps; `None` if cancelled meanwhile.
    pub(crate) async fn pause(&self, ms: u64) -> Option<()> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            () = self.ports.clock.sleep_ms(ms) => Some(()),
        }
    }

    pub(crate) fn backoff(&self, what: &str) -> Backoff {
        Backoff::new(self.settings.retry_min_ms, self.settings.retry_max_ms, what)
    }
}
