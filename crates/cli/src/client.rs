//! HTTP to one server: tokens, timeouts, and refusals turned into failures with a hint.

use std::time::Duration;

use reqwest::multipart::Form;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::failure::{Exit, Failure, Outcome};
use crate::resolve::Secret;

/// A server that answers at all accepts a connection within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most requests.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Builds and deployments: AWS may take five minutes to switch on a stream.
pub(crate) const BUILD_TIMEOUT: Duration = Duration::from_secs(900);
/// Queries; the server bounds them earlier.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_secs(600);

/// A server and a token.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    /// Whether to advise `tb local start` when nobody answers.
    local: bool,
}

/// An answer that is not JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `Content-Type`, or nothing.
    pub(crate) content_type: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// An answer, and the failure it stands for if the request failed.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The body.
    pub(crate) value: Value,
    /// Why the request failed.
    pub(crate) failure: Option<Failure>,
}

impl Client {
    /// A client without a token.
    pub(crate) fn new(base: Url, local: bool) -> Outcome<Self> {
        // A second call in one process finds the provider installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("dynamirror/", env!("CARGO_PKG_VERSION")));
        if local {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Failure::new(Exit::Server, "cannot set up HTTP on this machine").because(&error)
        })?;
        Ok(Self {
            http,
            base,
            token: None,
            local,
        })
    }

    /// The same server with a token.
    pub(crate) fn with_token(&self, token: Secret) -> Self {
        Self {
            token: Some(token),
            ..self.clone()
        }
    }

    /// `http://127.0.0.1:7181`.
    pub(crate) fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// A request to `path`, which starts with a slash and holds no reserved characters but its own slashes.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = self.http.request(method, url).timeout(TIMEOUT);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// `GET`, JSON.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Outcome<Value> {
        self.json(self.request(Method::GET, path).query(query))
            .await
    }

    /// `GET` that may find nothing.
    pub(crate) async fn find(&self, path: &str) -> Outcome<Option<Value>> {
        self.found(self.request(Method::GET, path)).await
    }

    /// A request that may find nothing.
    pub(crate) async fn found(&self, request: RequestBuilder) -> Outcome<Option<Value>> {
        let response = self.send(request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.read_json(response).await.map(Some)
    }

    /// `POST` of files; the answer is JSON whatever the status, as builds that failed have one to tell.
    pub(crate) async fn upload(
        &self,
        path: &str,
        query: &[(&str, &str)],
        form: Form,
    ) -> Outcome<(StatusCode, Value)> {
        let request = self
            .request(Method::POST, path)
            .query(query)
            .multipart(form)
            .timeout(BUILD_TIMEOUT);
        let response = self.send(request).await?;
        let status = response.status();
        let body = self.body(response).await?;
        match serde_json::from_slice::<Value>(&body) {
            Ok(value) if value.is_object() && !is_token_refusal(status) => Ok((status, value)),
            _ => Err(self.refusal(status, &body)),
        }
    }

    /// Sends, and reads a JSON answer of a request that succeeded.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Outcome<Value> {
        let response = self.send(request).await?;
        self.read_json(response).await
    }

    /// Sends, and reads JSON whatever the status: an error that says more than its text.
    pub(crate) async fn verdict(&self, request: RequestBuilder) -> Outcome<Verdict> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = self.body(response).await?;
        let value = serde_json::from_slice(&body).unwrap_or_default();
        let failure = (!status.is_success()).then(|| self.refusal(status, &body));
        Ok(Verdict { value, failure })
    }

    /// Sends, and reads any answer of a request that succeeded.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> Outcome<Answer> {
        let response = self.send(request).await?;
        let status = response.status();
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let body = self.body(response).await?;
        if status.is_success() {
            Ok(Answer { content_type, body })
        } else {
            Err(self.refusal(status, &body))
        }
    }

    async fn read_json(&self, response: Response) -> Outcome<Value> {
        let status = response.status();
        let body = self.body(response).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| self.stranger().because(&error))
    }

    async fn send(&self, request: RequestBuilder) -> Outcome<Response> {
        request
            .send()
            .await
            .map_err(|error| self.unreachable(error))
    }

    async fn body(&self, response: Response) -> Outcome<Vec<u8>> {
        match response.bytes().await {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    /// Nobody answered, or not in time.
    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let timed_out = error.is_timeout() && !error.is_connect();
        // The library's own levels ("client error (Connect)") explain nothing; the last cause does. The URL
        // stays out of it: queries may hold a user's data.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let (what, hint) = match (timed_out, self.local) {
            (true, _) => (
                "did not answer in time",
                "see what it is doing: `tb local logs`, or the log of the server's host",
            ),
            (false, true) => (
                "does not answer",
                "start it with `tb local start`; `tb local status` says whether it runs",
            ),
            (false, false) => (
                "cannot be reached",
                "check --host or TB_HOST, and that this machine may reach it",
            ),
        };
        let which = if self.local {
            "the Local server"
        } else {
            "the server"
        };
        Failure::new(
            Exit::Unreachable,
            format!("{which} at {} {what}", self.address()),
        )
        .because(cause)
        .hint(hint)
    }

    /// Something else listens there.
    fn stranger(&self) -> Failure {
        Failure::new(
            Exit::Unreachable,
            format!(
                "what answers at {} is not a Dynamirror server",
                self.address()
            ),
        )
        .hint("check the host and the port; `tb local status` shows where the Local server listens")
    }

    /// The server said no.
    pub(crate) fn refusal(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Some(text) = error_text(body) else {
            let failure = if status.is_server_error() {
                Failure::new(
                    Exit::Server,
                    format!(
                        "the server at {} failed with status {status}",
                        self.address()
                    ),
                )
            } else {
                self.stranger()
            };
            return if self.local {
                failure.hint("`tb local logs` may say why")
            } else {
                failure
            };
        };
        match status.as_u16() {
            401 | 403 => {
                let failure = Failure::new(Exit::Refused, text);
                let hint = if self.local {
                    "leave --token away to use the token of the project's own workspace"
                } else {
                    "check --token, TB_TOKEN or `tb login`; it must be a token of a workspace on this server"
                };
                failure.hint(hint)
            }
            409 => Failure::new(Exit::Refused, text),
            500.. => {
                let failure = Failure::new(Exit::Server, text);
                if self.local {
                    failure.hint("`tb local logs` may say more")
                } else {
                    failure
                }
            }
            _ => Failure::new(Exit::Failed, text),
        }
    }
}

fn is_token_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The text of an error answer: `{"error": "text"}` or `{"error": {"reason": "code", "message": "text"}}`.
pub(crate) fn error_text(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    match value.get("error")? {
        Value::String(text) => Some(text.clone()),
        Value::Object(error) => ["message", "reason"]
            .iter()
            .find_map(|key| error.get(*key)?.as_str())
            .map(str::to_owned),
        _ => None,
    }
}

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%5F", "_")
}
