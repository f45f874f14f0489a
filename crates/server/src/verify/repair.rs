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
//! # By an export
//!
//! A role that may not read single items still gets repairs, when every key was compared with an export. Let `T` be the
//! export's time. A key that differs has no row above `T - 5 min` in the mirror, which has all changes from before
//! `T + 1 min`. So nothing happened to the item from five minutes before the export to one minute after it, and that is
//! as exact as AWS's cut is: the export says what the item was throughout. The repaired row is the export's, or a
//! tombstone if the export has no such item, and gets `T - 5 min + 1 ms`.
//!
//! 1. *It wins over what is wrong*, which is not above `T - 5 min`.
//! 2. *It loses to every other change*: one from before `T + 1 min` was there, and the key would have been left out; one
//!    from after it has a version above `T + 1 min - 61 s`.
//! 3. *Doing it twice is doing it once*: the version is the export's, and the next export's is higher.
//! 4. An item of the export that the table cannot hold is in quarantine, and its row in the mirror, from before it
//!    was so, looks like one that should not be there. It may not be buried: with such items nothing is.
//!
//! # What a healing must know
//!
//! The version of a repaired row does not tell when its item was written. A healing must know that: it buries living
//! rows of a certain age that its windows do not mention (`mirror::heal`). So the time of the repair is stored before
//! the first row is written, and a gap that begins too soon after it is not healed by windows.

use std::collections::BTreeSet;

use mirror::error::{Error, Result};
use mirror::limits::EXPORT_MARGIN_MS;
use mirror::projection::Projection;
use mirror::sink::RowOrder;
use mirror::warehouse::{Difference, DifferenceKind};

use super::confirm::{Wrong, change};
use super::keys;
use super::run::{Check, Found, MAX_CANDIDATES, failed};

/// See the proof above.
const AFTER_VERSION_MS: i64 = 61_000 + 1;

/// What there is besides its rows to know of an export.
pub(super) struct Taken {
    pub(super) export_time_ms: i64,
    /// Items that the table cannot hold.
    pub(super) unreadable: u64,
}

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
        self.is_not_healing()?;
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
        self.announce().await?;
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

    /// Repairs what differs from an export whose rows are in the table beside the mirror's, and compares once more.
    pub(super) async fn repair_by_export(
        &self,
        taken: Taken,
        wrong: Vec<Difference>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Found>> {
        self.is_not_healing()?;
        self.announce().await?;
        let (job, plan) = (&self.of.job, self.plan());
        job.phase(format!("repairing {} keys", wrong.len()), 0);
        let unchanged_since_ms = taken.export_time_ms - EXPORT_MARGIN_MS;
        let version_ms = unchanged_since_ms + 1;
        let (verifier, beside) = (&self.of.verifier, &self.beside.plan.table);
        verifier
            .adopt(plan, beside, unchanged_since_ms, MAX_CANDIDATES, version_ms)
            .await?;
        let extra: Vec<Vec<u8>> = wrong
            .iter()
            .filter(|one| one.kind == DifferenceKind::Extra)
            .map(|one| keys::to_json(plan, &one.keys))
            .collect();
        if taken.unreadable > 0 && !extra.is_empty() {
            notes.push(format!(
                "{} rows are not in the export and stay: {} items of it cannot be converted, and these may be theirs; replay the quarantine first, or add dynamodb:BatchGetItem to the role's access policy",
                extra.len(),
                taken.unreadable
            ));
        } else {
            let mut projection = Projection::new(plan);
            let mut rows = plan.new_batch();
            for key in &extra {
                let change = change(key, None, version_ms, &self.of.spec.source.region);
                // A key of the table can be a key of the table.
                let _ = projection.project(&change, &mut rows);
            }
            self.of.sink.insert(plan, &rows, RowOrder::AsGiven).await?;
        }
        job.phase("comparing all keys again", 0);
        let left = verifier
            .compare(plan, beside, version_ms, true, MAX_CANDIDATES + 1)
            .await?;
        let left: BTreeSet<Vec<String>> = left.into_iter().map(|one| one.keys).collect();
        let found = |one: &Difference| self.unconfirmed(one, !left.contains(&one.keys));
        Ok(wrong.iter().map(found).collect())
    }

    fn is_not_healing(&self) -> Result<()> {
        let status = self.of.supervisor.status(&self.of.spec.id);
        match status.is_some_and(|status| status.gap || status.healing.is_some()) {
            false => Ok(()),
            true => Err(failed(
                "the mirror is healing a gap, which may repair these keys by itself; ask again when it is over",
            )),
        }
    }

    /// Stores that rows are repaired from now on.
    async fn announce(&self) -> Result<()> {
        let now_ms = self.aws_now_ms();
        let saved = self.of.store.save_repair(&self.key(), now_ms).await;
        saved.map_err(|error| Error::with_source(error.kind(), "use the metadata database", error))
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
