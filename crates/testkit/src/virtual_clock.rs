//! Time as tokio counts it, which a test pauses: hours pass as fast as the work in them.

use std::time::Duration;

use async_trait::async_trait;
use mirror::clock::Clock;
use tokio::time::Instant;

/// The clock of one life of the process.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    began: Instant,
    began_ms: i64,
    skew_ms: i64,
}

impl VirtualClock {
    /// Starts at `began_ms` of AWS's time; the process's own clock is `skew_ms` ahead of that.
    pub fn start(began_ms: i64, skew_ms: i64) -> Self {
        Self {
            began: Instant::now(),
            began_ms,
            skew_ms,
        }
    }

    /// AWS's time, milliseconds since 1970.
    pub fn aws_ms(&self) -> i64 {
        let passed = self.began.elapsed().as_millis();
        self.began_ms + i64::try_from(passed).unwrap_or(i64::MAX)
    }

    /// Sleeps until AWS's clock shows `at_ms`.
    pub async fn sleep_until(&self, at_ms: i64) {
        let left = u64::try_from(at_ms - self.aws_ms()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(left)).await;
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now_ms(&self) -> i64 {
        self.aws_ms() + self.skew_ms
    }

    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
