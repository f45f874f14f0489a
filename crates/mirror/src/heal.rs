//! Healing a gap: which incremental exports cover it, and which versions their rows get.
//!
//! A gap is a stretch of changes that left the stream before they were read, or that were never in it. It is healed in
//! two steps. First nobody follows the stream for some minutes, so that the table holds exactly what was read before
//! and it is known what that is. Then the stream is followed again, while exports bring what was lost.
//!
//! # Windows
//!
//! `b` is five minutes before the first change that may be lost, `e` is later than the moment reading was suspended. The
//! windows `[b - 15 min, b)`, `[b, ..)`, .., `[.., e)` adjoin, as AWS recommends for chains of incremental
//! exports, so each change is in exactly one. A line is the last state of one item in its window, so the rows of
//! all windows, later windows winning, are every changed item as of `e`.
//!
//! An item that a window did not have at its beginning and does not have at its end is in no line. If it was inserted
//! before the gap (we have its row) and deleted inside (we have not), its row would stay for ever: a ghost. The first
//! window lies before the gap and separates the two cases:
//! * inserted before `b - 6 min`: it existed at `b`, so the window of its deletion has a line for it;
//! * inserted later: surely after `b - 15 min`, so that if it lived it would be in a line. A row that is alive with
//!   such a version after all windows were loaded is a ghost and gets a tombstone ([`Healing::ghosts_ms`]).
//!
//! The 6 and 9 minutes between the two limits and the window's edges are for the differences between a version and
//! the time of a write: AWS's clocks may differ by a minute, and a lineage's clock runs ahead when a shard takes more
//! than 1,000 changes in a second.
//!
//! # Versions
//!
//! Let `H` be the highest version in the table and in all checkpoints once reading was suspended and nothing sent to
//! ClickHouse can still arrive. A line of window `i`, written at `w` ms, gets `v = max(w - 1000, H + 1 + i)`.
//! When the stream is followed again every lineage's clock goes on from at least `F > H + 1 + i`
//! ([`Coverage::clock_floor_ms`]), and records from before `e - 2 min` are passed over: the windows have them.
//! What follows is about versions only, so the order in which rows arrive does not matter.
//!
//! 1. *A line wins over every row read before the gap*: those have versions `<= H`.
//! 2. *Of two lines of one item the later wins*: `w - 1000` and `H + 1 + i` both grow, and one of them strictly.
//! 3. *A line loses to every later change of its item that the stream delivers*: such a change has a version `c > F >
//!    H + 1 + i`; and `c` is not below its creation time, which is its write time `w' >= w` rounded down to a second,
//!    so `c > w' - 1000 >= w - 1000`.
//! 4. *Changes that are read again do no harm*: a record from between `e - 2 min` and `e` may win over a line that is
//!    newer, but then its newer sibling follows in the same lineage, with a higher version.
//! 5. *A ghost's tombstone* is above everything read before and below `F`; the item has no line.
//!
//! `tests/heal.rs` holds this against random histories.

use crate::source::ExportWindow;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

/// AWS's shortest and longest incremental export, milliseconds.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html>
pub const SHORTEST_WINDOW_MS: i64 = 15 * MINUTE;
/// See [`SHORTEST_WINDOW_MS`].
pub const LONGEST_WINDOW_MS: i64 = 24 * 60 * MINUTE;

/// A window ends at least this long after reading was suspended, milliseconds: AWS's clocks may differ by a minute.
pub const AFTER_SUSPENSION_MS: i64 = 2 * MINUTE;

/// An export is asked for this long after its window ended, milliseconds: point-in-time recovery is typically five
/// minutes behind.
pub const ASKED_AFTER_MS: i64 = 5 * MINUTE;

/// Changes before the end of the last window minus this are surely in a window, milliseconds.
const COVERED_MARGIN_MS: i64 = 2 * MINUTE;

/// How far before the first change that may be lost the gap's windows begin, milliseconds.
const BEFORE_GAP_MS: i64 = 5 * MINUTE;

/// Ghosts have versions from this long before the gap's first window on, milliseconds.
const GHOSTS_BEFORE_MS: i64 = 6 * MINUTE;

/// A gap must begin this long after a full export, milliseconds: the rows of an export do not tell when they were
/// written.
const AFTER_EXPORT_MS: i64 = BEFORE_GAP_MS + 2 * MINUTE;

/// Room for windows between `H` and the clock's floor, milliseconds. 35 days of windows, with every one split.
const VERSIONS_FOR_WINDOWS: i64 = 1000;

/// Changes that were lost, or may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Every change before this time is durable, AWS's milliseconds.
    pub since_ms: i64,
    /// Every change from this time on is durable or still in the stream.
    pub until_ms: i64,
    /// What happened, for people.
    pub what: String,
}

impl Gap {
    /// Both gaps as one.
    pub fn with(self, other: Self) -> Self {
        let what = match self.what.contains(&other.what) {
            true => self.what,
            false => format!("{}; {}", self.what, other.what),
        };
        Self {
            since_ms: self.since_ms.min(other.since_ms),
            until_ms: self.until_ms.max(other.until_ms),
            what,
        }
    }

    /// Whether a full export of time `exported_ms`, or one still to come, has everything that was lost.
    ///
    /// It has no tombstones: what was read before the gap and deleted in it is a ghost until it is swept. Once all rows
    /// of the export are in the table, a row that is alive with a version below theirs is of an item that the export
    /// did not have: its version is not below the time of its last change, so that it existed five minutes
    /// before the export if it was not deleted.
    pub fn is_in_export(&self, exported_ms: Option<i64>) -> bool {
        exported_ms.is_none_or(|at_ms| self.until_ms <= at_ms - EXPORT_FUZZ_MS)
    }
}

/// An export may miss changes of its last minute, and hold some of the minute after, milliseconds.
pub const EXPORT_FUZZ_MS: i64 = MINUTE;

/// What is known to be in the table besides what the stream delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Changes before this time are in the table, whether the stream had them or not, AWS's milliseconds: a healing
    /// brought them while nobody followed the stream, and they are not to be taken from it any more.
    pub until_ms: Option<i64>,
    /// Changes before this time that the stream lost are in the full export, which was swept, AWS's milliseconds. Those
    /// that the stream has are taken from it all the same: it is followed while an export is loaded, and what is taken
    /// of an item has to be all up to its last change.
    pub swept_ms: Option<i64>,
    /// Where the windows of the last healing began.
    pub healed_from_ms: Option<i64>,
    /// No lineage's clock goes on from less, milliseconds.
    pub clock_floor_ms: i64,
    /// When rows were last repaired, AWS's milliseconds: the versions of such rows do not tell when their items were
    /// written, as those of an export do not. A healing leaves it as it is.
    pub repaired_ms: Option<i64>,
}

impl Coverage {
    /// Whether all that was lost before `until_ms` has been brought.
    pub fn has_all_lost(&self, until_ms: i64) -> bool {
        self.until_ms.max(self.swept_ms) >= Some(until_ms)
    }

    /// ... once a full export of time `exported_ms` is loaded and was swept: it has what became of everything before.
    pub fn with_export(self, exported_ms: i64) -> Self {
        Self {
            swept_ms: self.swept_ms.max(Some(exported_ms - COVERED_MARGIN_MS)),
            ..self
        }
    }
}

/// Why windows cannot heal a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHealable {
    /// It began too soon after the export that the mirror was filled from.
    TooSoonAfterExport,
    /// It began before the time that point-in-time recovery covers.
    BeforeRecovery,
}

/// One healing, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healing {
    /// Which healing of the mirror, from 1. Part of the client tokens.
    pub round: u32,
    /// `b`: where the windows of the gap begin, milliseconds, a whole second.
    pub from_ms: i64,
    /// `e`: where they end, milliseconds, a whole second.
    pub end_ms: i64,
    /// `H`; `None` until it is known.
    pub highest_ms: Option<i64>,
}

impl Healing {
    /// Plans the windows of a gap. `suspended_ms` is AWS's time when nobody read the stream any more, `highest_clock_ms`
    /// the highest clock of all checkpoints, `exported_ms` the time of the full export the mirror was filled from.
    pub fn plan(
        round: u32,
        gap: &Gap,
        before: Coverage,
        exported_ms: Option<i64>,
        suspended_ms: i64,
        highest_clock_ms: i64,
    ) -> Result<Self, NotHealable> {
        // Rows of the healing before may carry versions far from their write time: it is done again with them.
        let soon_after = before.until_ms.is_some_and(|until_ms| {
            gap.since_ms < until_ms + SHORTEST_WINDOW_MS + AFTER_SUSPENSION_MS
        });
        let again_ms = before.healed_from_ms.filter(|_| soon_after);
        let from_ms = whole_second(gap.since_ms - BEFORE_GAP_MS).min(again_ms.unwrap_or(i64::MAX));
        if exported_ms.is_some_and(|at_ms| from_ms < at_ms + AFTER_EXPORT_MS - BEFORE_GAP_MS) {
            return Err(NotHealable::TooSoonAfterExport);
        }
        let known_ms = suspended_ms.max(highest_clock_ms).max(gap.until_ms);
        let end_ms = (known_ms + AFTER_SUSPENSION_MS).max(from_ms + SHORTEST_WINDOW_MS);
        Ok(Self {
            round,
            from_ms,
            end_ms: whole_second(end_ms) + SECOND,
            highest_ms: None,
        })
    }

    /// Where the first window begins, milliseconds; point-in-time recovery must reach back to it.
    pub fn begins_ms(&self) -> i64 {
        self.from_ms - SHORTEST_WINDOW_MS
    }

    /// All windows in order.
    pub fn windows(&self) -> Vec<ExportWindow> {
        let mut windows = vec![ExportWindow {
            from_ms: self.begins_ms(),
            to_ms: self.from_ms,
        }];
        let mut from_ms = self.from_ms;
        while from_ms < self.end_ms {
            let left_ms = self.end_ms - from_ms;
            // What would be left over must be a window of its own.
            let length_ms = match left_ms {
                ..=LONGEST_WINDOW_MS => left_ms,
                _ => LONGEST_WINDOW_MS.min(left_ms - SHORTEST_WINDOW_MS),
            };
            windows.push(ExportWindow {
                from_ms,
                to_ms: from_ms + length_ms,
            });
            from_ms += length_ms;
        }
        windows
    }

    /// The version of a line of window `window`, from 0, that was written at `written_ms`. `highest_ms` is `H`.
    pub fn version_ms(highest_ms: i64, window: usize, written_ms: i64) -> i64 {
        let turn = i64::try_from(window).unwrap_or(VERSIONS_FOR_WINDOWS);
        (written_ms - SECOND).max(highest_ms + 1 + turn.min(VERSIONS_FOR_WINDOWS - 3))
    }

    /// Versions of rows that are ghosts if they are alive after all windows were loaded, milliseconds.
    pub fn ghosts_ms(&self, highest_ms: i64) -> std::ops::RangeInclusive<i64> {
        self.from_ms - GHOSTS_BEFORE_MS..=highest_ms
    }

    /// The version of a ghost's tombstone.
    pub fn tombstone_ms(highest_ms: i64) -> i64 {
        highest_ms + VERSIONS_FOR_WINDOWS - 1
    }

    /// What holds once all windows are loaded, and what is followed again with.
    pub fn coverage(&self, highest_ms: i64) -> Coverage {
        Coverage {
            until_ms: Some(self.end_ms - COVERED_MARGIN_MS),
            swept_ms: None,
            healed_from_ms: Some(self.from_ms),
            clock_floor_ms: highest_ms + VERSIONS_FOR_WINDOWS,
            repaired_ms: None,
        }
    }
}

fn whole_second(ms: i64) -> i64 {
    ms.div_euclid(SECOND) * SECOND
}
