//! One file per command. Commands take plain values and a printer, never the parsed arguments.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod datasource;
pub(crate) mod deploy;
pub(crate) mod info;
pub(crate) mod local;
pub(crate) mod quarantine;
pub(crate) mod resync;
pub(crate) mod secret;
pub(crate) mod server;
pub(crate) mod sql;
pub(crate) mod verify;
pub(crate) mod workspace_current;

mod changes;
