//! `tb` as a user meets it: what it prints, where, and with which exit code.

mod check;
mod exit_codes;
mod help;
mod local;
mod program;
mod server_settings;
