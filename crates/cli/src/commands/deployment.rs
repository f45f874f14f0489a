//! `tb deployment`: deployments that are staged, made live or thrown away.

use reqwest::Method;
use serde_json::{Value, json};

use super::changes;
use crate::client::{Client, segment};
use crate::failure::{Exit, Failure, Outcome};
use crate::files::ProjectFiles;
use crate::follow;
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::workspace::Session;

/// `tb deployment ls`, the latest first.
pub(crate) async fn ls(session: &Session, include_deleted: bool, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let list = list(&client, include_deleted).await?;
    if list.is_empty() && printer.output == Output::Human {
        printer.note("No deployments. Make one with: tb deploy");
        return Ok(());
    }
    let mut table = Table::new(["id", "status", "live", "created_at", "changes"]);
    for deployment in list.iter().rev() {
        let field = |key: &str| deployment.get(key).cloned().unwrap_or(Value::Null);
        table.push(vec![
            field("id"),
            field("status"),
            field("live"),
            field("created_at"),
            changes::counted(deployment).into(),
        ]);
    }
    printer.table(&table);
    Ok(())
}

/// `tb deployment promote`.
pub(crate) async fn promote(
    session: &Session,
    id: Option<&str>,
    wait: bool,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    let id = staged(&client, id, "promote").await?;
    let path = format!("/v1/deployments/{}/set-live", segment(&id));
    let request = client
        .request(Method::POST, &path)
        .timeout(crate::client::BUILD_TIMEOUT);
    let answer = client.json(request).await?;
    let deployment = answer.get("deployment").cloned().unwrap_or_default();
    let found = changes::Changes::read(&deployment)?;
    if answer.get("result").and_then(Value::as_str) == Some("failed") {
        found.print_feedback(printer);
        let project = ProjectFiles {
            root: session.folder.clone(),
            files: Vec::new(),
        };
        return Err(changes::refused(&answer, "deployment", &project, printer));
    }
    if printer.output == Output::Json {
        printer.json(&answer);
    }
    found.print_feedback(printer);
    printer.success(format_args!("Deployment {id} is live"));
    if wait {
        follow::backfills(&client, Vec::new(), printer).await?;
    }
    Ok(())
}

/// `tb deployment discard`.
pub(crate) async fn discard(session: &Session, id: Option<&str>, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let id = staged(&client, id, "discard").await?;
    let path = format!("/v1/deployments/{}", segment(&id));
    let answer = client.json(client.request(Method::DELETE, &path)).await?;
    if printer.output == Output::Json {
        printer.json(&json!({ "id": id, "deployment": answer.get("deployment") }));
    }
    printer.success(format_args!("Deployment {id} discarded; nothing changed"));
    Ok(())
}

/// The deployment that was named, or the latest one that is staged.
async fn staged(client: &Client, id: Option<&str>, verb: &str) -> Outcome<String> {
    if let Some(id) = id {
        return Ok(id.to_owned());
    }
    let list = list(client, false).await?;
    let of = |deployment: &Value, key: &str| {
        let text = deployment.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    // One that was live before and is not any more is no candidate.
    let live: u64 = list
        .iter()
        .filter(|it| it.get("live") == Some(&Value::Bool(true)))
        .find_map(|it| of(it, "id").parse().ok())
        .unwrap_or(0);
    let candidate = list.iter().rev().find(|it| {
        of(it, "status") == "data_ready" && of(it, "id").parse().is_ok_and(|id: u64| id > live)
    });
    candidate.map(|it| of(it, "id")).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("there is no staged deployment to {verb}"),
        )
        .hint("stage one with `tb deployment create`; `tb deployment ls` lists them")
    })
}

async fn list(client: &Client, include_deleted: bool) -> Outcome<Vec<Value>> {
    let query: &[(&str, &str)] = match include_deleted {
        true => &[("include_deleted", "true")],
        false => &[],
    };
    let answer = client.get("/v1/deployments", query).await?;
    let list = answer.get("deployments").and_then(Value::as_array);
    Ok(list.cloned().unwrap_or_default())
}
