//! The live project of a workspace, and the two transactions that change it.
//!
//! A deployment that drops or makes tables first writes down which ([`SqliteStore::begin_tables`]), then changes
//! ClickHouse, then makes the project live and strikes the list out ([`SqliteStore::commit_project`]). Whatever is
//! still on the list was left half done and is made anew by the next deployment.

use sqlx::{FromRow, Row};

use super::mirrors::{self, MirrorRow};
use super::{Result, SqliteStore, TokenRow, failed, tokens};

/// Kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// `.connection`.
    Connection,
    /// `.datasource`.
    Datasource,
    /// `.pipe`.
    Pipe,
}

impl ResourceKind {
    /// The file extension, which is also the word in the store.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Datasource => "datasource",
            Self::Pipe => "pipe",
        }
    }
}

/// One live resource.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ResourceRow {
    /// [`ResourceKind::extension`].
    pub kind: String,
    /// Name.
    pub name: String,
    /// Id for clients; stays when the text changes.
    pub id: String,
    /// Path as it was uploaded.
    pub path: String,
    /// The file.
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub updated_at_ms: i64,
}

/// What becomes live, all at once.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// The whole project.
    pub resources: Vec<ResourceRow>,
    /// Mirrors that are new or changed.
    pub mirrors: Vec<MirrorRow>,
    /// Mirrors that are no more.
    pub dropped_mirrors: Vec<String>,
    /// Tokens that files ask for, new ones and those with other scopes.
    pub tokens: Vec<TokenRow>,
    /// Ids of tokens that no file asks for any more.
    pub revoked_tokens: Vec<String>,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

impl SqliteStore {
    /// The live project.
    pub async fn resources(&self, workspace_id: &str) -> Result<Vec<ResourceRow>> {
        sqlx::query_as(
            "SELECT kind, name, id, path, text, sha256, created_at_ms, updated_at_ms
             FROM resources WHERE workspace_id = ? ORDER BY kind, name",
        )
        .bind(workspace_id)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("read the live project"))
    }

    /// One resource of the live project, by its kind and its name or id.
    pub(crate) async fn resource(
        &self,
        workspace_id: &str,
        kind: &str,
        name_or_id: &str,
    ) -> Result<Option<ResourceRow>> {
        sqlx::query_as(
            "SELECT kind, name, id, path, text, sha256, created_at_ms, updated_at_ms
             FROM resources WHERE workspace_id = ?1 AND kind = ?2 AND (name = ?3 OR id = ?3)",
        )
        .bind(workspace_id)
        .bind(kind)
        .bind(name_or_id)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a resource"))
    }

    /// Data sources whose tables a deployment left half done.
    pub async fn unfinished_tables(&self, workspace_id: &str) -> Result<Vec<String>> {
        sqlx::query_scalar("SELECT datasource FROM unfinished_tables WHERE workspace_id = ?")
            .bind(workspace_id)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list unfinished tables"))
    }

    /// Notes that a table holds a sample, before its first row.
    pub async fn mark_sampled(
        &self,
        workspace_id: &str,
        datasource: &str,
        now_ms: i64,
    ) -> Result<()> {
        const DOING: &str = "note a sample";
        let mut tx = self.begin(DOING).await?;
        sqlx::query("INSERT OR REPLACE INTO sampled_tables VALUES (?, ?, ?)")
            .bind(workspace_id)
            .bind(datasource)
            .bind(now_ms)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// Data sources whose tables hold a sample.
    pub async fn sampled_tables(&self, workspace_id: &str) -> Result<Vec<String>> {
        sqlx::query_scalar("SELECT datasource FROM sampled_tables WHERE workspace_id = ?")
            .bind(workspace_id)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list samples"))
    }

    /// Writes down which tables are about to be dropped or made, and drops the mirrors that fed them.
    pub async fn begin_tables(
        &self,
        workspace_id: &str,
        datasources: &[String],
        dropped_mirrors: &[String],
    ) -> Result<()> {
        const DOING: &str = "begin to change tables";
        let mut tx = self.begin(DOING).await?;
        for datasource in datasources {
            sqlx::query("INSERT OR IGNORE INTO unfinished_tables VALUES (?, ?)")
                .bind(workspace_id)
                .bind(datasource)
                .execute(&mut *tx)
                .await
                .map_err(failed(DOING))?;
        }
        for mirror in dropped_mirrors {
            mirrors::delete(&mut tx, mirror)
                .await
                .map_err(failed(DOING))?;
        }
        tx.commit().await.map_err(failed(DOING))
    }

    /// Makes a project live.
    pub async fn commit_project(&self, workspace_id: &str, change: &ProjectChange) -> Result<()> {
        const DOING: &str = "make a project live";
        let mut tx = self.begin(DOING).await?;
        let live = sqlx::query("SELECT kind, name FROM resources WHERE workspace_id = ?")
            .bind(workspace_id)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        for row in live {
            let kind: String = row.try_get(0).map_err(failed(DOING))?;
            let name: String = row.try_get(1).map_err(failed(DOING))?;
            let stays = |r: &ResourceRow| r.kind == kind && r.name == name;
            if !change.resources.iter().any(stays) {
                sqlx::query(
                    "DELETE FROM resources WHERE workspace_id = ? AND kind = ? AND name = ?",
                )
                .bind(workspace_id)
                .bind(kind)
                .bind(name)
                .execute(&mut *tx)
                .await
                .map_err(failed(DOING))?;
            }
        }
        for resource in &change.resources {
            put(&mut tx, workspace_id, resource)
                .await
                .map_err(failed(DOING))?;
        }
        for mirror in &change.dropped_mirrors {
            mirrors::delete(&mut tx, mirror)
                .await
                .map_err(failed(DOING))?;
        }
        for mirror in &change.mirrors {
            mirrors::put(&mut tx, mirror).await?;
        }
        for token in &change.tokens {
            tokens::put(&mut tx, token).await?;
        }
        for token in &change.revoked_tokens {
            tokens::revoke(&mut tx, token, change.now_ms)
                .await
                .map_err(failed(DOING))?;
        }
        // A table that has a mirror now was made anew for it.
        sqlx::query(
            "DELETE FROM sampled_tables WHERE workspace_id = ?1 AND datasource IN
             (SELECT datasource FROM mirrors WHERE workspace_id = ?1)",
        )
        .bind(workspace_id)
        .execute(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        sqlx::query("DELETE FROM unfinished_tables WHERE workspace_id = ?")
            .bind(workspace_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }
}

async fn put(
    tx: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    workspace_id: &str,
    resource: &ResourceRow,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO resources
         (workspace_id, kind, name, id, path, text, sha256, created_at_ms, updated_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(workspace_id)
    .bind(&resource.kind)
    .bind(&resource.name)
    .bind(&resource.id)
    .bind(&resource.path)
    .bind(&resource.text)
    .bind(&resource.sha256)
    .bind(resource.created_at_ms)
    .bind(resource.updated_at_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}
