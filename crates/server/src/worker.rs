//! Running mirrors: one worker per data source, and the supervisor that starts and stops them.

use std::sync::Arc;

use mirror::access::Tried;
use mirror::clock::Clock;
use mirror::plan::MirrorPlan;
use mirror::reason::Reason;
use mirror::sink::Sink;
use mirror::source::{SourceSpec, Sources};
use mirror::store::Store;
use mirror::table::TableDescription;
use mirror::warehouse::Warehouse;

pub(crate) use poll_plan::LEAST_IDLE_MS;
pub use settings::WorkerSettings;
pub use supervisor::Supervisor;

mod backoff;
mod block;
mod board;
pub(crate) mod conversion;
mod export_phase;
mod export_run;
pub(crate) mod file_loader;
mod heal_phase;
mod held_merges;
pub(crate) mod load_slots;
mod mirror_life;
mod mirror_worker;
mod poll_plan;
mod prepare;
mod retry;
mod settings;
mod shard_task;
mod stream_batch;
mod stream_label;
mod stream_phase;
mod supervisor;
pub(crate) mod survey;

/// What a worker needs to know about its mirror.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorSpec {
    /// Id of the mirror, stable for the life of the data source's table.
    pub id: String,
    /// `workspace/datasource`, for logs and messages.
    pub name: String,
    /// How to reach the table.
    pub source: SourceSpec,
    /// Prefix in the bucket for this mirror's exports; no slash at either end.
    pub s3_prefix: String,
    /// The ClickHouse side.
    pub plan: MirrorPlan,
    /// The ClickHouse side after the resync under way, if it is to be another one.
    pub next_plan: Option<MirrorPlan>,
}

/// The ports a worker sees.
#[derive(Clone)]
pub struct WorkerPorts {
    /// DynamoDB. `None` when the server runs without AWS credentials.
    pub sources: Option<Arc<dyn Sources>>,
    /// ClickHouse.
    pub sink: Arc<dyn Sink>,
    /// Tables of resyncs.
    pub warehouse: Arc<dyn Warehouse>,
    /// Progress.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A table that passed all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedTable {
    /// The table as it is now, streams and PITR on.
    pub table: TableDescription,
    /// What was switched on, for the deployment's feedback.
    pub notes: Vec<String>,
}

/// A table that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedTable {
    /// The table as it is now.
    pub table: TableDescription,
    /// Why it cannot be mirrored as it is, all reasons in one.
    pub refusal: Option<PrepareError>,
}

/// What a role may do with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// Every action, and what came of trying it.
    pub tried: Vec<Tried>,
    /// Why the table cannot be mirrored as it is.
    pub refusals: Vec<PrepareError>,
}

/// Why a table cannot be mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareError {
    /// Word for programs.
    pub code: Reason,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl PrepareError {
    /// Whether a build does what is missing by itself, if the role may.
    pub fn can_be_switched_on(&self) -> bool {
        self.code.can_be_switched_on()
    }

    /// The message, and where there is more about it.
    pub(crate) fn told(&self) -> String {
        format!("{} (see: tb explain {})", self.message, self.code)
    }
}
