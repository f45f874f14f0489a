//! A mirror that stands still says so within a minute, and one that does not never says so.

use mirror::error::ErrorKind;
use mirror::status::{MirrorState, StatusReport};
use testkit::process::Call;
use testkit::scenario::{Act, HOUR, MINUTE, SECOND, Scenario};
use testkit::simulation::{self, Outcome};
use testkit::weather::{Fate, Forced, Window};

use crate::paused;

const LOOK_MS: i64 = 2 * SECOND;
/// When what stops the mirror begins and ends, in every test here.
const FROM_MS: i64 = 30 * MINUTE;
const TO_MS: i64 = 40 * MINUTE;

/// What people saw, and when.
struct Seen(Vec<(i64, StatusReport)>);

impl Seen {
    /// When it was first said that the mirror stands still, and what about it.
    fn stalled(&self) -> Option<(i64, &StatusReport)> {
        let mut stalled = self.0.iter().filter(|(_, report)| report.stalled.is_some());
        stalled.next().map(|(at_ms, report)| (*at_ms, report))
    }
}

#[track_caller]
fn live(scenario: &Scenario) -> (Outcome, Seen) {
    let mut seen = Vec::new();
    let mut watch = |at_ms, report: &StatusReport| seen.push((at_ms, report.clone()));
    match simulation::run_watched(scenario, paused, Some(LOOK_MS), &mut watch) {
        Ok(outcome) => (outcome, Seen(seen)),
        Err(report) => panic!("{report}"),
    }
}

/// A mirror that is live, and a change every ten seconds.
fn busy(seed: u64) -> Scenario {
    let mut scenario = Scenario::calm(seed);
    scenario.config.export.duration_ms = MINUTE;
    for turn in 0..30 * 6 * 2 {
        let act = Act::Put {
            number: turn as u32 % 10,
            rev: turn as u64 + 2,
        };
        scenario.at(15 * MINUTE + turn * 10 * SECOND, act);
    }
    scenario
}

/// These calls fail from [`FROM_MS`] to [`TO_MS`].
fn closed(scenario: &Scenario, calls: &[Call], error: ErrorKind) -> Window {
    let world_ms = scenario.config.start_ms;
    Window {
        from_ms: world_ms + FROM_MS,
        to_ms: world_ms + TO_MS,
        calls: calls.to_vec(),
        error,
    }
}

#[test]
fn whatever_stops_a_mirror_is_noticed_within_a_minute_and_forgotten_when_it_has_passed() {
    let kinds = [
        (Call::GetRecords, ErrorKind::Throttled),
        (Call::GetRecords, ErrorKind::Unavailable),
        (Call::GetRecords, ErrorKind::AccessDenied),
        (Call::GetRecords, ErrorKind::Corrupt),
        (Call::Insert, ErrorKind::Unavailable),
        (Call::Insert, ErrorKind::DiskFull),
        (Call::Insert, ErrorKind::Rejected { code: 252 }),
        (Call::CommitShards, ErrorKind::Unavailable),
        (Call::DescribeStream, ErrorKind::Throttled),
    ];
    for (call, error) in kinds {
        let mut scenario = busy(40);
        scenario.windows = vec![closed(&scenario, &[call], error.clone())];
        // A shard ends: without a list of shards its successors cannot be read.
        scenario.at(FROM_MS, Act::Roll { shard: None });
        let (_, seen) = live(&scenario);
        let (at_ms, report) = seen
            .stalled()
            .unwrap_or_else(|| panic!("{call:?} {error:?}"));
        let after_ms = at_ms - FROM_MS;
        assert!(
            (0..=MINUTE).contains(&after_ms),
            "{call:?} {error:?}: {after_ms} ms, {report:?}"
        );
        assert!(
            matches!(report.state, MirrorState::Stalled | MirrorState::Broken),
            "{report:?}"
        );
        assert!(
            report.reason.is_some() && report.next_action.is_some(),
            "{report:?}"
        );
        let last = seen
            .0
            .iter()
            .rev()
            .find(|(_, report)| report.stalled.is_some());
        let until_ms = last.map_or(0, |(at_ms, _)| *at_ms);
        assert!(
            until_ms < TO_MS + MINUTE,
            "{call:?} {error:?}: still {until_ms}"
        );
    }
}

#[test]
fn an_answer_that_never_comes_is_noticed_within_a_minute() {
    for call in [Call::GetRecords, Call::Insert, Call::CommitShards] {
        let mut scenario = busy(41);
        scenario.forced = vec![Forced {
            call,
            fate: Fate::Hangs(30 * MINUTE),
            times: 1,
        }];
        let (_, seen) = live(&scenario);
        // It hangs from the first call on: within seconds of the start, but for the export's rows.
        let (at_ms, report) = seen.stalled().unwrap_or_else(|| panic!("{call:?}"));
        let begins_ms = match call {
            Call::Insert => scenario.starts_ms + scenario.config.export.duration_ms,
            _ => scenario.starts_ms,
        };
        let after_ms = at_ms - begins_ms;
        assert!(
            after_ms <= MINUTE + 20 * SECOND,
            "{call:?}: {after_ms} ms, {report:?}"
        );
    }
}

#[test]
fn a_backfill_that_does_not_move_is_noticed() {
    for call in [Call::DescribeExport, Call::OpenFile] {
        let mut scenario = busy(42);
        scenario.forced = vec![Forced {
            call,
            fate: Fate::Hangs(30 * MINUTE),
            times: 1,
        }];
        let (_, seen) = live(&scenario);
        let (_, report) = seen.stalled().unwrap_or_else(|| panic!("{call:?}"));
        let stalled = report.stalled.clone().unwrap();
        assert!(stalled.contains("backfill"), "{call:?}: {stalled}");
    }
}

#[test]
fn a_shard_whose_successors_are_not_listed_is_noticed() {
    let mut scenario = busy(43);
    scenario.config.stream.children_delay_ms = 10 * MINUTE;
    scenario.at(FROM_MS, Act::Roll { shard: None });
    let (_, seen) = live(&scenario);
    let (at_ms, report) = seen.stalled().expect("nothing was said");
    assert!(
        (0..=MINUTE + 10 * SECOND).contains(&(at_ms - FROM_MS)),
        "{at_ms}"
    );
    let stalled = report.stalled.clone().unwrap();
    assert!(stalled.contains("no successor"), "{stalled}");
}

#[test]
fn code_that_breaks_is_started_again_and_nothing_is_lost() {
    let calls = [
        Call::GetRecords,
        Call::ShardIterator,
        Call::DescribeStream,
        Call::Insert,
        Call::CommitShards,
        Call::DescribeExport,
        Call::ReadManifest,
        Call::OpenFile,
        Call::CommitFile,
        Call::LoadProgress,
    ];
    for call in calls {
        let mut scenario = busy(44);
        scenario.forced = vec![Forced {
            call,
            fate: Fate::Panics,
            times: 2,
        }];
        let (_, seen) = live(&scenario);
        assert!(seen.stalled().is_none(), "{call:?}: {:?}", seen.stalled());
    }
}

#[test]
fn a_mirror_that_moves_never_says_that_it_stands_still() {
    let mut quiet = Scenario::calm(45);
    quiet.at(3 * HOUR, Act::Put { number: 1, rev: 2 });
    for scenario in [busy(46), quiet] {
        let (_, seen) = live(&scenario);
        assert!(seen.stalled().is_none(), "{:?}", seen.stalled());
        // Up to the second, but for the pauses between reads.
        let lags = seen.0.iter().filter(|(at_ms, _)| *at_ms > 20 * MINUTE);
        let worst = lags
            .filter_map(|(_, report)| report.lag_seconds)
            .fold(0.0, f64::max);
        assert!(worst < 20.0, "{worst}");
    }
}
