//! `tb logs`: what happened in the workspace, the latest last.

use serde_json::Value;

use crate::failure::Outcome;
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::text;
use crate::workspace::Session;

/// Prints the last `lines` events.
pub(crate) async fn run(session: &Session, lines: usize, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let limit = lines.to_string();
    let answer = client.get("/v0/logs", &[("limit", limit.as_str())]).await?;
    let events = answer.get("events").and_then(Value::as_array);
    let events = events.map_or(&[][..], Vec::as_slice);
    if printer.output != Output::Human {
        let mut table = Table::new(["time", "source", "name", "level", "message"]);
        for event in events {
            let field = |key: &str| event.get(key).cloned().unwrap_or(Value::Null);
            table.push(
                ["time", "source", "name", "level", "message"]
                    .map(field)
                    .to_vec(),
            );
        }
        printer.table(&table);
        return Ok(());
    }
    if events.is_empty() {
        printer.note("Nothing has happened here yet.");
    }
    for event in events {
        let of = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = match of("name") {
            "" => String::new(),
            name => format!(" {name}"),
        };
        printer.data(text::printable(&format!(
            "{} {:7} {}{name}: {}",
            of("time"),
            of("level"),
            of("source"),
            of("message")
        )));
    }
    Ok(())
}
