//! The embedded engine: ClickHouse's library, loaded by a child process that serves HTTP on loopback.
//!
//! The parent ([`supervisor`]) writes the configuration ([`config`]), starts its own binary again as the
//! child ([`child`]), and the child loads the library ([`library`], the only unsafe code) and runs it until
//! its stdin ends.

mod child;
mod config;
mod launcher;
mod library;
mod locate;
mod supervisor;

pub use child::EngineExecutable;
pub use config::DATABASE_PREFIX;
pub(crate) use config::{Role, slot_of, slot_user};
pub use launcher::EngineOptions;
pub use library::run_engine;
pub use locate::{LIBRARY_VARIABLE, find_library};
pub(crate) use supervisor::Growth;
pub use supervisor::{EngineHandle, EngineState};
