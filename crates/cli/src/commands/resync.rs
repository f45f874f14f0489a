//! `tb datasource resync`: a new backfill beside the table, which then takes its place.

use reqwest::Method;
use serde_json::{Value, json};

use super::datasource::existing;
use crate::client::segment;
use crate::failure::Outcome;
use crate::follow;
use crate::printer::{Output, Printer};
use crate::prompt;
use crate::text;
use crate::workspace::Session;

/// What the command was told.
#[derive(Debug)]
pub(crate) struct Options {
    /// Why.
    pub(crate) reason: Option<String>,
    /// Do not ask.
    pub(crate) yes: bool,
    /// Wait until the new table is in place.
    pub(crate) wait: bool,
}

/// `tb datasource resync`.
pub(crate) async fn run(
    session: &Session,
    name: &str,
    options: &Options,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    let datasource = existing(&client, name).await?;
    if !options.yes {
        let rows = datasource
            .pointer("/statistics/row_count")
            .and_then(Value::as_u64);
        let rows = rows.map_or_else(String::new, |rows| {
            format!(" ({})", text::plural(rows, "row"))
        });
        printer.note(format_args!(
            "A new full export of the DynamoDB table fills a new table beside {name}{rows}, which takes its place when it has caught up. AWS bills the export by the size of the table. {name} stays up to date meanwhile."
        ));
        prompt::confirm(&format!("Resync {name}?"), "--yes")?;
    }
    let path = format!("/v0/datasources/{}/resync", segment(name));
    let reason = options.reason.as_deref().unwrap_or("tb datasource resync");
    let request = client
        .request(Method::POST, &path)
        .json(&json!({ "reason": reason }));
    client.json(request).await?;
    let mut state = "resyncing";
    if options.wait {
        follow::resync(&client, name, printer).await?;
        state = "done";
        printer.success(format_args!("{name}: the new table is in place"));
    } else {
        printer.success(format_args!(
            "{name}: the resync has begun; watch it with: tb datasource ls"
        ));
    }
    if printer.output == Output::Json {
        printer.json(&json!({ "datasource": name, "resync": state }));
    }
    Ok(())
}
