//! Progress of mirrors: [`mirror::store::Store`] on SQLite.

use async_trait::async_trait;
use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::error::Error;
use mirror::sequence_number::SequenceNumber;
use mirror::store::{MirrorProgress, Store, TableIdentity};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteStore, StoreError, failed, unreadable};

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
        export: &ExportProgress,
    ) -> mirror::error::Result<()> {
        let done = self.write_export(mirror, export).await;
        answer("save the progress of an export", done)
    }

    async fn commit_file(
        &self,
        mirror: &str,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) -> mirror::error::Result<()> {
        let done = self.write_file(mirror, file, export).await;
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

    async fn save_gap(&self, mirror: &str, gap: &str) -> mirror::error::Result<()> {
        answer("save a gap", self.write_gap(mirror, gap).await)
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
        sqlx::query(
            "INSERT INTO mirror_state (mirror, table_id, stream_arn) VALUES (?, ?, ?)
             ON CONFLICT (mirror) DO UPDATE SET
             table_id = excluded.table_id, stream_arn = excluded.stream_arn",
        )
        .bind(mirror)
        .bind(&identity.table_id)
        .bind(&identity.stream_arn)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    async fn write_export(&self, mirror: &str, export: &ExportProgress) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        put_export(&mut tx, mirror, export).await?;
        tx.commit().await
    }

    async fn write_file(
        &self,
        mirror: &str,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        let inserted = sqlx::query(
            "INSERT INTO mirror_files (mirror, attempt, key, items, bytes, quarantined)
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(mirror)
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
        put_export(&mut tx, mirror, export).await?;
        tx.commit().await
    }

    async fn write_shards(
        &self,
        mirror: &str,
        shards: &[ShardCheckpoint],
        quarantined: u64,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        for shard in shards {
            put_shard(&mut tx, mirror, shard).await?;
        }
        add_quarantined(&mut tx, mirror, quarantined).await?;
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

    async fn write_gap(&self, mirror: &str, gap: &str) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        sqlx::query(
            "INSERT INTO mirror_state (mirror, gap) VALUES (?, ?)
             ON CONFLICT (mirror) DO UPDATE SET gap = excluded.gap",
        )
        .bind(mirror)
        .bind(gap)
        .execute(&mut *tx)
        .await?;
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
        let export = sqlx::query("SELECT * FROM mirror_exports WHERE mirror = ?")
            .bind(mirror)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        progress.export = export.as_ref().map(read_export).transpose()?;
        if let Some(export) = &progress.export {
            let rows = sqlx::query(
                "SELECT key, items, bytes, quarantined FROM mirror_files
                 WHERE mirror = ? AND attempt = ? ORDER BY key",
            )
            .bind(mirror)
            .bind(export.attempt)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(DOING))?;
            let files: Result<_, sqlx::Error> = rows.iter().map(read_file).collect();
            progress.files = files.map_err(failed(DOING))?;
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

/// Drops the progress of a mirror that is dropped.
pub(super) async fn forget(tx: &mut Tx, mirror: &str) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM mirror_state WHERE mirror = ?",
        "DELETE FROM mirror_exports WHERE mirror = ?",
        "DELETE FROM mirror_files WHERE mirror = ?",
        "DELETE FROM mirror_shards WHERE mirror = ?",
    ] {
        sqlx::query(statement)
            .bind(mirror)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
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

async fn put_shard(tx: &mut Tx, mirror: &str, shard: &ShardCheckpoint) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO mirror_shards
         (mirror, shard_id, parent, position, clock_ms, finished, finished_at_ms, caught_up_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (mirror, shard_id) DO UPDATE SET
         parent = excluded.parent, position = excluded.position, clock_ms = excluded.clock_ms,
         finished = excluded.finished, finished_at_ms = excluded.finished_at_ms,
         caught_up_at_ms = excluded.caught_up_at_ms",
    )
    .bind(mirror)
    .bind(&shard.shard_id)
    .bind(&shard.parent)
    .bind(shard.position.as_ref().map(SequenceNumber::as_str))
    .bind(shard.clock_ms)
    .bind(shard.finished)
    .bind(shard.finished_at_ms)
    .bind(shard.caught_up_at_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

async fn put_export(tx: &mut Tx, mirror: &str, export: &ExportProgress) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM mirror_files WHERE mirror = ? AND attempt <> ?")
        .bind(mirror)
        .bind(export.attempt)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT OR REPLACE INTO mirror_exports
         (mirror, attempt, phase, arn, export_time_ms, files_total, files_loaded, items_total,
          items_loaded, bytes_loaded, started_at_ms, load_started_at_ms, loaded_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(mirror)
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

fn read_state(row: &SqliteRow, progress: &mut MirrorProgress) -> Result<(), sqlx::Error> {
    progress.quarantined = row.try_get::<i64, _>("quarantined")?.unsigned_abs();
    progress.gap = row.try_get("gap")?;
    let table_id: Option<String> = row.try_get("table_id")?;
    let stream_arn: Option<String> = row.try_get("stream_arn")?;
    if let (Some(table_id), Some(stream_arn)) = (table_id, stream_arn) {
        progress.identity = Some(TableIdentity {
            table_id,
            stream_arn,
        });
    }
    Ok(())
}

fn read_export(row: &SqliteRow) -> Result<ExportProgress, StoreError> {
    let count = |name: &str| row.try_get::<i64, _>(name).map(i64::unsigned_abs);
    let phase: String = row.try_get("phase").map_err(failed("read an export"))?;
    let phase = PHASES
        .iter()
        .find(|(_, name)| *name == phase)
        .map(|(phase, _)| phase.clone())
        .ok_or_else(|| unreadable("an export", format!("it is in the unknown phase {phase}")))?;
    let read = || {
        Ok(ExportProgress {
            attempt: row.try_get("attempt")?,
            phase,
            arn: row.try_get("arn")?,
            export_time_ms: row.try_get("export_time_ms")?,
            files_total: count("files_total")?,
            files_loaded: count("files_loaded")?,
            items_total: count("items_total")?,
            items_loaded: count("items_loaded")?,
            bytes_loaded: count("bytes_loaded")?,
            started_at_ms: row.try_get("started_at_ms")?,
            load_started_at_ms: row.try_get("load_started_at_ms")?,
            loaded_at_ms: row.try_get("loaded_at_ms")?,
        })
    };
    read().map_err(failed("read an export"))
}

fn read_file(row: &SqliteRow) -> Result<FileCheckpoint, sqlx::Error> {
    let count = |name: &str| row.try_get::<i64, _>(name).map(i64::unsigned_abs);
    Ok(FileCheckpoint {
        key: row.try_get("key")?,
        items: count("items")?,
        bytes: count("bytes")?,
        quarantined: count("quarantined")?,
    })
}

fn read_shard(row: &SqliteRow) -> Result<ShardCheckpoint, StoreError> {
    const DOING: &str = "read the position of a shard";
    let position: Option<String> = row.try_get("position").map_err(failed(DOING))?;
    let position =
        match position {
            None => None,
            Some(text) => Some(SequenceNumber::parse(&text).ok_or_else(|| {
                unreadable("the position of a shard", "it is not a sequence number")
            })?),
        };
    let read = || {
        Ok(ShardCheckpoint {
            shard_id: row.try_get("shard_id")?,
            parent: row.try_get("parent")?,
            position,
            clock_ms: row.try_get("clock_ms")?,
            finished: row.try_get("finished")?,
            finished_at_ms: row.try_get("finished_at_ms")?,
            caught_up_at_ms: row.try_get("caught_up_at_ms")?,
        })
    };
    read().map_err(failed(DOING))
}

fn phase_name(phase: &ExportPhase) -> &'static str {
    PHASES
        .iter()
        .find(|(known, _)| known == phase)
        .map_or("waiting", |(_, name)| name)
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
