//! Repairs keys that are wrong: the item as it is now, with a version that wins over the wrong row and loses to every
//! later change.
//!
//! Let `x` be the highest version of any row of the key in the mirror, tombstones too, and `t` a time that is not later
//! than AWS's when the item is read consistently. The repaired row, a tombstone if there is no such item, gets `x + 1`,
//! and `x + 1 < t - 61 s` holds, for which a repair waits.
//!
//! 1. *It wins over what is wrong*: `x + 1 > x`.
//! 2. *It loses to every change after the read*: such a change is written at `w >= t`, and its version is not below its
//!    creation time, which is `w` rounded down to a second, off by a minute at most if AWS's clocks differ. So it is
//!    above `t - 61 s`.
//! 3. *A change from before the read that is still on its way does no harm*: the last of them says what was read. It
//!    may win over the repaired row or lose to it, and both say the same. One before the last may be seen for as
//!    long as the last is on its way, as without any repair.
//! 4. *Doing it twice is doing it once*: `x` is looked up anew, and what is right by then is left alone.
//!
//! The version of a repaired row does not tell when its item was written. A healing must know that: it buries living
//! rows of a certain age that its windows do not mention (`mirror::heal`). So the time of the repair is stored before
//! the first row is written, and a gap that begins too soon after it is not healed by windows.

use std::collections::BTreeSet;

use mirror::error::{Error, Result};
use mirror::projection::Projection;
use mirror::sink::RowOrder;

use super::confirm::{Wrong, change};
use super::keys;
use super::run::{Check, Found, failed};

/// See the proof above.
const AFTER_VERSION_MS: i64 = 61_000 + 1;

/// A version that is further ahead of now than this is not waited for, milliseconds.
const LONGEST_WAIT_MS: i64 = 10 * 60_000;

/// Keys repaired at a time.
const KEYS_AT_A_TIME: usize = 100;

impl Check<'_> {
    /// Repairs keys and looks at them once more.
    pub(super) async fn repair(
        &self,
        wrong: Vec<Wrong>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Found>> {
        let status = self.of.supervisor.status(&self.of.spec.id);
        if status.is_some_and(|status| status.gap || status.healing.is_some()) {
            return Err(failed(
                "the mirror is healing a gap, which may repair these keys by itself; ask again when it is over",
            ));
        }
        let far_ms = self.aws_now_ms() + LONGEST_WAIT_MS;
        let (repairable, hopeless): (Vec<_>, Vec<_>) = wrong
            .iter()
            .cloned()
            .partition(|one| one.version_ms.unwrap_or(0) < far_ms);
        if !hopeless.is_empty() {
            notes.push(format!(
                "{} rows claim times far in the future, which no repair can win over; use tb datasource resync",
                hopeless.len()
            ));
        }
        let saved = self
            .of
            .store
            .save_repair(&self.key(), self.aws_now_ms())
            .await;
        saved.map_err(|error| {
            Error::with_source(error.kind(), "use the metadata database", error)
        })?;
        for chunk in repairable.chunks(KEYS_AT_A_TIME) {
            self.repair_some(chunk, repairable.len()).await?;
        }
        let again = repairable.iter().map(|one| one.keys.clone()).collect();
        let confirmed = self.confirm(again).await?;
        let left: BTreeSet<Vec<String>> = confirmed
            .wrong
            .into_iter()
            .chain(hopeless)
            .map(|one| one.keys)
            .collect();
        let found = |one: &Wrong| one.found(self.plan(), !left.contains(&one.keys));
        Ok(wrong.iter().map(found).collect())
    }

    async fn repair_some(&self, chunk: &[Wrong], total: usize) -> Result<()> {
        let job = &self.of.job;
        let highest_ms = chunk
            .iter()
            .filter_map(|one| one.version_ms)
            .max()
            .unwrap_or(0);
        let wait_ms = highest_ms + AFTER_VERSION_MS - self.aws_now_ms();
        if let Ok(wait_ms) = u64::try_from(wait_ms) {
            job.phase("waiting until the rows are old enough to be repaired", 0);
            self.of.clock.sleep_ms(wait_ms + 1).await;
        }
        job.phase(format!("repairing {total} keys"), 0);
        let read_ms = self.aws_now_ms();
        let plan = self.plan();
        let read: Vec<Vec<u8>> = chunk
            .iter()
            .map(|one| keys::to_json(plan, &one.keys))
            .collect();
        let items = self.source.read_items(&read).await?;
        let mut projection = Projection::new(plan);
        let mut rows = plan.new_batch();
        for ((one, key), item) in chunk.iter().zip(&read).zip(&items) {
            let version_ms = match one.version_ms {
                Some(version_ms) => version_ms + 1,
                None => read_ms - AFTER_VERSION_MS,
            };
            // AWS's clock may have been looked at anew meanwhile.
            if version_ms > read_ms - AFTER_VERSION_MS {
                continue;
            }
            let region = &self.of.spec.source.region;
            let change = change(key, item.as_deref(), version_ms, region);
            // One that the table cannot hold stays as it is, and is in quarantine.
            let _ = projection.project(&change, &mut rows);
        }
        self.of.sink.insert(plan, &rows, RowOrder::AsGiven).await
    }
}
