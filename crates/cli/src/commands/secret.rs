//! `tb secret`: values that datafiles name and nobody reads back.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::segment;
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Printer};
use crate::prompt;
use crate::resolve::Secret;
use crate::table::Table;
use crate::workspace::Session;

/// The value to set: the argument, else what a person or stdin says.
pub(crate) fn value(name: &str, argument: Option<String>) -> Outcome<Secret> {
    match argument {
        Some(value) => Ok(Secret::new(value)),
        None => prompt::secret(&format!("Value of {name}")),
    }
}

/// `tb secret set`.
pub(crate) async fn set(
    session: &Session,
    name: &str,
    value: &Secret,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    let path = format!("/v0/variables/{}", segment(name));
    let exists = client.find(&path).await?.is_some();
    let request = if exists {
        client
            .request(Method::PUT, &path)
            .form(&[("value", value.expose())])
    } else {
        client
            .request(Method::POST, "/v0/variables")
            .form(&[("name", name), ("value", value.expose())])
    };
    client.json(request).await?;
    if printer.output == Output::Json {
        printer.json(&json!({ "name": name, "changed": exists }));
    }
    printer.success(format_args!(
        "Secret {name} {}",
        if exists { "changed" } else { "set" }
    ));
    if exists {
        printer.note("Running mirrors use the new value after the next `tb build --with-connections` or `tb deploy`.");
    }
    Ok(())
}

/// `tb secret ls`.
pub(crate) async fn ls(session: &Session, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let answer = client.get("/v0/variables", &[]).await?;
    // Only in a branch: what it has from its workspace.
    let mut columns = vec!["name", "created_at", "updated_at"];
    if answer.to_string().contains("\"inherited\"") {
        columns.push("inherited");
    }
    let mut table = Table::new(columns.iter().copied());
    for variable in answer
        .get("variables")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        table.push(
            columns
                .iter()
                .map(|key| match (*key, variable.get(*key)) {
                    ("inherited", None) => Value::Bool(false),
                    (_, value) => value.cloned().unwrap_or_default(),
                })
                .collect(),
        );
    }
    if table.is_empty() && printer.output == Output::Human {
        printer.note("No secrets. Set one with: tb secret set NAME");
        return Ok(());
    }
    printer.table(&table);
    Ok(())
}

/// `tb secret rm`.
pub(crate) async fn rm(session: &Session, name: &str, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let path = format!("/v0/variables/{}", segment(name));
    if client.find(&path).await?.is_none() {
        return Err(
            Failure::new(Exit::Failed, format!("there is no secret {name}"))
                .hint("`tb secret ls` lists them"),
        );
    }
    client.json(client.request(Method::DELETE, &path)).await?;
    if printer.output == Output::Json {
        printer.json(&json!({"removed": name}));
    }
    printer.success(format_args!("Secret {name} removed"));
    Ok(())
}
