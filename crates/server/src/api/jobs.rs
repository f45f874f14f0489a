//! Verifications as jobs. Builds and deployments answer when they are done, so they are none.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use mirror::warehouse::DifferenceKind;
use serde_json::{Map, Value, json};

use super::App;
use super::caller::Caller;
use super::datasources::{find, running_mirror};
use super::error::{ApiError, ApiResult};
use super::params::AllParams;
use super::wire::iso_time;
use crate::verify::{Found, Job, JobEnd, Mode, Outcome, Verification};

/// Items and keys of a sample, unless asked for otherwise.
const SAMPLE: u32 = 1000;
const MAX_SAMPLE: u32 = 5000;

/// Keys that an answer lists; all of them are counted.
const MAX_LISTED: usize = 1000;

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    let jobs = app.jobs.of_workspace(&caller.workspace.id);
    let jobs: Vec<Value> = jobs
        .iter()
        .filter(|job| caller.may("DATASOURCES:READ", &job.datasource))
        .map(|job| summary(job))
        .collect();
    Ok(Json(json!({ "jobs": jobs })))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    // Keys are parts of items.
    caller.require_admin()?;
    let job = job_of(&app, &caller, &id)?;
    Ok(Json(detail(&job)))
}

/// Ends a job that is under way.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let job = job_of(&app, &caller, &id)?;
    job.cancel.cancel();
    Ok(Json(summary(&job)))
}

/// `?mode=sample&count=1000` or `?mode=full`, and `repair=true`.
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &name).await?;
    let mirror = running_mirror(&app, &caller.workspace, &row.name).await?;
    let mode = mode(&params)?;
    let repair = params.flag("repair");
    let status = app.supervisor.status(&mirror.id);
    if status.is_none_or(|status| status.watermark_ms.is_none()) {
        return Err(ApiError::bad_request(format!(
            "the mirror of {:?} has not loaded its backfill yet; see how far it is with: tb datasource ls",
            row.name
        )));
    }
    let Some(sources) = app.sources.clone() else {
        return Err(ApiError::bad_request(super::integrations::NO_CREDENTIALS));
    };
    let spec = super::quarantine::spec(&app, &caller.workspace, &row.name).await?;
    let now_ms = app.clock.now_ms();
    let job = Job::new(
        &caller.workspace.id,
        &mirror.id,
        &row.name,
        mode,
        repair,
        now_ms,
    );
    let job = app.jobs.begin(job).map_err(|other| {
        ApiError::new(
            StatusCode::CONFLICT,
            format!(
                "a verification of {:?} is under way already: job {}",
                row.name, other.id
            ),
        )
    })?;
    let verification = Verification {
        sources,
        warehouse: Arc::clone(&app.warehouse),
        sink: Arc::clone(&app.sink),
        verifier: Arc::clone(&app.verifier),
        store: Arc::clone(&app.store),
        supervisor: Arc::clone(&app.supervisor),
        clock: Arc::clone(&app.clock),
        spec: Arc::new(spec),
        job: Arc::clone(&job),
    };
    app.tasks.spawn(verification.run());
    Ok(Json(summary(&job)))
}

fn mode(params: &AllParams) -> ApiResult<Mode> {
    match params.get("mode").unwrap_or("sample") {
        "full" => Ok(Mode::Full),
        "sample" => match params.get("count").map(str::parse) {
            None => Ok(Mode::Sample(SAMPLE)),
            Some(Ok(count)) if (1..=MAX_SAMPLE).contains(&count) => Ok(Mode::Sample(count)),
            Some(_) => Err(ApiError::bad_request(format!(
                "count must be a number from 1 to {MAX_SAMPLE}"
            ))),
        },
        _ => Err(ApiError::bad_request("mode must be sample or full")),
    }
}

fn job_of(app: &App, caller: &Caller, id: &str) -> ApiResult<Arc<Job>> {
    app.jobs
        .get(id)
        .filter(|job| job.workspace_id == caller.workspace.id)
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "there is no job {id:?}; jobs are forgotten when the server stops"
            ))
        })
}

fn summary(job: &Job) -> Value {
    let state = job.state();
    let (status, error) = match &state.end {
        None => ("working", None),
        Some(JobEnd::Done(_)) => ("done", None),
        Some(JobEnd::Failed(error)) => ("error", Some(error.clone())),
        Some(JobEnd::Cancelled) => ("cancelled", None),
    };
    let mode = match job.mode {
        Mode::Full => json!({ "mode": "full" }),
        Mode::Sample(count) => json!({ "mode": "sample", "count": count }),
    };
    let mut object = json!({
        "id": job.id,
        "job_id": job.id,
        "kind": "verify",
        "datasource": job.datasource,
        "repair": job.repair,
        "status": status,
        "phase": state.phase,
        "done": state.done,
        "total": state.total,
        "error": error,
        "created_at": iso_time(job.created_at_ms),
    });
    super::build::merge(&mut object, &mode);
    object
}

fn detail(job: &Job) -> Value {
    let mut object = summary(job);
    if let Some(JobEnd::Done(outcome)) = &job.state().end {
        object["result"] = result(outcome);
    }
    object
}

fn result(outcome: &Outcome) -> Value {
    let listed: Vec<Value> = outcome
        .found
        .iter()
        .take(MAX_LISTED)
        .map(difference)
        .collect();
    let repaired = outcome.found.iter().filter(|found| found.repaired).count();
    json!({
        "checked": outcome.checked,
        "differences": outcome.found.len(),
        "repaired": repaired,
        "remaining": outcome.found.len() - repaired,
        "changing": outcome.changing,
        "unreadable": outcome.unreadable,
        "keys": listed,
        "notes": outcome.notes,
    })
}

fn difference(found: &Found) -> Value {
    let kind = match found.kind {
        DifferenceKind::Missing => "missing",
        DifferenceKind::Different => "different",
        DifferenceKind::Extra => "extra",
    };
    let key: Map<String, Value> = found
        .key
        .iter()
        .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
        .collect();
    json!({ "kind": kind, "key": key, "repaired": found.repaired })
}
