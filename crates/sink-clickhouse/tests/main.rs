//! This crate against the real engine. Without its library the tests fail and say how to get it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod engine_life;
mod reader_security;
mod support;
