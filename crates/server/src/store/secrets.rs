//! Secrets of workspaces, sealed.

use sqlx::FromRow;

use super::{Result, SqliteStore, failed};

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct SecretRow {
    /// Name.
    pub name: String,
    /// Value as [`crate::secrets::Keyring::seal`] made it.
    pub sealed: Vec<u8>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub updated_at_ms: i64,
}

impl SqliteStore {
    /// All secrets of a workspace by name.
    pub async fn secrets(&self, workspace_id: &str) -> Result<Vec<SecretRow>> {
        sqlx::query_as(
            "SELECT name, sealed, created_at_ms, updated_at_ms FROM secrets
             WHERE workspace_id = ? ORDER BY name",
        )
        .bind(workspace_id)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list secrets"))
    }

    /// One secret.
    pub async fn secret(&self, workspace_id: &str, name: &str) -> Result<Option<SecretRow>> {
        sqlx::query_as(
            "SELECT name, sealed, created_at_ms, updated_at_ms FROM secrets
             WHERE workspace_id = ? AND name = ?",
        )
        .bind(workspace_id)
        .bind(name)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a secret"))
    }

    /// Sets a secret.
    pub async fn put_secret(
        &self,
        workspace_id: &str,
        name: &str,
        sealed: &[u8],
        now_ms: i64,
    ) -> Result<SecretRow> {
        const DOING: &str = "store a secret";
        let mut tx = self.begin(DOING).await?;
        let row = sqlx::query_as(
            "INSERT INTO secrets (workspace_id, name, sealed, created_at_ms, updated_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (workspace_id, name)
             DO UPDATE SET sealed = excluded.sealed, updated_at_ms = excluded.updated_at_ms
             RETURNING name, sealed, created_at_ms, updated_at_ms",
        )
        .bind(workspace_id)
        .bind(name)
        .bind(sealed)
        .bind(now_ms)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(row)
    }

    /// Removes a secret. False if there was none.
    pub async fn delete_secret(&self, workspace_id: &str, name: &str) -> Result<bool> {
        const DOING: &str = "delete a secret";
        let mut tx = self.begin(DOING).await?;
        let done = sqlx::query("DELETE FROM secrets WHERE workspace_id = ? AND name = ?")
            .bind(workspace_id)
            .bind(name)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(done.rows_affected() == 1)
    }
}
