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

    /// Adds a branch of a workspace. `None` if it has one of that name, or is being deleted.
    pub async fn create_branch(
        &self,
        parent: &str,
        name: &str,
        now_ms: i64,
    ) -> Result<Option<Workspace>> {
        const DOING: &str = "create a branch";
        let mut tx = self.begin(DOING).await?;
        let row = sqlx::query_as(
            "INSERT INTO workspaces (id, name, parent, branch_name, created_at_ms)
             SELECT ?1, id || '/' || ?2, id, ?2, ?3 FROM workspaces
             WHERE id = ?4 AND deleting = 0 AND parent IS NULL
             ON CONFLICT (name) DO NOTHING
             RETURNING id, slot, branch_name AS name, parent, created_at_ms",
        )
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(name)
        .bind(now_ms)
        .bind(parent)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(row)
    }

    /// The branches of a workspace, oldest first.
    pub async fn branches(&self, parent: &str) -> Result<Vec<Workspace>> {
        sqlx::query_as(
            "SELECT id, slot, ifnull(branch_name, name) AS name, parent, created_at_ms FROM workspaces
             WHERE deleting = 0 AND parent = ? ORDER BY slot",
        )
        .bind(parent)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list branches"))
    }

    /// All workspaces, oldest first.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>> {
        sqlx::query_as(
            "SELECT id, slot, ifnull(branch_name, name) AS name, parent, created_at_ms FROM workspaces
             WHERE deleting = 0 ORDER BY slot",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list workspaces"))
    }

    /// The workspace with this id, or else with this name; a branch is found by its id only.
    pub async fn workspace(&self, id_or_name: &str) -> Result<Option<Workspace>> {
        sqlx::query_as(
            "SELECT id, slot, ifnull(branch_name, name) AS name, parent, created_at_ms FROM workspaces
             WHERE deleting = 0 AND (id = ?1 OR name = ?1) ORDER BY id = ?1 DESC LIMIT 1",
        )
        .bind(id_or_name)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a workspace"))
    }

    /// Hides a workspace that is about to be deleted, with its branches, and frees its name; its tokens stop working.
    pub async fn begin_deleting_workspace(&self, id: &str, now_ms: i64) -> Result<()> {
        const DOING: &str = "delete a workspace";
        let mut tx = self.begin(DOING).await?;
        sqlx::query("UPDATE workspaces SET deleting = 1, name = name || ' #' || slot WHERE (id = ?1 OR parent = ?1) AND deleting = 0")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        sqlx::query(
            "UPDATE tokens SET revoked_at_ms = ?1 WHERE revoked_at_ms IS NULL
             AND workspace_id IN (SELECT id FROM workspaces WHERE id = ?2 OR parent = ?2)",
        )
        .bind(now_ms)
        .bind(id)
        .execute(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// Workspaces whose deletion was begun and not finished, branches before what they are branches of.
    pub async fn deleting_workspaces(&self) -> Result<Vec<Workspace>> {
        sqlx::query_as(
            "SELECT id, slot, ifnull(branch_name, name) AS name, parent, created_at_ms FROM workspaces
             WHERE deleting = 1 ORDER BY parent IS NULL, slot",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list workspaces being deleted"))
    }

    /// Branches of a workspace that are being deleted with it.
    pub async fn deleting_branches(&self, parent: &str) -> Result<Vec<Workspace>> {
        let all = self.deleting_workspaces().await?;
        let of_parent = |it: &Workspace| it.parent.as_deref() == Some(parent);
        Ok(all.into_iter().filter(of_parent).collect())
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
