//! What the crate promises to its callers.

mod diagnostics;
mod formatting;
mod hostile_input;
mod reading;
mod round_trip;
mod samples;
