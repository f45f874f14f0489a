//! `tb build`: checks the project, uploads it, and follows the backfills it started.

use datafile::SourceFile;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::changes::{self, Changes};
use super::check;
use crate::failure::{Exit, Failure, Outcome};
use crate::files::ProjectFiles;
use crate::follow;
use crate::printer::{Output, Printer};
use crate::progress::Progress;
use crate::resolve::Target;
use crate::workspace::Session;

/// The flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) with_connections: bool,
    pub(crate) allow_destructive: bool,
    /// Whether to wait for backfills.
    pub(crate) wait: bool,
}

/// A backfill that began.
#[derive(Debug, PartialEq, Eq)]
struct Started {
    datasource: String,
    export_arn: String,
}

/// Builds the project.
pub(crate) async fn run(session: &Session, options: Options, printer: &Printer) -> Outcome {
    let project = check::before_upload(session, options.allow_destructive, printer)?;
    let client = session.workspace().await?;
    let mut query = Vec::new();
    if options.with_connections {
        query.push(("with_connections", "true"));
    }
    if options.allow_destructive {
        query.push(("allow_destructive_operations", "true"));
    }
    let progress = Progress::new(printer);
    let mut line = progress.line(printer);
    if printer.err_is_terminal() {
        line.say(if options.with_connections {
            "Building, and checking tables and roles"
        } else {
            "Building"
        });
    }
    let uploaded = client.upload("/v1/build", &query, form(&project)).await;
    line.clear();
    let (status, answer) = uploaded?;
    let build = match (
        answer.get("result").and_then(Value::as_str),
        answer.get("build"),
    ) {
        (Some("success"), Some(build)) => build,
        (Some("success" | "no_changes"), None) => &Value::Null,
        (Some(_), _) => return Err(changes::refused(&answer, "build", &project, printer)),
        (None, _) => return Err(client.refusal(status, answer.to_string().as_bytes())),
    };
    let found = if build.is_null() {
        Changes::default()
    } else {
        Changes::read(build)?
    };
    if printer.output == Output::Json {
        printer.json(&answer);
    } else {
        found.print(&project, printer);
    }
    found.print_feedback(printer);
    let started = started(build);
    for it in &started {
        printer.note(notice(it));
    }
    printer.success("Build done");
    if options.wait && options.with_connections {
        let names = started.into_iter().map(|it| it.datasource).collect();
        follow::backfills(&client, names, printer).await?;
    }
    Ok(())
}

fn notice(it: &Started) -> String {
    format!(
        "DynamoDB initial export backfill started for datasource '{}'\nExport ARN: {}",
        it.datasource, it.export_arn
    )
}

/// The exports that `build.data_linkers` tells of.
fn started(build: &Value) -> Vec<Started> {
    let list = |key: &str| {
        build
            .get(key)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut found = Vec::new();
    for linker in list("data_linkers") {
        let arn = linker
            .get("settings")
            .and_then(|settings| text(settings, "initial_export_arn"));
        let (Some("dynamodb"), Some(export_arn)) =
            (linker.get("service").and_then(Value::as_str), arn)
        else {
            continue;
        };
        let id = linker.get("datasource_id");
        let datasource = list("datasources")
            .iter()
            .find(|it| it.get("id") == id)
            .and_then(|it| text(it, "name"));
        found.push(Started {
            datasource: datasource.unwrap_or_else(|| "unknown".to_owned()),
            export_arn,
        });
    }
    found
}

/// A build changes a workspace at once and keeps no history: fine for one of your own, not for one that a team shares.
pub(crate) fn refuse_cloud(session: &Session) -> Outcome {
    if matches!(session.target, Target::Cloud { .. }) && session.branch.is_none() {
        return Err(Failure::new(
            Exit::Usage,
            "a Cloud workspace is changed by deployments, not by builds",
        )
        .hint("run `tb --cloud deploy`, or build in a branch: tb --branch=NAME build"));
    }
    Ok(())
}

/// The upload of a build or a deployment, as the official client sends it.
pub(crate) fn form(project: &ProjectFiles) -> Form {
    // A version part tells the server that paths are relative to the project, not just names.
    let version = Part::text("1.0.0").file_name("cli-version");
    // Names as they are: the official servers do not read the `name*=` form that slashes would bring.
    let form = Form::new()
        .percent_encode_noop()
        .part("context://", text_part(version));
    project
        .files
        .iter()
        .fold(form, |form, SourceFile { path, text }| {
            form.part(
                "data_project://",
                text_part(Part::text(text.clone()).file_name(path.clone())),
            )
        })
}

fn text_part(part: Part) -> Part {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(
        reqwest::header::CONTENT_TYPE,
        reqwest::header::HeaderValue::from_static("text/plain"),
    );
    part.headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_notice_names_data_source_and_export() {
        let build = json!({
            "datasources": [{"id": "t_1", "name": "orders"}],
            "data_linkers": [
                {"service": "dynamodb", "datasource_id": "t_1", "settings": {"initial_export_arn": "arn:1"}},
                {"service": "dynamodb", "datasource_id": "t_9", "settings": {"initial_export_arn": "arn:2"}},
                {"service": "dynamodb", "datasource_id": "t_1", "settings": {}},
                {"service": "s3", "datasource_id": "t_1", "settings": {"initial_export_arn": "arn:3"}}
            ]
        });
        let started = started(&build);
        let names: Vec<_> = started.iter().map(|it| it.datasource.as_str()).collect();
        assert_eq!(names, ["orders", "unknown"]);
        assert_eq!(
            notice(&started[0]),
            "DynamoDB initial export backfill started for datasource 'orders'\nExport ARN: arn:1"
        );
    }
}
