//! One file per command. Commands take plain values and a printer, never the parsed arguments.

pub(crate) mod branch;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod connection;
pub(crate) mod datasource;
pub(crate) mod deploy;
pub(crate) mod deployment;
pub(crate) mod explain;
pub(crate) mod fmt;
pub(crate) mod info;
pub(crate) mod job;
pub(crate) mod local;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod open;
pub(crate) mod plan;
pub(crate) mod quarantine;
pub(crate) mod resync;
pub(crate) mod sample;
pub(crate) mod secret;
pub(crate) mod server;
pub(crate) mod sql;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod workspaces;

mod changes;
