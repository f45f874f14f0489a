//! Data sources of the live project.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use datafile::{Column, Datasource, SourceFile};
use mirror::warehouse::TableStats;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::{AllParams, QueryParams};
use super::wire::sql_time;
use crate::store::{ResourceRow, Workspace};

const READ: &str = "DATASOURCES:READ";

/// A reason is a sentence.
const MAX_REASON_CHARS: usize = 500;

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    let rows = app.store.resources(&caller.workspace.id).await?;
    let stats = table_stats(&app, &caller.workspace).await;
    let datasources: Vec<Value> = rows
        .iter()
        .filter(|row| row.kind == "datasource" && caller.may(READ, &row.name))
        .map(|row| object(row, stats.as_ref()))
        .collect();
    Ok(Json(json!({ "datasources": datasources })))
}

/// `/v0/datasources/orders`, and `/v0/datasources/orders.datasource` for its file.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Response> {
    let as_file = name.strip_suffix(".datasource");
    let row = find(&app, &caller, as_file.unwrap_or(&name)).await?;
    caller.require(READ, &row.name)?;
    if as_file.is_some() || query.get("format") == Some("datasource") {
        // Exactly this: with a charset, the official command line reads it as JSON.
        return Ok(([(CONTENT_TYPE, "text/plain")], row.text).into_response());
    }
    let stats = table_stats(&app, &caller.workspace).await;
    let mut detail = object(&row, stats.as_ref());
    detail["schema"] = json!({ "columns": detail["columns"].clone() });
    Ok(Json(detail).into_response())
}

/// Stops the mirror of a data source, until `start`.
pub(super) async fn stop(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    switch(app, caller, name, true).await
}

/// Starts it where it was stopped.
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    switch(app, caller, name, false).await
}

async fn switch(app: Arc<App>, caller: Caller, name: String, stop: bool) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &name).await?;
    if !stop && app.sources.is_none() {
        return Err(ApiError::bad_request(super::integrations::NO_CREDENTIALS));
    }
    let datasource = row.name.clone();
    let worker = Arc::clone(&app);
    // A task of its own: the mirror must not end up half stopped because a client goes away.
    let task = app.tasks.spawn(async move {
        let _alone = worker.deployer.lock(&caller.workspace).await;
        let mirror = mirror_of(&worker, &caller.workspace, &datasource).await?;
        worker.store.set_stopped(&mirror.id, stop).await?;
        if stop {
            worker.supervisor.stop(&mirror.id).await;
            return Ok(());
        }
        worker
            .deployer
            .start_stored(&caller.workspace, &mirror)
            .await?
            .map_err(|error| ApiError::bad_request(error.to_string()))
    });
    task.await
        .unwrap_or_else(|_| Err(super::build::stopping()))?;
    let state = if stop { "stopped" } else { "starting" };
    Ok(Json(
        json!({ "id": row.id, "name": row.name, "state": state }),
    ))
}

/// Begins a new backfill beside the table, which then takes the table's place. Answers once that is stored.
pub(super) async fn resync(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &name).await?;
    let mirror = running_mirror(&app, &caller.workspace, &row.name).await?;
    let reason = params.get("reason").unwrap_or("somebody asked for it");
    let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
    if !app.supervisor.resync(&mirror.id, &reason).await {
        return Err(ApiError::bad_request(format!(
            "the mirror of {:?} does not run; see why with tb datasource ls, and start it with: tb datasource start {}",
            row.name, row.name
        )));
    }
    Ok(Json(
        json!({ "id": row.id, "name": row.name, "state": "resyncing", "reason": reason }),
    ))
}

/// The mirror of a data source, if it is there and supposed to run.
pub(super) async fn running_mirror(
    app: &App,
    workspace: &Workspace,
    datasource: &str,
) -> ApiResult<crate::store::MirrorRow> {
    if app.sources.is_none() {
        return Err(ApiError::bad_request(super::integrations::NO_CREDENTIALS));
    }
    let mirror = mirror_of(app, workspace, datasource).await?;
    if mirror.stopped {
        return Err(ApiError::bad_request(format!(
            "the mirror of {datasource:?} is stopped; start it first: tb datasource start {datasource}"
        )));
    }
    Ok(mirror)
}

pub(super) async fn mirror_of(
    app: &App,
    workspace: &Workspace,
    datasource: &str,
) -> ApiResult<crate::store::MirrorRow> {
    let mirror = app.store.mirror(&workspace.id, datasource).await?;
    mirror.ok_or_else(|| {
        ApiError::bad_request(format!(
            "data source {datasource:?} is not connected to a DynamoDB table; run: tb build --with-connections"
        ))
    })
}

/// By name, or else by id.
pub(super) async fn find(app: &App, caller: &Caller, name: &str) -> ApiResult<ResourceRow> {
    let found = app
        .store
        .resource(&caller.workspace.id, "datasource", name)
        .await?;
    found.ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no data source {name:?}; see: tb datasource ls"
        ))
    })
}

/// Tables by name; `None` while ClickHouse does not answer, which must not hide the list.
async fn table_stats(app: &App, workspace: &Workspace) -> Option<HashMap<String, TableStats>> {
    let stats = app.warehouse.stats(&workspace.database()).await.ok()?;
    Some(
        stats
            .into_iter()
            .map(|table| (table.table.clone(), table))
            .collect(),
    )
}

fn object(row: &ResourceRow, stats: Option<&HashMap<String, TableStats>>) -> Value {
    let file = SourceFile {
        path: row.path.clone(),
        text: row.text.clone(),
    };
    let project = datafile::parse_project(&[file]).project;
    let datasource = project.datasources.first();
    let service = match datasource.is_some_and(|d| d.import.is_some()) {
        true => Some("dynamodb"),
        false => None,
    };
    let statistics = stats.map(|tables| {
        let table = tables.get(&row.name);
        json!({
            "row_count": table.map_or(0, |table| table.rows),
            "bytes": table.map_or(0, |table| table.bytes),
        })
    });
    let statistics = statistics.unwrap_or_else(|| json!({ "row_count": null, "bytes": null }));
    json!({
        "id": row.id,
        "name": row.name,
        "type": service.unwrap_or("csv"),
        "service": service.unwrap_or_default(),
        "description": datasource.and_then(|d| d.description.clone()).unwrap_or_default(),
        "created_at": sql_time(row.created_at_ms),
        "updated_at": sql_time(row.updated_at_ms),
        "statistics": statistics,
        "columns": datasource.map(columns).unwrap_or_default(),
        "engine": datasource.map(engine).unwrap_or_default(),
    })
}

fn columns(datasource: &Datasource) -> Vec<Value> {
    datasource.columns.iter().map(|c| column(c)).collect()
}

/// As the official parser names the parts: the type without its Nullable, the keywords kept.
fn column(column: &Column) -> Value {
    let ty = column.ty.as_str();
    let inner = ty
        .strip_prefix("Nullable(")
        .and_then(|rest| rest.strip_suffix(')'));
    json!({
        "name": column.name,
        "type": inner.unwrap_or(ty),
        "nullable": inner.is_some(),
        "normalized_name": column.name,
        "jsonpath": column.json_path.as_ref().map(ToString::to_string),
        "default_value": column.default.as_ref().map(|value| format!("DEFAULT {value}")),
        "codec": column.codec.as_ref().map(|codec| format!("CODEC({codec})")),
    })
}

fn engine(datasource: &Datasource) -> Value {
    let engine = &datasource.engine;
    let mut object = json!({ "engine": engine.name.value });
    let fields = [
        ("sorting_key", &engine.sorting_key),
        ("partition_key", &engine.partition_key),
        ("primary_key", &engine.primary_key),
        ("sampling_key", &engine.sampling_key),
        ("ttl", &engine.ttl),
        ("settings", &engine.settings),
        ("engine_ver", &engine.ver),
        ("engine_is_deleted", &engine.is_deleted),
        ("engine_sign", &engine.sign),
        ("engine_version", &engine.version),
        ("engine_summing_columns", &engine.columns),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            object[name] = json!(value.value);
        }
    }
    object
}
