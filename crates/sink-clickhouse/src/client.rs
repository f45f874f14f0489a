//! The HTTP client: one request, one answer, and what an exception looks like.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use mirror::error::{Error, ErrorKind, Result};
use reqwest::Body;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::endpoint::{Address, Credentials, Endpoint, Secret};
use crate::engine::Growth;
use crate::error::{CallError, exception};
use crate::users::Users;

const USER: HeaderName = HeaderName::from_static("x-clickhouse-user");
const KEY: HeaderName = HeaderName::from_static("x-clickhouse-key");
const FORMAT: HeaderName = HeaderName::from_static("x-clickhouse-format");
const SUMMARY: HeaderName = HeaderName::from_static("x-clickhouse-summary");
const EXCEPTION_CODE: HeaderName = HeaderName::from_static("x-clickhouse-exception-code");

/// Long enough for statements that wait for merges to stop and files to go.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);
/// Answers to statements of our own are small; this bounds a broken server.
const STATEMENT_ANSWER_BYTES: u64 = 64 << 20;
/// Exceptions are cut here.
const EXCEPTION_BYTES: u64 = 64 << 10;

/// ClickHouse, embedded or external. Cheap to share behind an `Arc`; holds the connections.
#[derive(Debug)]
pub struct ClickHouse {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) users: Users,
    warnings: Mutex<Vec<String>>,
}

/// How to treat an external server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalOptions {
    /// Refuse users' queries when the server does not let us make a user that may only read one database.
    /// Otherwise they run as the configured user, read-only, and [`ClickHouse::warnings`] says so.
    pub require_reader: bool,
}

/// One request.
pub(crate) struct Call<'a> {
    /// Parameters of the URL: settings, `database`, `query`, ...
    pub(crate) parameters: &'a [(&'a str, &'a str)],
    pub(crate) body: Body,
    pub(crate) timeout: Duration,
    /// Longest answer taken, bytes.
    pub(crate) max_answer_bytes: u64,
}

/// An answer that is no exception.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// `X-ClickHouse-Format`.
    pub(crate) format: Option<String>,
    /// `written_rows` of `X-ClickHouse-Summary`; true only with `wait_end_of_query=1`.
    pub(crate) written_rows: Option<u64>,
}

impl ClickHouse {
    pub(crate) fn embedded(endpoint: Arc<Endpoint>, growth: mpsc::Sender<Growth>) -> Self {
        Self {
            endpoint,
            users: Users::slots(growth),
            warnings: Mutex::default(),
        }
    }

    /// A server of somebody else's: `http://` or `https://`. Does not connect yet; use `ping`.
    pub fn external(
        url: &str,
        user: &str,
        password: &str,
        options: ExternalOptions,
    ) -> Result<Self> {
        // The URL is not repeated: it may hold a password.
        let invalid = |why: &str| {
            Error::new(
                ErrorKind::Permanent,
                format!("use CLICKHOUSE_URL: {why}; write it like https://host:8443"),
            )
        };
        let mut url = reqwest::Url::parse(url).map_err(|_| invalid("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(invalid("it is not an http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "user and password belong in CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
            ));
        }
        url.set_query(None);
        url.set_fragment(None);
        let admin = Credentials {
            user: user.to_owned(),
            password: Secret::new(password),
        };
        let address = Address::external(url, admin)?;
        Ok(Self {
            endpoint: Arc::new(Endpoint::new(Arc::new(address))),
            users: Users::server(options.require_reader),
            warnings: Mutex::default(),
        })
    }

    /// What an operator should know about this ClickHouse, once each.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&text) {
            tracing::warn!(warning = %text, "ClickHouse is not set up as it should be");
            warnings.push(text);
        }
    }

    /// Runs a statement as the administrator.
    pub(crate) async fn admin_statement(
        &self,
        sql: String,
    ) -> std::result::Result<Answer, CallError> {
        let address = self.endpoint.get()?;
        let admin = address.admin.clone();
        statement(&address, &admin, sql).await
    }

    /// The rows of a query of ours, run as the administrator.
    pub(crate) async fn admin_rows<T>(&self, sql: String, context: &str) -> Result<Vec<T>>
    where
        T: for<'de> Deserialize<'de>,
    {
        let answer = self
            .admin_statement(sql)
            .await
            .map_err(|error| error.of(context))?;
        rows_of(&answer, context)
    }
}

/// The rows of an answer in the format JSONEachRow.
pub(crate) fn rows_of<T>(answer: &Answer, context: &str) -> Result<Vec<T>>
where
    T: for<'de> Deserialize<'de>,
{
    let lines = answer.body.split(|byte| *byte == b'\n');
    let mut rows = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        rows.push(serde_json::from_slice(line).map_err(|error| {
            Error::with_source(
                ErrorKind::Corrupt,
                format!("{context}: read ClickHouse's answer"),
                error,
            )
        })?);
    }
    Ok(rows)
}

/// Runs a statement of ours; its answer, if any, has a row of JSON per line.
pub(crate) async fn statement(
    address: &Address,
    user: &Credentials,
    sql: String,
) -> std::result::Result<Answer, CallError> {
    let call = Call {
        parameters: &[
            ("wait_end_of_query", "1"),
            ("default_format", "JSONEachRow"),
            ("output_format_json_quote_64bit_integers", "0"),
            // The guard against dropping big tables is for people at a prompt.
            ("max_table_size_to_drop", "0"),
            ("max_partition_size_to_drop", "0"),
        ],
        body: sql.into(),
        timeout: STATEMENT_TIMEOUT,
        max_answer_bytes: STATEMENT_ANSWER_BYTES,
    };
    send(address, user, call).await
}

/// The far end of a body that is written while it is sent.
pub(crate) struct BodyWriter(mpsc::Sender<Option<Bytes>>);

impl BodyWriter {
    /// A body, and where to write it.
    pub(crate) fn new() -> (Self, Body) {
        let (sender, pieces) = mpsc::channel::<Option<Bytes>>(1);
        // A writer that goes away before its end breaks the request: half a body must never look like a whole one.
        let body = stream::unfold(Some(pieces), |pieces| async {
            let mut pieces = pieces?;
            match pieces.recv().await {
                Some(Some(piece)) => Some((Ok(piece), Some(pieces))),
                Some(None) => None,
                None => Some((
                    Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe)),
                    None,
                )),
            }
        });
        (Self(sender), Body::wrap_stream(body))
    }

    /// Writes all pieces, and the end. Stops early if the request is over; its answer tells why.
    pub(crate) async fn write(self, pieces: impl Iterator<Item = Bytes>) {
        for piece in pieces {
            if self.0.send(Some(piece)).await.is_err() {
                return;
            }
        }
        let _ = self.0.send(None).await;
    }
}

/// Sends one request and reads the whole answer.
pub(crate) async fn send(
    address: &Address,
    user: &Credentials,
    call: Call<'_>,
) -> std::result::Result<Answer, CallError> {
    let transport = |error: reqwest::Error| CallError::Transport(error.without_url());
    let mut response = address
        .http
        .post(address.url.clone())
        .query(call.parameters)
        .headers(identity(user)?)
        .timeout(call.timeout)
        .body(call.body)
        .send()
        .await
        .map_err(transport)?;
    let status = response.status();
    let code = text_of(response.headers(), &EXCEPTION_CODE).and_then(|text| text.parse().ok());
    let fine = status.is_success() && code.is_none();
    let limit = if fine {
        call.max_answer_bytes
    } else {
        EXCEPTION_BYTES
    };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > limit {
            if fine {
                return Err(CallError::TooLong(limit));
            }
            body.truncate(EXCEPTION_BYTES as usize);
            break;
        }
    }
    if !fine {
        let text = String::from_utf8_lossy(&body);
        if code.is_none() && !text.contains("DB::Exception") {
            return Err(CallError::Status(status.as_u16()));
        }
        return Err(exception(code, &text));
    }
    let summary = text_of(response.headers(), &SUMMARY);
    Ok(Answer {
        body,
        format: text_of(response.headers(), &FORMAT).map(str::to_owned),
        written_rows: summary.and_then(written_rows),
    })
}

fn identity(user: &Credentials) -> std::result::Result<HeaderMap, CallError> {
    let header = |text: &str| {
        HeaderValue::from_bytes(text.as_bytes()).map_err(|_| CallError::Exception {
            code: 516,
            text: "user and password cannot hold control characters (AUTHENTICATION_FAILED)"
                .to_owned(),
        })
    };
    let mut key = header(user.password.reveal())?;
    key.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (USER, header(&user.user)?),
        (KEY, key),
    ]))
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `{"read_rows":"1","written_rows":"2",...}`; numbers are in quotes.
fn written_rows(summary: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Summary {
        written_rows: String,
    }
    serde_json::from_str::<Summary>(summary)
        .ok()?
        .written_rows
        .parse()
        .ok()
}
