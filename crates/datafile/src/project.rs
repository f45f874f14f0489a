//! All files of a project, and the checks that need more than one of them.

use std::collections::HashMap;

use crate::arn::TableArn;
use crate::code::Code;
use crate::commands::FileKind;
use crate::diagnostic::Report;
use crate::model::{Datasource, Parsed, Project, SourceFile};
use crate::pipe::is_identifier;
use crate::suggest::nearest;
use crate::{connection, datasource, pipe};

/// A resource is a page or two of text; whatever is larger was put there by accident.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Reads all files of a project and checks them against each other.
///
/// Never fails and never stops at a mistake: what could be read is in the project, what is wrong is in
/// the diagnostics, file by file.
pub fn parse_project(files: &[SourceFile]) -> Parsed {
    let mut project = Project::default();
    let mut reports: Vec<Report<'_>> = files.iter().map(|file| Report::new(&file.path)).collect();
    let mut names = Names::default();
    let mut datasource_files = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let report = &mut reports[at];
        let (name, extension) = name_and_extension(&file.path);
        let Some(kind) = FileKind::from_extension(extension) else {
            report.warning(
                Code::FileIgnored,
                &(0..0),
                format!("{} is not a file of a project", file.path),
                "",
                "project files end in .connection, .datasource or .pipe",
            );
            continue;
        };
        names.add(kind, name, file, report);
        if file.text.len() > MAX_FILE_BYTES {
            report.error(
                Code::FileTooLarge,
                &(0..0),
                format!(
                    "the file has {} bytes; {MAX_FILE_BYTES} are read at most",
                    file.text.len()
                ),
                "",
                "split it, or remove what is not part of the resource",
            );
            continue;
        }
        match kind {
            FileKind::Connection => project
                .connections
                .extend(connection::read(file, name, report)),
            FileKind::Datasource => {
                project
                    .datasources
                    .push(datasource::read(file, name, report));
                datasource_files.push(at);
            }
            FileKind::Pipe => project.pipes.push(pipe::read(file, name, report)),
        }
    }
    for (datasource, at) in project.datasources.iter().zip(datasource_files) {
        check_connection(datasource, &project, &names, &mut reports[at]);
    }
    Parsed {
        project,
        diagnostics: reports.into_iter().flat_map(Report::finish).collect(),
    }
}

/// `datasources/orders.datasource` is `orders` and `datasource`.
pub(crate) fn name_and_extension(path: &str) -> (&str, &str) {
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    file.rsplit_once('.').unwrap_or((file, ""))
}

/// Who has which name.
#[derive(Default)]
struct Names<'f> {
    connections: HashMap<&'f str, &'f str>,
    /// Data sources and pipes: queries find both by name.
    tables: HashMap<&'f str, &'f str>,
}

impl<'f> Names<'f> {
    fn add(
        &mut self,
        kind: FileKind,
        name: &'f str,
        file: &'f SourceFile,
        report: &mut Report<'_>,
    ) {
        // No query names a connection, so it may have dashes.
        let valid = match kind {
            FileKind::Connection => is_identifier(&name.replace('-', "_")),
            FileKind::Datasource | FileKind::Pipe => is_identifier(name),
        };
        if !valid {
            report.error(
                Code::ResourceNameInvalid,
                &(0..0),
                format!(
                    "the file's name, {name:?}, cannot be the name of a {}",
                    kind.extension()
                ),
                "",
                "rename the file; use letters, digits and `_`, and no digit at the start",
            );
        }
        let names = match kind {
            FileKind::Connection => &mut self.connections,
            FileKind::Datasource | FileKind::Pipe => &mut self.tables,
        };
        if let Some(other) = names.get(name) {
            report.error(
                Code::DuplicateResource,
                &(0..0),
                format!("{other} already has the name {name}"),
                "",
                "rename one of the two files",
            );
        } else {
            names.insert(name, &file.path);
        }
    }
}

fn check_connection(
    datasource: &Datasource,
    project: &Project,
    names: &Names<'_>,
    report: &mut Report<'_>,
) {
    let Some(import) = &datasource.import else {
        return;
    };
    let Some(name) = import.connection.literal() else {
        return;
    };
    if !names.connections.contains_key(name.as_str()) {
        let help = match nearest(
            &name,
            project.connections.iter().map(|other| other.name.as_str()),
        ) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add a file {name}.connection, or name a connection that exists"),
        };
        report.error(
            Code::ConnectionNotFound,
            &import.connection.span,
            format!("there is no connection {name}"),
            "not in the project",
            help,
        );
        return;
    }
    let Some(connection) = project.connections.iter().find(|other| other.name == name) else {
        return;
    };
    let arn = import
        .table_arn
        .literal()
        .and_then(|text| TableArn::parse(&text).ok());
    let (Some(arn), Some(region)) = (arn, connection.region.literal()) else {
        return;
    };
    if arn.region != region {
        report.error(
            Code::RegionMismatch,
            &import.table_arn.span,
            format!(
                "the table is in {}, the connection {name} in {region}",
                arn.region
            ),
            format!("in {}", arn.region),
            format!(
                "write `DYNAMODB_REGION {}` in {}, or use a connection of that region",
                arn.region, connection.path
            ),
        );
    }
}
