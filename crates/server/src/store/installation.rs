//! Who this server is.

use sqlx::FromRow;

use super::{Result, SqliteStore, failed};

/// Made once, on the first start.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Installation {
    /// The one user of a self-hosted server.
    pub user_id: String,
    /// Clients hand it back when they make workspaces.
    pub organization_id: String,
}

impl SqliteStore {
    /// Reads who this server is, or decides it now.
    pub async fn installation(&self, now_ms: i64) -> Result<Installation> {
        const DOING: &str = "identify the installation";
        let mut tx = self.begin(DOING).await?;
        sqlx::query("INSERT OR IGNORE INTO installation VALUES (1, ?, ?, ?)")
            .bind(uuid::Uuid::new_v4().to_string())
            .bind(uuid::Uuid::new_v4().to_string())
            .bind(now_ms)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        let row = sqlx::query_as("SELECT user_id, organization_id FROM installation")
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(row)
    }
}
