//! What people see of their mirrors. Our own endpoint.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use mirror::checkpoint::ExportPhase;
use mirror::reason::Reason;
use mirror::status::{BackfillStatus, MirrorState, StatusReport};
use mirror::store::{MirrorProgress, progress_key};
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::wire::iso_time;
use crate::store::MirrorRow;

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    let mut mirrors = Vec::new();
    for row in app.store.mirrors(&caller.workspace.id).await? {
        if caller.may("DATASOURCES:READ", &row.datasource) {
            mirrors.push(object(&app, &row).await?);
        }
    }
    Ok(Json(json!({ "mirrors": mirrors })))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(datasource): Path<String>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require("DATASOURCES:READ", &datasource)?;
    let row = app.store.mirror(&caller.workspace.id, &datasource).await?;
    let row = row.ok_or_else(|| {
        ApiError::not_found(format!(
            "data source {datasource:?} has no mirror; run: tb build --with-connections"
        ))
    })?;
    Ok(Json(object(&app, &row).await?))
}

async fn object(app: &App, row: &MirrorRow) -> ApiResult<Value> {
    let report = match app.supervisor.status(&row.id) {
        Some(report) => report,
        None => {
            let generations = app.store.generations_of(&row.id).await?;
            let key = progress_key(&row.id, generations.live);
            let progress = app.store.load_progress(&key).await?;
            let failure = app.deployer.start_failure(&row.id);
            at_rest(row, &progress, app.sources.is_some(), failure)
        }
    };
    Ok(render(row, &report))
}

/// A mirror whose worker has not run since the server started.
fn at_rest(
    row: &MirrorRow,
    progress: &MirrorProgress,
    has_credentials: bool,
    failure: Option<String>,
) -> StatusReport {
    let no_credentials = !row.stopped && !has_credentials;
    let (state, reason, next_action) = match (row.stopped, has_credentials) {
        (true, _) => (
            MirrorState::Stopped,
            None,
            Some(format!("tb datasource start {}", row.datasource)),
        ),
        (false, false) => (
            MirrorState::Broken,
            Some("the server has no AWS credentials".to_owned()),
            Some("tb local restart --use-aws-creds".to_owned()),
        ),
        (false, true) if failure.is_some() => (
            MirrorState::Broken,
            failure,
            Some("tb build --with-connections".to_owned()),
        ),
        (false, true) => (MirrorState::Starting, None, None),
    };
    let mut report = StatusReport {
        state,
        reason,
        reason_code: no_credentials.then_some(Reason::MissingCredentials),
        next_action,
        gap: progress.gap.is_some(),
        stalled: None,
        healing: None,
        resync: None,
        backfill: Default::default(),
        stream_rows: 0,
        quarantined: progress.quarantined,
        watermark_ms: None,
        lag_seconds: None,
        headroom_seconds: None,
        shards: (0, 0),
        last_read_ms: None,
        last_insert_ms: None,
        last_error: None,
        warnings: progress.gap.iter().map(|gap| gap.what.clone()).collect(),
    };
    if let Some(export) = &progress.export {
        report.backfill.phase = match export.phase {
            ExportPhase::Waiting => "waiting",
            ExportPhase::Running => "exporting",
            ExportPhase::Loading => "loading",
            ExportPhase::Loaded => "loaded",
            ExportPhase::Failed => "failed",
        }
        .to_owned();
        report.backfill.export_arn = export.arn.clone();
        report.backfill.files = (export.files_loaded, export.files_total);
        report.backfill.items = (export.items_loaded, export.items_total);
        report.backfill.bytes = export.bytes_loaded;
    }
    report
}

fn render(row: &MirrorRow, report: &StatusReport) -> Value {
    let time = |ms: Option<i64>| ms.map(iso_time);
    let healing = report.healing.as_ref().map(|healing| {
        json!({
            "what": healing.what,
            "windows_healed": healing.windows.0,
            "windows_total": healing.windows.1,
        })
    });
    let resync = report.resync.as_ref().map(|resync| {
        json!({
            "reason": resync.reason,
            "state": resync.state.name(),
            "problem": resync.problem,
            "backfill": render_backfill(&resync.backfill),
        })
    });
    json!({
        "id": row.id,
        "datasource": row.datasource,
        "table_arn": row.source.table_arn,
        "state": report.state.name(),
        "reason": report.reason,
        "reason_code": report.reason_code.map(Reason::name),
        "next_action": report.next_action,
        "stalled": report.stalled,
        "gap": report.gap,
        "healing": healing,
        "resync": resync,
        "backfill": render_backfill(&report.backfill),
        "stream_rows": report.stream_rows,
        "quarantined": report.quarantined,
        "watermark": time(report.watermark_ms),
        "lag_seconds": report.lag_seconds,
        "headroom_seconds": report.headroom_seconds,
        "active_shards": report.shards.0,
        "waiting_shards": report.shards.1,
        "last_read_at": time(report.last_read_ms),
        "last_insert_at": time(report.last_insert_ms),
        "last_error": report.last_error.as_ref().map(|(text, _)| text),
        "last_error_at": time(report.last_error.as_ref().map(|(_, at)| *at)),
        "warnings": report.warnings,
    })
}

fn render_backfill(backfill: &BackfillStatus) -> Value {
    json!({
        "phase": backfill.phase,
        "export_arn": backfill.export_arn,
        "files_loaded": backfill.files.0,
        "files_total": backfill.files.1,
        "items_loaded": backfill.items.0,
        "items_total": backfill.items.1,
        "bytes": backfill.bytes,
        "elapsed_seconds": backfill.elapsed_ms as f64 / 1000.0,
        "seconds_left": backfill.seconds_left,
    })
}
