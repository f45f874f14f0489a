//! Secrets, which the API calls variables. Their values never leave.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::AllParams;
use super::wire::sql_time;
use crate::secrets::Secret;
use crate::store::SecretRow;

/// Longest name and value, bytes.
const MAX_NAME_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 64 * 1024;

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let own = app.store.secrets(&caller.workspace.id).await?;
    let mut variables: Vec<Value> = own.iter().map(item).collect();
    // What a branch has not set itself it has from its parent.
    if let Some(parent) = &caller.workspace.parent {
        for row in app.store.secrets(parent).await? {
            if !own.iter().any(|mine| mine.name == row.name) {
                let mut inherited = item(&row);
                inherited["inherited"] = json!(true);
                variables.push(inherited);
            }
        }
    }
    Ok(Json(json!({ "variables": variables })))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = app.store.secret(&caller.workspace.id, &name).await?;
    row.map(|row| Json(item(&row)))
        .ok_or_else(|| missing(&name))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    let name = params
        .get("name")
        .ok_or_else(|| ApiError::bad_request("a secret needs the parameter name"))?;
    put(&app, &caller, name, &params).await
}

pub(super) async fn update(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let known = app.store.secret(&caller.workspace.id, &name).await?;
    if known.is_none() {
        return Err(missing(&name));
    }
    put(&app, &caller, &name, &params).await
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    if !app.store.delete_secret(&caller.workspace.id, &name).await? {
        return Err(missing(&name));
    }
    Ok(Json(json!({ "ok": true })))
}

async fn put(app: &App, caller: &Caller, name: &str, params: &AllParams) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    // An empty value is a value: a datafile reads it as "".
    let value = params
        .raw("value")
        .ok_or_else(|| ApiError::bad_request("a secret needs the parameter value"))?;
    if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "a secret's name has up to {MAX_NAME_BYTES} bytes on one line"
        )));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(ApiError::bad_request(format!(
            "a secret's value has up to {MAX_VALUE_BYTES} bytes"
        )));
    }
    let id = &caller.workspace.id;
    let sealed = app.keys.seal(id, name, &Secret::new(value));
    let now_ms = app.clock.now_ms();
    let row = app.store.put_secret(id, name, &sealed, now_ms).await?;
    Ok(Json(item(&row)))
}

fn item(row: &SecretRow) -> Value {
    json!({
        "name": row.name,
        "type": "secret",
        "created_at": sql_time(row.created_at_ms),
        "updated_at": sql_time(row.updated_at_ms),
    })
}

fn missing(name: &str) -> ApiError {
    ApiError::not_found(format!("there is no secret {name:?}; see: tb secret ls"))
}
