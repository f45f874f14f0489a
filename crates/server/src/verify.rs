//! Checks mirrors against DynamoDB, and repairs what is wrong: jobs that somebody asks for.
//!
//! `run` is a verification in order.

pub(crate) use run::{Found, Mode, Outcome, Verification};

mod confirm;
mod full;
mod keys;
mod repair;
mod run;
mod sample;
