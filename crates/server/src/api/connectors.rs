//! Connections of the live project.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use datafile::Project;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::QueryParams;
use crate::store::ResourceRow;

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let rows = app.store.resources(&caller.workspace.id).await?;
    let project = datafile::parse_project(&crate::deploy::source_files(&rows)).project;
    let connectors: Vec<Value> = rows
        .iter()
        .filter(|row| row.kind == "connection")
        .map(|row| object(&app, row, &rows, &project))
        .collect();
    Ok(Json(json!({ "connectors": connectors })))
}

/// `/v0/connectors/my_ddb.connection`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Response> {
    caller.require_admin()?;
    let as_file = name.strip_suffix(".connection");
    let wanted = as_file.unwrap_or(&name);
    let rows = app.store.resources(&caller.workspace.id).await?;
    let row = rows
        .iter()
        .find(|row| row.kind == "connection" && (row.name == wanted || row.id == wanted))
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "there is no connection {wanted:?}; see: tb connection ls"
            ))
        })?;
    if query.flag("include_metadata") {
        let body = json!({ "content": row.text, "warnings": [] });
        return Ok(Json(body).into_response());
    }
    if as_file.is_some() || query.get("format") == Some("connection") {
        return Ok(([(CONTENT_TYPE, "text/plain")], row.text.clone()).into_response());
    }
    let project = datafile::parse_project(&crate::deploy::source_files(&rows)).project;
    Ok(Json(object(&app, row, &rows, &project)).into_response())
}

fn object(app: &App, row: &ResourceRow, rows: &[ResourceRow], project: &Project) -> Value {
    let connection = project.connections.iter().find(|c| c.name == row.name);
    let used_by = project.datasources.iter().filter(|datasource| {
        let import = datasource.import.as_ref();
        import
            .and_then(|import| import.connection.literal())
            .as_deref()
            == Some(&row.name)
    });
    let linkers: Vec<Value> = used_by
        .filter_map(|datasource| {
            let known = rows
                .iter()
                .find(|row| row.kind == "datasource" && row.name == datasource.name)?;
            Some(json!({ "datasource_id": known.id }))
        })
        .collect();
    // The templates as written: a role that a secret holds is not shown.
    let text = |value: Option<String>| value.unwrap_or_default();
    json!({
        "id": row.id,
        "name": row.name,
        "service": text(connection.map(|c| c.kind.value.clone())),
        "settings": {
            "dynamodb_iamrole_arn": text(connection.map(|c| c.role_arn.to_string())),
            "dynamodb_iamrole_region": text(connection.map(|c| c.region.to_string())),
            "dynamodb_iamrole_external_id": app.keys.external_id(&row.name),
        },
        "linkers": linkers,
    })
}
