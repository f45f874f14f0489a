//! Rows of progress as the domain knows them.

use mirror::checkpoint::{ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::heal::{Coverage, Gap};
use mirror::sequence_number::SequenceNumber;
use mirror::store::{HealingProgress, MirrorProgress, PartProgress, TableIdentity};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{PHASES, StoreError, Tx, failed, healing, unreadable};

/// Exports and their files, by number of the part.
pub(super) async fn read_parts(
    tx: &mut Tx,
    mirror: &str,
) -> Result<Vec<(u32, PartProgress)>, StoreError> {
    const DOING: &str = "load the exports of a mirror";
    let rows = sqlx::query("SELECT * FROM mirror_exports WHERE mirror = ? ORDER BY part")
        .bind(mirror)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed(DOING))?;
    let mut parts = Vec::with_capacity(rows.len());
    for row in &rows {
        let part: u32 = row.try_get("part").map_err(failed(DOING))?;
        let export = read_export(row)?;
        let files = sqlx::query(
            "SELECT key, items, bytes, quarantined FROM mirror_files
             WHERE mirror = ? AND part = ? AND attempt = ? ORDER BY key",
        )
        .bind(mirror)
        .bind(part)
        .bind(export.attempt)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed(DOING))?;
        let files: Result<_, sqlx::Error> = files.iter().map(read_file).collect();
        let files = files.map_err(failed(DOING))?;
        parts.push((part, PartProgress { export, files }));
    }
    Ok(parts)
}

pub(super) fn read_state(
    row: &SqliteRow,
    progress: &mut MirrorProgress,
) -> Result<(), sqlx::Error> {
    progress.quarantined = row.try_get::<i64, _>("quarantined")?.unsigned_abs();
    let gap: Option<String> = row.try_get("gap")?;
    let since_ms: Option<i64> = row.try_get("gap_since_ms")?;
    let until_ms: Option<i64> = row.try_get("gap_until_ms")?;
    progress.gap = gap.map(|what| Gap {
        since_ms: since_ms.unwrap_or(0),
        until_ms: until_ms.unwrap_or(i64::MAX),
        what,
    });
    progress.coverage = Coverage {
        until_ms: row.try_get("covered_until_ms")?,
        swept_ms: row.try_get("swept_until_ms")?,
        healed_from_ms: row.try_get("healed_from_ms")?,
        clock_floor_ms: row.try_get("clock_floor_ms")?,
        repaired_ms: row.try_get("repaired_ms")?,
    };
    progress.healed = row.try_get("healed")?;
    progress.healing = healing::read(row)?.map(|healing| HealingProgress {
        healing,
        windows: Default::default(),
    });
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

pub(super) fn read_shard(row: &SqliteRow) -> Result<ShardCheckpoint, StoreError> {
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
            watermark_ms: row.try_get("watermark_ms")?,
        })
    };
    read().map_err(failed(DOING))
}
