//! The API over real HTTP with a real store; ClickHouse and DynamoDB are small in-memory implementations of the
//! ports. The same flows against the real engine are in `cli`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod branches;
mod builds;
mod clients;
mod datasources;
mod deployments;
mod destructive;
mod half_applied;
mod harness;
mod integrations;
mod liveness;
mod local;
mod plans;
mod ports;
mod progress;
mod quarantine;
mod resyncs;
mod secrets;
mod sql;
mod state_dir;
mod tokens;
mod verify;
mod workspaces;
