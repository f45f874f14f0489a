//! `tb check`: reads the project's files and says everything that is wrong with them.

use std::path::Path;

use datafile::{Severity, parse_project};

use crate::diagnostics;
use crate::failure::{Exit, Failure, Outcome};
use crate::files::{self, ProjectFiles, TinybFile};
use crate::printer::{Output, Printer};
use crate::text;
use crate::workspace::Session;

/// Checks the project in `folder`; diagnostics are the command's data.
pub(crate) fn run(folder: &Path, tinyb: &TinybFile, printer: &Printer) -> Outcome {
    let project = files::read_some_project(folder, tinyb)?;
    let diagnostics = parse_project(&project.files).diagnostics;
    if printer.output == Output::Human {
        tell(&project, &diagnostics, printer);
    } else {
        let list = diagnostics::json(&diagnostics, &project.files);
        match printer.output {
            Output::Json => printer.json(&list),
            _ => printer.table(&diagnostics::table(&list)),
        }
    }
    let errors = count(&diagnostics, Severity::Error);
    if errors > 0 {
        return Err(Failure::told(Exit::Failed));
    }
    if printer.output == Output::Human {
        printer.success(format_args!(
            "{} checked, no mistakes",
            text::plural(project.files.len() as u64, "file")
        ));
    }
    Ok(())
}

/// Reads and checks the project before it is uploaded; diagnostics go to stderr.
pub(crate) fn before_upload(
    session: &Session,
    allow_destructive: bool,
    printer: &Printer,
) -> Outcome<ProjectFiles> {
    let (folder, tinyb) = (&session.folder, &session.tinyb);
    // Without files everything goes, which may be meant; or this is another folder than one thinks.
    let project = if allow_destructive {
        files::read_project(folder, tinyb)?
    } else {
        files::read_some_project(folder, tinyb).map_err(|failure| {
            failure.hint(format!(
                "{}; to take everything off the server, give --allow-destructive-operations",
                files::OTHER_FOLDER
            ))
        })?
    };
    let diagnostics = parse_project(&project.files).diagnostics;
    tell(&project, &diagnostics, printer);
    if count(&diagnostics, Severity::Error) > 0 {
        return Err(Failure::told(Exit::Failed));
    }
    Ok(project)
}

fn tell(project: &ProjectFiles, diagnostics: &[datafile::Diagnostic], printer: &Printer) {
    if diagnostics.is_empty() {
        return;
    }
    printer.note(diagnostics::human(
        diagnostics,
        &project.files,
        printer.err_colour(),
        printer.err_width(),
    ));
    let (errors, warnings) = (
        count(diagnostics, Severity::Error),
        count(diagnostics, Severity::Warning),
    );
    printer.note(format_args!(
        "\n{}, {}",
        text::plural(errors, "error"),
        text::plural(warnings, "warning")
    ));
}

fn count(diagnostics: &[datafile::Diagnostic], severity: Severity) -> u64 {
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == severity)
        .count() as u64
}
