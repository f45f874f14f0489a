//! `/_sim/…`: what benchmarks need besides the commands in `admin`.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sim::Sim;

/// The routes, to be nested under `/_sim`.
pub fn routes() -> Router<Sim> {
    Router::new()
        .route("/ready_export", post(ready_export))
        .route("/calls", get(calls))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadyExport {
    table: String,
    /// A folder of this machine, as AWS leaves one in S3.
    folder: PathBuf,
}

async fn ready_export(
    State(sim): State<Sim>,
    Json(body): Json<ReadyExport>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    sim.with(|world| world.offer_export(&body.table, &body.folder))
        .map(|items| Json(json!({ "items": items })))
        .map_err(|error| {
            let answer = json!({ "error": "InvalidExport", "message": error.to_string() });
            (StatusCode::BAD_REQUEST, Json(answer))
        })
}

/// Calls of AWS since the start, by action.
async fn calls(State(sim): State<Sim>) -> Json<Value> {
    Json(json!(sim.with(|world| world.calls.clone())))
}
