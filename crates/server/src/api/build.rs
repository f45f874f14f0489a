//! `POST /v1/build`: validate a project and apply it at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::QueryParams;
use super::upload::Upload;
use crate::deploy::{DeployError, DeployRequest, Report};
use crate::store::Workspace;
use crate::telemetry;

pub(super) async fn build(
    State(app): State<Arc<App>>,
    query: QueryParams,
    caller: Caller,
    upload: Upload,
) -> ApiResult<Response> {
    caller.require_admin()?;
    let request = DeployRequest {
        files: upload.files,
        connections: query.flag("with_connections"),
        allow_destructive: query.flag("allow_destructive_operations"),
        check: false,
        outlook: false,
    };
    let report = match apply(&app, &caller.workspace, request).await {
        Ok(report) => report,
        Err(error) => return Ok(error.into_failed_result().into_response()),
    };
    if report.failed() {
        return Ok((StatusCode::OK, Json(failure(&report))).into_response());
    }
    let mut build = build_object(&report);
    if upload.vendored > 0 {
        warn_of_vendored(&mut build, upload.vendored);
    }
    Ok(Json(json!({ "result": "success", "build": build })).into_response())
}

/// Applies a project in a task of its own: a client that goes away must not leave half a deployment.
pub(super) async fn apply(
    app: &Arc<App>,
    workspace: &Workspace,
    request: DeployRequest,
) -> ApiResult<Report> {
    let deployer = Arc::clone(&app.deployer);
    let workspace = workspace.clone();
    let task = app.tasks.spawn(async move {
        let _alone = deployer.lock(&workspace).await;
        // It may have been deleted while this waited.
        if deployer.store.workspace(&workspace.id).await?.is_none() {
            return Err(DeployError::WorkspaceGone);
        }
        let done = deployer.apply(&workspace, request).await;
        if let Err(error) = &done {
            telemetry::deployment_failed(&workspace.name, &error.to_string());
        }
        done
    });
    match task.await {
        Ok(done) => Ok(done?),
        Err(_) => Err(stopping()),
    }
}

pub(super) fn stopping() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server stopped in the middle of this; start it and do it again: nothing is lost",
    )
}

fn failure(report: &Report) -> Value {
    json!({
        "result": "failed",
        "error": summary(report),
        "errors": report.errors,
    })
}

fn summary(report: &Report) -> String {
    match report.errors.as_slice() {
        [one] => format!("{}: {}", one.filename, one.error),
        many => format!("the project has {} errors", many.len()),
    }
}

fn build_object(report: &Report) -> Value {
    let resources = |names: &[crate::deploy::NamedResource], kind: &str| -> Vec<Value> {
        names
            .iter()
            .map(|resource| json!({ "id": resource.id, "name": resource.name, "type": kind }))
            .collect()
    };
    let linkers: Vec<Value> = report
        .exports
        .iter()
        .map(|export| {
            json!({
                "service": "dynamodb",
                "datasource_id": export.datasource_id,
                "settings": { "initial_export_arn": export.export_arn },
            })
        })
        .collect();
    let mut build = json!({
        "id": uuid::Uuid::new_v4().to_string(),
        "datasources": resources(&report.datasources, "datasource"),
        "pipes": resources(&report.pipes, "pipe"),
        "feedback": report.feedback,
        "token_changes": report.token_changes,
        "data_linkers": linkers,
    });
    merge(&mut build, &json!(report.changes));
    build
}

fn warn_of_vendored(build: &mut Value, files: usize) {
    if let Some(feedback) = build["feedback"].as_array_mut() {
        feedback.push(json!({
            "level": "WARNING",
            "resource": "vendor",
            "message": format!("{files} files of other workspaces were left out: shared data sources are not part of this version"),
        }));
    }
}

/// Puts the keys of `from` into `into`.
pub(super) fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        for (key, value) in from {
            into.insert(key.clone(), value.clone());
        }
    }
}
