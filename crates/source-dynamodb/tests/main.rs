//! The ports over HTTP with the real SDK, against the simulator and against answers made up for one test.

#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod canned;
mod clock;
mod credentials;
mod endpoints;
mod exports;
mod items;
mod lines;
mod manifests;
mod poison;
mod scene;
mod streams;
mod tables;
mod windows;
