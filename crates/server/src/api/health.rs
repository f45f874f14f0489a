//! Whether the server lives, and answers that never change.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;

/// 200 for as long as the process answers.
pub(super) async fn liveness(State(app): State<Arc<App>>) -> Json<Value> {
    let clickhouse = match app.warehouse.ping().await {
        Ok(version) => json!(version),
        Err(error) => json!(format!("unavailable: {error}")),
    };
    Json(json!({ "status": "ok", "clickhouse": clickhouse, "version": app.settings.version }))
}

/// 503 while ClickHouse does not answer, or while a mirror that should move stands still.
pub(super) async fn readiness(State(app): State<Arc<App>>) -> Response {
    let not_ready = |mut body: Value| {
        body["status"] = json!("not ready");
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    };
    let version = match app.warehouse.ping().await {
        Ok(version) => version,
        Err(error) => {
            let text = format!("ClickHouse does not answer: {}", error.report());
            return not_ready(json!({ "error": text }));
        }
    };
    let stalled: HashMap<String, String> = app
        .supervisor
        .statuses()
        .into_iter()
        .filter_map(|(id, status)| Some((id, status.stalled?)))
        .collect();
    if stalled.is_empty() {
        return Json(json!({ "status": "ready", "clickhouse": version })).into_response();
    }
    let stalled = with_names(&app, stalled).await;
    let texts: Vec<String> = stalled
        .iter()
        .map(|(name, text)| format!("{name}: {text}"))
        .collect();
    let mirrors: Vec<Value> = stalled
        .iter()
        .map(|(name, text)| json!({ "mirror": name, "stalled": text }))
        .collect();
    not_ready(json!({
        "clickhouse": version,
        "error": format!("mirrors are stalled: {}", texts.join("; ")),
        "stalled": mirrors,
    }))
}

/// `workspace/datasource` in place of ids, where the metadata says it.
async fn with_names(app: &App, mut stalled: HashMap<String, String>) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for workspace in app.store.workspaces().await.unwrap_or_default() {
        for mirror in app.store.mirrors(&workspace.id).await.unwrap_or_default() {
            if let Some(text) = stalled.remove(&mirror.id) {
                named.push((format!("{}/{}", workspace.name, mirror.datasource), text));
            }
        }
    }
    named.extend(stalled);
    named
}

pub(super) async fn version(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "version": app.settings.version, "product": "dynamirror" }))
}

/// No regions: clients ask questions about folders otherwise.
pub(super) async fn regions() -> Json<Value> {
    Json(json!({ "regions": [] }))
}
