//! Merges that wait while a backfill is loaded: they would take half of the processor from it, and do the same work
//! again when the next rows come.
//!
//! Parts pile up meanwhile, the parts of the stream too, and ClickHouse slows inserts down from 1,000 parts on. So the
//! wait is bounded in inserts and in time, and it ends however the load ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tracing::warn;

use super::MirrorSpec;
use super::board::Topic;
use super::retry::Retry;

/// Merges wait for so many inserts of the load at most.
const MOST_INSERTS: u64 = 500;

/// Merges wait so long at most, milliseconds: the stream writes up to ten parts a second.
pub(super) const LONGEST_MS: u64 = 45_000;

/// The merges of one table.
pub(super) struct HeldMerges {
    retry: Retry,
    spec: Arc<MirrorSpec>,
    held: AtomicBool,
    inserts: AtomicU64,
}

impl HeldMerges {
    /// Asks ClickHouse to wait with merges. Whether it does changes speed only.
    pub(super) async fn hold(retry: &Retry, spec: &Arc<MirrorSpec>) -> Self {
        let merges = Self {
            retry: retry.clone(),
            spec: Arc::clone(spec),
            held: AtomicBool::new(false),
            inserts: AtomicU64::new(0),
        };
        let held = match retry.ports.sink.hold_merges(&spec.plan, true).await {
            Ok(()) => true,
            Err(error) => {
                warn!(mirror = %retry.mirror, error = %error.report(), "could not hold merges back, the load is slower");
                // ClickHouse may have done it all the same, if it did not refuse.
                error.kind.passes()
            }
        };
        merges.held.store(held, Ordering::Relaxed);
        merges
    }

    /// Counts an insert.
    pub(super) async fn inserted(&self) {
        if self.inserts.fetch_add(1, Ordering::Relaxed) + 1 == MOST_INSERTS {
            self.release().await;
        }
    }

    /// Lets merges go on; tries until that works, because nobody else would do it later.
    pub(super) async fn release(&self) {
        if !self.held.load(Ordering::Relaxed) {
            return;
        }
        let release = || self.retry.ports.sink.hold_merges(&self.spec.plan, false);
        // Once in any case: whoever cancels waits for this.
        if let Err(error) = release().await {
            warn!(mirror = %self.retry.mirror, error = %error.report(), "could not let merges go on, trying again");
            let _ = self
                .retry
                .until_done(Topic::ClickHouse, "let merges go on", release)
                .await;
        }
        // Only now: a file that was counting inserts may be dropped in the middle of the call.
        self.held.store(false, Ordering::Relaxed);
    }
}
