//! `tb` as a user meets it: what it prints, where, and with which exit code.

mod check;
mod e2e;
mod exit_codes;
mod formatting;
mod help;
mod local;
mod program;
mod server_settings;
#[expect(clippy::unwrap_used, reason = "tests")]
mod tidy;
