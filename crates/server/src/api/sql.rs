//! `/v0/sql`: queries of users, inside their workspace's database only.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use mirror::error::{Error as PortError, ErrorKind};

use super::App;
use super::caller::Caller;
use super::error::{ApiError, ApiResult, warehouse_error};
use super::params::{QueryParams, form_pairs, is_form, read_body};

pub(super) async fn get(
    State(app): State<Arc<App>>,
    query: QueryParams,
    caller: Caller,
) -> ApiResult<Response> {
    let sql = query.get("q").ok_or_else(missing_sql)?;
    run(&app, &caller, sql, query.get("pipeline")).await
}

/// The body is the SQL, or a form or JSON object with `q`.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    query: QueryParams,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let bytes = read_body(body).await?;
    let pipeline = query.get("pipeline");
    if let Some(sql) = query.get("q") {
        return run(&app, &caller, sql, pipeline).await;
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| ApiError::bad_request("the body is not UTF-8 text"))?;
    if is_form(&headers)
        && let Some((_, sql)) = form_pairs(&bytes).into_iter().find(|(name, _)| name == "q")
    {
        return run(&app, &caller, &sql, pipeline).await;
    }
    if text.trim_start().starts_with('{')
        && let Ok(object) = serde_json::from_str::<serde_json::Value>(text)
        && let Some(sql) = object["q"].as_str()
    {
        return run(&app, &caller, sql, pipeline).await;
    }
    if text.trim().is_empty() {
        return Err(missing_sql());
    }
    run(&app, &caller, text, pipeline).await
}

async fn run(app: &App, caller: &Caller, sql: &str, pipeline: Option<&str>) -> ApiResult<Response> {
    // A token for one data source cannot be held to it: the query names its tables itself.
    caller.require_admin()?;
    if let Some(pipe) = pipeline {
        return Err(ApiError::bad_request(format!(
            "the parameter pipeline={pipe} needs the nodes of a pipe, which this version does not run"
        )));
    }
    let (sql, format) = split_format(sql);
    if sql.is_empty() {
        return Err(missing_sql());
    }
    app.deployer.ensure_database(&caller.workspace).await?;
    let answer = app
        .warehouse
        .user_query(
            &caller.workspace.database(),
            sql,
            format.unwrap_or("JSON"),
            &app.settings.query_limits,
        )
        .await
        .map_err(|error| refused(sql, &error))?;
    let content_type = content_type(&answer.format);
    Ok(([(CONTENT_TYPE, content_type)], answer.body).into_response())
}

/// ClickHouse's words, and what to do about tables that only the original has.
fn refused(sql: &str, error: &PortError) -> ApiError {
    // 81 is UNKNOWN_DATABASE.
    if matches!(error.kind, ErrorKind::Rejected { code: 81 }) && sql.contains("tinybird.") {
        return ApiError::bad_request(format!(
            "{}; the service data sources of Tinybird (tinybird.*) are not part of this version: deployments, jobs and mirrors by time are at GET /v0/logs, which Dynamirror's tb logs shows",
            error.report()
        ));
    }
    warehouse_error(error)
}

fn missing_sql() -> ApiError {
    ApiError::bad_request("there is no SQL: send it as the parameter q or as the body")
}

/// Splits `SELECT 1 FORMAT CSV;` into the query and the format it asks for at its end.
fn split_format(sql: &str) -> (&str, Option<&str>) {
    let sql = sql.trim().trim_end_matches(';').trim_end();
    let not_of_a_word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let last = sql.char_indices().rfind(|(_, c)| not_of_a_word(*c));
    let word_start = last.map_or(0, |(at, c)| at + c.len_utf8());
    let (rest, format) = sql.split_at(word_start);
    let keyword = rest.trim_end();
    if format.is_empty() || keyword.len() == rest.len() {
        return (sql, None);
    }
    let Some(at) = keyword.len().checked_sub("FORMAT".len()) else {
        return (sql, None);
    };
    let before = match keyword.get(at..) {
        Some(word) if word.eq_ignore_ascii_case("FORMAT") => &keyword[..at],
        _ => return (sql, None),
    };
    if before.trim_end().len() == before.len() {
        return (sql, None);
    }
    (before.trim_end(), Some(format))
}

/// Clients look for these words: `csv`, `ndjson`, anything else is read as JSON.
fn content_type(format: &str) -> &'static str {
    if matches!(format, "JSONEachRow" | "JSONLines" | "NDJSON")
        || format.starts_with("JSONCompactEachRow")
    {
        "application/x-ndjson"
    } else if format.starts_with("JSON") {
        "application/json"
    } else if format.starts_with("CSV") {
        "text/csv"
    } else if format.starts_with("TSV") || format.starts_with("TabSeparated") {
        "text/tab-separated-values"
    } else if matches!(
        format,
        "Parquet" | "Arrow" | "ArrowStream" | "Native" | "RowBinary" | "ORC" | "Avro"
    ) {
        "application/octet-stream"
    } else {
        "text/plain"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_at_the_end_is_understood() {
        let cases = [
            ("SELECT 1", ("SELECT 1", None)),
            ("SELECT 1 FORMAT JSON", ("SELECT 1", Some("JSON"))),
            (
                " select 1\nformat CSVWithNames ; ",
                ("select 1", Some("CSVWithNames")),
            ),
            ("SELECT format FROM t", ("SELECT format FROM t", None)),
            ("SELECT 'x FORMAT JSON'", ("SELECT 'x FORMAT JSON'", None)),
            ("SELECT myFORMAT x", ("SELECT myFORMAT x", None)),
            ("FORMAT JSON", ("FORMAT JSON", None)),
            ("SELECT 'é' FORMAT é", ("SELECT 'é' FORMAT é", None)),
            ("é FORMAT CSV", ("é", Some("CSV"))),
            ("", ("", None)),
        ];
        for (sql, wanted) in cases {
            assert_eq!(split_format(sql), wanted, "{sql:?}");
        }
    }

    #[test]
    fn content_types_hold_the_words_that_clients_look_for() {
        assert_eq!(content_type("JSON"), "application/json");
        assert_eq!(content_type("JSONEachRow"), "application/x-ndjson");
        assert_eq!(content_type("CSVWithNames"), "text/csv");
    }
}
