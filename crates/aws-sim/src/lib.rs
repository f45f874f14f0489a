//! A simulator of DynamoDB, DynamoDB Streams, S3 and STS for tests of a change-data-capture client.
//!
//! [`World`] is a pure state machine: no threads, no clock of its own, deterministic from its seed. Time comes in
//! through [`World::set_now`], calls through [`World::call`] or the typed methods. [`Sim`] wraps a world behind HTTP.
//! It reproduces the shapes and the nuisances of AWS (several shard lineages, late children, whole-second times,
//! varying number lengths, asynchronous exports with both manifests, identical refusals) and fails on command.

pub mod api;
pub mod attribute;
pub mod backups;
pub mod batch;
pub mod config;
pub mod dispatch;
pub mod export;
pub mod export_api;
pub mod export_files;
pub mod expression;
pub mod faults;
pub mod generate;
pub mod get_records;
pub mod http;
pub mod iam;
pub mod image;
pub mod items;
pub mod key;
pub mod number;
pub mod params;
pub mod poison;
pub mod query;
pub mod ready_export;
pub mod rng;
pub mod s3;
pub mod s3_api;
pub mod shard;
pub mod sim;
pub mod stream;
pub mod streams_api;
pub mod sts;
pub mod table;
pub mod table_description;
pub mod tables_api;
pub mod timestamp;
pub mod transact;
pub mod ttl;
pub mod world;

pub use api::{ApiError, ApiRequest, ApiResponse, Call, Delivery, S3Request};
pub use attribute::{Attr, Map};
pub use config::{ExportConfig, StreamConfig, WorldConfig};
pub use faults::{Fault, FaultKind};
pub use get_records::{RecordsPage, StreamRecord};
pub use iam::{Iam, Permission, Role, Trust};
pub use poison::Poison;
pub use sim::{RunningSim, Sim, serve};
pub use stream::ViewType;
pub use table::TableSpec;
pub use world::World;
