//! What the connection wizard asks: are there credentials, and can this table be mirrored.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use mirror::reason::Reason;
use mirror::source::{CallerIdentity, SourceSpec};
use mirror::table::{StreamViewType, TableDescription};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::read_body;
use super::policies;
use crate::deploy::unquoted;
use crate::store::key_type_name;
use crate::worker::PrepareError;

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
        "principal": policies::principal(policies::partition(""), &identity.account),
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

/// A table and how to reach it, as the wizard and the doctor name them.
#[derive(Default, Deserialize)]
pub(super) struct TableRequest {
    #[serde(default)]
    table_arn: String,
    #[serde(default)]
    region: String,
    /// An ARN, or what a `.connection` file says instead: `{{ tb_secret("name") }}`.
    #[serde(default)]
    role_arn: String,
    #[serde(default)]
    external_id_seed: String,
    #[serde(default)]
    export_bucket: String,
}

/// Words for failures that clients of the API know; they print their own text for each.
const KNOWN_REASONS: [Reason; 8] = [
    Reason::MissingCredentials,
    Reason::TableNotFound,
    Reason::PitrDisabled,
    Reason::StreamDisabled,
    Reason::StreamViewInvalid,
    Reason::TableTooLarge,
    Reason::TableWcuExceedsLimit,
    Reason::UnableToAssumeRole,
];

fn bad(reason: Reason, message: &str) -> ApiError {
    ApiError::with_reason(StatusCode::BAD_REQUEST, reason.name(), message)
}

/// A refusal with its word, unless clients would print the word and nothing else.
pub(super) fn refused(error: &PrepareError) -> ApiError {
    // For a refused role our text names the external id, which the clients' own does not.
    if error.code == Reason::UnableToAssumeRole || !KNOWN_REASONS.contains(&error.code) {
        return ApiError::bad_request(error.message.clone());
    }
    bad(error.code, &error.message)
}

impl TableRequest {
    pub(super) async fn read(body: Body) -> ApiResult<Self> {
        let bytes = read_body(body).await?;
        let request: Self = serde_json::from_slice(&bytes).map_err(|_| {
            bad(
                Reason::InvalidJsonBody,
                "the body is not a JSON object of texts",
            )
        })?;
        let clean = |text: &str| unquoted(text.trim()).to_owned();
        Ok(Self {
            table_arn: clean(&request.table_arn),
            region: clean(&request.region),
            role_arn: clean(&request.role_arn),
            external_id_seed: clean(&request.external_id_seed),
            export_bucket: clean(&request.export_bucket),
        })
    }

    /// How to reach the table, once everything in the request is what it should be.
    pub(super) async fn source(self, app: &App, caller: &Caller) -> ApiResult<SourceSpec> {
        if self.table_arn.is_empty() || self.region.is_empty() {
            return Err(bad(
                Reason::TableArnAndRegionRequired,
                "table_arn and region are needed",
            ));
        }
        datafile::TableArn::parse(&self.table_arn)
            .map_err(|error| ApiError::bad_request(format!("table_arn: {error}")))?;
        self.with_role(app, caller).await
    }

    /// [`Self::source`] of a request that names no table: assuming a role asks for none.
    pub(super) async fn role(mut self, app: &App, caller: &Caller) -> ApiResult<SourceSpec> {
        let partition = policies::partition(&self.region);
        let region = &self.region;
        self.table_arn = format!("arn:{partition}:dynamodb:{region}:000000000000:table/none");
        self.source(app, caller).await
    }

    async fn with_role(self, app: &App, caller: &Caller) -> ApiResult<SourceSpec> {
        if self.role_arn.is_empty() {
            return Err(bad(Reason::RoleArnRequired, "role_arn is needed"));
        }
        let role_arn = self.resolved_role(app, caller).await?;
        datafile::RoleArn::parse(&role_arn)
            .map_err(|error| ApiError::bad_request(format!("role_arn: {error}")))?;
        if !datafile::is_region(&self.region) {
            return Err(ApiError::bad_request(format!(
                "region: {:?} is not an AWS region; it looks like us-east-1",
                self.region
            )));
        }
        if !self.export_bucket.is_empty() && !datafile::is_bucket_name(&self.export_bucket) {
            return Err(ApiError::bad_request(format!(
                "export_bucket: {:?} is not the name of a bucket; write the bare name, without s3:// and without a path",
                self.export_bucket
            )));
        }
        if app.sources.is_none() {
            return Err(bad(Reason::MissingCredentials, NO_CREDENTIALS));
        }
        Ok(SourceSpec {
            role_arn,
            external_id: app.keys.external_id(&self.external_id_seed),
            region: self.region,
            table_arn: self.table_arn,
            export_bucket: self.export_bucket,
        })
    }

    async fn resolved_role(&self, app: &App, caller: &Caller) -> ApiResult<String> {
        if !self.role_arn.contains("{{") {
            return Ok(self.role_arn.clone());
        }
        let template = datafile::Template::read(&self.role_arn).ok_or_else(|| {
            ApiError::bad_request("role_arn: what stands in braces is no reference to a secret")
        })?;
        let secrets = app.deployer.secret_values(&caller.workspace).await?;
        let lookup = |name: &str| secrets.get(name).map(|value| value.expose().to_owned());
        let role = template.resolve(&lookup).map_err(|missing| {
            let name = missing.name;
            ApiError::bad_request(format!(
                "the secret {name} is not set; run: tb secret set {name} <role ARN>"
            ))
        })?;
        Ok(unquoted(role.trim()).to_owned())
    }
}

/// Assumes the role, describes the table and says whether it can be mirrored.
pub(super) async fn validate(
    State(app): State<Arc<App>>,
    caller: Caller,
    body: Body,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let source = TableRequest::read(body)
        .await?
        .source(&app, &caller)
        .await?;
    let looked = app.supervisor.inspect(&source).await;
    let looked = looked.map_err(|error| refused(&error))?;
    let table = description(&looked.table);
    match looked.refusal {
        None => Ok(Json(table)),
        Some(refusal) => Err(refused(&refusal).with_field("table", table)),
    }
}

/// Assumes the role and does nothing with it.
pub(super) async fn assume_role(
    State(app): State<Arc<App>>,
    caller: Caller,
    body: Body,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let source = TableRequest::read(body).await?.role(&app, &caller).await?;
    let assumed = app.supervisor.assume(&source).await;
    assumed.map_err(|error| refused(&error))?;
    Ok(Json(json!({ "assumed": true })))
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
