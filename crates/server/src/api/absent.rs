//! What the official clients ask for and this version does not do. They print the error, so it says what to do
//! instead. Never 404: the clients read that as a data source, a pipe or a job that does not exist.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use std::sync::Arc;

use super::App;
use super::caller::Caller;
use super::error::ApiError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v0/events", post(rows_sent))
        .route("/v1/datasources/{name}/append", post(rows_sent))
        .route("/v1/datasources/{name}/replace", post(rows_sent))
        .route("/v0/datasources/{name}/delete", post(rows_deleted))
        .route("/v1/datasources/{name}/delete", post(rows_deleted))
        .route("/v0/datasources/{name}/truncate", post(rows_deleted))
        .route("/v0/datasources/{name}/scheduling/runs", post(scheduled))
        .route("/v0/analyze", post(analyzed))
        .route("/v0/jobs/{id}/retry", post(retried))
        .route("/examples/query.http", get(endpoint_url))
        .route("/api/cli-login", get(login_page))
}

pub(super) async fn rows_sent(_: Caller) -> ApiError {
    ApiError::bad_request(
        "rows come from the DynamoDB table of a data source: events, append and replace are not part of this version; write to the table instead",
    )
}

async fn rows_deleted(_: Caller) -> ApiError {
    ApiError::bad_request(
        "rows follow the DynamoDB table of a data source: delete and truncate are not part of this version; delete the items in DynamoDB instead",
    )
}

async fn scheduled(_: Caller, Path(name): Path<String>) -> ApiError {
    ApiError::bad_request(format!(
        "data source {name:?} follows its DynamoDB table by itself; for a new export of the whole table: POST /v0/datasources/{name}/resync, or Dynamirror's tb datasource resync"
    ))
}

async fn analyzed(_: Caller) -> ApiError {
    ApiError::bad_request(
        "files are not analyzed in this version: the schema of a data source follows from its DynamoDB table; run: tb datasource create --dynamodb",
    )
}

async fn retried(_: Caller, Path(id): Path<String>) -> ApiError {
    ApiError::bad_request(format!(
        "job {id:?} is not tried again by itself: run the command that started it once more"
    ))
}

async fn endpoint_url() -> ApiError {
    ApiError::bad_request("endpoints are not part of this version; send SQL to /v0/sql")
}

/// People see this in the browser that a login opens.
async fn login_page() -> ApiError {
    ApiError::bad_request(
        "this server has no login page: ask who runs it for a token, and give the token to tb with --host and --token (TB_HOST and TB_TOKEN), or to an SDK as TINYBIRD_URL and TINYBIRD_TOKEN",
    )
}
