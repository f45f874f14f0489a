//! Starts, stops and watches workers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mirror::source::SourceSpec;
use mirror::status::StatusReport;
use mirror::table::TableDescription;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::mirror_worker::MirrorWorker;
use super::retry::Retry;
use super::{MirrorSpec, PrepareError, PreparedTable, WorkerPorts, WorkerSettings, prepare};

struct Running {
    spec: Arc<MirrorSpec>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    asked: watch::Receiver<bool>,
}

/// All running mirrors of a server.
pub struct Supervisor {
    ports: WorkerPorts,
    settings: WorkerSettings,
    running: Mutex<HashMap<String, Running>>,
    boards: std::sync::RwLock<HashMap<String, Board>>,
}

impl Supervisor {
    /// A supervisor without mirrors.
    pub fn new(ports: WorkerPorts, settings: WorkerSettings) -> Arc<Self> {
        Arc::new(Self {
            ports,
            settings,
            running: Mutex::default(),
            boards: std::sync::RwLock::default(),
        })
    }

    /// Assumes the role and describes the table without changing anything. Fails with all that is wrong.
    pub async fn inspect(&self, source: &SourceSpec) -> Result<TableDescription, PrepareError> {
        prepare::inspect(&self.ports, &self.settings, source).await
    }

    /// Like [`Supervisor::inspect`], and switches PITR and the stream on if they are off, and waits until they
    /// are on.
    pub async fn prepare(&self, source: &SourceSpec) -> Result<PreparedTable, PrepareError> {
        prepare::prepare(&self.ports, &self.settings, source).await
    }

    /// Starts the worker of a mirror, or leaves it alone if it runs already with the same spec; one that runs
    /// with another spec is stopped first.
    pub async fn start(self: &Arc<Self>, spec: MirrorSpec) {
        let mut running = self.running.lock().await;
        if let Some(known) = running.get(&spec.id) {
            if *known.spec == spec && !known.task.is_finished() {
                return;
            }
            if let Some(known) = running.remove(&spec.id) {
                end(known).await;
            }
        }
        let board = Board::new(&spec.plan.quarantine_table());
        let cancel = CancellationToken::new();
        let (asked_sender, asked) = watch::channel(false);
        let retry = Retry {
            mirror: spec.id.clone(),
            ports: self.ports.clone(),
            settings: self.settings.clone(),
            board: board.clone(),
            cancel: cancel.clone(),
        };
        let id = spec.id.clone();
        let spec = Arc::new(spec);
        let worker = MirrorWorker {
            retry,
            spec: Arc::clone(&spec),
            asked: asked_sender,
        };
        self.write_boards(|boards| boards.insert(id.clone(), board));
        let task = tokio::spawn(worker.run());
        running.insert(
            id,
            Running {
                spec,
                cancel,
                task,
                asked,
            },
        );
    }

    /// Waits until the worker has asked AWS for its export, at most `timeout_ms`. The ARN, or `None` if it is
    /// not there yet (the stream was just switched on, AWS throttles, ...).
    pub async fn export_arn(&self, mirror_id: &str, timeout_ms: u64) -> Option<String> {
        let mut asked = self.running.lock().await.get(mirror_id)?.asked.clone();
        let _ = tokio::time::timeout(
            Duration::from_millis(timeout_ms),
            asked.wait_for(|asked| *asked),
        )
        .await;
        self.read_board(mirror_id)?.export_arn()
    }

    /// Stops the worker; returns when it has stopped. Its last status becomes `stopped`.
    pub async fn stop(&self, mirror_id: &str) {
        let known = self.running.lock().await.remove(mirror_id);
        if let Some(known) = known {
            end(known).await;
        }
        let board = self.read_board(mirror_id).unwrap_or_else(|| Board::new(""));
        board.stopped();
        self.write_boards(|boards| boards.insert(mirror_id.to_owned(), board));
    }

    /// Stops all workers; returns when they have stopped. Statuses stay as they were.
    pub async fn shut_down(&self) {
        let all: Vec<Running> = self
            .running
            .lock()
            .await
            .drain()
            .map(|(_, known)| known)
            .collect();
        for known in &all {
            known.cancel.cancel();
        }
        for known in all {
            end(known).await;
        }
    }

    /// What people see of a mirror; `None` if it was never started in this process.
    pub fn status(&self, mirror_id: &str) -> Option<StatusReport> {
        Some(
            self.read_board(mirror_id)?
                .report(self.ports.clock.now_ms()),
        )
    }

    fn read_board(&self, mirror_id: &str) -> Option<Board> {
        self.boards
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(mirror_id)
            .cloned()
    }

    fn write_boards<T>(&self, change: impl FnOnce(&mut HashMap<String, Board>) -> T) {
        change(
            &mut self
                .boards
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
    }
}

async fn end(known: Running) {
    known.cancel.cancel();
    // The worker has nothing to save on its way out: only what is stored counts.
    let _ = known.task.await;
}
