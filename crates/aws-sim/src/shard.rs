//! One shard: its hash range, its records and its place in a lineage.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::image::Image;
use crate::poison::Poison;
use crate::rng::Rng;

/// Position in a lineage. Sequence numbers are this number followed by the lineage's fixed digits, which keeps them
/// growing and lets them exceed what 128 bits hold (AWS: 21 to 40 digits).
pub type Position = u128;

/// The fixed last digits of a lineage's sequence numbers.
pub type Suffix = Arc<str>;

/// One change.
#[derive(Debug, Clone)]
pub struct Record {
    pub position: Position,
    /// When it was written, epoch milliseconds; decides trimming.
    pub written_ms: i64,
    /// ApproximateCreationDateTime, epoch seconds.
    pub created_s: i64,
    /// Canonical JSON of the key.
    pub keys: Arc<[u8]>,
    pub old: Option<Image>,
    pub new: Option<Image>,
    /// Deleted by time to live.
    pub expired: bool,
    pub event_id: u128,
    /// There was an item before.
    pub existed: bool,
    /// There is an item after.
    pub exists: bool,
    /// Planted, and wrong in this way.
    pub poison: Option<Poison>,
}

/// A shard of a stream.
#[derive(Debug, Clone)]
pub struct Shard {
    pub id: String,
    pub parent: Option<String>,
    /// First and last partition hash routed here.
    pub range: (u64, u64),
    /// Listed from this time on.
    pub visible_ms: i64,
    pub closed_ms: Option<i64>,
    /// Time of the automatic rollover.
    pub rollover_ms: Option<i64>,
    pub suffix: Suffix,
    /// First position of the shard.
    pub first: Position,
    /// The next record's position is above this one.
    pub head: Position,
    /// EndingSequenceNumber's position.
    pub ending: Option<Position>,
    /// Last position that was trimmed away.
    pub trimmed: Option<Position>,
    pub records: VecDeque<Record>,
    /// Start of the running second and calls in it, for the 5/s limit.
    pub rate: (i64, u32),
}

impl Shard {
    /// A root shard with seeded numbers: often just below a power of ten so that their length changes early.
    pub fn root(id: String, range: (u64, u64), now_ms: i64, rng: &mut Rng) -> Self {
        let total = 21 + rng.below(19) as usize;
        let digits = 12 + rng.below(8) as usize;
        let suffix: Suffix = rng.text(b"0123456789", total - digits).into();
        let top = 10u128.pow(digits as u32);
        let first = if rng.chance(0.5) {
            top - 1 - u128::from(rng.below(5_000))
        } else {
            top / 10 + u128::from(rng.below(1_000_000_000))
        };
        Self {
            id,
            parent: None,
            range,
            visible_ms: now_ms,
            closed_ms: None,
            rollover_ms: None,
            suffix,
            first,
            head: first,
            ending: None,
            trimmed: None,
            records: VecDeque::new(),
            rate: (0, 0),
        }
    }

    /// A child that goes on where this closed shard ended.
    pub fn child(&self, id: String, range: (u64, u64), visible_ms: i64, rng: &mut Rng) -> Self {
        let mut first = self.ending.unwrap_or(self.head) + 1 + u128::from(rng.below(50));
        let digits = first.to_string().len();
        if rng.chance(0.2) && digits + self.suffix.len() < 38 {
            first = 10u128.pow(digits as u32) + u128::from(rng.below(1000));
        }
        Self {
            id,
            parent: Some(self.id.clone()),
            range,
            visible_ms,
            closed_ms: None,
            rollover_ms: None,
            suffix: self.suffix.clone(),
            first,
            head: first,
            ending: None,
            trimmed: None,
            records: VecDeque::new(),
            rate: (0, 0),
        }
    }

    /// This shard without its records.
    pub fn lineage(&self) -> Self {
        Self {
            id: self.id.clone(),
            parent: self.parent.clone(),
            suffix: self.suffix.clone(),
            records: VecDeque::new(),
            ..*self
        }
    }

    /// The sequence number of a position.
    pub fn number(&self, position: Position) -> String {
        format!("{position}{}", self.suffix)
    }

    /// The first position at (or, if `after`, strictly behind) a sequence number; `None` if it is not a number.
    pub fn position_of(&self, number: &str, after: bool) -> Option<Position> {
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = number.trim_start_matches('0');
        let cut = number.len().saturating_sub(self.suffix.len());
        let (head, tail) = number.split_at(cut);
        let head: Position = if head.is_empty() {
            0
        } else {
            head.parse().unwrap_or(Position::MAX - 1)
        };
        let tail = format!("{tail:0>width$}", width = self.suffix.len());
        let reached = if after {
            tail.as_str() < &*self.suffix
        } else {
            tail.as_str() <= &*self.suffix
        };
        Some(if reached { head } else { head + 1 })
    }

    /// Appends a record; its position is chosen here.
    pub fn push(&mut self, mut record: Record, rng: &mut Rng) {
        self.head += 1 + u128::from(rng.below(40));
        record.position = self.head;
        self.records.push_back(record);
    }

    /// Ends the shard a little behind its last record.
    pub fn close(&mut self, now_ms: i64, rng: &mut Rng) {
        if self.closed_ms.is_none() {
            self.closed_ms = Some(now_ms);
            self.ending = Some(self.head + 1 + u128::from(rng.below(20)));
        }
    }

    /// Drops records written before `horizon_ms`.
    pub fn trim(&mut self, horizon_ms: i64) {
        while self
            .records
            .front()
            .is_some_and(|record| record.written_ms < horizon_ms)
        {
            self.trimmed = self.records.pop_front().map(|record| record.position);
        }
    }

    /// Index of the first record at or behind `position`.
    pub fn index_at(&self, position: Position) -> usize {
        self.records
            .partition_point(|record| record.position < position)
    }
}
