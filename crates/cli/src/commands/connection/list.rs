//! `tb connection ls`: what the project and the environments say about connections.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::environments::Sessions;
use super::project_view::{ProjectView, push_new};
use crate::client::Client;
use crate::failure::{Exit, Outcome};
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::workspace::Session;

#[derive(Default)]
struct Row {
    kind: String,
    region: String,
    role: String,
    datasources: Vec<String>,
    environments: Vec<String>,
}

/// `tb connection ls`.
pub(crate) async fn run(sessions: &Sessions, printer: &Printer) -> Outcome {
    let view = ProjectView::read(&sessions.local)?;
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for connection in &view.project.connections {
        let row = rows.entry(connection.name.clone()).or_default();
        row.kind.clone_from(&connection.kind.value);
        row.region = connection.region.to_string();
        row.role = shown(&connection.role_arn.to_string());
        for datasource in view.users(&connection.name) {
            push_new(&mut row.datasources, &datasource.name);
        }
    }
    let mut notes = Vec::new();
    for (name, session) in [
        ("local", Ok(&sessions.local)),
        ("cloud", sessions.cloud.as_ref()),
    ] {
        let Ok(session) = session else { continue };
        match connectors(session).await {
            Ok((connectors, datasources)) => add(&mut rows, name, &connectors, &datasources),
            // A token that is refused is news; a server that does not run is not.
            Err(failure) if failure.exit == Exit::Unreachable => {
                printer.detail(format_args!("{name}: {}", failure.problem));
            }
            Err(failure) => notes.push(format!("{name}: {}", failure.problem)),
        }
    }
    for note in notes {
        printer.warning(note);
    }
    if rows.is_empty() && printer.output == Output::Human {
        printer.note("No connections. Make one with: tb connection create dynamodb");
        return Ok(());
    }
    let columns = [
        "name",
        "type",
        "region",
        "role",
        "datasources",
        "environments",
    ];
    let mut table = Table::new(columns);
    for (name, row) in rows {
        let list = |items: &[String]| match printer.output {
            Output::Json => json!(items),
            _ => json!(items.join(", ")),
        };
        table.push(vec![
            json!(name),
            json!(row.kind),
            json!(row.region),
            json!(row.role),
            list(&row.datasources),
            list(&row.environments),
        ]);
    }
    printer.table(&table);
    Ok(())
}

/// A role as its file says it; a secret by its name.
fn shown(role: &str) -> String {
    let secret = role
        .strip_prefix("{{ tb_secret(\"")
        .and_then(|rest| rest.strip_suffix("\") }}"));
    secret.map_or_else(|| role.to_owned(), |name| format!("secret {name}"))
}

/// The connections that a server has, and the names of its data sources by id.
async fn connectors(session: &Session) -> Outcome<(Value, BTreeMap<String, String>)> {
    let client: Client = session.workspace().await?;
    let connectors = client.get("/v0/connectors", &[]).await?;
    let answer = client.get("/v0/datasources", &[]).await?;
    let list = answer.get("datasources").and_then(Value::as_array);
    let datasources = list.into_iter().flatten().filter_map(|one| {
        let text = |name: &str| Some(one.get(name)?.as_str()?.to_owned());
        Some((text("id")?, text("name")?))
    });
    Ok((connectors, datasources.collect()))
}

fn add(
    rows: &mut BTreeMap<String, Row>,
    environment: &str,
    connectors: &Value,
    datasources: &BTreeMap<String, String>,
) {
    let list = connectors.get("connectors").and_then(Value::as_array);
    for connector in list.into_iter().flatten() {
        let text = |path: &str| {
            let value = connector.pointer(path).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let row = rows.entry(text("/name")).or_default();
        push_new(&mut row.environments, environment);
        if row.kind.is_empty() {
            row.kind = text("/service");
            row.region = text("/settings/dynamodb_iamrole_region");
            row.role = shown(&text("/settings/dynamodb_iamrole_arn"));
        }
        let linkers = connector.get("linkers").and_then(Value::as_array);
        for linker in linkers.into_iter().flatten() {
            let id = linker.get("datasource_id").and_then(Value::as_str);
            if let Some(name) = id.and_then(|id| datasources.get(id)) {
                push_new(&mut row.datasources, name);
            }
        }
    }
}
