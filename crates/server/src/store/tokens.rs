//! Tokens: what they may do and their hashes, never their texts.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Result, SqliteStore, failed, unreadable};
use crate::tokens::{Scope, TokenKind};

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Id, part of the text.
    pub id: String,
    /// Its workspace; `None` for a user's or the administrator's.
    pub workspace_id: Option<String>,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: TokenKind,
    /// Scopes of a scoped token.
    pub scopes: Vec<Scope>,
    /// Asked for by a `TOKEN` line; goes when the line goes.
    pub from_files: bool,
    /// SHA-256 of the text.
    pub sha256: Vec<u8>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
}

impl SqliteStore {
    /// Adds `token`, or gives it new scopes if its workspace has one of that name, whose id then stays.
    /// Answers the token as it is now.
    pub async fn put_token(&self, token: &TokenRow) -> Result<TokenRow> {
        const DOING: &str = "store a token";
        let mut tx = self.begin(DOING).await?;
        let row = put(&mut tx, token).await?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(row)
    }

    /// The token with this id, unless it was revoked.
    pub async fn token(&self, id: &str) -> Result<Option<TokenRow>> {
        sqlx::query(
            "SELECT * FROM tokens
             WHERE id = ? AND revoked_at_ms IS NULL",
        )
        .bind(id)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a token"))?
        .map(|row| read(&row))
        .transpose()
    }

    /// The token of this name: of a workspace, or of the server.
    pub async fn token_named(
        &self,
        workspace_id: Option<&str>,
        name: &str,
    ) -> Result<Option<TokenRow>> {
        sqlx::query(
            "SELECT * FROM tokens
             WHERE ifnull(workspace_id, '') = ? AND name = ? AND revoked_at_ms IS NULL",
        )
        .bind(workspace_id.unwrap_or_default())
        .bind(name)
        .fetch_optional(&self.readers)
        .await
        .map_err(failed("find a token"))?
        .map(|row| read(&row))
        .transpose()
    }

    /// All tokens of a workspace that work, by name.
    pub async fn tokens(&self, workspace_id: &str) -> Result<Vec<TokenRow>> {
        sqlx::query(
            "SELECT * FROM tokens
             WHERE workspace_id = ? AND revoked_at_ms IS NULL ORDER BY name",
        )
        .bind(workspace_id)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("list tokens"))?
        .iter()
        .map(read)
        .collect()
    }

    /// Makes a token useless for ever. False if there is no such token.
    pub async fn revoke_token(&self, id: &str, now_ms: i64) -> Result<bool> {
        const DOING: &str = "revoke a token";
        let mut tx = self.begin(DOING).await?;
        let revoked = revoke(&mut tx, id, now_ms).await.map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))?;
        Ok(revoked)
    }
}

impl SqliteStore {
    /// Puts `token` in the place of another one, which stops working. False if that one is gone already.
    pub async fn replace_token(&self, old_id: &str, token: &TokenRow) -> Result<bool> {
        const DOING: &str = "replace a token";
        let mut tx = self.begin(DOING).await?;
        let revoked = revoke(&mut tx, old_id, token.created_at_ms)
            .await
            .map_err(failed(DOING))?;
        if revoked {
            put(&mut tx, token).await?;
        }
        tx.commit().await.map_err(failed(DOING))?;
        Ok(revoked)
    }
}

pub(super) async fn revoke(
    tx: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    id: &str,
    now_ms: i64,
) -> std::result::Result<bool, sqlx::Error> {
    let done =
        sqlx::query("UPDATE tokens SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL")
            .bind(now_ms)
            .bind(id)
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn put(
    tx: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    token: &TokenRow,
) -> Result<TokenRow> {
    let scopes = serde_json::to_string(&token.scopes)
        .map_err(|error| unreadable("the scopes of a token", error))?;
    let row = sqlx::query(
        "INSERT INTO tokens (id, workspace_id, name, kind, scopes, from_files, sha256, created_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (ifnull(workspace_id, ''), name) WHERE revoked_at_ms IS NULL
         DO UPDATE SET scopes = excluded.scopes
         RETURNING *",
    )
    .bind(&token.id)
    .bind(&token.workspace_id)
    .bind(&token.name)
    .bind(token.kind.name())
    .bind(scopes)
    .bind(token.from_files)
    .bind(&token.sha256)
    .bind(token.created_at_ms)
    .fetch_one(&mut **tx)
    .await
    .map_err(failed("store a token"))?;
    read(&row)
}

fn read(row: &SqliteRow) -> Result<TokenRow> {
    let failed = failed("read a token");
    let parts = (|| {
        Ok((
            row.try_get("id")?,
            row.try_get("workspace_id")?,
            row.try_get("name")?,
            row.try_get::<String, _>("kind")?,
            row.try_get::<String, _>("scopes")?,
            row.try_get("from_files")?,
            row.try_get("sha256")?,
            row.try_get("created_at_ms")?,
        ))
    })();
    let (id, workspace_id, name, kind, scopes, from_files, sha256, created_at_ms) =
        parts.map_err(failed)?;
    Ok(TokenRow {
        id,
        workspace_id,
        name,
        kind: TokenKind::parse(&kind)
            .ok_or_else(|| unreadable("a token", format!("it is of the unknown kind {kind}")))?,
        scopes: serde_json::from_str(&scopes)
            .map_err(|error| unreadable("the scopes of a token", error))?,
        from_files,
        sha256,
        created_at_ms,
    })
}
