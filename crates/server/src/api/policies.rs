//! IAM policies: what the wizard prints, and what the doctor finds missing in them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use mirror::access::{Action, BUCKET_ACTIONS, DYNAMODB_ACTIONS, Target};
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult};
use super::params::QueryParams;

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(policy): Path<String>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    match policy.as_str() {
        "read-access-policy" => {
            let partition = partition(query.get("region").unwrap_or_default());
            let tables = names(query.get("table_name"), "table_name", is_table)?;
            let buckets = names(query.get("bucket"), "bucket", is_bucket)?;
            Ok(Json(access_policy(partition, &tables, &buckets)))
        }
        "trust-policy" => {
            let seed = query.get("external_id_seed").ok_or_else(|| {
                ApiError::bad_request("external_id_seed is needed: the name of the connection")
            })?;
            let account = app.caller_identity().await?.account;
            let partition = partition(query.get("region").unwrap_or_default());
            let principal = principal(partition, &account);
            Ok(Json(trust_policy(&principal, &app.keys.external_id(seed))))
        }
        other => Err(ApiError::not_found(format!(
            "there is no policy {other:?}; there are read-access-policy and trust-policy"
        ))),
    }
}

/// The names in a list with commas, each once; `*` if there are none.
fn names(
    list: Option<&str>,
    parameter: &str,
    is_name: impl Fn(&str) -> bool,
) -> ApiResult<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in list.unwrap_or("*").split(',').map(str::trim) {
        if name != "*" && !is_name(name) {
            return Err(ApiError::bad_request(format!(
                "{parameter}: {name:?} is not a name; * stands for all"
            )));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    // All of them is more than any of them.
    if names.iter().any(|name| name == "*") {
        names = vec!["*".to_owned()];
    }
    Ok(names)
}

fn is_table(name: &str) -> bool {
    datafile::TableArn::parse(&format!(
        "arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
    ))
    .is_ok()
}

/// A name, or a pattern of names; an address or a path is neither.
fn is_bucket(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'*' | b'?');
    !name.is_empty() && name.bytes().all(fits)
}

/// The partition that a region is in.
pub(super) fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// An account as a trust policy names it.
pub(super) fn principal(partition: &str, account: &str) -> String {
    format!("arn:{partition}:iam::{account}:root")
}

/// What the role may do, with every table and bucket of the connection. The two updates switch PITR and the stream on
/// where they are off. The two S3 actions that AWS's guide lists beyond these are the doctor's business.
fn access_policy(partition: &str, tables: &[String], buckets: &[String]) -> Value {
    let on = |targets: &[Target], names: &[String]| -> Vec<String> {
        let resources = names.iter().flat_map(|name| {
            targets
                .iter()
                .map(move |target| target.resource(partition, name, name))
        });
        resources.collect()
    };
    json!({
        "Version": "2012-10-17",
        "Statement": [
            statement(
                &DYNAMODB_ACTIONS,
                &on(&[Target::Table, Target::Streams, Target::Exports], tables),
            ),
            statement(
                &BUCKET_ACTIONS,
                &on(&[Target::Bucket, Target::Objects], buckets),
            ),
        ],
    })
}

/// A statement that allows the actions.
pub(super) fn statement(actions: &[Action], resources: &[String]) -> Value {
    let actions: Vec<&str> = actions.iter().map(|action| action.name()).collect();
    json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
}

fn trust_policy(principal: &str, external_id: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": { "AWS": principal },
            "Condition": { "StringEquals": { "sts:ExternalId": external_id } },
        }],
    })
}
