//! The whole product as a user has it: the `tb` binary, the real engine, the real AWS SDK over HTTP against the
//! simulator. The oracle is always the same: the mirror equals the table, every attribute of every item.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod clickhouse;
mod faults;
mod flow;
mod oracle;
mod refusals;
mod stage;
