//! `tb connection`: from a table in AWS to a connection and a data source in the project.
//!
//! `wizard` is the story; the other rooms are what it needs. Nothing in the project or on a server changes before its
//! last step.

pub(crate) mod add_table;
mod checks_of_server;
pub(crate) mod doctor;
pub(crate) mod environments;
pub(crate) mod list;
mod names;
mod new_datasource;
mod new_files;
pub(crate) mod policy;
mod policy_formats;
mod project_view;
pub(crate) mod remove;
pub(crate) mod wizard;
