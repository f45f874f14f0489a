//! Writes rows to ClickHouse and asks it questions: the only crate that speaks ClickHouse.
//!
//! [`ClickHouse`] implements the ports [`mirror::sink::Sink`] and [`mirror::warehouse::Warehouse`] over HTTP,
//! for the embedded engine ([`engine::EngineHandle::start`]) and for a server of somebody else's
//! ([`ClickHouse::external`]) alike. Follow a batch: [`insert`](insert) → [`encode`](encode) → [`client`](client).
//! This crate neither retries nor keeps progress; its callers do.
#![warn(missing_docs)]

mod admin;
mod client;
mod ddl;
mod encode;
mod endpoint;
pub mod engine;
mod error;
mod guard;
mod insert;
mod quarantine;
mod query;
mod row_binary;
mod row_order;
mod shadow;
mod sql;
mod tokens;
mod tombstones;
mod users;
mod verify;

pub use client::{ClickHouse, ExternalOptions};
pub use encode::{MAX_ROWS_PER_INSERT, native_block};
