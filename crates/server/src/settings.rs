//! Resolved settings of one server: no clap, no environment in here.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::worker::WorkerSettings;

/// Everything a server needs to know, resolved once by the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of metadata, keys, locks and the state file.
    pub state_dir: PathBuf,
    /// Address to listen on.
    pub host: IpAddr,
    /// API port; 0 takes a free one.
    pub port: u16,
    /// `tb local`: serves `/tokens` without authentication and lets workspaces be made by name.
    pub local: bool,
    /// Version told to clients.
    pub version: String,
    /// User queries: seconds, bytes of memory, bytes of result.
    pub query_limits: mirror::warehouse::QueryLimits,
    /// What AWS asks for, to estimate what a plan costs.
    pub prices: crate::deploy::prices::Prices,
    /// Workers.
    pub worker: WorkerSettings,
}
