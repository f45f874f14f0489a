//! Verifications of mirrors: the request that begins one, and what came of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use mirror::warehouse::DifferenceKind;
use serde_json::{Map, Value, json};

use super::App;
use super::caller::Caller;
use super::datasources::{find, running_mirror};
use super::error::{ApiError, ApiResult};
use super::jobs::{self, summary};
use super::params::AllParams;
use crate::jobs::{Job, Work};
use crate::verify::{Found, Mode, Outcome, Verification};

/// Items and keys of a sample, unless asked for otherwise.
const SAMPLE: u32 = 1000;
const MAX_SAMPLE: u32 = 5000;

/// Keys that an answer lists; all of them are counted.
const MAX_LISTED: usize = 1000;

/// `?mode=sample&count=1000` or `?mode=full`, and `repair=true`.
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
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
    let work = Work::Verify {
        datasource: row.name.clone(),
        mode,
        repair,
    };
    let job = jobs::begin(&app, Job::new(&caller.workspace.id, work, now_ms))?;
    let verification = Verification {
        sources,
        warehouse: Arc::clone(&app.warehouse),
        sink: Arc::clone(&app.sink),
        verifier: Arc::clone(&app.verifier),
        store: Arc::clone(&app.store),
        supervisor: Arc::clone(&app.supervisor),
        clock: Arc::clone(&app.clock),
        spec: Arc::new(spec),
        mode,
        repair,
        job: Arc::clone(&job),
    };
    app.tasks.spawn(verification.run());
    Ok(Json(summary(&job, &headers)))
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

/// What a verification found.
pub(super) fn result(outcome: &Outcome) -> Value {
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
