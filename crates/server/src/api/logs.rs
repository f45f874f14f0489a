//! What happened in a workspace: deployments, jobs and mirrors, by time. Our own endpoint.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::ApiResult;
use super::params::QueryParams;
use super::wire::iso_time;
use crate::deploy::Report;
use crate::jobs::JobEnd;
use crate::store::DeploymentRow;

/// Events of an answer, unless asked for otherwise.
const EVENTS: usize = 100;
const MAX_EVENTS: usize = 10_000;

struct Event {
    at_ms: i64,
    source: &'static str,
    name: String,
    level: String,
    message: String,
}

/// `?limit=100`: the latest ones, oldest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let limit = query.get("limit").and_then(|text| text.parse().ok());
    let limit = limit.unwrap_or(EVENTS).min(MAX_EVENTS);
    let workspace = &caller.workspace.id;
    let mut events = Vec::new();
    for row in app.store.deployments(workspace).await? {
        events.push(of_deployment(&row));
    }
    for job in app.jobs.of_workspace(workspace) {
        let name = job.work.datasource().unwrap_or_default().to_owned();
        let kind = job.work.kind();
        let mut push = |at_ms, level: &str, message| {
            events.push(Event {
                at_ms,
                source: "job",
                name: name.clone(),
                level: level.to_owned(),
                message,
            });
        };
        push(
            job.created_at_ms,
            "INFO",
            format!("{kind} began, job {}", job.id),
        );
        let state = job.state();
        match state.end {
            None => {}
            Some(JobEnd::Done(_)) => push(state.updated_at_ms, "INFO", format!("{kind} done")),
            Some(JobEnd::Cancelled) => {
                push(state.updated_at_ms, "WARNING", format!("{kind} cancelled"));
            }
            Some(JobEnd::Failed(error)) => {
                push(
                    state.updated_at_ms,
                    "ERROR",
                    format!("{kind} failed: {error}"),
                );
            }
        }
    }
    for row in app.store.mirrors(workspace).await? {
        events.push(Event {
            at_ms: row.created_at_ms,
            source: "mirror",
            name: row.datasource,
            level: "INFO".to_owned(),
            message: format!("mirror of {} made", row.source.table_arn),
        });
    }
    for row in app.store.history(workspace, limit).await? {
        let of_server = row.datasource.is_empty();
        events.push(Event {
            at_ms: row.at_ms,
            source: if of_server { "server" } else { "mirror" },
            name: row.datasource,
            level: row.level,
            message: row.message,
        });
    }
    events.sort_by_key(|event| event.at_ms);
    let from = events.len().saturating_sub(limit);
    let events: Vec<Value> = events[from..].iter().map(object).collect();
    Ok(Json(json!({ "events": events })))
}

fn of_deployment(row: &DeploymentRow) -> Event {
    let report: Report = serde_json::from_str(&row.result).unwrap_or_default();
    let (level, what) = match row.status.as_str() {
        "failed" => ("ERROR", "failed".to_owned()),
        "deleted" => ("INFO", "is not live any more".to_owned()),
        "data_ready" if row.live => ("INFO", "is live".to_owned()),
        "data_ready" => ("INFO", "is staged".to_owned()),
        other => ("INFO", format!("is {other}")),
    };
    let why = report
        .errors
        .first()
        .map(|first| format!(": {}: {}", first.filename, first.error));
    Event {
        at_ms: row.updated_at_ms,
        source: "deployment",
        name: row.number.to_string(),
        level: level.to_owned(),
        message: format!("{what}{}", why.unwrap_or_default()),
    }
}

fn object(event: &Event) -> Value {
    json!({
        "time": iso_time(event.at_ms),
        "source": event.source,
        "name": event.name,
        "level": event.level,
        "message": event.message,
    })
}
