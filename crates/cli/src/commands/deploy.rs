//! `tb deploy`: checks the project, stages it on the server, and waits until it is live.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::build::form;
use super::changes::{self, Changes};
use super::check;
use crate::client::{Client, segment};
use crate::failure::{Exit, Failure, Outcome};
use crate::files::ProjectFiles;
use crate::follow;
use crate::printer::{Output, Printer};
use crate::progress::{Line, Progress};
use crate::resolve::Target;
use crate::workspace::Session;

/// Between two looks at a deployment.
const INTERVAL: Duration = Duration::from_secs(1);

/// The flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) allow_destructive: bool,
    /// Whether it becomes live once it is staged.
    pub(crate) promote: bool,
    /// Whether to wait until the deployment is live.
    pub(crate) wait_live: bool,
    /// Whether to wait for backfills after that.
    pub(crate) wait_backfill: bool,
}

/// Deploys the project.
pub(crate) async fn run(session: &Session, options: Options, printer: &Printer) -> Outcome {
    let project = check::before_upload(session, options.allow_destructive, printer)?;
    let client = session.workspace().await?;
    let progress = Progress::new(printer);
    let mut line = progress.line(printer);
    if printer.err_is_terminal() {
        line.say("Deploying");
    }
    let uploaded = client
        .upload("/v1/deploy", &query(session, options), form(&project))
        .await;
    line.clear();
    let (status, answer) = uploaded?;
    let deployment = answer.get("deployment").cloned().unwrap_or_default();
    let (accepted, changed) = match answer.get("result").and_then(Value::as_str) {
        Some("success") => (true, true),
        // The deployment in this answer is an older one, and so are its changes.
        Some("no_changes") => (true, false),
        Some(_) => (false, true),
        None => return Err(client.refusal(status, answer.to_string().as_bytes())),
    };
    let found = if changed && !deployment.is_null() {
        Changes::read(&deployment)?
    } else {
        Changes::default()
    };
    if !accepted {
        found.print_feedback(printer);
        return Err(changes::refused(&answer, "deployment", &project, printer));
    }
    if printer.output == Output::Json {
        printer.json(&answer);
    } else {
        found.print(&project, printer);
    }
    found.print_feedback(printer);
    if !changed {
        printer.success("The project is deployed already");
    } else if !options.promote {
        let id = deployment.get("id").and_then(Value::as_str);
        printer.success(format_args!(
            "Deployment {} is staged; make it live with: tb deployment promote",
            id.unwrap_or_default()
        ));
    } else {
        let id = deployment.get("id").and_then(Value::as_str);
        finish(&client, id.unwrap_or_default(), options, &project, printer).await?;
    }
    Ok(())
}

fn query(session: &Session, options: Options) -> Vec<(&'static str, &'static str)> {
    let mut query = Vec::new();
    if options.promote {
        query.push(("auto_promote", "true"));
    }
    if options.allow_destructive {
        query.push(("allow_destructive_operations", "true"));
    }
    if matches!(session.target, Target::Cloud { .. }) {
        query.push(("from", "cli"));
    }
    query
}

/// Waits as long as the flags say.
async fn finish(
    client: &Client,
    id: &str,
    options: Options,
    project: &ProjectFiles,
    printer: &Printer,
) -> Outcome {
    if !options.wait_live {
        printer.success(format_args!("Deployment {id} accepted"));
        return Ok(());
    }
    let progress = Progress::new(printer);
    let mut line = progress.line(printer);
    let ended = until_live(client, id, project, &mut line, printer).await;
    line.clear();
    ended?;
    printer.success(format_args!("Deployment {id} is live"));
    if options.wait_backfill {
        follow::backfills(client, Vec::new(), printer).await?;
    }
    Ok(())
}

/// Waits for `data_ready` and `live`; Ctrl-C leaves the deployment to the server.
async fn until_live(
    client: &Client,
    id: &str,
    project: &ProjectFiles,
    line: &mut Line,
    printer: &Printer,
) -> Outcome {
    tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(|error| Failure::new(Exit::Failed, "cannot listen for Ctrl-C").because(&error))?;
            printer.note(format!("\nDeployment {id} goes on on the server."));
            Err(Failure::told(Exit::Interrupted))
        }
        answer = poll(client, id, line) => match answer? {
            None => Ok(()),
            Some(failed) => Err(changes::refused(&failed, "deployment", project, printer)),
        },
    }
}

/// Returns nothing once the deployment is live, or the answer that tells why it never will be.
async fn poll(client: &Client, id: &str, line: &mut Line) -> Outcome<Option<Value>> {
    let path = format!("/v1/deployments/{}", segment(id));
    loop {
        let answer = client.json(client.request(Method::GET, &path)).await?;
        let field = |name: &str| {
            answer
                .get("deployment")
                .and_then(|deployment| deployment.get(name))
        };
        let status = field("status").and_then(Value::as_str).unwrap_or_default();
        let live = field("live").and_then(Value::as_bool).unwrap_or_default();
        match status {
            "data_ready" if live => return Ok(None),
            "failed" | "deleting" | "deleted" => return Ok(Some(answer)),
            _ => line.say(&format!("Deployment {id}: {}", status.replace('_', " "))),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
