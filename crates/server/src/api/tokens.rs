//! Tokens of a workspace.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::ManyParams;
use crate::store::TokenRow;
use crate::tokens::{Scope, TokenKind};

const MAX_NAME_BYTES: usize = 200;

/// What a token of this version may be for, and whether it may name a resource.
const SCOPES: [(&str, bool); 4] = [
    ("ADMIN", false),
    ("DATASOURCES:READ", true),
    ("DATASOURCES:APPEND", true),
    ("PIPES:READ", true),
];

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    // The workspace's own token is among them even if nobody has asked for it yet.
    app.own_token(TokenKind::WorkspaceAdmin, Some(&caller.workspace))
        .await?;
    let rows = app.store.tokens(&caller.workspace.id).await?;
    let tokens: Vec<Value> = rows.iter().map(|row| object(&app, row)).collect();
    Ok(Json(json!({ "tokens": tokens })))
}

/// By id, name or text.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    Ok(Json(object(&app, &find(&app, &caller, &id).await?)))
}

/// `?name=reports&scope=DATASOURCES:READ:orders&scope=PIPES:READ:top`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    params: ManyParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    if params.get("expiration_time").is_some() {
        return Err(ApiError::bad_request(
            "tokens that expire (JWT) are not part of this version; make one without expiration_time and remove it when it is no longer needed",
        ));
    }
    let name = params
        .get("name")
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| ApiError::bad_request("a token needs the parameter name"))?;
    if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "a token's name has up to {MAX_NAME_BYTES} bytes on one line"
        )));
    }
    let scopes = scopes(&params)?;
    let workspace = &caller.workspace;
    let taken = app.store.token_named(Some(&workspace.id), name).await?;
    if taken.is_some() || crate::deploy::RESERVED_TOKENS.contains(&name) {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("there is a token {name:?} already; see: tb token ls"),
        ));
    }
    let token = app
        .deployer
        .new_token(Some(workspace), name, TokenKind::Scoped, &scopes, false);
    let row = app.store.put_token(&token).await?;
    Ok(Json(object(&app, &row)))
}

/// Other scopes for a token that nobody's file asks for.
pub(super) async fn update(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
    params: ManyParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &id).await?;
    own_only(&row, "changed")?;
    let changed = TokenRow {
        scopes: scopes(&params)?,
        ..row
    };
    let row = app.store.put_token(&changed).await?;
    Ok(Json(object(&app, &row)))
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &id).await?;
    own_only(&row, "removed")?;
    let now_ms = app.clock.now_ms();
    app.store.revoke_token(&row.id, now_ms).await?;
    Ok(Json(json!({ "ok": true, "id": row.id, "name": row.name })))
}

/// A new text for the same name and scopes; the old one stops working at once.
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &id).await?;
    let fresh = app.deployer.new_token(
        Some(&caller.workspace),
        &row.name,
        row.kind,
        &row.scopes,
        row.from_files,
    );
    if !app.store.replace_token(&row.id, &fresh).await? {
        return Err(missing(&id));
    }
    Ok(Json(object(&app, &fresh)))
}

fn own_only(row: &TokenRow, done: &str) -> ApiResult<()> {
    if row.from_files {
        return Err(ApiError::bad_request(format!(
            "the token {:?} comes from a TOKEN line of the project: it is {done} by changing that line and deploying",
            row.name
        )));
    }
    if row.kind != TokenKind::Scoped {
        return Err(ApiError::bad_request(format!(
            "{:?} is the workspace's own token and cannot be {done}; make its text useless with: tb token refresh",
            row.name
        )));
    }
    Ok(())
}

fn scopes(params: &ManyParams) -> ApiResult<Vec<Scope>> {
    let scopes: Vec<Scope> = params.all("scope").map(scope).collect::<ApiResult<_>>()?;
    if scopes.is_empty() {
        return Err(ApiError::bad_request(format!(
            "a token needs at least one scope, as scope=DATASOURCES:READ:orders; there are {}",
            known()
        )));
    }
    Ok(scopes)
}

fn scope(text: &str) -> ApiResult<Scope> {
    let found = SCOPES.iter().find(|(kind, _)| {
        text.strip_prefix(kind)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    let Some((kind, of_resources)) = found else {
        return Err(ApiError::bad_request(format!(
            "{text:?} is not a scope; there are {}",
            known()
        )));
    };
    match text[kind.len()..].strip_prefix(':') {
        None | Some("") => Ok(Scope::everywhere(kind)),
        Some(_) if !of_resources => Err(ApiError::bad_request(format!(
            "the scope {kind} takes no resource"
        ))),
        Some(resource) if resource.contains(':') => Err(ApiError::bad_request(
            "filters of rows in a scope are not part of this version",
        )),
        Some(resource) => Ok(Scope::on(kind, resource)),
    }
}

fn known() -> String {
    SCOPES.map(|(kind, _)| kind).join(", ")
}

async fn find(app: &App, caller: &Caller, id: &str) -> ApiResult<TokenRow> {
    let rows = app.store.tokens(&caller.workspace.id).await?;
    let by_text = crate::tokens::verified_id(&app.keys, id);
    rows.into_iter()
        .find(|row| row.id == id || row.name == id || by_text.as_ref() == Some(&row.id))
        .ok_or_else(|| missing(id))
}

/// Never repeats what was asked for: it may be the text of a token.
fn missing(id: &str) -> ApiError {
    if id.starts_with("p.") {
        return ApiError::not_found("there is no such token in this workspace; see: tb token ls");
    }
    ApiError::not_found(format!("there is no token {id:?}; see: tb token ls"))
}

fn object(app: &App, row: &TokenRow) -> Value {
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
}

pub(super) async fn auth(caller: Caller) -> Json<Value> {
    Json(json!({
        "is_valid": true,
        "is_user": caller.token.kind == TokenKind::User,
    }))
}
