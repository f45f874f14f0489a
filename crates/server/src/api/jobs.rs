//! Jobs: verifications, samples and branches. Builds and deployments answer when they are done, so they are none.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::App;
use super::build::merge;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::QueryParams;
use super::verifications;
use super::wire::{base_url, iso_time};
use crate::jobs::{Done, Job, JobEnd, Work};
use crate::verify::Mode;

/// `?kind=` and `?status=` choose some of them.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    let may_see = |job: &Job| match job.work.datasource() {
        Some(name) => caller.may("DATASOURCES:READ", name),
        None => caller.is_admin(),
    };
    let chosen = |object: &Value| {
        ["kind", "status"]
            .iter()
            .all(|key| query.get(key).is_none_or(|wanted| object[*key] == wanted))
    };
    let jobs = app.jobs.of_workspace(&caller.workspace.id);
    let jobs: Vec<Value> = jobs
        .iter()
        .filter(|job| may_see(job))
        .map(|job| summary(job, &headers))
        .filter(chosen)
        .collect();
    Ok(Json(json!({ "jobs": jobs })))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    // Keys are parts of items.
    caller.require_admin()?;
    let job = job_of(&app, &caller, &id)?;
    let mut object = summary(&job, &headers);
    match &job.state().end {
        Some(JobEnd::Done(Done::Verified(outcome))) => {
            object["result"] = verifications::result(outcome);
        }
        Some(JobEnd::Done(Done::Sampled {
            rows,
            quarantined,
            whole,
        })) => {
            object["result"] =
                json!({ "rows": rows, "quarantined": quarantined, "whole_table": whole });
        }
        _ => {}
    }
    Ok(Json(object))
}

/// Ends a job that is under way.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let job = job_of(&app, &caller, &id)?;
    job.cancel.cancel();
    let mut object = summary(&job, &headers);
    if !job.is_over() {
        object["status"] = json!("cancelling");
    }
    Ok(Json(object))
}

/// Adds a job to those of the server, unless its data source has one already.
pub(super) fn begin(app: &App, job: Job) -> ApiResult<Arc<Job>> {
    app.jobs.begin(job).map_err(|other| {
        let what = match other.work {
            Work::Sample { .. } => "sample",
            _ => "verification",
        };
        let name = other.work.datasource().unwrap_or_default();
        ApiError::new(
            StatusCode::CONFLICT,
            format!(
                "a {what} of {name:?} is under way already: job {}",
                other.id
            ),
        )
    })
}

fn job_of(app: &App, caller: &Caller, id: &str) -> ApiResult<Arc<Job>> {
    app.jobs
        .get(id)
        .filter(|job| job.workspace_id == caller.workspace.id)
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "there is no job {id:?}; jobs are forgotten when the server stops, see: tb job ls"
            ))
        })
}

/// What every answer about a job has.
pub(super) fn summary(job: &Job, headers: &HeaderMap) -> Value {
    let state = job.state();
    let (status, error) = match &state.end {
        None => ("working", None),
        Some(JobEnd::Done(_)) => ("done", None),
        Some(JobEnd::Failed(error)) => ("error", Some(error.clone())),
        Some(JobEnd::Cancelled) => ("cancelled", None),
    };
    let mut object = json!({
        "id": job.id,
        "job_id": job.id,
        "kind": job.work.kind(),
        "status": status,
        "phase": state.phase,
        "done": state.done,
        "total": state.total,
        "error": error,
        "created_at": iso_time(job.created_at_ms),
        "updated_at": iso_time(state.updated_at_ms.max(job.created_at_ms)),
        "job_url": format!("{}/v0/jobs/{}", base_url(headers), job.id),
    });
    merge(&mut object, &about(&job.work));
    object
}

fn about(work: &Work) -> Value {
    match work {
        Work::Verify {
            datasource,
            mode: Mode::Full,
            repair,
        } => json!({ "datasource": datasource, "repair": repair, "mode": "full" }),
        Work::Verify {
            datasource,
            mode: Mode::Sample(count),
            repair,
        } => json!({
            "datasource": datasource, "repair": repair, "mode": "sample", "count": count,
        }),
        Work::Sample {
            datasource,
            rows,
            max_bytes,
        } => json!({ "datasource": datasource, "rows": rows, "max_bytes": max_bytes }),
        Work::Branch { name } => json!({ "branch": name }),
    }
}
