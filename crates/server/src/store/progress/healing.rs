//! Gaps, healings and resyncs in SQLite.

use mirror::heal::{Coverage, Gap, Healing};
use mirror::store::{Generations, Shadow, TableIdentity, progress_key};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, Tx, integer, put_identity};
use crate::store::{StoreError, failed};

/// [`Healing`] as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredHealing {
    round: u32,
    from_ms: i64,
    end_ms: i64,
    highest_ms: Option<i64>,
}

pub(super) fn read(row: &SqliteRow) -> Result<Option<Healing>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<String>, _>("healing")? else {
        return Ok(None);
    };
    let stored: StoredHealing =
        serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some(Healing {
        round: stored.round,
        from_ms: stored.from_ms,
        end_ms: stored.end_ms,
        highest_ms: stored.highest_ms,
    }))
}

impl SqliteStore {
    /// Remembers that rows of the table that `key` stands for were repaired at `at_ms`, AWS's milliseconds, before the
    /// first of them is written. `key` is what [`progress_key`] makes.
    pub async fn save_repair(&self, key: &str, at_ms: i64) -> Result<(), StoreError> {
        let write = async {
            let mut tx = self.begin_progress().await?;
            sqlx::query(
                "INSERT INTO mirror_state (mirror, repaired_ms) VALUES (?, ?)
                 ON CONFLICT (mirror) DO UPDATE SET
                 repaired_ms = max(ifnull(repaired_ms, excluded.repaired_ms), excluded.repaired_ms)",
            )
            .bind(key)
            .bind(at_ms)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        };
        write.await.map_err(failed("save the time of a repair"))
    }

    /// Remembers that so many records left the quarantine; returns how many are left.
    pub async fn leave_quarantine(&self, key: &str, records: u64) -> Result<u64, StoreError> {
        let write = async {
            let mut tx = self.begin_progress().await?;
            let left: Option<i64> = sqlx::query_scalar(
                "UPDATE mirror_state SET quarantined = max(quarantined - ?, 0) WHERE mirror = ?
                 RETURNING quarantined",
            )
            .bind(integer(records))
            .bind(key)
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(left.unwrap_or(0).unsigned_abs())
        };
        write
            .await
            .map_err(failed("count what left the quarantine"))
    }

    pub(super) async fn write_gap(&self, mirror: &str, gap: &Gap) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        put_gap(&mut tx, mirror, gap).await?;
        tx.commit().await
    }

    pub(super) async fn drop_gap(
        &self,
        mirror: &str,
        gap: &Gap,
        coverage: Coverage,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        put_coverage(&mut tx, mirror, coverage).await?;
        clear_gap(&mut tx, mirror, gap).await?;
        tx.commit().await
    }

    pub(super) async fn write_healing(
        &self,
        mirror: &str,
        healing: &Healing,
    ) -> Result<(), sqlx::Error> {
        let text = serde_json::to_string(&StoredHealing {
            round: healing.round,
            from_ms: healing.from_ms,
            end_ms: healing.end_ms,
            highest_ms: healing.highest_ms,
        })
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
        let mut tx = self.begin_progress().await?;
        sqlx::query("UPDATE mirror_state SET healing = ? WHERE mirror = ?")
            .bind(text)
            .bind(mirror)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    pub(super) async fn end_healing(
        &self,
        mirror: &str,
        closed: Option<&Gap>,
        coverage: Coverage,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        put_coverage(&mut tx, mirror, coverage).await?;
        if let Some(gap) = closed {
            clear_gap(&mut tx, mirror, gap).await?;
        }
        // What ends twice (the first answer was lost) counts once.
        sqlx::query(
            "UPDATE mirror_state SET healed = healed + (healing IS NOT NULL), healing = NULL
             WHERE mirror = ?",
        )
        .bind(mirror)
        .execute(&mut *tx)
        .await?;
        for statement in [
            "DELETE FROM mirror_exports WHERE mirror = ? AND part > 0",
            "DELETE FROM mirror_files WHERE mirror = ? AND part > 0",
        ] {
            sqlx::query(statement)
                .bind(mirror)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }

    pub(super) async fn write_stream(
        &self,
        mirror: &str,
        identity: &TableIdentity,
        gap: &Gap,
        coverage: Coverage,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        put_identity(&mut tx, mirror, identity).await?;
        put_gap(&mut tx, mirror, gap).await?;
        put_coverage(&mut tx, mirror, coverage).await?;
        sqlx::query("DELETE FROM mirror_shards WHERE mirror = ?")
            .bind(mirror)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// The generations of a mirror.
    pub(crate) async fn generations_of(&self, mirror: &str) -> Result<Generations, StoreError> {
        let read = self.read_generations(mirror).await;
        read.map_err(failed("load the generations of a mirror"))
    }

    pub(super) async fn read_generations(&self, mirror: &str) -> Result<Generations, sqlx::Error> {
        let row = sqlx::query("SELECT * FROM mirror_generations WHERE mirror = ?")
            .bind(mirror)
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else {
            return Ok(Generations::default());
        };
        let shadow = match row.try_get::<Option<u32>, _>("shadow")? {
            None => None,
            Some(generation) => Some(Shadow {
                generation,
                reason: row
                    .try_get::<Option<String>, _>("reason")?
                    .unwrap_or_default(),
                exchanging: row.try_get("exchanging")?,
            }),
        };
        Ok(Generations {
            live: row.try_get("live")?,
            shadow,
        })
    }

    pub(super) async fn write_shadow(
        &self,
        mirror: &str,
        shadow: &Shadow,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        let before: Option<Option<u32>> =
            sqlx::query_scalar("SELECT shadow FROM mirror_generations WHERE mirror = ?")
                .bind(mirror)
                .fetch_optional(&mut *tx)
                .await?;
        if let Some(before) = before
            .flatten()
            .filter(|before| *before != shadow.generation)
        {
            forget_key(&mut tx, &progress_key(mirror, before)).await?;
        }
        sqlx::query(
            "INSERT INTO mirror_generations (mirror, live, shadow, reason, exchanging)
             VALUES (?, 0, ?, ?, ?)
             ON CONFLICT (mirror) DO UPDATE SET
             shadow = excluded.shadow, reason = excluded.reason, exchanging = excluded.exchanging",
        )
        .bind(mirror)
        .bind(shadow.generation)
        .bind(&shadow.reason)
        .bind(shadow.exchanging)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    pub(super) async fn end_resync(&self, mirror: &str) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_progress().await?;
        let row = sqlx::query(
            "SELECT live, shadow FROM mirror_generations WHERE mirror = ? AND shadow IS NOT NULL",
        )
        .bind(mirror)
        .fetch_optional(&mut *tx)
        .await?;
        // None if it was finished before and the answer was lost.
        if let Some(row) = row {
            let live: u32 = row.try_get("live")?;
            forget_key(&mut tx, &progress_key(mirror, live)).await?;
            sqlx::query(
                "UPDATE mirror_generations SET live = shadow, shadow = NULL, reason = NULL,
                 exchanging = 0 WHERE mirror = ?",
            )
            .bind(mirror)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }
}

async fn put_gap(tx: &mut Tx, mirror: &str, gap: &Gap) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO mirror_state (mirror, gap, gap_since_ms, gap_until_ms) VALUES (?, ?, ?, ?)
         ON CONFLICT (mirror) DO UPDATE SET gap = excluded.gap,
         gap_since_ms = excluded.gap_since_ms, gap_until_ms = excluded.gap_until_ms",
    )
    .bind(mirror)
    .bind(&gap.what)
    .bind(gap.since_ms)
    .bind(gap.until_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Forgets the gap if it is still this one.
async fn clear_gap(tx: &mut Tx, mirror: &str, gap: &Gap) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE mirror_state SET gap = NULL, gap_since_ms = NULL, gap_until_ms = NULL
         WHERE mirror = ? AND gap = ? AND gap_since_ms = ? AND gap_until_ms = ?",
    )
    .bind(mirror)
    .bind(&gap.what)
    .bind(gap.since_ms)
    .bind(gap.until_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

async fn put_coverage(tx: &mut Tx, mirror: &str, coverage: Coverage) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE mirror_state SET covered_until_ms = ?, swept_until_ms = ?, healed_from_ms = ?,
         clock_floor_ms = ? WHERE mirror = ?",
    )
    .bind(coverage.until_ms)
    .bind(coverage.swept_ms)
    .bind(coverage.healed_from_ms)
    .bind(coverage.clock_floor_ms)
    .bind(mirror)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Drops the progress of a mirror that is dropped, all generations of it.
pub(in crate::store) async fn forget(tx: &mut Tx, mirror: &str) -> Result<(), sqlx::Error> {
    forget_key(tx, mirror).await?;
    let row = sqlx::query("SELECT live, shadow FROM mirror_generations WHERE mirror = ?")
        .bind(mirror)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let live: u32 = row.try_get("live")?;
    let shadow: Option<u32> = row.try_get("shadow")?;
    for generation in [Some(live), shadow].into_iter().flatten() {
        forget_key(tx, &progress_key(mirror, generation)).await?;
    }
    sqlx::query("DELETE FROM mirror_generations WHERE mirror = ?")
        .bind(mirror)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Drops the progress of one generation.
async fn forget_key(tx: &mut Tx, key: &str) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM mirror_state WHERE mirror = ?",
        "DELETE FROM mirror_exports WHERE mirror = ?",
        "DELETE FROM mirror_files WHERE mirror = ?",
        "DELETE FROM mirror_shards WHERE mirror = ?",
    ] {
        sqlx::query(statement).bind(key).execute(&mut **tx).await?;
    }
    Ok(())
}
