//! Tells the services apart and turns HTTP requests into calls.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::{admin, aws_chunked, delivery, load, measuring};
use crate::api::{ApiRequest, ApiResponse, Call, S3Request};
use crate::sim::Sim;

/// S3's limit for one upload.
const MAX_BODY_BYTES: usize = 5 * 1024 * 1024 * 1024;

/// The whole HTTP application.
pub fn app(sim: Sim) -> Router {
    Router::new()
        .nest(
            "/_sim",
            admin::routes()
                .merge(load::routes(sim.clone()))
                .merge(measuring::routes()),
        )
        .fallback(handle)
        .with_state(sim)
}

async fn handle(State(sim): State<Sim>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return delivery::respond(
            ApiResponse::new(400, "text/plain", "unreadable body"),
            false,
        );
    };
    let head = parts.method == "HEAD";
    let answer = match call_of(&parts, body) {
        Ok(call) => {
            let (access_key, region) = credential(&parts);
            let json = matches!(call, Call::DynamoDb(..) | Call::Streams(..));
            let mut answer = sim.call(&ApiRequest {
                call,
                access_key,
                region,
            });
            if json {
                answer
                    .headers
                    .push(("x-amz-crc32", crc32fast::hash(&answer.body).to_string()));
            }
            answer
        }
        Err(message) => ApiResponse::new(400, "text/plain", message),
    };
    delivery::respond(answer, head)
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
}

fn call_of(parts: &Parts, body: Bytes) -> Result<Call, String> {
    if let Some(target) = header(parts, "x-amz-target") {
        return match target.split_once('.') {
            Some(("DynamoDB_20120810", action)) => Ok(Call::DynamoDb(action.to_owned(), body)),
            Some(("DynamoDBStreams_20120810", action)) => {
                Ok(Call::Streams(action.to_owned(), body))
            }
            _ => Err(format!("unknown target {target}")),
        };
    }
    let form = header(parts, "content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if form && parts.method == "POST" && parts.uri.path() == "/" {
        return Ok(Call::Sts(pairs(&String::from_utf8_lossy(&body))));
    }
    let path = parts.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let framed = header(parts, "x-amz-content-sha256")
        .is_some_and(|hash| hash.starts_with("STREAMING-"))
        || header(parts, "content-encoding")
            .is_some_and(|encoding| encoding.contains("aws-chunked"));
    let body = if framed {
        aws_chunked::decode(&body).ok_or("malformed aws-chunked body")?
    } else {
        body
    };
    Ok(Call::S3(S3Request {
        method: parts.method.as_str().to_owned(),
        bucket: decode(bucket),
        key: decode(key),
        query: pairs(parts.uri.query().unwrap_or_default()),
        headers: parts
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect(),
        body,
    }))
}

/// The access key and region inside `Credential=AKID/20240101/us-east-1/s3/aws4_request`, or of a presigned URL.
fn credential(parts: &Parts) -> (Option<String>, Option<String>) {
    let scope = match header(parts, "authorization") {
        Some(text) => text
            .split_once("Credential=")
            .map(|(_, rest)| rest.to_owned()),
        None => pairs(parts.uri.query().unwrap_or_default())
            .into_iter()
            .find(|(name, _)| name == "X-Amz-Credential")
            .map(|(_, value)| value),
    };
    let Some(scope) = scope else {
        return (None, None);
    };
    let mut fields = scope
        .split([',', ' '])
        .next()
        .unwrap_or_default()
        .split('/');
    let key = fields.next().map(str::to_owned);
    (key, fields.nth(1).map(str::to_owned))
}

fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&name.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
