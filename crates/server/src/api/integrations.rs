//! What the connection wizard asks: are there credentials, and can this table be mirrored.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use mirror::source::{CallerIdentity, SourceSpec};
use mirror::table::{StreamViewType, TableDescription};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::read_body;
use crate::deploy::unquoted;
use crate::store::key_type_name;

/// An identity is asked for again after this long, milliseconds.
const IDENTITY_KEPT_MS: i64 = 60_000;

pub(super) const NO_CREDENTIALS: &str =
    "the server has no AWS credentials; start it with: tb local start --use-aws-creds";

/// Any answer but an error means that there are AWS credentials.
pub(super) async fn settings(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let identity = app.caller_identity().await?;
    Ok(Json(json!({
        "principal": format!("arn:aws:iam::{}:root", identity.account),
        "account": identity.account,
    })))
}

impl App {
    /// Who the server is to AWS.
    pub(super) async fn caller_identity(&self) -> ApiResult<CallerIdentity> {
        let Some(sources) = &self.sources else {
            return Err(ApiError::not_found(NO_CREDENTIALS));
        };
        let mut known = self.identity.lock().await;
        let now_ms = self.clock.now_ms();
        let fresh = known
            .as_ref()
            .filter(|(at, _)| now_ms - at < IDENTITY_KEPT_MS);
        let identity = match fresh {
            Some((_, identity)) => identity.clone(),
            None => {
                let asked = sources.caller_identity().await;
                let asked = asked.map_err(|error| error.report());
                *known = Some((now_ms, asked.clone()));
                asked
            }
        };
        identity.map_err(|error| {
            ApiError::not_found(format!(
                "the server's AWS credentials do not work ({error}); check them with `aws sts get-caller-identity`, then run: tb local restart --use-aws-creds"
            ))
        })
    }
}

#[derive(Deserialize)]
struct ValidateRequest {
    #[serde(default)]
    table_arn: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    role_arn: String,
    #[serde(default)]
    external_id_seed: String,
    #[serde(default)]
    export_bucket: String,
}

/// Assumes the role, describes the table and says whether it can be mirrored.
pub(super) async fn validate(
    State(app): State<Arc<App>>,
    caller: Caller,
    body: Body,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let bytes = read_body(body).await?;
    let bad = |reason: &str, message: &str| {
        ApiError::with_reason(StatusCode::BAD_REQUEST, reason, message)
    };
    let request: ValidateRequest = serde_json::from_slice(&bytes).map_err(|_| {
        bad(
            "invalid_json_body",
            "the body is not a JSON object of texts",
        )
    })?;
    let clean = |text: &str| unquoted(text.trim()).to_owned();
    let (table_arn, region) = (clean(&request.table_arn), clean(&request.region));
    if table_arn.is_empty() || region.is_empty() {
        return Err(bad(
            "table_arn_and_region_required",
            "table_arn and region are needed",
        ));
    }
    let role_arn = clean(&request.role_arn);
    if role_arn.is_empty() {
        return Err(bad("role_arn_required", "role_arn is needed"));
    }
    datafile::TableArn::parse(&table_arn)
        .map_err(|error| ApiError::bad_request(format!("table_arn: {error}")))?;
    datafile::RoleArn::parse(&role_arn)
        .map_err(|error| ApiError::bad_request(format!("role_arn: {error}")))?;
    if app.sources.is_none() {
        return Err(bad("missing_credentials", NO_CREDENTIALS));
    }
    let source = SourceSpec {
        role_arn,
        external_id: app.keys.external_id(&clean(&request.external_id_seed)),
        region,
        table_arn,
        export_bucket: clean(&request.export_bucket),
    };
    match app.supervisor.inspect(&source).await {
        Ok(table) => Ok(Json(description(&table))),
        // Clients print their own words for the codes; for a refused role ours name the external id.
        Err(error) if error.code == "unable_to_assume_role" => {
            Err(ApiError::bad_request(error.message))
        }
        Err(error) => Err(bad(error.code, &error.message)),
    }
}

fn description(table: &TableDescription) -> Value {
    let view_type = table.stream.as_ref().map(|stream| match stream.view_type {
        StreamViewType::KeysOnly => "KEYS_ONLY",
        StreamViewType::NewImage => "NEW_IMAGE",
        StreamViewType::OldImage => "OLD_IMAGE",
        StreamViewType::NewAndOldImages => "NEW_AND_OLD_IMAGES",
    });
    let mut messages = Vec::new();
    if view_type == Some("NEW_IMAGE") {
        messages.push("The stream has no old images: a column of $.OldImage stays empty.");
    }
    let key_schema: Vec<Value> = table
        .keys
        .iter()
        .zip(["HASH", "RANGE"])
        .map(|(key, role)| json!({ "attribute_name": key.name, "key_type": role }))
        .collect();
    let attributes: Vec<Value> = table
        .keys
        .iter()
        .map(|key| json!({ "name": key.name, "type": key_type_name(key.key_type) }))
        .collect();
    json!({
        "stream_view_type": view_type,
        "table_size_bytes": table.size_bytes,
        "table_write_capacity_units": table.write_capacity_units.unwrap_or(0),
        "messages": messages,
        "key_schema": key_schema,
        "attribute_definitions": attributes,
    })
}
