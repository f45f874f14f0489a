//! Tests of the domain: bytes in, rows out, plans.
#![expect(clippy::unwrap_used, reason = "tests")]

mod allocation;
mod batch;
mod export_line;
mod heal;
mod hostile_items;
mod items;
mod numbers;
mod plan;
mod projection;
mod projection_values;
mod rows;
mod transcode;
