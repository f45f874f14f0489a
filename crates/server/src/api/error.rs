//! Failures as clients see them: a status and `{"error": "text"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mirror::error::{Error as PortError, ErrorKind};
use serde_json::{Value, json};

use crate::deploy::DeployError;
use crate::store::StoreError;
use crate::telemetry;

/// A failure of a request. Never 429, 502 or 504: clients repeat those without end.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Value,
}

pub(super) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            body: json!({ "error": error.into() }),
        }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// An error that clients know by a word.
    pub(super) fn with_reason(status: StatusCode, reason: &str, message: &str) -> Self {
        Self {
            status,
            body: json!({ "error": { "reason": reason, "message": message } }),
        }
    }

    /// Something to know beside the error.
    pub(super) fn with_field(mut self, name: &str, value: Value) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(name.to_owned(), value);
        }
        self
    }

    /// The text of the error.
    pub(super) fn text(&self) -> String {
        self.body["error"].as_str().unwrap_or_default().to_owned()
    }

    /// A build or deployment that could not be tried.
    pub(super) fn into_failed_result(mut self) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert("result".to_owned(), json!("failed"));
        }
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        telemetry::request_failed(&error);
        let text = match error.kind() {
            ErrorKind::DiskFull => {
                "the server's disk is full: its metadata cannot be written; free some space and try again"
            }
            ErrorKind::Unavailable => "the server's metadata database is busy; try again",
            _ => "the server's metadata database failed; see the server's log (tb local logs)",
        };
        let status = match error.kind() {
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, text)
    }
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Store(error) => error.into(),
            DeployError::Warehouse(error) => warehouse_error(&error),
            DeployError::Progress(error) => {
                telemetry::request_failed(&error);
                let text =
                    format!("the progress of a mirror could not be stored ({error}); try again");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
            }
            DeployError::TableBusy { .. } => Self::bad_request(error.to_string()),
            DeployError::WorkspaceGone => {
                Self::not_found("the workspace has been deleted; see: tb workspace ls")
            }
        }
    }
}

/// ClickHouse's refusals are the user's business, everything else is the server's.
pub(super) fn warehouse_error(error: &PortError) -> ApiError {
    match &error.kind {
        // 497 is ACCESS_DENIED: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
        ErrorKind::Rejected { code: 497 } => ApiError::forbidden(error.report()),
        ErrorKind::Rejected { .. } => ApiError::bad_request(error.report()),
        kind if kind.passes() => {
            telemetry::request_failed(error);
            let text = format!("ClickHouse cannot answer right now ({error}); try again");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        _ => {
            telemetry::request_failed(error);
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.report())
        }
    }
}

pub(super) async fn no_such_endpoint(request: axum::extract::Request) -> ApiError {
    ApiError::not_found(format!(
        "there is no {} {} in this API",
        request.method(),
        request.uri().path()
    ))
}

pub(super) async fn method_not_allowed(request: axum::extract::Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} does not take {}",
            request.uri().path(),
            request.method()
        ),
    )
}
