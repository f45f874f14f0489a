//! Samples: some rows of a table, for a branch or a Local server.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::Value;

use super::App;
use super::caller::Caller;
use super::datasources::find;
use super::error::{ApiError, ApiResult};
use super::jobs::{self, summary};
use super::params::AllParams;
use crate::jobs::{Job, Work};
use crate::sample::Sampling;

/// Items, unless asked for otherwise.
const ROWS: u64 = 1000;
const MAX_ROWS: u64 = 100_000;

/// Bytes of items, unless asked for otherwise: a Scan of so much is 16,384 read units.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// `{"rows": 1000, "max_bytes": 67108864}`, both optional; bytes also as `500MB`.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    caller: Caller,
    params: AllParams,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let row = find(&app, &caller, &name).await?;
    let workspace = &caller.workspace;
    if !app.settings.local && workspace.parent.is_none() {
        return Err(ApiError::bad_request(format!(
            "a sample is for branches and Local servers; make a branch with `tb branch create NAME`, then run: tb --branch=NAME datasource sample {}",
            row.name
        )));
    }
    if params.flag("full_export") {
        return Err(ApiError::bad_request(
            "a sample is never an export; for all rows run: tb build --with-connections",
        ));
    }
    let rows = number(&params, "rows")?.unwrap_or(ROWS);
    if !(1..=MAX_ROWS).contains(&rows) {
        return Err(ApiError::bad_request(format!(
            "rows must be a number from 1 to {MAX_ROWS}"
        )));
    }
    let max_bytes = params.get("max_bytes").map(bytes).transpose()?;
    let max_bytes = max_bytes.unwrap_or(MAX_BYTES).min(MAX_BYTES);
    let Some(sources) = app.sources.clone() else {
        return Err(ApiError::bad_request(super::integrations::NO_CREDENTIALS));
    };
    app.deployer
        .unconnected(workspace, &row.name)
        .await
        .map_err(ApiError::bad_request)?;
    let source = app
        .deployer
        .live_source(workspace, &row.name)
        .await?
        .map_err(ApiError::bad_request)?;
    let work = Work::Sample {
        datasource: row.name.clone(),
        rows,
        max_bytes,
    };
    let job = Job::new(&workspace.id, work, app.clock.now_ms());
    let job = jobs::begin(&app, job)?;
    let sampling = Sampling {
        sources,
        sink: Arc::clone(&app.sink),
        deployer: Arc::clone(&app.deployer),
        workspace: workspace.clone(),
        datasource: row.name,
        source,
        rows,
        max_bytes,
        job: Arc::clone(&job),
    };
    app.tasks.spawn(sampling.run());
    Ok(Json(summary(&job, &headers)))
}

fn number(params: &AllParams, name: &str) -> ApiResult<Option<u64>> {
    params
        .get(name)
        .map(|text| {
            text.parse()
                .map_err(|_| ApiError::bad_request(format!("{name} must be a whole number")))
        })
        .transpose()
}

/// `500`, `500MB`, `1 GiB`. What is too large to count is as much as there can be.
fn bytes(text: &str) -> ApiResult<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit_bytes: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => 0,
    };
    if digits == 0 || unit_bytes == 0 {
        return Err(ApiError::bad_request(
            "max_bytes must be a whole number of bytes, or one with a unit, as 500MB",
        ));
    }
    let count: u64 = count.parse().unwrap_or(u64::MAX);
    Ok(count.saturating_mul(unit_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_have_a_unit() {
        for (text, wanted) in [
            ("0", 0),
            ("500", 500),
            ("500MB", 500_000_000),
            ("1gb", 1_000_000_000),
            ("2 KiB", 2048),
            ("99999999999999999999GB", u64::MAX),
        ] {
            assert_eq!(bytes(text).ok(), Some(wanted), "{text}");
        }
        for text in ["", "MB", "1.5MB", "-1", "5 apples"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
