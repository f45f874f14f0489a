//! Starts, stops and watches workers.

use super::*;

/// All running mirrors of a server.
pub struct Supervisor {
    ports: WorkerPorts,
    settings: WorkerSettings,
}

impl Supervisor {
    /// A supervisor without mirrors.
    pub fn new(ports: WorkerPorts, settings: WorkerSettings) -> Arc<Self> {
        Arc::new(Self { ports, settings })
    }

    /// Assumes the role and describes the table without changing anything. Fails with the first thing that is wrong.
    pub async fn inspect(&self, source: &SourceSpec) -> Result<TableDescription, PrepareError> {
        unreachable!("{source:?} {:?}", self.settings)
    }

    /// Like [`Supervisor::inspect`], and switches PITR and the stream on if they are off, and waits until they
    /// are on.
    pub async fn prepare(&self, source: &SourceSpec) -> Result<PreparedTable, PrepareError> {
        unreachable!("{source:?}")
    }

    /// Starts the worker of a mirror, or leaves it alone if it runs already with the same spec; one that runs
    /// with another spec is stopped first.
    pub async fn start(self: &Arc<Self>, spec: MirrorSpec) {
        let _ = (spec, &self.ports.clock);
    }

    /// Waits until the worker has asked AWS for its export, at most `timeout_ms`. The ARN, or `None` if it is
    /// not there yet (the stream was just switched on, AWS throttles, ...).
    pub async fn export_arn(&self, mirror_id: &str, timeout_ms: u64) -> Option<String> {
        let _ = (mirror_id, timeout_ms);
        None
    }

    /// Stops the worker; returns when it has stopped. Its last status becomes `stopped`.
    pub async fn stop(&self, mirror_id: &str) {
        let _ = mirror_id;
    }

    /// Stops all workers; returns when they have stopped. Statuses stay as they were.
    pub async fn shut_down(&self) {}

    /// What people see of a mirror; `None` if it was never started in this process.
    pub fn status(&self, mirror_id: &str) -> Option<StatusReport> {
        let _ = mirror_id;
        None
    }
}
