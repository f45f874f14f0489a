//! What came of a build or deployment, in the words of its clients.

use serde::{Deserialize, Serialize};

use super::outlook::Outlook;

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileError {
    /// The file.
    pub filename: String,
    /// `line:column: what is wrong; help: what to write`.
    pub error: String,
}

/// How loud feedback is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Shown by clients only when asked for more.
    Info,
    /// Always shown by the command line.
    Warning,
    /// Stops a deployment.
    Error,
}

/// A remark that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// How loud.
    pub level: Level,
    /// The file it is about.
    pub resource: String,
    /// The remark.
    pub message: String,
}

/// Names of resources, as lists that clients count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeLists {
    /// New data sources.
    pub new_datasource_names: Vec<String>,
    /// Changed ones, those with a new mirror among them.
    pub changed_datasource_names: Vec<String>,
    /// Deleted ones.
    pub deleted_datasource_names: Vec<String>,
    /// New pipes.
    pub new_pipe_names: Vec<String>,
    /// Changed pipes.
    pub changed_pipe_names: Vec<String>,
    /// Deleted pipes.
    pub deleted_pipe_names: Vec<String>,
    /// New connections.
    pub new_data_connector_names: Vec<String>,
    /// Changed connections.
    pub changed_data_connector_names: Vec<String>,
    /// Deleted connections.
    pub deleted_data_connector_names: Vec<String>,
}

impl ChangeLists {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A permission that a token wins or loses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Data source or pipe.
    pub resource_name: String,
    /// `datasource` or `pipe`.
    pub resource_type: String,
    /// `READ` or `APPEND`.
    pub permission: String,
}

/// Permissions that change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionChanges {
    /// Won.
    pub added_permissions: Vec<Permission>,
    /// Lost.
    pub removed_permissions: Vec<Permission>,
}

/// A token that `TOKEN` lines make, change or remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenChange {
    /// Name.
    pub token_name: String,
    /// `new`, `changed` or `deleted`.
    pub change_type: String,
    /// What it may do now and could not before, and the other way round.
    pub permission_changes: PermissionChanges,
}

/// An export that a new mirror asked AWS for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedExport {
    /// Data source.
    pub datasource: String,
    /// Its id.
    pub datasource_id: String,
    /// ARN of the export.
    pub export_arn: String,
}

/// A resource by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedResource {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Why it was refused; empty when it was not.
    pub errors: Vec<FileError>,
    /// Remarks.
    pub feedback: Vec<Feedback>,
    /// What changes.
    #[serde(flatten)]
    pub changes: ChangeLists,
    /// Tokens that change.
    pub token_changes: Vec<TokenChange>,
    /// Data sources of the project.
    pub datasources: Vec<NamedResource>,
    /// Pipes of the project.
    pub pipes: Vec<NamedResource>,
    /// Exports that began.
    pub exports: Vec<StartedExport>,
    /// Whether losing data was allowed when the project was looked at.
    pub allowed_destructive: bool,
    /// What lies ahead, if somebody asked; never stored.
    #[serde(skip)]
    pub outlook: Option<Outlook>,
}

impl Report {
    /// Whether the project was refused.
    pub fn failed(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) fn error(&mut self, filename: &str, error: impl Into<String>) {
        self.errors.push(FileError {
            filename: filename.to_owned(),
            error: error.into(),
        });
    }

    pub(super) fn remark(&mut self, level: Level, resource: &str, message: impl Into<String>) {
        self.feedback.push(Feedback {
            level,
            resource: resource.to_owned(),
            message: message.into(),
        });
    }
}
