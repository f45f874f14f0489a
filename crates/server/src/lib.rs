//! Runs mirrors and answers the HTTP API. Sees DynamoDB and ClickHouse through the mirror's ports only.
#![forbid(unsafe_code)]

pub mod settings;
pub mod worker;
