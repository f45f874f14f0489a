//! The project's connections and data sources as the commands about connections see them.

use std::path::{Path, PathBuf};

use datafile::{Connection, Datasource, Project, TableArn, Template};

use crate::failure::{Exit, Failure, Outcome};
use crate::files;
use crate::text;
use crate::workspace::Session;

/// A project folder, with or without files in it.
#[derive(Debug)]
pub(crate) struct ProjectView {
    /// The folder that paths are relative to.
    pub(crate) root: PathBuf,
    pub(crate) project: Project,
}

impl ProjectView {
    /// Reads what is there; mistakes in other files are the business of `tb check`.
    pub(crate) fn read(session: &Session) -> Outcome<Self> {
        let found = files::read_project(&session.folder, &session.tinyb)?;
        Ok(Self {
            root: found.root,
            project: datafile::parse_project(&found.files).project,
        })
    }

    /// The connection of that name.
    pub(crate) fn connection(&self, name: &str) -> Option<&Connection> {
        let mut connections = self.project.connections.iter();
        connections.find(|connection| connection.name == name)
    }

    /// The connection of that name, or what there is instead.
    pub(crate) fn known_connection(&self, name: &str) -> Outcome<&Connection> {
        self.connection(name).ok_or_else(|| {
            let names = self.project.connections.iter().map(|c| c.name.as_str());
            let hint = match text::closest(name, names) {
                Some(near) => format!("did you mean {near}? `tb connection ls` lists them"),
                None => {
                    "`tb connection ls` lists them; make one with: tb connection create dynamodb"
                        .to_owned()
                }
            };
            Failure::new(
                Exit::Failed,
                format!("there is no connection {name} in this project"),
            )
            .hint(hint)
        })
    }

    /// The data sources that use a connection.
    pub(crate) fn users(&self, connection: &str) -> Vec<&Datasource> {
        let uses = |datasource: &&Datasource| {
            let import = datasource.import.as_ref();
            let used = import.and_then(|import| import.connection.literal());
            used.as_deref() == Some(connection)
        };
        self.project.datasources.iter().filter(uses).collect()
    }

    /// Tables and buckets of a connection, as far as files and not secrets say, each once.
    pub(crate) fn reach(&self, connection: &str) -> Reach {
        let mut reach = Reach::default();
        for import in self
            .users(connection)
            .iter()
            .filter_map(|d| d.import.as_ref())
        {
            if let Some(arn) = import.table_arn.literal() {
                reach.add_table(&arn);
            }
            if let Some(bucket) = import.export_bucket.literal() {
                push_new(&mut reach.buckets, &bucket);
            }
        }
        reach
    }

    /// The file that has this name and extension, if there is one anywhere in the project.
    pub(crate) fn file_of(&self, name: &str, extension: &str) -> Option<&str> {
        let connections = self.project.connections.iter().map(|c| (&c.name, &c.path));
        let datasources = self.project.datasources.iter().map(|d| (&d.name, &d.path));
        let pipes = self.project.pipes.iter().map(|p| (&p.name, &p.path));
        connections
            .chain(datasources)
            .chain(pipes)
            .find(|(known, path)| {
                *known == name && Path::new(path).extension().is_some_and(|e| e == extension)
            })
            .map(|(_, path)| path.as_str())
    }
}

/// What a connection leads to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// ARNs.
    pub(crate) table_arns: Vec<String>,
    /// Names, or `*`.
    pub(crate) tables: Vec<String>,
    /// Names, or `*`.
    pub(crate) buckets: Vec<String>,
}

impl Reach {
    fn add_table(&mut self, arn: &str) {
        if let Ok(parsed) = TableArn::parse(arn) {
            push_new(&mut self.table_arns, arn);
            push_new(&mut self.tables, &parsed.table);
        }
    }
}

/// Adds what is not there yet.
pub(crate) fn push_new(list: &mut Vec<String>, item: &str) {
    if !list.iter().any(|known| known == item) {
        list.push(item.to_owned());
    }
}

/// The one secret that a value is.
pub(crate) fn only_secret(template: &Template) -> Option<String> {
    let mut secrets = template.secrets();
    let first = secrets.next().map(str::to_owned);
    first.filter(|_| secrets.next().is_none() && template.literal().is_none())
}
