//! `tb workspace`: the workspaces of a server, and the one that commands use.

use serde_json::Value;

use crate::failure::Outcome;
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::workspace::Session;

/// `tb workspace ls`. On the Local server all of them, elsewhere those that the token opens.
pub(crate) async fn ls(session: &Session, printer: &Printer) -> Outcome {
    let current = session.workspace().await?;
    let current = current.get("/v1/workspace", &[]).await?;
    let current = current.get("id").cloned().unwrap_or(Value::Null);
    let client = session.all_workspaces().await?;
    let answer = client
        .get("/v1/user/workspaces", &[("with_environments", "true")])
        .await?;
    let list = answer
        .get("workspaces")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut table = Table::new(["name", "id", "branch_of", "current"]);
    for workspace in list {
        let field = |key: &str| workspace.get(key).cloned().unwrap_or(Value::Null);
        let parent = field("main");
        let parent = list
            .iter()
            .find(|it| !parent.is_null() && it.get("id") == Some(&parent))
            .and_then(|it| it.get("name").cloned())
            .unwrap_or(parent);
        table.push(vec![
            field("name"),
            field("id"),
            parent,
            (field("id") == current).into(),
        ]);
    }
    printer.table(&table);
    Ok(())
}

/// `tb workspace current`.
pub(crate) async fn current(session: &Session, printer: &Printer) -> Outcome {
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
