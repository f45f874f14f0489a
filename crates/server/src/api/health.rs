//! Whether the server lives, and answers that never change.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::ApiResult;

/// 200 for as long as the process answers.
pub(super) async fn liveness(State(app): State<Arc<App>>) -> Json<Value> {
    let clickhouse = match app.warehouse.ping().await {
        Ok(version) => json!(version),
        Err(error) => json!(format!("unavailable: {error}")),
    };
    Json(json!({ "status": "ok", "clickhouse": clickhouse, "version": app.settings.version }))
}

/// 503 while ClickHouse does not answer.
pub(super) async fn readiness(State(app): State<Arc<App>>) -> Response {
    match app.warehouse.ping().await {
        Ok(version) => Json(json!({ "status": "ready", "clickhouse": version })).into_response(),
        Err(error) => {
            let body = json!({
                "status": "not ready",
                "error": format!("ClickHouse does not answer: {}", error.report()),
            });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

pub(super) async fn version(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "version": app.settings.version, "product": "dynamirror" }))
}

/// No regions: clients ask questions about folders otherwise.
pub(super) async fn regions() -> Json<Value> {
    Json(json!({ "regions": [] }))
}

/// Builds and deployments answer when they are done, so there are no jobs to wait for.
pub(super) async fn jobs(_caller: Caller) -> ApiResult<Json<Value>> {
    Ok(Json(json!({ "jobs": [] })))
}
