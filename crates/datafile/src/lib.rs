//! Turns the text of a project's files into a [`Project`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arn;
mod diagnostic;
mod json_path;
mod model;
mod secret_ref;

pub use arn::{ArnError, RoleArn, TableArn, is_bucket_name, is_region};
pub use diagnostic::{Diagnostic, Severity};
pub use json_path::{JsonPath, JsonPathError};
pub use model::{
    Column, Connection, Datasource, Engine, Import, Index, NodeKind, Parsed, Pipe, PipeNode,
    Project, SourceFile, Spanned, TokenGrant,
};
pub use secret_ref::{MissingSecret, Template, TemplatePart};

/// Reads all files of a project and checks them against each other.
pub fn parse_project(_files: &[SourceFile]) -> Parsed {
    Parsed::default()
}
