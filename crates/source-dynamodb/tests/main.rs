//! The ports over HTTP with the real SDK, against the simulator and against answers made up for one test.

#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod canned;
mod credentials;
mod endpoints;
mod exports;
mod lines;
mod manifests;
mod scene;
mod streams;
mod tables;
