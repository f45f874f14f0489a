//! `tb connection rm`: takes a connection out of the project.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::environments::Sessions;
use super::project_view::{ProjectView, only_secret};
use crate::failure::{Exit, Failure, Outcome};
use crate::files;
use crate::printer::{Output, Printer};
use crate::prompt;
use crate::text;

/// `tb connection rm`.
pub(crate) fn run(
    sessions: &Sessions,
    name: &str,
    with_datasources: bool,
    yes: bool,
    printer: &Printer,
) -> Outcome {
    let view = ProjectView::read(&sessions.local)?;
    let connection = view.known_connection(name)?;
    let users = view.users(name);
    let named: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    if !users.is_empty() && !with_datasources {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "{} of this project use{} {name}: {}",
                text::plural(users.len() as u64, "data source"),
                if users.len() == 1 { "s" } else { "" },
                named.join(", ")
            ),
        )
        .hint("remove their files first, or give --with-datasources"));
    }
    // Data sources first: whatever stops this halfway leaves a project that can be read.
    let mut paths: Vec<&str> = users.iter().map(|user| user.path.as_str()).collect();
    paths.push(&connection.path);
    if !yes {
        prompt::confirm(&format!("Remove {}?", paths.join(", ")), "--yes")?;
    }
    for path in &paths {
        remove(&view.root.join(path))?;
        printer.success(format_args!("{path} removed"));
    }
    if printer.output == Output::Json {
        printer.json(&json!({ "removed": paths }));
    }
    let local = &sessions.local;
    let files_are_left = !files::read_project(&local.folder, &local.tinyb)?
        .files
        .is_empty();
    printer.note(if files_are_left {
        "The next `tb build` or `tb deploy` takes the connection off the server."
    } else {
        "The project has no files any more. To take everything off the server: \
         tb build --allow-destructive-operations, and the same with tb --cloud deploy"
    });
    if let Some(secret) = only_secret(&connection.role_arn) {
        printer.hint(format_args!(
            "the role's secret stays until: tb secret rm {secret}"
        ));
    }
    Ok(())
}

fn remove(path: &Path) -> Outcome {
    fs::remove_file(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot remove {}", path.display())).because(&error)
    })
}
