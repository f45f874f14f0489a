//! Workspaces.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::App;
use super::caller::{Caller, Visitor};
use super::error::{ApiError, ApiResult};
use super::params::{AllParams, QueryParams};
use super::wire::is_strict_client;
use crate::store::Workspace;
use crate::telemetry;
use crate::tokens::TokenKind;

/// What clients show as the person behind the tokens of a self-hosted server.
pub(super) const USER_EMAIL: &str = "admin@localhost";

const MAX_NAME_BYTES: usize = 200;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: QueryParams,
    visitor: Visitor,
) -> ApiResult<Json<Value>> {
    let caller = visitor.into_caller();
    if let Some(caller) = &caller {
        caller.require_admin()?;
    }
    let current = caller.as_ref().map(|caller| caller.workspace.id.as_str());
    let sees_all = caller.as_ref().is_none_or(Caller::is_server_admin);
    let all = app.store.workspaces().await?;
    let strict = is_strict_client(&headers);
    let mut workspaces = Vec::new();
    for workspace in &all {
        let branch = workspace.parent.is_some();
        let wanted = if query.flag("only_environments") {
            branch
        } else {
            !branch || query.flag("with_environments")
        };
        let own = current == Some(workspace.id.as_str());
        // A workspace knows its branches. The other way round a token of a branch would open all of the parent.
        let related = own || (current.is_some() && workspace.parent.as_deref() == current);
        if wanted && (related || sees_all) {
            workspaces.push(item(&app, workspace, own, strict).await?);
        }
    }
    Ok(Json(json!({
        "id": current,
        "organization_id": app.installation.organization_id,
        "workspaces": workspaces,
    })))
}

async fn item(app: &App, workspace: &Workspace, current: bool, strict: bool) -> ApiResult<Value> {
    let token = app
        .own_token(TokenKind::WorkspaceAdmin, Some(workspace))
        .await?;
    if strict {
        return Ok(json!({
            "id": workspace.id,
            "name": workspace.name,
            "token": token.expose(),
        }));
    }
    Ok(json!({
        "id": workspace.id,
        "name": workspace.name,
        "token": token.expose(),
        "role": "admin",
        "plan": "self-hosted",
        "is_branch": workspace.parent.is_some(),
        "main": workspace.parent,
        "current": current,
    }))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    visitor.require_server_admin()?;
    let name = params
        .get("name")
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| ApiError::bad_request("a workspace needs the parameter name"))?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    if name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
        return Err(ApiError::bad_request(format!(
            "a workspace's name has up to {MAX_NAME_BYTES} letters, digits, spaces and the characters _ - ."
        )));
    }
    let made = app.store.create_workspace(name, app.clock.now_ms()).await?;
    let Some(workspace) = made else {
        return Err(ApiError::bad_request(format!(
            "there is a workspace {name:?} already"
        )));
    };
    let token = app
        .own_token(TokenKind::WorkspaceAdmin, Some(&workspace))
        .await?;
    Ok(Json(json!({
        "id": workspace.id,
        "name": workspace.name,
        "token": token.expose(),
    })))
}

/// Clients confirm with `hard_delete_confirmation=yes`, or with `confirmation=` the name or yes.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let workspace = app
        .store
        .workspace(&id)
        .await?
        .filter(|found| caller.is_server_admin() || found.id == caller.workspace.id)
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "there is no workspace {id:?}; see: tb workspace ls"
            ))
        })?;
    let confirmed = ["hard_delete_confirmation", "confirmation"]
        .iter()
        .filter_map(|name| params.get(name))
        .any(|value| value == "yes" || value == workspace.name || value == workspace.id);
    if !confirmed {
        return Err(ApiError::bad_request(format!(
            "deleting a workspace deletes all its data: confirm with hard_delete_confirmation=yes, or with confirmation={}",
            workspace.name
        )));
    }
    delete(&app, &workspace).await?;
    Ok(Json(json!({ "id": workspace.id, "name": workspace.name })))
}

/// Deletes a workspace with its branches, in a task of its own: a client that goes away leaves nothing half deleted.
pub(super) async fn delete(app: &Arc<App>, workspace: &Workspace) -> ApiResult<()> {
    let deleted = workspace.clone();
    let worker = Arc::clone(app);
    let deletion = app.tasks.spawn(async move {
        let done = worker.deployer.delete_workspace(&deleted).await;
        if let Err(error) = &done {
            telemetry::workspace_deletion_unfinished(&deleted.name, &error.to_string());
        }
        done
    });
    match deletion.await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ApiError::bad_request("the server is stopping")),
    }
}

/// Exactly these keys: the Python SDK takes no others.
pub(super) async fn current(State(app): State<Arc<App>>, caller: Caller) -> Json<Value> {
    Json(description(&app, &caller))
}

pub(super) async fn current_classic(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    caller: Caller,
) -> Json<Value> {
    let mut workspace = description(&app, &caller);
    if let Some(object) = workspace
        .as_object_mut()
        .filter(|_| !is_strict_client(&headers))
    {
        object.insert("is_forward".to_owned(), json!(true));
        object.insert(
            "is_branch".to_owned(),
            json!(caller.workspace.parent.is_some()),
        );
        object.insert("limits".to_owned(), json!({}));
    }
    Json(workspace)
}

fn description(app: &App, caller: &Caller) -> Value {
    let scope = if caller.is_server_admin() {
        "user"
    } else {
        "admin"
    };
    json!({
        "id": caller.workspace.id,
        "name": caller.workspace.name,
        "user_id": app.installation.user_id,
        "user_email": USER_EMAIL,
        "scope": scope,
        "main": caller.workspace.parent,
    })
}
