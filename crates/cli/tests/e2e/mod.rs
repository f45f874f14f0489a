//! The whole product as a user has it: the `tb` binary, the real engine, the real AWS SDK over HTTP against the
//! simulator. The oracle is always the same: the mirror equals the table, every attribute of every item.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests"
)]

mod chaos;
mod clickhouse;
mod connections;
mod doctor;
mod environments;
mod faults;
mod flow;
mod gaps;
mod json;
mod memory;
mod ministack;
mod oracle;
mod refusals;
mod repair;
mod stage;
mod terminal;
mod wizard;
