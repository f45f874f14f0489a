//! Workspaces.

use sqlx::FromRow;

use super::{Result, SqliteStore, failed};

/// Tokens, secrets, a project, and one ClickHouse database.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Workspace {
    /// Id for clients.
    pub id: String,
    /// Number behind the database's name; never given twice.
    pub slot: i64,
    /// Name.
    pub name: String,
    /// The workspace it is a branch of.
    pub parent: Option<String>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
}

impl Workspace {
    /// Name of the ClickHouse database.
    pub fn database(&self) -> String {
        format!("ws_{}", self.slot)
    }
}

impl SqliteStore {
    /// Adds a workspace. `None` if there is one of that name.
    pub async fn create_workspace(&self, name: &str, now_ms: i64) -> Result<Option<Workspace>> {
        const DOING: &str = "create a workspace";
        let mut tx = self.begin(DOING).await?;
        let row = sqlx::query_as(
            "INSERT INTO workspaces (id, name, created_at_ms) VALUES (?, ?, ?)
             ON CONFLICT (name) DO NOTHING
             RETURNING id, slot, name, parent, created_at_ms",
        )
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(name)
        .bind(now_ms)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(row)
    }

    /// All workspaces, oldest first.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>> {
        sqlx::query_as(
            "SELECT id, slot, name, parent, created_at_ms FROM workspaces
             WHERE deleting = 0 ORDER BY slot",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list workspaces"))
    }

    /// The workspace with this id, or else with this name.
    pub async fn workspace(&self, id_or_name: &str) -> Result<Option<Workspace>> {
        sqlx::query_as(
            "SELECT id, slot, name, parent, created_at_ms FROM workspaces
             WHERE deleting = 0 AND (id = ?1 OR name = ?1) ORDER BY id = ?1 DESC LIMIT 1",
        )
        .bind(id_or_name)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a workspace"))
    }

    /// Hides a workspace that is about to be deleted and frees its name; its tokens stop working.
    pub async fn begin_deleting_workspace(&self, id: &str, now_ms: i64) -> Result<()> {
        const DOING: &str = "delete a workspace";
        let mut tx = self.begin(DOING).await?;
        sqlx::query("UPDATE workspaces SET deleting = 1, name = name || ' #' || slot WHERE id = ? AND deleting = 0")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        sqlx::query(
            "UPDATE tokens SET revoked_at_ms = ? WHERE workspace_id = ? AND revoked_at_ms IS NULL",
        )
        .bind(now_ms)
        .bind(id)
        .execute(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// Workspaces whose deletion was begun and not finished.
    pub async fn deleting_workspaces(&self) -> Result<Vec<Workspace>> {
        sqlx::query_as(
            "SELECT id, slot, name, parent, created_at_ms FROM workspaces WHERE deleting = 1",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list workspaces being deleted"))
    }

    /// Forgets a workspace and everything in it, once its database is gone.
    pub async fn finish_deleting_workspace(&self, id: &str) -> Result<()> {
        const DOING: &str = "delete a workspace";
        let mut tx = self.begin(DOING).await?;
        let mirrors: Vec<String> =
            sqlx::query_scalar("SELECT id FROM mirrors WHERE workspace_id = ?")
                .bind(id)
                .fetch_all(&mut *tx)
                .await
                .map_err(failed(DOING))?;
        for mirror in &mirrors {
            super::progress::forget(&mut tx, mirror)
                .await
                .map_err(failed(DOING))?;
        }
        sqlx::query("DELETE FROM workspaces WHERE id = ? AND deleting = 1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }
}
