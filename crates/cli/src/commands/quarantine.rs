//! `tb datasource quarantine`: records that could not be converted.

use reqwest::Method;
use serde_json::{Value, json};

use super::datasource::existing;
use crate::client::{QUERY_TIMEOUT, segment};
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::text;
use crate::workspace::Session;

/// Records in one answer of the server.
const PAGE: u64 = 100;

fn path(name: &str) -> String {
    format!("/v0/datasources/{}/quarantine", segment(name))
}

fn text_of<'a>(record: &'a Value, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `tb datasource quarantine ls`.
pub(crate) async fn ls(session: &Session, name: &str, limit: u64, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    existing(&client, name).await?;
    let mut table = Table::new(["origin", "position", "column", "reason", "at"]);
    let (mut after, mut left) = (String::new(), limit);
    let mut more = false;
    while left > 0 {
        let page = left.min(PAGE).to_string();
        let query = [("limit", page.as_str()), ("after", after.as_str())];
        let answer = client.get(&path(name), &query).await?;
        let records = answer.get("records").and_then(Value::as_array);
        for record in records.into_iter().flatten() {
            let columns = ["origin", "position", "column", "reason", "at"];
            table.push(
                columns
                    .map(|column| json!(text_of(record, column)))
                    .to_vec(),
            );
            left = left.saturating_sub(1);
        }
        after = text_of(&answer, "next").to_owned();
        more = !after.is_empty();
        if !more {
            break;
        }
    }
    if table.is_empty() && printer.output == Output::Human {
        printer.success(format_args!("{name}: nothing in quarantine"));
        return Ok(());
    }
    printer.table(&table);
    if more {
        printer.note(format_args!(
            "There are more; see them with --limit {}",
            limit * 10
        ));
    }
    Ok(())
}

/// `tb datasource quarantine show`.
pub(crate) async fn show(
    session: &Session,
    name: &str,
    origin: &str,
    position: &str,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    existing(&client, name).await?;
    let query = [("origin", origin), ("position", position)];
    let answer = client.get(&path(name), &query).await?;
    if printer.output == Output::Json {
        printer.json(answer.get("records").unwrap_or(&Value::Null));
        return Ok(());
    }
    let records = answer.get("records").and_then(Value::as_array);
    let records = records.map(Vec::as_slice).unwrap_or_default();
    for record in records {
        let column = match text_of(record, "column") {
            "" => String::new(),
            column => format!("column {column}: "),
        };
        printer.note(format_args!(
            "{column}{}",
            text::printable(text_of(record, "reason"))
        ));
    }
    // The same record once, whoever refused it.
    if let Some(record) = records.first() {
        printer.data(text::printable(text_of(record, "raw_record")));
    }
    Ok(())
}

/// `tb datasource quarantine replay`.
pub(crate) async fn replay(
    session: &Session,
    name: &str,
    dry_run: bool,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    existing(&client, name).await?;
    let path = format!("{}/replay", path(name));
    let request = client
        .request(Method::POST, &path)
        .json(&json!({ "dry_run": dry_run }))
        .timeout(QUERY_TIMEOUT);
    let answer = client.json(request).await?;
    let replayed = answer.get("replayed").and_then(Value::as_u64).unwrap_or(0);
    let failed = answer.get("failed").and_then(Value::as_array);
    let failed = failed.map(Vec::as_slice).unwrap_or_default();
    let count = |one: &Value| one.get("records").and_then(Value::as_u64).unwrap_or(0);
    let left: u64 = failed.iter().map(count).sum();
    if printer.output == Output::Json {
        printer.json(&answer);
    } else if !failed.is_empty() {
        let mut table = Table::new(["records", "reason"]).right([0]);
        for one in failed {
            table.push(vec![json!(count(one)), json!(text_of(one, "reason"))]);
        }
        printer.table(&table);
    }
    let (would, records) = (
        if dry_run { "would be " } else { "" },
        text::plural(replayed, "record"),
    );
    let said = format!("{name}: {records} {would}put back");
    if left == 0 {
        printer.success(said);
        return Ok(());
    }
    printer.error(format_args!(
        "{said}, {} {}",
        text::plural(left, "record"),
        match (dry_run, left) {
            (true, _) => "would stay",
            (false, 1) => "stays in quarantine",
            (false, _) => "stay in quarantine",
        }
    ));
    printer.hint("change the column that refuses them, deploy, and replay again");
    Err(Failure::told(Exit::Failed))
}
