//! This crate against the real engine. Without its library the tests fail and say how to get it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod disk_full;
mod engine_life;
mod external;
mod reader_security;
mod support;
mod tables;
mod values;
