//! Tokens of a workspace.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::ApiResult;
use crate::tokens::{Scope, TokenKind};

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    // The workspace's own token is among them even if nobody has asked for it yet.
    app.own_token(TokenKind::WorkspaceAdmin, Some(&caller.workspace))
        .await?;
    let rows = app.store.tokens(&caller.workspace.id).await?;
    let tokens: Vec<Value> = rows
        .iter()
        .map(|row| {
            let admin = [Scope::everywhere("ADMIN")];
            let scopes: &[Scope] = match row.kind {
                TokenKind::Scoped => &row.scopes,
                _ => &admin,
            };
            json!({
                "id": row.id,
                "name": row.name,
                "token": app.token_text(row).expose(),
                "scopes": scopes,
            })
        })
        .collect();
    Ok(Json(json!({ "tokens": tokens })))
}

pub(super) async fn auth(caller: Caller) -> Json<Value> {
    Json(json!({
        "is_valid": true,
        "is_user": caller.token.kind == TokenKind::User,
    }))
}
