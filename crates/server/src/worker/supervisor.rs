//! Starts, stops and watches workers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mirror::source::SourceSpec;
use mirror::status::StatusReport;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::load_slots::LoadSlots;
use super::mirror_life::{Boards, MirrorLife, ResyncAsked};
use super::survey::{self, Survey};
use super::{
    Examination, InspectedTable, MirrorSpec, PrepareError, PreparedTable, WorkerPorts,
    WorkerSettings, prepare,
};

struct Running {
    spec: Arc<MirrorSpec>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    asked: watch::Receiver<bool>,
    resync: mpsc::Sender<ResyncAsked>,
}

/// All running mirrors of a server.
pub struct Supervisor {
    ports: WorkerPorts,
    settings: WorkerSettings,
    running: Mutex<HashMap<String, Running>>,
    boards: std::sync::RwLock<HashMap<String, Boards>>,
    slots: LoadSlots,
}

impl Supervisor {
    /// A supervisor without mirrors.
    pub fn new(ports: WorkerPorts, settings: WorkerSettings) -> Arc<Self> {
        Arc::new(Self {
            ports,
            slots: LoadSlots::new(settings.load_parallelism),
            settings,
            running: Mutex::default(),
            boards: std::sync::RwLock::default(),
        })
    }

    /// Assumes the role, and asks for nothing with it.
    pub async fn assume(&self, source: &SourceSpec) -> Result<(), PrepareError> {
        prepare::assume(&self.ports, source).await
    }

    /// Assumes the role and describes table and bucket without changing anything.
    pub async fn inspect(&self, source: &SourceSpec) -> Result<InspectedTable, PrepareError> {
        prepare::inspect(&self.ports, &self.settings, source).await
    }

    /// Assumes the role and tries what it has to be allowed to do, without changing anything.
    pub async fn examine(&self, source: &SourceSpec) -> Result<Examination, PrepareError> {
        prepare::examine(&self.ports, &self.settings, source).await
    }

    /// Like [`Supervisor::inspect`], and switches PITR and the stream on if they are off, and waits until they
    /// are on.
    pub async fn prepare(&self, source: &SourceSpec) -> Result<PreparedTable, PrepareError> {
        prepare::prepare(&self.ports, &self.settings, source).await
    }

    /// Looks at a table without changing anything, for a plan.
    pub(crate) async fn survey(&self, source: &SourceSpec) -> Survey {
        survey::survey(&self.ports, source).await
    }

    /// The numbers that workers obey.
    pub(crate) fn settings(&self) -> &WorkerSettings {
        &self.settings
    }

    /// What all loads share.
    pub(crate) fn load_slots(&self) -> &LoadSlots {
        &self.slots
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
        let now_ms = self.ports.clock.now_ms();
        let boards = Boards::new(Board::new(
            &spec.plan.quarantine_table(),
            self.settings.live_within_ms(),
            now_ms,
        ));
        let cancel = CancellationToken::new();
        let (asked_sender, asked) = watch::channel(false);
        let (resync_sender, resync) = mpsc::channel(1);
        let id = spec.id.clone();
        let spec = Arc::new(spec);
        let life = MirrorLife {
            ports: self.ports.clone(),
            settings: self.settings.clone(),
            spec: Arc::clone(&spec),
            boards: boards.clone(),
            cancel: cancel.clone(),
            asked: asked_sender,
            resync: Arc::new(Mutex::new(resync)),
            slots: self.slots.clone(),
        };
        self.write_boards(|known| known.insert(id.clone(), boards));
        let task = tokio::spawn(life.run_on());
        running.insert(
            id,
            Running {
                spec,
                cancel,
                task,
                asked,
                resync: resync_sender,
            },
        );
    }

    /// Asks for a resync: a new backfill beside the table, which then takes its place. Returns once that is stored;
    /// false if the mirror does not run. One that is under way already goes on.
    pub async fn resync(&self, mirror_id: &str, reason: &str) -> bool {
        let Some(sender) = self
            .running
            .lock()
            .await
            .get(mirror_id)
            .map(|known| known.resync.clone())
        else {
            return false;
        };
        let (stored, is_stored) = oneshot::channel();
        let asked = ResyncAsked {
            reason: reason.to_owned(),
            stored,
        };
        sender.send(asked).await.is_ok() && is_stored.await.is_ok()
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
        self.read_board(mirror_id)?.live().export_arn()
    }

    /// Stops the worker; returns when it has stopped. Its last status becomes `stopped`.
    pub async fn stop(&self, mirror_id: &str) {
        let known = self.running.lock().await.remove(mirror_id);
        if let Some(known) = known {
            end(known).await;
        }
        let boards = self
            .read_board(mirror_id)
            .unwrap_or_else(|| Boards::new(Board::new("", 0, self.ports.clock.now_ms())));
        boards.live().stopped();
        self.write_boards(|known| known.insert(mirror_id.to_owned(), boards));
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

    /// What people see of every mirror that was started in this process, by id. Waits for nobody.
    pub fn statuses(&self) -> Vec<(String, StatusReport)> {
        let now_ms = self.ports.clock.now_ms();
        self.boards
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .iter()
            .map(|(id, boards)| (id.clone(), boards.report(now_ms)))
            .collect()
    }

    /// Shows another number of records in quarantine, after some were put back.
    pub(crate) fn show_quarantined(&self, mirror_id: &str, records: u64) {
        if let Some(boards) = self.read_board(mirror_id) {
            boards.live().quarantined(records);
        }
    }

    fn read_board(&self, mirror_id: &str) -> Option<Boards> {
        self.boards
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(mirror_id)
            .cloned()
    }

    fn write_boards<T>(&self, change: impl FnOnce(&mut HashMap<String, Boards>) -> T) {
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
