//! Pipes of the live project. Their files are kept and given back; nothing runs them in this version.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use datafile::{NodeKind, Pipe, PipeNode, SourceFile};
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::QueryParams;
use super::wire::sql_time;
use crate::store::ResourceRow;

const READ: &str = "PIPES:READ";

/// What clients write after a pipe's name to ask for its data.
const DATA_FORMATS: [&str; 4] = [".json", ".csv", ".ndjson", ".parquet"];

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    let rows = app.store.resources(&caller.workspace.id).await?;
    let pipes: Vec<Value> = rows
        .iter()
        .filter(|row| row.kind == "pipe" && caller.may(READ, &row.name))
        .map(object)
        .collect();
    Ok(Json(json!({ "pipes": pipes })))
}

/// `top`, `top.pipe` for its file, and `top.json` for data, which there is none of.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Response> {
    let data = DATA_FORMATS
        .iter()
        .find_map(|format| name.strip_suffix(format));
    let as_file = name.strip_suffix(".pipe");
    let wanted = data.or(as_file).unwrap_or(&name);
    let row = find(&app, &caller, wanted).await?;
    caller.require(READ, &row.name)?;
    if data.is_some() {
        return Err(not_run(&row.name));
    }
    if as_file.is_some() || query.get("format") == Some("pipe") {
        return Ok(([(CONTENT_TYPE, "text/plain")], row.text).into_response());
    }
    Ok(Json(object(&row)).into_response())
}

/// Everything that is done with a pipe: its data by POST, copies, sinks, populations.
pub(super) async fn run(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
) -> ApiResult<Response> {
    let bare = DATA_FORMATS
        .iter()
        .find_map(|format| name.strip_suffix(format));
    let row = find(&app, &caller, bare.unwrap_or(&name)).await?;
    caller.require(READ, &row.name)?;
    Err(not_run(&row.name))
}

/// As [`run`], for `/v0/pipes/top/copy` and longer.
pub(super) async fn run_part(
    state: State<Arc<App>>,
    Path((name, _)): Path<(String, String)>,
    caller: Caller,
) -> ApiResult<Response> {
    run(state, Path(name), caller).await
}

fn not_run(name: &str) -> ApiError {
    ApiError::bad_request(format!(
        "pipe {name:?} is kept and not run: endpoints, materializations, copies and sinks are not part of this version; send its SQL to /v0/sql, or run: tb sql"
    ))
}

async fn find(app: &App, caller: &Caller, name: &str) -> ApiResult<ResourceRow> {
    let found = app
        .store
        .resource(&caller.workspace.id, "pipe", name)
        .await?;
    found.ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no pipe {name:?}; GET /v0/pipes lists them"
        ))
    })
}

fn object(row: &ResourceRow) -> Value {
    let file = SourceFile {
        path: row.path.clone(),
        text: row.text.clone(),
    };
    let project = datafile::parse_project(&[file]).project;
    let pipe = project.pipes.first();
    json!({
        "id": row.id,
        "name": row.name,
        "description": pipe.and_then(|pipe| pipe.description.clone()).unwrap_or_default(),
        "type": kind_name(pipe.map(kind).unwrap_or_default()),
        // Clients take a value here for an endpoint that answers.
        "endpoint": null,
        "nodes": pipe.map(nodes).unwrap_or_default(),
        "created_at": sql_time(row.created_at_ms),
        "updated_at": sql_time(row.updated_at_ms),
    })
}

/// What the pipe is published as: at most one of its nodes is.
fn kind(pipe: &Pipe) -> NodeKind {
    let mut kinds = pipe.nodes.iter().map(|node| node.kind);
    kinds
        .find(|kind| *kind != NodeKind::Standard)
        .unwrap_or_default()
}

fn nodes(pipe: &Pipe) -> Vec<Value> {
    let node = |node: &PipeNode| {
        let mark = if node.is_template { "%\n" } else { "" };
        json!({
            "id": node.name,
            "name": node.name,
            "sql": format!("{mark}{}", node.sql),
            "description": node.description.clone().unwrap_or_default(),
            "node_type": kind_name(node.kind),
        })
    };
    pipe.nodes.iter().map(node).collect()
}

fn kind_name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Standard => "standard",
        NodeKind::Endpoint => "endpoint",
        NodeKind::Materialized => "materialized",
        NodeKind::Copy => "copy",
        NodeKind::Sink => "sink",
    }
}
