//! Records that could not become rows: looked at, and put back after a fix. Our own endpoints.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mirror::sink::QuarantinedRecord;
use mirror::store::progress_key;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::datasources::{find, mirror_of};
use super::error::{ApiError, ApiResult, warehouse_error};
use super::params::{AllParams, QueryParams};
use super::wire::iso_time;
use crate::replay::{PAGE, Replay, ReplayReport};
use crate::store::Workspace;
use crate::worker::MirrorSpec;

/// Records in an answer, unless asked for fewer, and at most: with their raw bytes they pass through memory.
const LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// `?limit=&after=`, or `?origin=&position=` for one record with its raw bytes.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    let row = find(&app, &caller, &name).await?;
    caller.require("DATASOURCES:READ", &row.name)?;
    let spec = spec(&app, &caller.workspace, &row.name).await?;
    if let (Some(origin), Some(position)) = (query.get("origin"), query.get("position")) {
        // It is the whole item.
        caller.require_admin()?;
        return show(&app, &spec, origin, position).await;
    }
    let limit = match query.get("limit").map(str::parse) {
        None => LIMIT,
        Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => limit,
        Some(_) => {
            let text = format!("limit must be a number from 1 to {MAX_LIMIT}");
            return Err(ApiError::bad_request(text));
        }
    };
    let mut after = query.get("after").map(parse_cursor).transpose()?;
    let mut records = Vec::new();
    let mut more = true;
    while more && records.len() < limit {
        let page = PAGE.min(limit - records.len());
        let found = app
            .warehouse
            .quarantined(&spec.plan, after.as_ref(), page)
            .await
            .map_err(|error| warehouse_error(&error))?;
        more = found.len() == page;
        after = found.last().cloned().or(after);
        records.extend(found.iter().map(render));
    }
    let next = after.filter(|_| more).map(|last| cursor(&last));
    Ok(Json(json!({ "records": records, "next": next })))
}

async fn show(
    app: &App,
    spec: &MirrorSpec,
    origin: &str,
    position: &str,
) -> ApiResult<Json<Value>> {
    // From just before the position on.
    let mut prefix = position.to_owned();
    prefix.pop();
    let mut after = at(origin, &prefix, "\u{10ffff}");
    loop {
        let found = app
            .warehouse
            .quarantined(&spec.plan, Some(&after), PAGE)
            .await
            .map_err(|error| warehouse_error(&error))?;
        let is_meant =
            |record: &&QuarantinedRecord| record.origin == origin && record.position == position;
        let records: Vec<Value> = found
            .iter()
            .filter(is_meant)
            .map(|record| {
                let mut object = render(record);
                object["raw_record"] = json!(String::from_utf8_lossy(&record.raw_record));
                object
            })
            .collect();
        if !records.is_empty() {
            return Ok(Json(json!({ "records": records })));
        }
        let past = |last: &QuarantinedRecord| {
            (last.origin.as_str(), last.position.as_str()) > (origin, position)
        };
        match found.into_iter().next_back() {
            Some(last) if !past(&last) => after = last,
            _ => {
                return Err(ApiError::not_found(format!(
                    "there is no record {position} of {origin} in the quarantine; see: tb datasource quarantine ls NAME"
                )));
            }
        }
    }
}

/// `?dry_run=true` only says what would happen.
pub(super) async fn replay(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &name).await?;
    mirror_of(&app, &caller.workspace, &row.name).await?;
    let dry_run = params.flag("dry_run");
    let worker = Arc::clone(&app);
    // A task of its own, so that a client that goes away leaves nothing half done.
    let task = app.tasks.spawn(async move {
        // Nobody changes the table's columns meanwhile, and nobody else replays.
        let _alone = worker.deployer.lock(&caller.workspace).await;
        run(&worker, &caller.workspace, &row.name, dry_run).await
    });
    let report = task
        .await
        .unwrap_or_else(|_| Err(super::build::stopping()))?;
    let failed: Vec<Value> = report
        .failed
        .iter()
        .map(|(reason, records)| json!({ "reason": reason, "records": records }))
        .collect();
    Ok(Json(json!({
        "dry_run": dry_run,
        "replayed": report.replayed,
        "failed": failed,
    })))
}

async fn run(
    app: &App,
    workspace: &Workspace,
    datasource: &str,
    dry_run: bool,
) -> ApiResult<ReplayReport> {
    let spec = spec(app, workspace, datasource).await?;
    let generations = app.store.generations_of(&spec.id).await?;
    let (mirror, key) = (spec.id.clone(), progress_key(&spec.id, generations.live));
    let replay = Replay {
        sink: Arc::clone(&app.sink),
        warehouse: Arc::clone(&app.warehouse),
        spec,
        dry_run,
    };
    let mut report = ReplayReport::default();
    let mut after = None;
    while let Some((last, left)) = replay
        .page(after.as_ref(), &mut report)
        .await
        .map_err(|error| warehouse_error(&error))?
    {
        if left > 0 {
            let quarantined = app.store.leave_quarantine(&key, left).await?;
            app.supervisor.show_quarantined(&mirror, quarantined);
        }
        after = Some(last);
    }
    Ok(report)
}

/// The mirror with the plan that its table has now.
pub(super) async fn spec(
    app: &App,
    workspace: &Workspace,
    datasource: &str,
) -> ApiResult<MirrorSpec> {
    let mirror = mirror_of(app, workspace, datasource).await?;
    let spec = app.deployer.stored_spec(workspace, &mirror).await?;
    spec.map_err(|error| ApiError::bad_request(error.to_string()))
}

fn render(record: &QuarantinedRecord) -> Value {
    json!({
        "origin": record.origin,
        "position": record.position,
        "column": record.column,
        "reason": record.reason,
        "at": iso_time(record.version_ms),
        "bytes": record.raw_record.len(),
    })
}

fn at(origin: &str, position: &str, column: &str) -> QuarantinedRecord {
    QuarantinedRecord {
        origin: origin.to_owned(),
        position: position.to_owned(),
        column: column.to_owned(),
        reason: String::new(),
        raw_record: Vec::new(),
        version_ms: 0,
    }
}

fn cursor(record: &QuarantinedRecord) -> String {
    let parts = json!([record.origin, record.position, record.column]);
    URL_SAFE_NO_PAD.encode(parts.to_string())
}

fn parse_cursor(text: &str) -> ApiResult<QuarantinedRecord> {
    let parts = URL_SAFE_NO_PAD.decode(text).ok();
    let parts = parts.and_then(|bytes| serde_json::from_slice::<[String; 3]>(&bytes).ok());
    match parts {
        Some([origin, position, column]) => Ok(at(&origin, &position, &column)),
        None => Err(ApiError::bad_request(
            "after is not what an earlier answer gave as next",
        )),
    }
}
