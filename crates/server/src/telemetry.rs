//! What the server tells its operators: one function for each notable event, the same field names everywhere.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use tracing::{debug, error, info, warn};

use crate::secrets::SealBroken;

pub(crate) fn server_listens(address: SocketAddr, version: &str, aws_credentials: bool) {
    info!(%address, version, aws_credentials, "server listens");
}

pub(crate) fn server_stops() {
    info!("server stops");
}

pub(crate) fn second_address_unavailable(address: SocketAddr, error: &std::io::Error) {
    warn!(%address, %error, "could not listen on the second loopback address");
}

pub(crate) fn deployments_interrupted(deployments: u64) {
    warn!(
        deployments,
        "deployments were interrupted by the last stop and must be made again"
    );
}

pub(crate) fn mirror_starts(mirror: &str, mirror_id: &str, table_arn: &str) {
    info!(mirror, mirror_id, table_arn, "mirror starts");
}

pub(crate) fn mirror_not_started(mirror: &str, error: &(dyn std::error::Error + 'static)) {
    error!(mirror, error, "could not start mirror");
}

pub(crate) fn mirrors_inactive(mirrors: usize) {
    warn!(
        mirrors,
        "mirrors stay inactive: the server has no AWS credentials"
    );
}

pub(crate) fn history_not_written(error: &dyn std::fmt::Display) {
    warn!(%error, "could not write down what happened; `tb logs` lacks it");
}

pub(crate) fn secret_unreadable(workspace: &str, error: &SealBroken) {
    warn!(workspace, %error, "could not read a secret");
}

pub(crate) fn project_live(workspace: &str, unchanged: bool) {
    info!(workspace, unchanged, "project is live");
}

pub(crate) fn deployment_failed(workspace: &str, error: &str) {
    warn!(workspace, error, "could not apply project");
}

pub(crate) fn workspace_deletion_unfinished(workspace: &str, error: &str) {
    warn!(
        workspace,
        error, "could not finish deleting workspace; the next start tries again"
    );
}

pub(crate) fn request_failed(error: &(dyn std::error::Error + 'static)) {
    error!(error, "could not answer request");
}

pub(crate) fn request_answered(method: &Method, path: &str, status: StatusCode, elapsed_ms: i64) {
    let status = status.as_u16();
    debug!(%method, path, status, elapsed_ms, "request answered");
}
