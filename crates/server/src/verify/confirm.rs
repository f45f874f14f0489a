//! Which candidates are really wrong, while writes go on.
//!
//! A round reads the items consistently at a time `r`, waits until the mirror has every change from before `r` (and a
//! margin), puts what was read into a table beside the mirror's, and looks the keys up in both tables in one query. A
//! key is wrong if it differs in two rounds in a row and the highest version `x` of its rows in the mirror is the same
//! in both.
//!
//! Proof. The row `x` was in the mirror in the first lookup, so its change, or none at all, came before the second
//! read. In the second lookup the mirror has every change from before that read, and nothing above `x`: the mirror
//! says that `x` is what was last written before the read. The read says something else. So the mirror is wrong; a
//! change that came after the read, or is still on its way, would have another version. A key without any row in both
//! rounds is the same with "nothing" for `x`.
//!
//! A key that changes all the time never meets the condition: nothing is said of it, and its next change brings it
//! whole anyway.

use std::collections::BTreeMap;

use mirror::change::{ChangeRecord, EventKind};
use mirror::error::Result;
use mirror::plan::MirrorPlan;
use mirror::projection::Projection;
use mirror::sink::RowOrder;
use mirror::warehouse::{DifferenceKind, KeyState};

use super::keys;
use super::run::{Check, Found};

/// Rounds for keys that keep changing.
const MAX_ROUNDS: usize = 6;

/// Keys read at a time: items have up to 400 kB.
const KEYS_AT_A_TIME: usize = 100;

/// The mirror must have everything from this long after a read, milliseconds: AWS's clock is known to a second or two.
const SETTLE_MS: i64 = 3_000;

/// What confirming came to.
#[derive(Default)]
pub(super) struct Confirmed {
    pub(super) wrong: Vec<Wrong>,
    /// Keys that changed in every round.
    pub(super) changing: u64,
    /// Items that the table cannot hold.
    pub(super) unreadable: u64,
}

/// A key that is wrong.
#[derive(Clone)]
pub(super) struct Wrong {
    pub(super) keys: Vec<String>,
    pub(super) kind: DifferenceKind,
    /// The highest version of its rows.
    pub(super) version_ms: Option<i64>,
}

impl Wrong {
    pub(super) fn found(&self, plan: &MirrorPlan, repaired: bool) -> Found {
        Found {
            kind: self.kind,
            key: keys::named(plan, &self.keys),
            repaired,
        }
    }
}

impl Check<'_> {
    pub(super) async fn confirm(&self, mut candidates: Vec<Vec<String>>) -> Result<Confirmed> {
        let mut confirmed = Confirmed::default();
        let mut before: BTreeMap<Vec<String>, Option<i64>> = BTreeMap::new();
        for round in 1..=MAX_ROUNDS {
            if candidates.is_empty() {
                break;
            }
            let (states, unreadable) = self.round(round, &candidates).await?;
            if round == 1 {
                confirmed.unreadable = unreadable;
            }
            let mut undecided = BTreeMap::new();
            for state in states.into_iter().filter(|state| !state.equal) {
                let known = before.get(&state.keys);
                if known == Some(&state.version_ms) {
                    confirmed.wrong.push(Wrong {
                        kind: kind_of(&state),
                        version_ms: state.version_ms,
                        keys: state.keys,
                    });
                } else {
                    undecided.insert(state.keys, state.version_ms);
                }
            }
            candidates = undecided.keys().cloned().collect();
            before = undecided;
        }
        confirmed.changing = candidates.len() as u64;
        Ok(confirmed)
    }

    /// One round: what both sides say of the keys, and how many items the table cannot hold.
    async fn round(
        &self,
        round: usize,
        candidates: &[Vec<String>],
    ) -> Result<(Vec<KeyState>, u64)> {
        let count = candidates.len() as u64;
        let job = &self.of.job;
        self.empty_table(&format!("round {round}")).await?;
        job.phase(format!("reading {count} items from DynamoDB"), count);
        let mut unreadable = 0;
        for chunk in candidates.chunks(KEYS_AT_A_TIME) {
            unreadable += self.put_beside(chunk).await?;
            job.advance(chunk.len() as u64);
        }
        job.phase("waiting until the mirror has caught up", 0);
        self.caught_up(self.aws_now_ms() + SETTLE_MS).await?;
        job.phase(format!("comparing {count} items"), 0);
        let beside = &self.beside.plan.table;
        let states = self.of.verifier.look_up(self.plan(), beside).await?;
        Ok((states, unreadable))
    }

    /// Reads some items and puts them beside the mirror's; returns how many the table cannot hold.
    async fn put_beside(&self, chunk: &[Vec<String>]) -> Result<u64> {
        let plan = &self.beside.plan;
        let read: Vec<Vec<u8>> = chunk
            .iter()
            .map(|texts| keys::to_json(plan, texts))
            .collect();
        let items = self.source.read_items(&read).await?;
        let mut projection = Projection::new(plan);
        let mut rows = plan.new_batch();
        let mut unreadable = 0;
        let version_ms = self.aws_now_ms();
        for (key, item) in read.iter().zip(&items) {
            let change = change(key, item.as_deref(), version_ms, &self.beside.source.region);
            if projection.project(&change, &mut rows).is_err() {
                unreadable += 1;
            }
        }
        self.of.sink.insert(plan, &rows, RowOrder::AsGiven).await?;
        Ok(unreadable)
    }
}

/// An item as it is now, or that there is none.
pub(super) fn change<'a>(
    key: &'a [u8],
    item: Option<&'a [u8]>,
    version_ms: i64,
    aws_region: &'a str,
) -> ChangeRecord<'a> {
    ChangeRecord {
        kind: match item {
            Some(_) => EventKind::Export,
            None => EventKind::Remove,
        },
        keys: item.unwrap_or(key),
        new_image: item,
        old_image: None,
        version_ms,
        event_id: "",
        sequence_number: "",
        aws_region,
        user_identity: None,
    }
}

fn kind_of(state: &KeyState) -> DifferenceKind {
    match (state.expected, state.alive) {
        (true, true) => DifferenceKind::Different,
        (true, false) => DifferenceKind::Missing,
        (false, _) => DifferenceKind::Extra,
    }
}
