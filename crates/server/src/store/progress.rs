//! Progress of mirrors: [`mirror::store::Store`] on SQLite.

use async_trait::async_trait;
use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::error::Error;
use mirror::heal::{Coverage, Gap, Healing};
use mirror::sequence_number::SequenceNumber;
use mirror::store::{ExportPart, Generations, MirrorProgress, Shadow, Store, TableIdentity};
use sqlx::{Sqlite, Transaction};

pub(super) use healing::forget;

use super::{SqliteStore, StoreError, failed, unreadable};

mod healing;
mod read;

use read::{read_parts, read_shard, read_state};

type Tx = Transaction<'static, Sqlite>;

const PHASES: [(ExportPhase, &str); 5] = [
    (ExportPhase::Waiting, "waiting"),
    (ExportPhase::Running, "running"),
    (ExportPhase::Loading, "loading"),
    (ExportPhase::Loaded, "loaded"),
    (ExportPhase::Failed, "failed"),
];

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, mirror: &str) -> mirror::error::Result<MirrorProgress> {
        self.load_progress(mirror).await.map_err(port_error)
    }

    async fn save_identity(
        &self,
        mirror: &str,
        identity: &TableIdentity,
    ) -> mirror::error::Result<()> {
        let done = self.write_identity(mirror, identity).await;
        answer("save the identity of a mirrored table", done)
    }

    async fn save_export(
        &self,
        mirror: &str,
        part: ExportPart,
        export: &ExportProgress,
    ) -> mirror::error::Result<()> {
        let done = self.write_export(mirror, part, export).await;
        answer("save the progress of an export", done)
    }

    async fn commit_file(
        &self,
        mirror: &str,
        part: ExportPart,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) -> mirror::error::Result<()> {
        let done = self.write_file(mirror, part, file, export).await;
        answer("commit a file of an export", done)
    }

    async fn commit_shards(
        &self,
        mirror: &str,
        shards: &[ShardCheckpoint],
        quarantined: u64,
    ) -> mirror::error::Result<()> {
        let done = self.write_shards(mirror, shards, quarantined).await;
        answer("commit positions of shards", done)
    }

    async fn forget_shards(&self, mirror: &str, shard_ids: &[String]) -> mirror::error::Result<()> {
        let done = self.delete_shards(mirror, shard_ids).await;
        answer("forget finished shards", done)
    }

    async fn save_gap(&self, mirror: &str, gap: &Gap) -> mirror::error::Result<()> {
        answer("save a gap", self.write_gap(mirror, gap).await)
    }

    async fn close_gap(
        &self,
        mirror: &str,
        gap: &Gap,
        coverage: Coverage,
    ) -> mirror::error::Result<()> {
        answer("close a gap", self.drop_gap(mirror, gap, coverage).await)
    }

    async fn save_healing(&self, mirror: &str, healing: &Healing) -> mirror::error::Result<()> {
        answer("save a healing", self.write_healing(mirror, healing).await)
    }

    async fn finish_healing(
        &self,
        mirror: &str,
        closed: Option<&Gap>,
        coverage: Coverage,
    ) -> mirror::error::Result<()> {
        let done = self.end_healing(mirror, closed, coverage).await;
        answer("finish a healing", done)
    }

    async fn change_stream(
        &self,
        mirror: &str,
        identity: &TableIdentity,
        gap: &Gap,
        coverage: Coverage,
    ) -> mirror::error::Result<()> {
        let done = self.write_stream(mirror, identity, gap, coverage).await;
        answer("change the stream of a mirror", done)
    }

    async fn generations(&self, mirror: &str) -> mirror::error::Result<Generations> {
        self.generations_of(mirror).await.map_err(port_error)
    }

    async fn save_shadow(&self, mirror: &str, shadow: &Shadow) -> mirror::error::Result<()> {
        answer("save a resync", self.write_shadow(mirror, shadow).await)
    }

    async fn finish_resync(&self, mirror: &str) -> mirror::error::Result<()> {
        answer("finish a resync", self.end_resync(mirror).await)
    }
}

impl SqliteStore {
    async fn begin_progress(&self) -> Result<Tx, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    async fn write_identity(
        &self,
        mirror: &str,
        identity: &TableIdentity,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        put_identity(&mut tx, mirror, identity).await?;
        tx.commit().await
    }

    async fn write_export(
        &self,
        mirror: &str,
        part: ExportPart,
        export: &ExportProgress,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        put_export(&mut tx, mirror, part, export).await?;
        tx.commit().await
    }

    async fn write_file(
        &self,
        mirror: &str,
        part: ExportPart,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        let inserted = sqlx::query(
            "INSERT INTO mirror_files (mirror, part, attempt, key, items, bytes, quarantined)
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(mirror)
        .bind(part_number(part))
        .bind(export.attempt)
        .bind(&file.key)
        .bind(integer(file.items))
        .bind(integer(file.bytes))
        .bind(integer(file.quarantined))
        .execute(&mut *tx)
        .await?;
        // A file that was committed before has been counted before.
        if inserted.rows_affected() == 1 {
            add_quarantined(&mut tx, mirror, file.quarantined).await?;
        }
        put_export(&mut tx, mirror, part, export).await?;
        tx.commit().await
    }

    async fn write_shards(
        &self,
        mirror: &str,
        shards: &[ShardCheckpoint],
        quarantined: u64,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        // The same once more, because the first answer was lost, is counted once.
        let mut moved = false;
        for shard in shards {
            moved |= put_shard(&mut tx, mirror, shard).await?;
        }
        if moved {
            add_quarantined(&mut tx, mirror, quarantined).await?;
        }
        tx.commit().await
    }

    async fn delete_shards(&self, mirror: &str, shard_ids: &[String]) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        for shard_id in shard_ids {
            sqlx::query("DELETE FROM mirror_shards WHERE mirror = ? AND shard_id = ?")
                .bind(mirror)
                .bind(shard_id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }

    /// Reads everything about a mirror from one snapshot.
    pub(crate) async fn load_progress(&self, mirror: &str) -> Result<MirrorProgress, StoreError> {
        const DOING: &str = "load the progress of a mirror";
        let mut tx = self.readers.begin().await.map_err(failed(DOING))?;
        let mut progress = MirrorProgress::default();
        let state = sqlx::query("SELECT * FROM mirror_state WHERE mirror = ?")
            .bind(mirror)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        if let Some(row) = state {
            read_state(&row, &mut progress).map_err(failed(DOING))?;
        }
        for (part, stored) in read_parts(&mut tx, mirror).await? {
            match part.checked_sub(1) {
                None => {
                    progress.export = Some(stored.export);
                    progress.files = stored.files;
                }
                Some(window) => {
                    if let Some(healing) = &mut progress.healing {
                        healing.windows.insert(window, stored);
                    }
                }
            }
        }
        let rows = sqlx::query("SELECT * FROM mirror_shards WHERE mirror = ? ORDER BY shard_id")
            .bind(mirror)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        progress.shards = rows.iter().map(read_shard).collect::<Result<_, _>>()?;
        Ok(progress)
    }
}

async fn put_identity(
    tx: &mut Tx,
    mirror: &str,
    identity: &TableIdentity,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO mirror_state (mirror, table_id, stream_arn) VALUES (?, ?, ?)
         ON CONFLICT (mirror) DO UPDATE SET
         table_id = excluded.table_id, stream_arn = excluded.stream_arn",
    )
    .bind(mirror)
    .bind(&identity.table_id)
    .bind(&identity.stream_arn)
    .execute(&mut **tx)
    .await
    .map(drop)
}

async fn add_quarantined(tx: &mut Tx, mirror: &str, records: u64) -> Result<(), sqlx::Error> {
    if records == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO mirror_state (mirror, quarantined) VALUES (?, ?)
         ON CONFLICT (mirror) DO UPDATE SET quarantined = quarantined + excluded.quarantined",
    )
    .bind(mirror)
    .bind(integer(records))
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Stores a shard; whether that changed anything.
async fn put_shard(
    tx: &mut Tx,
    mirror: &str,
    shard: &ShardCheckpoint,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO mirror_shards
         (mirror, shard_id, parent, position, clock_ms, finished, finished_at_ms, watermark_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (mirror, shard_id) DO UPDATE SET
         parent = excluded.parent, position = excluded.position, clock_ms = excluded.clock_ms,
         finished = excluded.finished, finished_at_ms = excluded.finished_at_ms,
         watermark_ms = excluded.watermark_ms
         WHERE (parent, position, clock_ms, finished, finished_at_ms, watermark_ms) IS NOT
         (excluded.parent, excluded.position, excluded.clock_ms, excluded.finished,
          excluded.finished_at_ms, excluded.watermark_ms)",
    )
    .bind(mirror)
    .bind(&shard.shard_id)
    .bind(&shard.parent)
    .bind(shard.position.as_ref().map(SequenceNumber::as_str))
    .bind(shard.clock_ms)
    .bind(shard.finished)
    .bind(shard.finished_at_ms)
    .bind(shard.watermark_ms)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

async fn put_export(
    tx: &mut Tx,
    mirror: &str,
    part: ExportPart,
    export: &ExportProgress,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM mirror_files WHERE mirror = ? AND part = ? AND attempt <> ?")
        .bind(mirror)
        .bind(part_number(part))
        .bind(export.attempt)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT OR REPLACE INTO mirror_exports
         (mirror, part, attempt, phase, arn, export_time_ms, files_total, files_loaded, items_total,
          items_loaded, bytes_loaded, started_at_ms, load_started_at_ms, loaded_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(mirror)
    .bind(part_number(part))
    .bind(export.attempt)
    .bind(phase_name(&export.phase))
    .bind(&export.arn)
    .bind(export.export_time_ms)
    .bind(integer(export.files_total))
    .bind(integer(export.files_loaded))
    .bind(integer(export.items_total))
    .bind(integer(export.items_loaded))
    .bind(integer(export.bytes_loaded))
    .bind(export.started_at_ms)
    .bind(export.load_started_at_ms)
    .bind(export.loaded_at_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

fn phase_name(phase: &ExportPhase) -> &'static str {
    PHASES
        .iter()
        .find(|(known, _)| known == phase)
        .map_or("waiting", |(_, name)| name)
}

/// The backfill is part 0, window n part n + 1.
fn part_number(part: ExportPart) -> u32 {
    match part {
        ExportPart::Backfill => 0,
        ExportPart::Window(window) => window.saturating_add(1),
    }
}

/// SQLite's integers are signed; no count here comes near.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn answer(doing: &'static str, done: Result<(), sqlx::Error>) -> mirror::error::Result<()> {
    done.map_err(|source| port_error(failed(doing)(source)))
}

fn port_error(error: StoreError) -> Error {
    Error::with_source(error.kind(), "use the metadata database", error)
}
