//! Deployments: what was uploaded, and what came of it.

use sqlx::FromRow;

use super::{Result, SqliteStore, failed};

/// Where a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentStatus {
    /// Being applied.
    Calculating,
    /// Applied, or staged and found good.
    DataReady,
    /// Refused, or it could not be applied.
    Failed,
    /// Discarded, or replaced by a later one.
    Deleted,
}

impl DeploymentStatus {
    /// The word clients know.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calculating => "calculating",
            Self::DataReady => "data_ready",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
}

/// One deployment.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DeploymentRow {
    /// Counts from 1 in each workspace.
    pub number: i64,
    /// A [`DeploymentStatus`] by name.
    pub status: String,
    /// Whether it is the live one.
    pub live: bool,
    /// The uploaded files, JSON.
    pub files: String,
    /// Changes, feedback and errors, JSON.
    pub result: String,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub updated_at_ms: i64,
}

impl SqliteStore {
    /// Adds a deployment and gives its number.
    pub async fn create_deployment(
        &self,
        workspace_id: &str,
        files: &str,
        now_ms: i64,
    ) -> Result<i64> {
        const DOING: &str = "create a deployment";
        let mut tx = self.begin(DOING).await?;
        let number = sqlx::query_scalar(
            "INSERT INTO deployments
             (workspace_id, number, status, live, files, result, created_at_ms, updated_at_ms)
             SELECT ?1, ifnull(max(number), 0) + 1, 'calculating', 0, ?2, '{}', ?3, ?3
             FROM deployments WHERE workspace_id = ?1
             RETURNING number",
        )
        .bind(workspace_id)
        .bind(files)
        .bind(now_ms)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(number)
    }

    /// The number that the next deployment will have.
    pub async fn next_deployment(&self, workspace_id: &str) -> Result<i64> {
        sqlx::query_scalar(
            "SELECT ifnull(max(number), 0) + 1 FROM deployments WHERE workspace_id = ?",
        )
        .bind(workspace_id)
        .fetch_one(&self.readers)
        .await
        .map_err(failed("count deployments"))
    }

    /// Stores what came of a deployment. One that becomes live replaces the one that was.
    pub async fn finish_deployment(
        &self,
        workspace_id: &str,
        number: i64,
        status: DeploymentStatus,
        live: bool,
        result: &str,
        now_ms: i64,
    ) -> Result<()> {
        const DOING: &str = "finish a deployment";
        let mut tx = self.begin(DOING).await?;
        if live {
            sqlx::query(
                "UPDATE deployments SET live = 0, status = 'deleted', updated_at_ms = ?
                 WHERE workspace_id = ? AND live = 1 AND number <> ?",
            )
            .bind(now_ms)
            .bind(workspace_id)
            .bind(number)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        }
        sqlx::query(
            "UPDATE deployments SET status = ?, live = ?, result = ?, updated_at_ms = ?
             WHERE workspace_id = ? AND number = ?",
        )
        .bind(status.name())
        .bind(live)
        .bind(result)
        .bind(now_ms)
        .bind(workspace_id)
        .bind(number)
        .execute(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// Deployments of a workspace: the live one first, then the others by age.
    pub async fn deployments(&self, workspace_id: &str) -> Result<Vec<DeploymentRow>> {
        sqlx::query_as(
            "SELECT number, status, live, files, result, created_at_ms, updated_at_ms
             FROM deployments WHERE workspace_id = ? ORDER BY live DESC, number",
        )
        .bind(workspace_id)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list deployments"))
    }

    /// One deployment.
    pub async fn deployment(
        &self,
        workspace_id: &str,
        number: i64,
    ) -> Result<Option<DeploymentRow>> {
        sqlx::query_as(
            "SELECT number, status, live, files, result, created_at_ms, updated_at_ms
             FROM deployments WHERE workspace_id = ? AND number = ?",
        )
        .bind(workspace_id)
        .bind(number)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a deployment"))
    }

    /// Deployments that a stopped server left half done can only be made again.
    pub async fn fail_interrupted_deployments(&self, result: &str, now_ms: i64) -> Result<u64> {
        const DOING: &str = "close interrupted deployments";
        let mut tx = self.begin(DOING).await?;
        let done = sqlx::query(
            "UPDATE deployments SET status = 'failed', result = ?, updated_at_ms = ?
             WHERE status = 'calculating'",
        )
        .bind(result)
        .bind(now_ms)
        .execute(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(done.rows_affected())
    }
}
