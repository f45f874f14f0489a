//! `tb workspace current`.

use serde_json::Value;

use crate::failure::Outcome;
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::workspace::Session;

/// Shows the workspace that commands use.
pub(crate) async fn run(session: &Session, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let answer = client.get("/v1/workspace", &[]).await?;
    let field = |key: &str| answer.get(key).cloned().unwrap_or(Value::Null);
    if printer.output == Output::Json {
        printer.json(&serde_json::json!({
            "name": field("name"), "id": field("id"), "server": client.address(),
        }));
        return Ok(());
    }
    let mut table = Table::new(["name", "id", "server"]);
    table.push(vec![field("name"), field("id"), client.address().into()]);
    printer.table(&table);
    Ok(())
}
