//! `tb branch`: workspaces made from the Cloud one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, segment};
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Printer};
use crate::prompt;
use crate::table::Table;
use crate::text;
use crate::workspace::Session;

/// `tb branch create`. A branch is there as soon as the server has answered.
pub(crate) async fn create(session: &Session, name: &str, printer: &Printer) -> Outcome {
    let client = session.main_workspace()?;
    let request = client
        .request(Method::POST, "/v1/environments")
        .query(&[("name", name)]);
    let answer = client.json(request).await?;
    let job = answer.get("job");
    let status = job
        .and_then(|job| job.get("status"))
        .and_then(Value::as_str);
    if status == Some("error") {
        return Err(Failure::new(
            Exit::Server,
            format!("the server could not make branch {name}"),
        ));
    }
    if printer.output == Output::Json {
        let id = answer.pointer("/workspace/id").cloned();
        printer.json(&json!({ "name": name, "id": id, "server": client.address() }));
    }
    printer.success(format_args!("Branch {name} made"));
    printer.note(format_args!(
        "Build in it with: tb --branch={name} build\nIt has no rows yet; --with-connections starts an export of its own, which AWS bills,\nand `tb --branch={name} datasource sample NAME` takes some rows by a Scan."
    ));
    Ok(())
}

/// `tb branch ls`.
pub(crate) async fn ls(session: &Session, printer: &Printer) -> Outcome {
    let client = session.main_workspace()?;
    let branches = list(&client).await?;
    if branches.is_empty() && printer.output == Output::Human {
        printer.note("No branches. Make one with: tb branch create NAME");
        return Ok(());
    }
    let mut table = Table::new(["name", "id", "created_at"]);
    for branch in &branches {
        let field = |key: &str| branch.get(key).cloned().unwrap_or(Value::Null);
        table.push(vec![field("name"), field("id"), field("created_at")]);
    }
    printer.table(&table);
    Ok(())
}

/// `tb branch rm`.
pub(crate) async fn rm(session: &Session, name: &str, yes: bool, printer: &Printer) -> Outcome {
    let client = session.main_workspace()?;
    let branches = list(&client).await?;
    let of = |branch: &Value, key: &str| {
        let text = branch.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let Some(branch) = branches.iter().find(|branch| of(branch, "name") == name) else {
        let names: Vec<String> = branches.iter().map(|branch| of(branch, "name")).collect();
        return Err(unknown(
            name,
            &names,
            "`tb branch ls` lists those there are",
        ));
    };
    if !yes {
        prompt::confirm(
            &format!("Remove branch {name} with all its tables?"),
            "--yes",
        )?;
    }
    let path = format!("/v0/environments/{}", segment(&of(branch, "id")));
    client.json(client.request(Method::DELETE, &path)).await?;
    if printer.output == Output::Json {
        printer.json(&json!({ "name": name, "removed": true }));
    }
    printer.success(format_args!("Branch {name} removed"));
    Ok(())
}

/// There is no branch to work in.
pub(crate) fn missing(name: &str, known: &[String]) -> Failure {
    let make =
        format!("make it with `tb branch create {name}`; `tb branch ls` lists those there are");
    unknown(name, known, &make)
}

/// Names the branch that was probably meant.
fn unknown(name: &str, known: &[String], otherwise: &str) -> Failure {
    let hint = match text::closest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => otherwise.to_owned(),
    };
    Failure::new(Exit::Failed, format!("there is no branch {name}")).hint(hint)
}

async fn list(client: &Client) -> Outcome<Vec<Value>> {
    let answer = client.get("/v1/environments", &[]).await?;
    let list = answer.get("environments").and_then(Value::as_array);
    Ok(list.cloned().unwrap_or_default())
}
