//! Reads DynamoDB tables, their streams and their exports, and hands them on as the domain's own words.
//!
//! This is the only crate that names the AWS SDK. It implements [`mirror::source::Sources`] and
//! [`mirror::source::Source`]; it keeps no progress, decides no order, and retries only what stays inside one
//! call. Start reading at [`AwsSources`]; one record's way is `export_reader` or `shard_reader`, then `records`.

mod access;
mod bucket;
mod clients;
mod clock;
mod credentials;
mod download;
mod error;
mod export;
mod export_reader;
#[doc(hidden)]
pub mod hostile_input;
mod items;
mod manifest;
mod manifest_reader;
mod options;
mod proxy;
mod raw;
mod records;
mod role_session;
mod shard_reader;
mod shards;
mod source;
mod table;

pub use credentials::{AccessKeys, BaseCredentials};
pub use export_reader::GzipLines;
pub use options::AwsOptions;
pub use role_session::role_refused_message;
pub use source::AwsSources;
