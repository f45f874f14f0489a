//! Branches: workspaces made from another one, with tables and tokens of their own.
//!
//! A branch has its parent's secrets until it sets its own, and the role it assumes knows the same external id.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::jobs::{self, summary};
use super::params::{AllParams, QueryParams};
use super::wire::{is_strict_client, iso_time};
use super::workspaces::{USER_EMAIL, delete};
use crate::jobs::{Done, Job, JobEnd, Work};
use crate::store::Workspace;
use crate::tokens::TokenKind;

const MAX_NAME_BYTES: usize = 100;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let mut environments = Vec::new();
    for branch in visible(&app, &caller).await? {
        environments.push(object(&app, &branch, &headers, true).await?);
    }
    Ok(Json(json!({ "environments": environments })))
}

/// By name; some clients give the id.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(branch): Path<String>,
    headers: HeaderMap,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let branch = find(&app, &caller, &branch).await?;
    let with_token = query.flag("with_token");
    Ok(Json(object(&app, &branch, &headers, with_token).await?))
}

/// Makes a branch. It begins empty: `data=last_partition`, which the official clients send, has nothing to copy,
/// because rows come from DynamoDB, by a build with connections or by a sample.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let name = params
        .get("name")
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| ApiError::bad_request("a branch needs the parameter name"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
        return Err(ApiError::bad_request(format!(
            "a branch's name has up to {MAX_NAME_BYTES} letters, digits and the characters _ - ."
        )));
    }
    if matches!(name, "main" | "master") {
        return Err(ApiError::bad_request(format!(
            "{name:?} means the workspace itself; choose another name for a branch"
        )));
    }
    let now_ms = app.clock.now_ms();
    if caller.workspace.parent.is_some() {
        return Err(ApiError::forbidden(
            "a branch has no branches of its own: use a token of the workspace it was made from",
        ));
    }
    let parent = &caller.workspace.id;
    let made = app.store.create_branch(parent, name, now_ms).await?;
    let Some(branch) = made else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("there is a branch {name:?} already; see: tb branch ls"),
        ));
    };
    // Clients wait for a job. Everything a branch is stands in one row, so it is over before they ask.
    let work = Work::Branch {
        name: name.to_owned(),
    };
    let job = Job::new(&caller.workspace.id, work, now_ms);
    job.finish(JobEnd::Done(Done::Branched), now_ms);
    let job = jobs::begin(&app, job)?;
    Ok(Json(json!({
        "job": summary(&job, &headers),
        "workspace": { "id": branch.id, "name": branch.name },
    })))
}

/// By id; some clients give the name.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(branch): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let branch = find(&app, &caller, &branch).await?;
    delete(&app, &branch).await?;
    Ok(Json(json!({ "id": branch.id, "name": branch.name })))
}

/// The branches of the caller's workspace. A token of a branch knows that branch only: it must not open those beside it.
async fn visible(app: &App, caller: &Caller) -> ApiResult<Vec<Workspace>> {
    match caller.workspace.parent {
        Some(_) => Ok(vec![caller.workspace.clone()]),
        None => Ok(app.store.branches(&caller.workspace.id).await?),
    }
}

async fn find(app: &App, caller: &Caller, branch: &str) -> ApiResult<Workspace> {
    let branches = visible(app, caller).await?;
    let found = branches
        .iter()
        .find(|it| it.name == branch)
        .or_else(|| branches.iter().find(|it| it.id == branch));
    found.cloned().ok_or_else(|| {
        ApiError::not_found(format!("there is no branch {branch:?}; see: tb branch ls"))
    })
}

async fn object(
    app: &App,
    branch: &Workspace,
    headers: &HeaderMap,
    with_token: bool,
) -> ApiResult<Value> {
    let mut object = json!({
        "id": branch.id,
        "name": branch.name,
        "created_at": iso_time(branch.created_at_ms),
    });
    let strict = is_strict_client(headers);
    if with_token {
        let token = app
            .own_token(TokenKind::WorkspaceAdmin, Some(branch))
            .await?;
        object["token"] = json!(token.expose());
    }
    if !strict {
        let user = &app.installation.user_id;
        object["main"] = json!(branch.parent);
        object["owner"] = json!(user);
        object["members"] = json!([{ "id": user, "email": USER_EMAIL }]);
        object["is_branch"] = json!(true);
    }
    Ok(object)
}
