//! `tb datasource verify`: the rows against DynamoDB, and their repair.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::datasource::existing;
use crate::client::{Client, segment};
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Printer};
use crate::progress::{Line, Progress};
use crate::table::Table;
use crate::text;
use crate::workspace::Session;

/// Between two looks at the job.
const INTERVAL: Duration = Duration::from_millis(300);

/// Keys that people see; programs see what the server lists.
const SHOWN: usize = 20;

/// A job as the server tells it.
#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    status: String,
    phase: String,
    done: u64,
    total: u64,
    error: Option<String>,
    result: Option<Report>,
}

#[derive(Debug, Deserialize)]
struct Report {
    checked: u64,
    differences: u64,
    repaired: u64,
    remaining: u64,
    changing: u64,
    unreadable: u64,
    keys: Vec<Key>,
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Key {
    kind: String,
    key: Map<String, Value>,
    repaired: bool,
}

/// `tb datasource verify`. Without `sample` every key is looked at.
pub(crate) async fn run(
    session: &Session,
    name: &str,
    sample: Option<u32>,
    repair: bool,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    existing(&client, name).await?;
    let path = format!("/v0/datasources/{}/verify", segment(name));
    let body = match sample {
        Some(count) => json!({ "mode": "sample", "count": count, "repair": repair }),
        None => json!({ "mode": "full", "repair": repair }),
    };
    let request = client.request(Method::POST, &path).json(&body);
    let job = parse(client.json(request).await?)?;
    let path = format!("/v0/jobs/{}", segment(&job.id));
    let progress = Progress::new(printer);
    let mut line = progress.line(printer);
    let answer = tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(|error| Failure::new(Exit::Failed, "cannot listen for Ctrl-C").because(&error))?;
            line.clear();
            // It changes nothing that the job would have to finish.
            let _ = client.json(client.request(Method::DELETE, &path)).await;
            return Err(Failure::new(Exit::Interrupted, "the verification was ended"));
        }
        answer = until_over(&client, &path, name, &mut line) => answer,
    };
    line.clear();
    let answer = answer?;
    let job = parse(answer.clone())?;
    let Some(report) = job.result else {
        let failure = Failure::new(Exit::Failed, format!("{name} could not be verified"));
        return Err(match job.error {
            Some(error) => Failure {
                causes: vec![error],
                ..failure
            },
            None => failure.hint("the job was ended by somebody; start it again"),
        });
    };
    match printer.output {
        Output::Json => printer.json(&answer["result"]),
        Output::Csv => printer.table(&table(&report.keys)),
        Output::Human => show(name, &report, printer),
    }
    if report.remaining > 0 {
        return Err(Failure::told(Exit::Failed));
    }
    Ok(())
}

async fn until_over(client: &Client, path: &str, name: &str, line: &mut Line) -> Outcome<Value> {
    loop {
        let answer = client.get(path, &[]).await?;
        let job = parse(answer.clone())?;
        if job.status != "working" {
            return Ok(answer);
        }
        let text = format!("{name}: {}", text::printable(&job.phase));
        match job.total {
            0 => line.say(&text),
            total => line.fill(job.done, total, &text),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn parse(answer: Value) -> Outcome<Job> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::new(
            Exit::Server,
            "the server describes its job in a way this `tb` does not understand",
        )
        .because(&error)
        .hint("use the same version on both sides; `tb local version` shows them")
    })
}

fn show(name: &str, report: &Report, printer: &Printer) {
    if !report.keys.is_empty() {
        let shown = &report.keys[..report.keys.len().min(SHOWN)];
        printer.table(&table(shown));
        let more = report.differences.saturating_sub(shown.len() as u64);
        if more > 0 {
            printer.note(format_args!(
                "... and {more} more; --output json lists them"
            ));
        }
    }
    for note in &report.notes {
        printer.warning(note);
    }
    if report.changing > 0 {
        printer.note(format_args!(
            "{} changed whenever it was looked at, so nothing is said of it",
            text::plural(report.changing, "key")
        ));
    }
    if report.unreadable > 0 {
        printer.note(format_args!(
            "{} cannot be held by the table; see: tb datasource quarantine ls {name}",
            text::plural(report.unreadable, "item")
        ));
    }
    let checked = text::plural(report.checked, "key");
    match (report.differences, report.remaining) {
        (0, _) => printer.success(format_args!("{name}: {checked} checked, no difference")),
        (all, 0) => printer.success(format_args!(
            "{name}: {checked} checked, {} found and repaired",
            text::plural(all, "difference")
        )),
        (all, remaining) => {
            let repaired = match report.repaired {
                0 => String::new(),
                repaired => format!(", {repaired} repaired, {remaining} left"),
            };
            printer.error(format_args!(
                "{name}: {checked} checked, {} found{repaired}",
                text::plural(all, "difference")
            ));
            printer.hint(format_args!(
                "tb datasource verify {name} --repair repairs single keys, tb datasource resync {name} the whole table"
            ));
        }
    }
}

fn table(keys: &[Key]) -> Table {
    let mut table = Table::new(["KIND", "KEY", "REPAIRED"]);
    for one in keys {
        table.push(vec![
            json!(one.kind),
            json!(Value::Object(one.key.clone()).to_string()),
            json!(if one.repaired { "yes" } else { "no" }),
        ]);
    }
    table
}
