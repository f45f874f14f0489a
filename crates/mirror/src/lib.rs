//! The domain of a mirror: what a change is, what a row is, which shard may be read, what is durable.
//!
//! Pure code: no runtime, no network, no clock of its own. The outside world is reached through four
//! ports ([`source`], [`sink`], [`store`], [`clock`]) that other crates implement and the worker in
//! `server` drives. Read [`change`], then [`transcode`], [`projection`] and [`batch`] to follow one change
//! on its way to a row.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod access;
pub mod batch;
pub mod change;
pub mod checkpoint;
pub mod checks;
pub mod clock;
pub mod column_type;
pub mod error;
pub mod heal;
pub mod limits;
pub mod number;
pub mod plan;
pub mod projection;
pub mod reason;
pub mod sequence_number;
pub mod shard_tree;
pub mod sink;
pub mod source;
pub mod status;
pub mod store;
pub mod table;
pub mod transcode;
pub mod warehouse;
