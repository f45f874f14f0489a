//! Parameters of a request: the query, and the body if it is a form or JSON.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// Largest form or JSON body, bytes.
const MAX_FORM_BYTES: usize = 4 * 1024 * 1024;

/// Query parameters; the last of several equal ones counts.
#[derive(Debug, Default)]
pub(super) struct QueryParams(HashMap<String, String>);

impl QueryParams {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// `true`, `True`, `1` and `yes` are true.
    pub(super) fn flag(&self, name: &str) -> bool {
        let value = self.get(name).unwrap_or_default().to_ascii_lowercase();
        matches!(value.as_str(), "true" | "1" | "yes")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Ok(Query(pairs)) = pairs else {
            return Err(ApiError::bad_request("the query of the URL cannot be read"));
        };
        Ok(Self(pairs.into_iter().collect()))
    }
}

/// Parameters as they were sent, for those that may come several times: the query's, then the body's.
pub(super) struct ManyParams(Vec<(String, String)>);

impl ManyParams {
    /// The last one of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All of this name, the empty ones left out.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let values = self.0.iter().filter(move |(key, _)| key == name);
        values
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

impl<S: Send + Sync> FromRequest<S> for ManyParams {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(&mut parts, state).await;
        let Ok(Query(mut pairs)) = pairs else {
            return Err(ApiError::bad_request("the query of the URL cannot be read"));
        };
        pairs.extend(body_pairs(&read_body(body).await?));
        Ok(Self(pairs))
    }
}

/// Query parameters and those of a form or JSON body; the body's win.
#[derive(Debug, Default)]
pub(super) struct AllParams(QueryParams);

impl AllParams {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// See [`QueryParams::flag`].
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.flag(name)
    }

    /// Like `get`, but an empty value is a value.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.0.get(name).map(String::as_str)
    }
}

impl<S: Send + Sync> FromRequest<S> for AllParams {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let mut query = QueryParams::from_request_parts(&mut parts, state).await?;
        let bytes = read_body(body).await?;
        query.0.extend(body_pairs(&bytes));
        Ok(Self(query))
    }
}

/// A small body, whatever it is.
pub(super) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, MAX_FORM_BYTES)
        .await
        .map_err(|_| {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body cannot be read, or is larger than {MAX_FORM_BYTES} bytes"),
            )
        })
}

/// JSON objects give their texts, numbers and booleans; everything else is read as a form.
fn body_pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let text = bytes.trim_ascii_start();
    if text.first() == Some(&b'{')
        && let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(text)
    {
        return object
            .into_iter()
            .filter_map(|(name, value)| match value {
                serde_json::Value::String(text) => Some((name, text)),
                serde_json::Value::Number(number) => Some((name, number.to_string())),
                serde_json::Value::Bool(flag) => Some((name, flag.to_string())),
                _ => None,
            })
            .collect();
    }
    form_pairs(bytes)
}

pub(super) fn form_pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Vec::new();
    };
    // A form and a query are written the same way, and axum reads queries.
    let uri = axum::http::Uri::builder()
        .path_and_query(format!("/?{}", text.trim()))
        .build();
    let Ok(uri) = uri else { return Vec::new() };
    Query::<Vec<(String, String)>>::try_from_uri(&uri)
        .map(|Query(pairs)| pairs)
        .unwrap_or_default()
}

/// A token that came inside a form, for the caller to be found.
#[derive(Clone)]
pub(super) struct FormToken(pub(super) String);

/// Forms may carry `token=`; nobody else reads the body before the caller is known.
pub(super) async fn lift_form_token(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !is_form(headers) || headers.contains_key(AUTHORIZATION) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let bytes = match read_body(body).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    let token = form_pairs(&bytes)
        .into_iter()
        .find(|(name, _)| name == "token");
    if let Some((_, token)) = token {
        parts.extensions.insert(FormToken(token));
    }
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}
