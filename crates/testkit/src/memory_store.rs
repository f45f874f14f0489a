//! The disk as the port that a worker stores its progress through, one transaction a call.

use std::sync::Arc;

use async_trait::async_trait;
use mirror::checkpoint::{ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::error::Result;
use mirror::heal::{Coverage, Gap, Healing};
use mirror::store::{ExportPart, Generations, MirrorProgress, Shadow, Store, TableIdentity};

use crate::port::Port;
use crate::process::Call;

use crate::disk::{Disk, State};

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
    async fn load(&self, mirror: &str) -> Result<MirrorProgress> {
        self.port
            .perform(Call::LoadProgress, b"", || Ok(self.disk.progress(mirror)))
            .await
    }

    async fn save_identity(&self, mirror: &str, identity: &TableIdentity) -> Result<()> {
        let effect = |state: &mut State| state.identity = Some(identity.clone());
        self.write(Call::SaveIdentity, |disk| disk.change(mirror, effect))
            .await
    }

    async fn save_export(
        &self,
        mirror: &str,
        part: ExportPart,
        export: &ExportProgress,
    ) -> Result<()> {
        self.port.note(
            Call::SaveExport,
            &format!(
                "{:?} of attempt {} of {part:?} of {mirror}",
                export.phase, export.attempt
            ),
        );
        self.write(Call::SaveExport, |disk| {
            disk.save_export(mirror, part, export)
        })
        .await
    }

    async fn commit_file(
        &self,
        mirror: &str,
        part: ExportPart,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) -> Result<()> {
        self.write(Call::CommitFile, |disk| {
            disk.commit_file(mirror, part, file, export)
        })
        .await
    }

    async fn commit_shards(
        &self,
        mirror: &str,
        shards: &[ShardCheckpoint],
        quarantined: u64,
    ) -> Result<()> {
        self.write(Call::CommitShards, |disk| {
            disk.commit_shards(mirror, shards, quarantined)
        })
        .await
    }

    async fn forget_shards(&self, mirror: &str, shard_ids: &[String]) -> Result<()> {
        let effect = |state: &mut State| state.shards.retain(|id, _| !shard_ids.contains(id));
        self.write(Call::ForgetShards, |disk| disk.change(mirror, effect))
            .await
    }

    async fn save_gap(&self, mirror: &str, gap: &Gap) -> Result<()> {
        self.port
            .note(Call::SaveGap, &format!("{gap:?} of {mirror}"));
        let effect = |state: &mut State| state.gap = Some(gap.clone());
        self.write(Call::SaveGap, |disk| disk.change(mirror, effect))
            .await
    }

    async fn close_gap(&self, mirror: &str, gap: &Gap, coverage: Coverage) -> Result<()> {
        self.port
            .note(Call::CloseGap, &format!("{gap:?} of {mirror}"));
        self.write(Call::CloseGap, |disk| disk.close_gap(mirror, gap, coverage))
            .await
    }

    async fn save_healing(&self, mirror: &str, healing: &Healing) -> Result<()> {
        self.port
            .note(Call::SaveHealing, &format!("{healing:?} of {mirror}"));
        self.write(Call::SaveHealing, |disk| disk.save_healing(mirror, healing))
            .await
    }

    async fn finish_healing(
        &self,
        mirror: &str,
        closed: Option<&Gap>,
        coverage: Coverage,
    ) -> Result<()> {
        self.port
            .note(Call::FinishHealing, &format!("{coverage:?} of {mirror}"));
        self.write(Call::FinishHealing, |disk| {
            disk.finish_healing(mirror, closed, coverage)
        })
        .await
    }

    async fn change_stream(
        &self,
        mirror: &str,
        identity: &TableIdentity,
        gap: &Gap,
        coverage: Coverage,
    ) -> Result<()> {
        self.port
            .note(Call::ChangeStream, &format!("{gap:?} of {mirror}"));
        let effect = |state: &mut State| {
            state.identity = Some(identity.clone());
            state.gap = Some(gap.clone());
            state.coverage = coverage;
            state.shards.clear();
        };
        self.write(Call::ChangeStream, |disk| disk.change(mirror, effect))
            .await
    }

    async fn generations(&self, _mirror: &str) -> Result<Generations> {
        let effect = || Ok(self.disk.generations());
        self.port.perform(Call::LoadProgress, b"", effect).await
    }

    async fn save_shadow(&self, _mirror: &str, shadow: &Shadow) -> Result<()> {
        self.port.note(Call::SaveShadow, &format!("{shadow:?}"));
        self.write(Call::SaveShadow, |disk| disk.save_shadow(shadow))
            .await
    }

    async fn finish_resync(&self, _mirror: &str) -> Result<()> {
        self.write(Call::FinishResync, Disk::finish_resync).await
    }
}
