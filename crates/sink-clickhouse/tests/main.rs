//! This crate against the real engine. Without its library the tests fail and say how to get it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod disk_full;
mod engine_life;
mod external;
mod json_there_and_back;
mod quarantine;
mod reader_security;
mod resync;
mod support;
mod tables;
mod tombstones;
mod values;
mod verify;
