//! What happened to mirrors, the latest of it.

use super::{Result, SqliteStore, failed};

/// Lines kept of a workspace: years of a quiet one, days of one whose role comes and goes.
const KEPT: i64 = 10_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct HistoryRow {
    /// Data source, or nothing for what happened to the server.
    pub(crate) datasource: String,
    /// When, milliseconds.
    pub(crate) at_ms: i64,
    /// `INFO`, `WARNING` or `ERROR`.
    pub(crate) level: String,
    /// What.
    pub(crate) message: String,
}

/// Whose mirror it is.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct MirrorName {
    pub(crate) id: String,
    pub(crate) workspace_id: String,
    pub(crate) datasource: String,
}

impl SqliteStore {
    /// Whose mirrors there are.
    pub(crate) async fn mirror_names(&self) -> Result<Vec<MirrorName>> {
        sqlx::query_as("SELECT id, workspace_id, datasource FROM mirrors")
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list mirrors"))
    }

    /// Adds lines to the history of a workspace, and forgets the oldest beyond what is kept.
    pub(crate) async fn add_history(&self, workspace_id: &str, rows: &[HistoryRow]) -> Result<()> {
        const DOING: &str = "write the history";
        let mut tx = self.begin(DOING).await?;
        for row in rows {
            // A workspace that is gone by now has no history.
            sqlx::query(
                "INSERT INTO history (workspace_id, datasource, at_ms, level, message)
                 SELECT id, ?2, ?3, ?4, ?5 FROM workspaces WHERE id = ?1",
            )
            .bind(workspace_id)
            .bind(&row.datasource)
            .bind(row.at_ms)
            .bind(&row.level)
            .bind(&row.message)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        }
        sqlx::query(
            "DELETE FROM history WHERE workspace_id = ?1 AND id <=
             (SELECT id FROM history WHERE workspace_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(workspace_id)
        .bind(KEPT)
        .execute(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// The latest lines of a workspace, oldest first.
    pub(crate) async fn history(
        &self,
        workspace_id: &str,
        limit: usize,
    ) -> Result<Vec<HistoryRow>> {
        let mut rows: Vec<HistoryRow> = sqlx::query_as(
            "SELECT datasource, at_ms, level, message FROM history
             WHERE workspace_id = ? ORDER BY id DESC LIMIT ?",
        )
        .bind(workspace_id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(failed("read the history"))?;
        rows.reverse();
        Ok(rows)
    }
}
