//! `tb info`: everything a command resolves before it starts.

use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::files;
use crate::printer::{Output, Printer};
use crate::resolve::Target;
use crate::workspace::Session;

/// The name of the token's workspace, if the server can be asked.
async fn current_workspace(session: &Session) -> Option<String> {
    let client = session.workspace().await.ok()?;
    let answer = client.get("/v1/workspace", &[]).await.ok()?;
    Some(answer.get("name")?.as_str()?.to_owned())
}

/// Shows project, server and workspace; a server that does not answer is part of the answer.
pub(crate) async fn run(session: &Session, printer: &Printer) -> Outcome {
    let project = files::read_project(&session.folder, &session.tinyb)?;
    let client = session.client()?;
    let health = client.get("/v0/health", &[]).await;
    let (environment, state, workspace) = match &session.target {
        Target::Local { state, token, .. } => {
            let name = token.is_none().then(|| session.workspace_name());
            ("local", Some(state.display().to_string()), name)
        }
        Target::Cloud { .. } if session.branch.is_some() => {
            ("branch", None, session.branch.clone())
        }
        Target::Cloud { .. } => ("cloud", None, current_workspace(session).await),
    };
    let version = health
        .as_ref()
        .ok()
        .and_then(|health| health.get("version"))
        .cloned()
        .unwrap_or(Value::Null);
    if printer.output == Output::Json {
        printer.json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "project": {"folder": project.root, "files": project.files.len()},
            "environment": environment,
            "server": {"address": client.address(), "answers": health.is_ok(), "version": version},
            "workspace": workspace,
            "state": state,
        }));
        return Ok(());
    }
    let answers = if health.is_ok() {
        "answers"
    } else {
        "does not answer"
    };
    let mut lines = vec![
        ("tb", env!("CARGO_PKG_VERSION").to_owned()),
        (
            "project",
            format!(
                "{} ({})",
                project.root.display(),
                crate::text::plural(project.files.len() as u64, "file")
            ),
        ),
        ("environment", environment.to_owned()),
        ("server", format!("{} ({answers})", client.address())),
    ];
    lines.extend(workspace.map(|name| ("workspace", name)));
    lines.extend(state.map(|state| ("state", state)));
    for (name, value) in lines {
        printer.data(format_args!("{name:12} {value}"));
    }
    Ok(())
}
