//! What a build or a deployment changed, as both answers of the server tell it.

use serde::Deserialize;
use serde_json::Value;

use crate::diagnostics::{self, Place};
use crate::failure::{Exit, Failure, Outcome};
use crate::files::ProjectFiles;
use crate::printer::{Paint, Printer};
use crate::table::Table;

/// The name lists and remarks of a build or a deployment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Changes {
    new_datasource_names: Vec<String>,
    changed_datasource_names: Vec<String>,
    deleted_datasource_names: Vec<String>,
    new_pipe_names: Vec<String>,
    changed_pipe_names: Vec<String>,
    deleted_pipe_names: Vec<String>,
    new_data_connector_names: Vec<String>,
    changed_data_connector_names: Vec<String>,
    deleted_data_connector_names: Vec<String>,
    feedback: Vec<Feedback>,
}

/// A remark of the server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Feedback {
    level: String,
    resource: Option<String>,
    message: String,
}

/// A refusal of one file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FileError {
    #[serde(alias = "resource")]
    filename: Option<String>,
    #[serde(alias = "message")]
    error: String,
}

impl Changes {
    /// Reads them from an answer; what is not there did not change.
    pub(crate) fn read(value: &Value) -> Outcome<Self> {
        Self::deserialize(value).map_err(|error| not_understood(&error))
    }

    /// Prints the list, which is data.
    pub(crate) fn print(&self, project: &ProjectFiles, printer: &Printer) {
        if self.is_empty() {
            printer.note("No changes.");
            return;
        }
        let mut table = Table::new(["change", "kind", "name", "file"]);
        for (change, kind, extension, names) in self.lists() {
            for name in names {
                let path = project
                    .files
                    .iter()
                    .map(|file| file.path.as_str())
                    .find(|path| is_file_of(path, name, extension));
                table.push(vec![
                    change.into(),
                    kind.into(),
                    name.clone().into(),
                    path.map_or(Value::Null, Value::from),
                ]);
            }
        }
        printer.table(&table);
    }

    /// Prints the remarks: errors and warnings always, the rest with `-v`.
    pub(crate) fn print_feedback(&self, printer: &Printer) {
        for feedback in &self.feedback {
            let message = match feedback
                .resource
                .as_deref()
                .filter(|resource| !resource.is_empty())
            {
                Some(resource) => format!("{resource}: {}", feedback.message),
                None => feedback.message.clone(),
            };
            match feedback.level.as_str() {
                "ERROR" => printer.error(message),
                "WARNING" => printer.warning(message),
                _ => printer.note(printer.paint_err(Paint::Dim, crate::text::printable(&message))),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, _, _, names)| names.is_empty())
    }

    fn lists(&self) -> [(&'static str, &'static str, &'static str, &Vec<String>); 9] {
        [
            (
                "new",
                "connection",
                "connection",
                &self.new_data_connector_names,
            ),
            (
                "changed",
                "connection",
                "connection",
                &self.changed_data_connector_names,
            ),
            (
                "new",
                "data source",
                "datasource",
                &self.new_datasource_names,
            ),
            (
                "changed",
                "data source",
                "datasource",
                &self.changed_datasource_names,
            ),
            ("new", "pipe", "pipe", &self.new_pipe_names),
            ("changed", "pipe", "pipe", &self.changed_pipe_names),
            (
                "deleted",
                "connection",
                "connection",
                &self.deleted_data_connector_names,
            ),
            (
                "deleted",
                "data source",
                "datasource",
                &self.deleted_datasource_names,
            ),
            ("deleted", "pipe", "pipe", &self.deleted_pipe_names),
        ]
    }
}

/// `1 new, 2 changed`: what a deployment changed, counted.
pub(crate) fn counted(deployment: &Value) -> String {
    let found = Changes::read(deployment).unwrap_or_default();
    let count = |wanted: &str| {
        let lists = found.lists();
        let of_kind = lists.iter().filter(|(change, ..)| *change == wanted);
        of_kind.map(|(.., names)| names.len()).sum::<usize>()
    };
    let parts: Vec<String> = ["new", "changed", "deleted"]
        .iter()
        .filter(|change| count(change) > 0)
        .map(|change| format!("{} {change}", count(change)))
        .collect();
    parts.join(", ")
}

fn is_file_of(path: &str, name: &str, extension: &str) -> bool {
    let path = std::path::Path::new(path);
    path.file_stem().is_some_and(|stem| stem == name)
        && path.extension().is_some_and(|found| found == extension)
}

/// Prints why the server refused, file by file, and returns how the command ends.
pub(crate) fn refused(
    answer: &Value,
    what: &str,
    project: &ProjectFiles,
    printer: &Printer,
) -> Failure {
    let nested = answer.pointer("/deployment/errors");
    let errors = answer.get("errors").or(nested).cloned().unwrap_or_default();
    let errors: Vec<FileError> = serde_json::from_value(errors).unwrap_or_default();
    for error in &errors {
        error.print(project, printer);
    }
    let destructive = answer.to_string().contains("allow-destructive-operations");
    let exit = if destructive {
        Exit::Refused
    } else {
        Exit::Failed
    };
    // With errors, the summary only repeats them.
    let summary = answer
        .get("error")
        .and_then(Value::as_str)
        .filter(|_| errors.is_empty());
    let problem = summary.map_or_else(
        || format!("the {what} failed, nothing was changed"),
        str::to_owned,
    );
    let failure = Failure::new(exit, problem);
    if destructive {
        failure.hint("data would be lost; if that is meant, add --allow-destructive-operations")
    } else {
        failure
    }
}

impl FileError {
    /// Shows the place in the file if the server names one, as `2:14: message; help: advice`.
    fn print(&self, project: &ProjectFiles, printer: &Printer) {
        let name = self.filename.as_deref().unwrap_or_default();
        let file = project.files.iter().find(|file| file.path == name);
        if let Some((file, place)) = file.zip(Place::parse(&self.error)) {
            let shown = diagnostics::marked_place(
                &place,
                &file.path,
                &file.text,
                printer.err_colour(),
                printer.err_width(),
            );
            printer.note(format_args!("{shown}\n"));
        } else if name.is_empty() {
            printer.error(&self.error);
        } else {
            printer.error(format_args!("{name}: {}", self.error));
        }
    }
}

/// An answer that this version does not know.
pub(crate) fn not_understood(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Server, "the server's answer cannot be understood")
        .because(error)
        .hint("use the same version on both sides; `tb local version` shows them")
}
