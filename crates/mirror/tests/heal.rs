//! Healing against random histories: whatever was read, lost, and read again, the last state of every item wins.

use std::collections::BTreeMap;

use mirror::checkpoint::LineageClock;
use mirror::heal::{Coverage, Gap, Healing, LONGEST_WINDOW_MS, NotHealable, SHORTEST_WINDOW_MS};
use proptest::prelude::*;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const BEGAN_MS: i64 = 1_722_360_000_000;

/// What an item is; `None` if it is not there.
type State = Option<u32>;

/// One item and its own lineage of shards.
#[derive(Clone, Debug)]
struct Item {
    /// When it was written and what it was then, oldest first.
    writes: Vec<(i64, State)>,
    /// Whether its lineage lost what is in the gap; otherwise it was read until reading was suspended.
    loses: bool,
}

#[derive(Clone, Debug)]
struct Story {
    items: Vec<Item>,
    /// Records from here on may be lost, until there.
    gap: (i64, i64),
    /// How much later reading is suspended.
    suspended_after_ms: i64,
    /// How far window edges are off, a few kinds in turn.
    fuzz_ms: Vec<i64>,
}

/// Times are dense around the edges of the gap and of the last window, where mistakes would show.
fn moment(gap: (i64, i64), suspended_ms: i64, end_ms: i64) -> BoxedStrategy<i64> {
    let near = |at_ms: i64| (at_ms - 20 * MINUTE..at_ms + 3 * MINUTE).boxed();
    let close = |at_ms: i64| (at_ms - 2 * SECOND..at_ms + 2 * SECOND).boxed();
    prop_oneof![
        BEGAN_MS..end_ms,
        near(gap.0),
        close(gap.0),
        near(gap.1),
        close(gap.1),
        near(suspended_ms),
        (suspended_ms + MINUTE..suspended_ms + 3 * MINUTE + 2 * SECOND).boxed(),
        gap.0..gap.1,
    ]
    .boxed()
}

fn item(gap: (i64, i64), suspended_ms: i64, end_ms: i64) -> impl Strategy<Value = Item> {
    let state = prop::option::weighted(0.7, any::<u32>());
    let burst = (
        moment(gap, suspended_ms, end_ms),
        prop::collection::vec((0..900_i64, state), 1..5),
    );
    (prop::collection::vec(burst, 0..8), any::<bool>()).prop_map(|(bursts, loses)| {
        let mut writes: Vec<(i64, State)> = bursts
            .into_iter()
            .flat_map(|(at_ms, burst)| {
                burst
                    .into_iter()
                    .map(move |(ms, state)| (at_ms + ms, state))
            })
            .collect();
        writes.sort_by_key(|(at_ms, _)| *at_ms);
        writes.dedup_by_key(|(at_ms, _)| *at_ms);
        Item { writes, loses }
    })
}

fn story() -> impl Strategy<Value = Story> {
    (HOUR..3 * HOUR, 0..60 * HOUR, 0..HOUR).prop_flat_map(|(since, length, later)| {
        let gap = (BEGAN_MS + since, BEGAN_MS + since + length + 1);
        let end_ms = gap.1 + later + 2 * HOUR;
        (
            prop::collection::vec(item(gap, gap.1 + later, end_ms), 1..5),
            prop::collection::vec(-MINUTE + SECOND..MINUTE - SECOND, 1..4),
        )
            .prop_map(move |(items, fuzz_ms)| Story {
                items,
                gap,
                suspended_after_ms: later,
                fuzz_ms,
            })
    })
}

fn floor_second(ms: i64) -> i64 {
    ms.div_euclid(SECOND) * SECOND
}

fn state_before(item: &Item, at_ms: i64) -> State {
    let before = item
        .writes
        .iter()
        .rev()
        .find(|(write_ms, _)| *write_ms < at_ms);
    before.and_then(|(_, state)| *state)
}

/// All rows of one item by version.
#[derive(Default)]
struct Rows(BTreeMap<i64, Vec<State>>);

impl Rows {
    fn insert(&mut self, version_ms: i64, state: State) {
        self.0.entry(version_ms).or_default().push(state);
    }

    /// The row that wins, of which there may be only one: a tie below it does not matter.
    fn winner(&self) -> Result<(i64, State), TestCaseError> {
        let Some((version_ms, states)) = self.0.last_key_value() else {
            return Ok((0, None));
        };
        let tie = states.iter().any(|state| *state != states[0]);
        prop_assert!(!tie, "a tie at {version_ms}: {:?}", self.0);
        Ok((*version_ms, states[0]))
    }
}

fn live(story: &Story) -> Result<(), TestCaseError> {
    let (since_ms, until_ms) = story.gap;
    let suspended_ms = until_ms + story.suspended_after_ms;
    // 1. Before: every lineage is read until the gap, or until reading is suspended.
    let mut tables: Vec<(Rows, LineageClock, usize)> = Vec::new();
    for item in &story.items {
        let read_until_ms = if item.loses { since_ms } else { suspended_ms };
        let (mut rows, mut clock, mut read) = (Rows::default(), LineageClock::default(), 0);
        for (at_ms, state) in item
            .writes
            .iter()
            .filter(|(at_ms, _)| *at_ms < read_until_ms)
        {
            rows.insert(clock.tick(floor_second(*at_ms)), *state);
            read += 1;
        }
        tables.push((rows, clock, read));
    }
    let highest_clock_ms = tables
        .iter()
        .map(|(_, clock, _)| clock.last_ms())
        .max()
        .unwrap_or(0);
    let gap = Gap {
        since_ms,
        until_ms,
        what: String::new(),
    };
    let planned = Healing::plan(
        1,
        &gap,
        Coverage::default(),
        None,
        suspended_ms,
        highest_clock_ms,
    );
    let healing = planned.map_err(|why| TestCaseError::fail(format!("{why:?}")))?;
    let coverage = healing.coverage(highest_clock_ms);
    let covered_ms = coverage.until_ms.unwrap_or(0);
    // 2. Afterwards: what is still in the stream, from the end of the gap or from where it was left.
    for (item, (rows, clock, read)) in story.items.iter().zip(&mut tables) {
        let mut clock = LineageClock::new(clock.last_ms().max(coverage.clock_floor_ms));
        for (at_ms, state) in item.writes.iter().skip(*read) {
            let lost = item.loses && *at_ms < until_ms;
            if !lost && floor_second(*at_ms) >= covered_ms {
                rows.insert(clock.tick(floor_second(*at_ms)), *state);
            }
        }
    }
    // 3. The windows, in any order: AWS's edges are off, the same way for both windows at an edge.
    let edge = |at_ms: i64| {
        let turn = at_ms.unsigned_abs() as usize / 1000 % story.fuzz_ms.len();
        at_ms + story.fuzz_ms[turn]
    };
    let mut touched = vec![false; story.items.len()];
    for (number, window) in healing.windows().into_iter().enumerate().rev() {
        let (from_ms, to_ms) = (edge(window.from_ms), edge(window.to_ms));
        for (at, item) in story.items.iter().enumerate() {
            let inside = |(at_ms, _): &&(i64, State)| (from_ms..to_ms).contains(at_ms);
            let Some((written_ms, state)) = item.writes.iter().rev().find(inside) else {
                continue;
            };
            if state.is_none() && state_before(item, from_ms).is_none() {
                continue;
            }
            touched[at] = true;
            let version_ms = Healing::version_ms(highest_clock_ms, number, *written_ms);
            tables[at].0.insert(version_ms, *state);
        }
    }
    // 4. Ghosts.
    for (rows, _, _) in &mut tables {
        let (version_ms, state) = rows.winner()?;
        if state.is_some() && healing.ghosts_ms(highest_clock_ms).contains(&version_ms) {
            rows.insert(Healing::tombstone_ms(highest_clock_ms), None);
        }
    }
    for (item, (rows, _, _)) in story.items.iter().zip(&tables) {
        let last = item.writes.last().and_then(|(_, state)| *state);
        prop_assert_eq!(rows.winner()?.1, last, "{:?} {:?}", item, rows.0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_last_state_of_every_item_wins(story in story()) {
        live(&story)?;
    }

    #[test]
    fn windows_adjoin_and_are_as_long_as_aws_wants_them(
        since_ms in BEGAN_MS..BEGAN_MS + HOUR,
        length_ms in 0..40 * 24 * HOUR,
    ) {
        let gap = Gap { since_ms, until_ms: since_ms + length_ms, what: String::new() };
        let healing = Healing::plan(1, &gap, Coverage::default(), None, gap.until_ms, 0).unwrap();
        let windows = healing.windows();
        prop_assert_eq!(windows[0].from_ms, healing.begins_ms());
        prop_assert_eq!(windows[windows.len() - 1].to_ms, healing.end_ms);
        for pair in windows.windows(2) {
            prop_assert_eq!(pair[0].to_ms, pair[1].from_ms);
        }
        for window in &windows {
            let length_ms = window.to_ms - window.from_ms;
            prop_assert!((SHORTEST_WINDOW_MS..=LONGEST_WINDOW_MS).contains(&length_ms));
            prop_assert_eq!(window.from_ms % SECOND, 0);
        }
    }
}

#[test]
fn a_gap_right_after_the_export_is_filled_anew() {
    let gap = |since_ms| Gap {
        since_ms,
        until_ms: since_ms + HOUR,
        what: String::new(),
    };
    let plan = |since_ms| {
        let gap = gap(since_ms);
        Healing::plan(
            1,
            &gap,
            Coverage::default(),
            Some(BEGAN_MS),
            gap.until_ms,
            0,
        )
    };
    assert_eq!(
        plan(BEGAN_MS + 6 * MINUTE),
        Err(NotHealable::TooSoonAfterExport)
    );
    assert!(plan(BEGAN_MS + 8 * MINUTE).is_ok());
}

#[test]
fn a_gap_right_after_a_healing_is_healed_together_with_it() {
    let gap = |since_ms| Gap {
        since_ms,
        until_ms: since_ms + HOUR,
        what: String::new(),
    };
    let first = Healing::plan(
        1,
        &gap(BEGAN_MS),
        Coverage::default(),
        None,
        BEGAN_MS + HOUR,
        0,
    )
    .unwrap();
    let before = first.coverage(BEGAN_MS);
    let soon_ms = before.until_ms.unwrap() + MINUTE;
    let second = Healing::plan(2, &gap(soon_ms), before, None, soon_ms + HOUR, 0).unwrap();
    assert_eq!(second.from_ms, first.from_ms);
    let late_ms = before.until_ms.unwrap() + HOUR;
    let third = Healing::plan(2, &gap(late_ms), before, None, late_ms + HOUR, 0).unwrap();
    assert!(third.from_ms > first.end_ms);
}

#[test]
fn two_gaps_are_one_from_the_first_loss_to_the_last() {
    let gap = |since_ms, until_ms, what: &str| Gap {
        since_ms,
        until_ms,
        what: what.to_owned(),
    };
    let both = gap(10, 40, "a shard was trimmed; the stream was off");
    let (first, second) = (
        gap(10, 30, "a shard was trimmed"),
        gap(20, 40, "the stream was off"),
    );
    assert_eq!(first.clone().with(second.clone()), both);
    let other_order = second.with(first.clone());
    assert_eq!((other_order.since_ms, other_order.until_ms), (10, 40));
    assert_eq!(
        both.clone().with(first),
        both,
        "nothing is said twice, and nothing shrinks"
    );
}
