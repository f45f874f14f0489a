//! Deployments: applied at once, or staged and set live later.
//!
//! A staged deployment is validated and kept with its files; its tables change when it is set live.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use datafile::SourceFile;
use serde_json::{Value, json};

use super::App;
use super::build::{apply, merge};
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::QueryParams;
use super::upload::Upload;
use super::wire::iso_time;
use crate::deploy::{DeployRequest, Feedback, FileError, Level, Report, StoredFile};
use crate::store::{DeploymentRow, DeploymentStatus, StoreError};

pub(super) async fn deploy(
    State(app): State<Arc<App>>,
    query: QueryParams,
    caller: Caller,
    upload: Upload,
) -> ApiResult<Response> {
    caller.require_admin()?;
    let promote = query.flag("auto_promote");
    let check = query.flag("check");
    let outlook = check && query.flag("plan");
    let request = DeployRequest {
        files: upload.files,
        connections: true,
        allow_destructive: query.flag("allow_destructive_operations"),
        check: true,
        outlook,
    };
    // First only a look: a deployment that changes nothing or is refused is not one more deployment.
    let id = &caller.workspace.id;
    let look = apply(&app, &caller.workspace, request.clone())
        .await
        .map_err(ApiError::into_failed_result)?;
    if look.failed() || check {
        let number = app.store.next_deployment(id).await?;
        let status = match look.failed() {
            true => DeploymentStatus::Failed,
            false => DeploymentStatus::DataReady,
        };
        let now_ms = app.clock.now_ms();
        return Ok(answer(&look, number, status.name(), false, now_ms, now_ms));
    }
    let live = app.store.deployments(id).await?;
    let live = live.first().filter(|row| row.live);
    let unchanged = look.changes.is_empty() && look.token_changes.is_empty();
    if let Some(row) = live.filter(|_| unchanged) {
        // What it changed and started is long over: clients print these lists as what happens now.
        let deployment = object(
            &look,
            row.number,
            &row.status,
            row.live,
            row.created_at_ms,
            row.updated_at_ms,
        );
        let body = json!({ "result": "no_changes", "deployment": deployment });
        return Ok(Json(body).into_response());
    }
    let files = serde_json::to_string(&stored_files(&request.files)).map_err(unreadable)?;
    let number = app
        .store
        .create_deployment(id, &files, app.clock.now_ms())
        .await?;
    if promote {
        return finish(
            &app,
            &caller,
            number,
            DeployRequest {
                check: false,
                ..request
            },
        )
        .await;
    }
    store_result(&app, id, number, &look, DeploymentStatus::DataReady, false).await?;
    let row = find(&app, id, number).await?;
    Ok(answer(
        &look,
        number,
        &row.status,
        false,
        row.created_at_ms,
        row.updated_at_ms,
    ))
}

/// Applies the files of a deployment that has its number and makes it live.
async fn finish(
    app: &Arc<App>,
    caller: &Caller,
    number: i64,
    request: DeployRequest,
) -> ApiResult<Response> {
    let id = &caller.workspace.id;
    let mut report = match apply(app, &caller.workspace, request).await {
        Ok(report) => report,
        Err(error) => {
            let mut failed = Report::default();
            failed.errors.push(FileError {
                filename: "deployment".to_owned(),
                error: error.text(),
            });
            store_result(app, id, number, &failed, DeploymentStatus::Failed, false).await?;
            return Err(error.into_failed_result());
        }
    };
    for export in report.exports.clone() {
        report.feedback.push(Feedback {
            level: Level::Warning,
            resource: format!("{}.datasource", export.datasource),
            message: format!(
                "DynamoDB initial export backfill started for data source '{}'. Export ARN: {}",
                export.datasource, export.export_arn
            ),
        });
    }
    let status = match report.failed() {
        true => DeploymentStatus::Failed,
        false => DeploymentStatus::DataReady,
    };
    let live = !report.failed();
    store_result(app, id, number, &report, status, live).await?;
    let row = find(app, id, number).await?;
    Ok(answer(
        &report,
        number,
        &row.status,
        row.live,
        row.created_at_ms,
        row.updated_at_ms,
    ))
}

async fn store_result(
    app: &App,
    workspace_id: &str,
    number: i64,
    report: &Report,
    status: DeploymentStatus,
    live: bool,
) -> ApiResult<()> {
    let result = serde_json::to_string(report).map_err(unreadable)?;
    let now_ms = app.clock.now_ms();
    app.store
        .finish_deployment(workspace_id, number, status, live, &result, now_ms)
        .await?;
    Ok(())
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let rows = app.store.deployments(&caller.workspace.id).await?;
    // Clients wait for every other deployment that is listed to go away, so only candidates are.
    let gone = |row: &DeploymentRow| matches!(row.status.as_str(), "deleted" | "failed");
    let shown = rows
        .iter()
        .filter(|row| query.flag("include_deleted") || !gone(row));
    let deployments = shown.map(stored_object).collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(json!({ "deployments": deployments })))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller.workspace.id, number(&id)?).await?;
    let deployment = stored_object(&row)?;
    Ok(Json(
        json!({ "result": "success", "deployment": deployment }),
    ))
}

pub(super) async fn discard(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let workspace = &caller.workspace.id;
    let number = number(&id)?;
    let row = find(&app, workspace, number).await?;
    if row.live {
        return Err(ApiError::bad_request(format!(
            "deployment {id} is live; promote another one first"
        )));
    }
    if row.status == DeploymentStatus::Calculating.name() {
        return Err(ApiError::bad_request(format!(
            "deployment {id} is being applied; wait until it is done"
        )));
    }
    let now_ms = app.clock.now_ms();
    app.store
        .finish_deployment(
            workspace,
            number,
            DeploymentStatus::Deleted,
            false,
            &row.result,
            now_ms,
        )
        .await?;
    let row = find(&app, workspace, number).await?;
    let deployment = stored_object(&row)?;
    Ok(Json(
        json!({ "result": "success", "deployment": deployment }),
    ))
}

pub(super) async fn set_live(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Response> {
    caller.require_admin()?;
    let number = number(&id)?;
    let row = find(&app, &caller.workspace.id, number).await?;
    if row.live {
        let deployment = stored_object(&row)?;
        let body = json!({ "result": "success", "deployment": deployment });
        return Ok(Json(body).into_response());
    }
    if row.status != DeploymentStatus::DataReady.name() {
        return Err(ApiError::bad_request(format!(
            "deployment {id} is {}; only a deployment that is data_ready can be set live",
            row.status
        )));
    }
    let files: Vec<StoredFile> = serde_json::from_str(&row.files).map_err(unreadable)?;
    let request = DeployRequest {
        files: files
            .into_iter()
            .map(|file| SourceFile {
                path: file.path,
                text: file.text,
            })
            .collect(),
        connections: true,
        allow_destructive: row_allows_destructive(&row)
            || query.flag("allow_destructive_operations"),
        check: false,
        outlook: false,
    };
    finish(&app, &caller, number, request).await
}

/// What a staged deployment would lose was refused when it was staged, unless it was allowed there.
fn row_allows_destructive(row: &DeploymentRow) -> bool {
    serde_json::from_str::<Report>(&row.result).is_ok_and(|report| report.allowed_destructive)
}

async fn find(app: &App, workspace_id: &str, number: i64) -> ApiResult<DeploymentRow> {
    app.store
        .deployment(workspace_id, number)
        .await?
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "there is no deployment {number}; see: tb deployment ls"
            ))
        })
}

fn number(id: &str) -> ApiResult<i64> {
    id.parse().map_err(|_| {
        ApiError::not_found(format!(
            "there is no deployment {id:?}; see: tb deployment ls"
        ))
    })
}

fn stored_files(files: &[SourceFile]) -> Vec<StoredFile> {
    let stored = |file: &SourceFile| StoredFile {
        path: file.path.clone(),
        text: file.text.clone(),
    };
    files.iter().map(stored).collect()
}

fn answer(
    report: &Report,
    number: i64,
    status: &str,
    live: bool,
    created_at_ms: i64,
    updated_at_ms: i64,
) -> Response {
    let deployment = object(report, number, status, live, created_at_ms, updated_at_ms);
    let mut body = if report.failed() {
        // No top-level `error`: some clients read the list, others the deployment, none both.
        json!({ "result": "failed", "errors": report.errors, "deployment": deployment })
    } else if report.changes.is_empty() && report.token_changes.is_empty() && !live {
        json!({ "result": "no_changes", "deployment": deployment })
    } else {
        json!({ "result": "success", "deployment": deployment })
    };
    if let Some(outlook) = &report.outlook {
        body["plan"] = json!(outlook);
    }
    Json(body).into_response()
}

fn stored_object(row: &DeploymentRow) -> ApiResult<Value> {
    let report: Report = serde_json::from_str(&row.result).map_err(unreadable)?;
    Ok(object(
        &report,
        row.number,
        &row.status,
        row.live,
        row.created_at_ms,
        row.updated_at_ms,
    ))
}

fn object(
    report: &Report,
    number: i64,
    status: &str,
    live: bool,
    created_at_ms: i64,
    updated_at_ms: i64,
) -> Value {
    let mut deployment = json!({
        "id": number.to_string(),
        "status": status,
        "live": live,
        "created_at": iso_time(created_at_ms),
        "updated_at": iso_time(updated_at_ms),
        "feedback": report.feedback,
        "errors": report.errors,
        "token_changes": report.token_changes,
        "data_movements": [],
        "disconnected_data_source_names": [],
        "new_data_connector_ids": [],
    });
    merge(&mut deployment, &json!(report.changes));
    deployment
}

fn unreadable(error: serde_json::Error) -> ApiError {
    StoreError::Unreadable {
        what: "a deployment",
        reason: error.to_string(),
    }
    .into()
}
