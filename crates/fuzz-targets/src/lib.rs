//! What every input from outside is put through: functions that take bytes and panic if a promise is broken.
//!
//! `tests/` runs them over the saved corpus and seeded mutations of it, as part of the usual tests; the folder `fuzz`
//! at the root hands the same functions to libFuzzer. See `docs/fuzzing.md`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod datafile;
pub mod json_path;
pub mod line;
#[cfg(feature = "manifests")]
pub mod manifest_files;
#[cfg(feature = "manifests")]
pub mod manifest_summary;
#[cfg(feature = "manifests")]
mod members;
pub mod record;
pub mod reference;
mod reference_time;
mod row_bytes;
mod rows;
