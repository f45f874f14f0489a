//! Progress in memory, one transaction a call, checked against the sink on every commit. Lives longer than any process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::error::Result;
use mirror::limits::EXPORT_MARGIN_MS;
use mirror::store::{MirrorProgress, Store, TableIdentity};

use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::model_sink::Warehouse;
use crate::port::Port;
use crate::process::Call;

#[derive(Debug, Default)]
struct State {
    identity: Option<TableIdentity>,
    export: Option<ExportProgress>,
    files: BTreeMap<String, FileCheckpoint>,
    shards: BTreeMap<String, ShardCheckpoint>,
    quarantined: u64,
    gap: Option<String>,
    /// ARN of each attempt.
    arns: HashMap<u32, String>,
}

/// What is stored, and what it is held against.
#[derive(Debug)]
pub struct Disk {
    state: Mutex<State>,
    warehouse: Arc<Warehouse>,
    ledger: Arc<Mutex<Ledger>>,
    journal: Arc<Journal>,
}

impl Disk {
    pub fn new(
        warehouse: Arc<Warehouse>,
        ledger: Arc<Mutex<Ledger>>,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            state: Mutex::default(),
            warehouse,
            ledger,
            journal,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything stored.
    pub fn progress(&self) -> MirrorProgress {
        let state = self.state();
        MirrorProgress {
            identity: state.identity.clone(),
            export: state.export.clone(),
            files: state.files.values().cloned().collect(),
            shards: state.shards.values().cloned().collect(),
            quarantined: state.quarantined,
            gap: state.gap.clone(),
        }
    }

    fn check(&self, outcome: std::result::Result<(), String>) {
        if let Err(rule) = outcome {
            self.journal.broken(rule);
        }
    }

    fn save_export(&self, export: &ExportProgress) {
        let mut state = self.state();
        self.check(export_moves(&state, export));
        if state
            .export
            .as_ref()
            .is_some_and(|known| known.attempt != export.attempt)
        {
            state.files.clear();
        }
        if let Some(arn) = &export.arn {
            state.arns.insert(export.attempt, arn.clone());
        }
        state.export = Some(export.clone());
    }

    fn commit_file(&self, file: &FileCheckpoint, export: &ExportProgress) {
        self.save_export(export);
        let mut state = self.state();
        if state.files.insert(file.key.clone(), file.clone()).is_none() {
            state.quarantined += file.quarantined;
        }
        let committed: u64 = state
            .files
            .values()
            .map(|file| file.items - file.quarantined)
            .sum();
        let version_ms = export.export_time_ms.unwrap_or_default() - EXPORT_MARGIN_MS;
        let held = self.warehouse.table().exported(version_ms);
        if committed > held {
            self.journal.broken(format!(
                "files with {committed} items are committed, the sink holds {held} of this export"
            ));
        }
    }

    fn commit_shards(&self, shards: &[ShardCheckpoint], quarantined: u64) {
        let mut state = self.state();
        for shard in shards {
            let outcome = self
                .ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .commit(shard);
            self.check(outcome);
            self.check(shard_moves(state.shards.get(&shard.shard_id), shard));
            state.shards.insert(shard.shard_id.clone(), shard.clone());
        }
        state.quarantined += quarantined;
    }
}

/// One attempt has one export, and attempts only grow.
fn export_moves(state: &State, export: &ExportProgress) -> std::result::Result<(), String> {
    let known = state.arns.get(&export.attempt);
    if known.is_some() && known != export.arn.as_ref() {
        return Err(format!(
            "attempt {} had export {known:?}, now it is {:?}",
            export.attempt, export.arn
        ));
    }
    if state
        .export
        .as_ref()
        .is_some_and(|known| known.attempt > export.attempt)
    {
        return Err(format!(
            "attempt {} was stored after a later one",
            export.attempt
        ));
    }
    if export.phase == ExportPhase::Loaded && state.files.len() as u64 != export.files_total {
        return Err(format!(
            "the export is loaded with {} of {} files",
            state.files.len(),
            export.files_total
        ));
    }
    Ok(())
}

/// Nothing moves back.
fn shard_moves(
    known: Option<&ShardCheckpoint>,
    shard: &ShardCheckpoint,
) -> std::result::Result<(), String> {
    let Some(known) = known else { return Ok(()) };
    let back = known.position > shard.position
        || known.clock_ms > shard.clock_ms
        || (known.finished && !shard.finished);
    if back {
        return Err(format!(
            "the checkpoint of a shard moved back from {known:?} to {shard:?}"
        ));
    }
    Ok(())
}

/// [`Disk`] as one life of the process reaches it.
#[derive(Debug)]
pub struct MemoryStore {
    pub port: Port,
    pub disk: Arc<Disk>,
}

impl MemoryStore {
    async fn write(&self, call: Call, effect: impl FnOnce(&Disk) + Send) -> Result<()> {
        let effect = || {
            effect(&self.disk);
            Ok(())
        };
        self.port.perform(call, b"", effect).await
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, _mirror: &str) -> Result<MirrorProgress> {
        self.port
            .perform(Call::LoadProgress, b"", || Ok(self.disk.progress()))
            .await
    }

    async fn save_identity(&self, _mirror: &str, identity: &TableIdentity) -> Result<()> {
        self.write(Call::SaveIdentity, |disk| {
            disk.state().identity = Some(identity.clone())
        })
        .await
    }

    async fn save_export(&self, _mirror: &str, export: &ExportProgress) -> Result<()> {
        self.port.note(
            Call::SaveExport,
            &format!("{:?} of attempt {}", export.phase, export.attempt),
        );
        self.write(Call::SaveExport, |disk| disk.save_export(export))
            .await
    }

    async fn commit_file(
        &self,
        _mirror: &str,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) -> Result<()> {
        self.write(Call::CommitFile, |disk| disk.commit_file(file, export))
            .await
    }

    async fn commit_shards(
        &self,
        _mirror: &str,
        shards: &[ShardCheckpoint],
        quarantined: u64,
    ) -> Result<()> {
        self.write(Call::CommitShards, |disk| {
            disk.commit_shards(shards, quarantined)
        })
        .await
    }

    async fn forget_shards(&self, _mirror: &str, shard_ids: &[String]) -> Result<()> {
        self.write(Call::ForgetShards, |disk| {
            disk.state().shards.retain(|id, _| !shard_ids.contains(id))
        })
        .await
    }

    async fn save_gap(&self, _mirror: &str, gap: &str) -> Result<()> {
        self.port.note(Call::SaveGap, gap);
        self.write(Call::SaveGap, |disk| {
            disk.state().gap = Some(gap.to_owned())
        })
        .await
    }
}
