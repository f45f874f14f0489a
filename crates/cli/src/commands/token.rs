//! `tb token`: what programs and people open the workspace with.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::segment;
use crate::failure::Outcome;
use crate::printer::{Output, Printer};
use crate::prompt;
use crate::table::Table;
use crate::workspace::Session;

/// `tb token ls`. Texts only where they are asked for.
pub(crate) async fn ls(session: &Session, show: bool, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let answer = client.get("/v0/tokens", &[]).await?;
    let list = answer.get("tokens").and_then(Value::as_array);
    let columns = ["name", "id", "scopes", "token"];
    let mut table = Table::new(columns.into_iter().take(if show { 4 } else { 3 }));
    for token in list.into_iter().flatten() {
        let field = |key: &str| token.get(key).cloned().unwrap_or(Value::Null);
        let mut row = vec![field("name"), field("id"), scopes(token).into()];
        if show {
            row.push(field("token"));
        }
        table.push(row);
    }
    printer.table(&table);
    Ok(())
}

/// `tb token create`.
pub(crate) async fn create(
    session: &Session,
    name: &str,
    scopes: &[String],
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    let mut query = vec![("name", name)];
    query.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
    let request = client.request(Method::POST, "/v0/tokens").query(&query);
    let answer = client.json(request).await?;
    print(&answer, printer);
    printer.success(format_args!("Token {name} made"));
    Ok(())
}

/// `tb token rm`.
pub(crate) async fn rm(session: &Session, name: &str, yes: bool, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    if !yes {
        prompt::confirm(
            &format!("Remove token {name}? Whoever uses it is locked out."),
            "--yes",
        )?;
    }
    let path = format!("/v0/tokens/{}", segment(name));
    client.json(client.request(Method::DELETE, &path)).await?;
    if printer.output == Output::Json {
        printer.json(&json!({ "name": name, "removed": true }));
    }
    printer.success(format_args!("Token {name} removed"));
    Ok(())
}

/// `tb token refresh`.
pub(crate) async fn refresh(
    session: &Session,
    name: &str,
    yes: bool,
    printer: &Printer,
) -> Outcome {
    let client = session.workspace().await?;
    if !yes {
        prompt::confirm(
            &format!("Give token {name} a new text? Whoever uses the old one is locked out."),
            "--yes",
        )?;
    }
    let path = format!("/v0/tokens/{}/refresh", segment(name));
    let answer = client.json(client.request(Method::POST, &path)).await?;
    print(&answer, printer);
    printer.success(format_args!(
        "Token {name} has a new text; the old one stopped working"
    ));
    Ok(())
}

/// The text alone, so that a script can take it.
fn print(answer: &Value, printer: &Printer) {
    if printer.output == Output::Json {
        printer.json(answer);
    } else {
        let text = answer.get("token").and_then(Value::as_str);
        printer.data(text.unwrap_or_default());
    }
}

fn scopes(token: &Value) -> String {
    let list = token.get("scopes").and_then(Value::as_array);
    let text = |scope: &Value| {
        let of = |key: &str| scope.get(key).and_then(Value::as_str);
        match of("resource") {
            Some(resource) => format!("{}:{resource}", of("type").unwrap_or_default()),
            None => of("type").unwrap_or_default().to_owned(),
        }
    };
    let scopes: Vec<String> = list.into_iter().flatten().map(text).collect();
    scopes.join(", ")
}
