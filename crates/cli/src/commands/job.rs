//! `tb job`: verifications, samples and branches, under way and over.

use reqwest::Method;
use serde_json::Value;

use crate::client::segment;
use crate::failure::Outcome;
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::text;
use crate::workspace::Session;

/// `tb job ls`.
pub(crate) async fn ls(session: &Session, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let answer = client.get("/v0/jobs", &[]).await?;
    let list = answer.get("jobs").and_then(Value::as_array);
    let list = list.map_or(&[][..], Vec::as_slice);
    if list.is_empty() && printer.output == Output::Human {
        printer.note("No jobs. Verifications and samples are jobs; they are forgotten when the server stops.");
        return Ok(());
    }
    let human = printer.output == Output::Human;
    let columns = ["id", "kind", "about", "status", "created_at", "updated_at"];
    // An id that is wrapped cannot be copied, so people get one time only, and no more than its seconds.
    let mut table = Table::new(columns.into_iter().take(if human { 5 } else { 6 }));
    for job in list {
        let field = |key: &str| job.get(key).cloned().unwrap_or(Value::Null);
        let about = [field("datasource"), field("branch")];
        let about = about.into_iter().find(|it| !it.is_null());
        let time = |key: &str| match field(key) {
            Value::String(text) if human => text.chars().take(19).collect::<String>().into(),
            other => other,
        };
        let mut row = vec![
            field("id"),
            field("kind"),
            about.unwrap_or(Value::Null),
            field("status"),
            time("created_at"),
            time("updated_at"),
        ];
        row.truncate(if human { 5 } else { 6 });
        table.push(row);
    }
    printer.table(&table);
    Ok(())
}

/// `tb job show`.
pub(crate) async fn show(session: &Session, id: &str, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let job = client
        .get(&format!("/v0/jobs/{}", segment(id)), &[])
        .await?;
    print(&job, printer);
    Ok(())
}

/// `tb job cancel`.
pub(crate) async fn cancel(session: &Session, id: &str, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let path = format!("/v0/jobs/{}/cancel", segment(id));
    let job = client.json(client.request(Method::POST, &path)).await?;
    if printer.output == Output::Json {
        printer.json(&job);
    }
    let status = job.get("status").and_then(Value::as_str);
    match status.unwrap_or_default() {
        "cancelling" | "cancelled" => printer.success(format_args!("Job {id} is ended")),
        status => printer.note(format_args!("Job {id} is over already: {status}")),
    }
    Ok(())
}

fn print(job: &Value, printer: &Printer) {
    if printer.output == Output::Json {
        printer.json(job);
        return;
    }
    let fields = job.as_object().into_iter().flatten();
    for (name, value) in fields {
        let shown = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        printer.data(format_args!("{name:12} {}", text::printable(&shown)));
    }
}
