//! The mirror worker against the simulated AWS, in virtual time and in one process. Never shipped.
//!
//! A [`scenario::Scenario`] says everything that happens, and one seed makes one. [`simulation::run`] lives
//! it: the real worker of `server` between doors that are slow, refuse, lose answers and die ([`port`]), a
//! world that is written to meanwhile, and checks on every insert and every commit ([`ledger`]). When writes
//! have stopped, [`oracle`] compares what the mirror holds with the table.
#![forbid(unsafe_code)]

pub mod disk;
mod draft;
pub mod exports;
pub mod items;
pub mod journal;
pub mod ledger;
pub mod memory_store;
pub mod model_sink;
pub mod model_table;
pub mod model_warehouse;
pub mod oracle;
pub mod port;
pub mod process;
pub mod run_seeds;
pub mod scenario;
pub mod simulation;
pub mod table_plan;
pub mod virtual_clock;
pub mod weather;
pub mod week;
pub mod world_source;
