//! `tb datasource sample`: some rows, without an export.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::datasource::existing;
use crate::client::segment;
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Printer};
use crate::progress::Progress;
use crate::text;
use crate::workspace::Session;

/// Between two looks at the job.
const INTERVAL: Duration = Duration::from_millis(300);

/// Fills the table of a data source with some items of its DynamoDB table.
pub(crate) async fn run(
    session: &Session,
    name: &str,
    rows: u64,
    wait: bool,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    existing(&client, name).await?;
    let path = format!("/v0/datasources/{}/sample", segment(name));
    let request = client
        .request(Method::POST, &path)
        .json(&json!({ "rows": rows }));
    let job = client.json(request).await?;
    let id = job
        .get("job_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !wait {
        if printer.output == Output::Json {
            printer.json(&job);
        }
        printer.success(format_args!("Sampling; look at it with: tb job show {id}"));
        return Ok(());
    }
    let path = format!("/v0/jobs/{}", segment(id));
    let progress = Progress::new(printer);
    let mut line = progress.line(printer);
    let job = loop {
        let job = client.get(&path, &[]).await?;
        if job.get("status").and_then(Value::as_str) != Some("working") {
            break job;
        }
        let of = |key: &str| job.get(key).and_then(Value::as_u64).unwrap_or(0);
        line.fill(of("done"), of("total").max(1), &format!("{name}: sampling"));
        tokio::time::sleep(INTERVAL).await;
    };
    line.clear();
    let Some(result) = job.get("result") else {
        let mut failure = Failure::new(Exit::Failed, format!("{name} could not be sampled"));
        failure
            .causes
            .extend(job.get("error").and_then(Value::as_str).map(str::to_owned));
        return Err(failure.hint("see the job again with: tb job show ".to_owned() + id));
    };
    if printer.output == Output::Json {
        printer.json(result);
    }
    let of = |key: &str| result.get(key).and_then(Value::as_u64).unwrap_or(0);
    let whole = result.get("whole_table") == Some(&Value::Bool(true));
    let how = if whole { ", the whole table" } else { "" };
    printer.success(format_args!(
        "{name} holds {} of its DynamoDB table{how}; they stay as they are until it is connected",
        text::plural(of("rows"), "item")
    ));
    if of("quarantined") > 0 {
        printer.warning(format!(
            "{} could not be converted; see: tb datasource quarantine ls {name}",
            text::plural(of("quarantined"), "item")
        ));
    }
    Ok(())
}
