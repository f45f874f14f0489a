//! The mirror worker under simulation.
#![expect(clippy::unwrap_used, reason = "tests")]

use tokio::runtime::{Builder, Runtime};

mod healing;
mod liveness;
mod mutants;
mod simulation;
mod traps;
mod week;

/// One thread, and time that passes only when nobody has anything to do.
fn paused() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}
