//! The port to time.

use async_trait::async_trait;

/// Wall clock and sleeping. Everything that waits in a mirror waits here, so that a test can own time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
    /// Returns after `ms` milliseconds of this clock.
    async fn sleep_ms(&self, ms: u64);
}
