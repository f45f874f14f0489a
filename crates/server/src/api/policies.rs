//! IAM policies that the connection wizard prints.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
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
            let table = query.get("table_name").unwrap_or("*");
            let bucket = query.get("bucket").unwrap_or("*");
            Ok(Json(access_policy(table, bucket)))
        }
        "trust-policy" => {
            let seed = query.get("external_id_seed").ok_or_else(|| {
                ApiError::bad_request("external_id_seed is needed: the name of the connection")
            })?;
            let account = app.caller_identity().await?.account;
            Ok(Json(trust_policy(&account, &app.keys.external_id(seed))))
        }
        other => Err(ApiError::not_found(format!(
            "there is no policy {other:?}; there are read-access-policy and trust-policy"
        ))),
    }
}

/// What the role may do. The two updates switch PITR and the stream on where they are off; the two last S3 actions
/// are asked for by AWS's guide to exports.
fn access_policy(table: &str, bucket: &str) -> Value {
    let arn = |suffix: &str| format!("arn:aws:dynamodb:*:*:table/{table}{suffix}");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "dynamodb:Scan",
                    "dynamodb:DescribeStream",
                    "dynamodb:DescribeExport",
                    "dynamodb:GetRecords",
                    "dynamodb:GetShardIterator",
                    "dynamodb:DescribeTable",
                    "dynamodb:DescribeContinuousBackups",
                    "dynamodb:ExportTableToPointInTime",
                    "dynamodb:UpdateTable",
                    "dynamodb:UpdateContinuousBackups",
                ],
                "Resource": [arn(""), arn("/stream/*"), arn("/export/*")],
            },
            {
                "Effect": "Allow",
                "Action": [
                    "s3:PutObject",
                    "s3:GetObject",
                    "s3:ListBucket",
                    "s3:AbortMultipartUpload",
                    "s3:PutObjectAcl",
                ],
                "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
            },
        ],
    })
}

fn trust_policy(account: &str, external_id: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
            "Condition": { "StringEquals": { "sts:ExternalId": external_id } },
        }],
    })
}
