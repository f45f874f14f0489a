//! Runs mirrors and answers the HTTP API. Sees DynamoDB and ClickHouse through the mirror's ports only.
//!
//! [`run::run`] is the whole server in prose. A request goes `api` -> `deploy` or `store` -> `worker`.
#![forbid(unsafe_code)]

mod api;
pub mod deploy;
mod history;
mod jobs;
mod replay;
pub mod run;
mod sample;
pub mod secrets;
pub mod settings;
pub mod state_dir;
pub mod store;
pub mod system_clock;
mod telemetry;
pub mod tokens;
mod verify;
pub mod worker;
