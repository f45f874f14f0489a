//! Gaps of every kind, and what heals them.

use aws_sim::{Fault, FaultKind};
use mirror::error::ErrorKind;
use testkit::process::{Call, Crash, Moment};
use testkit::scenario::{Act, Expected, HOUR, MINUTE, SECOND, Scenario};
use testkit::simulation::{self, Outcome};
use testkit::weather::Window;

use crate::paused;

#[track_caller]
fn live(scenario: &Scenario) -> Outcome {
    match simulation::run(scenario, paused) {
        Ok(outcome) => outcome,
        Err(report) => panic!("{report}"),
    }
}

/// A mirror that is complete, and then nobody reads for `down_ms`.
fn paused_for(seed: u64, down_ms: i64) -> Scenario {
    let mut scenario = Scenario::calm(seed);
    scenario.config.stream.auto_rollover_ms = Some(4 * HOUR);
    scenario.crashes = vec![Crash {
        call: Some(Call::GetRecords),
        moment: None,
        nth: 3_000,
        down_ms,
    }];
    scenario.patience_ms = 6 * HOUR;
    scenario.expects = Expected {
        healed: Some(1),
        resyncs: Some(0),
    };
    scenario
}

/// A change every hour until `until_ms`, of ten items in turn; some are deleted, some are deleted and come back.
fn hourly(scenario: &mut Scenario, until_ms: i64) {
    for hour in 1..until_ms / HOUR {
        let number = (hour % 10) as u32;
        let rev = hour as u64 + 2;
        let act = match hour % 7 {
            0 | 3 => Act::Delete { number },
            _ => Act::Put { number, rev },
        };
        scenario.at(hour * HOUR + 7 * MINUTE, act);
        // Lives and dies between two looks.
        scenario.at(hour * HOUR + 8 * MINUTE, Act::Put { number: 50, rev });
        scenario.at(hour * HOUR + 9 * MINUTE, Act::Delete { number: 50 });
    }
}

#[test]
fn a_pause_of_days_is_healed_without_a_full_export() {
    for (seed, hours) in [(20, 30), (21, 60), (22, 5 * 24)] {
        let mut scenario = paused_for(seed, hours * HOUR);
        hourly(&mut scenario, (hours + 3) * HOUR);
        let outcome = live(&scenario);
        assert_eq!(outcome.opened.len(), outcome.opened.values().count());
        let attempt = outcome
            .progress
            .export
            .as_ref()
            .map(|export| export.attempt);
        assert_eq!(attempt, Some(1), "{hours} h");
        assert!(outcome.exports > 2, "{hours} h");
    }
}

#[test]
fn records_trimmed_from_a_shard_that_stays_are_healed() {
    let mut scenario = paused_for(23, 30 * HOUR);
    scenario.config.stream.auto_rollover_ms = None;
    scenario.config.stream.shards = 1;
    hourly(&mut scenario, 32 * HOUR);
    live(&scenario);
}

/// One shard that nobody replaces, read until about `read_ms`, and then nobody reads for 30 hours.
fn one_shard_read_until(seed: u64, read_ms: i64) -> Scenario {
    let mut scenario = paused_for(seed, 30 * HOUR);
    scenario.config.stream.auto_rollover_ms = None;
    scenario.config.stream.shards = 1;
    // An idle shard is read every five seconds, and each call passes a crash twice.
    let looks = (read_ms - scenario.starts_ms) / (5 * SECOND);
    scenario.crashes[0].nth = 2 * looks as u32;
    scenario
}

#[test]
fn records_trimmed_from_a_shard_of_which_none_was_ever_read_are_healed() {
    let mut scenario = one_shard_read_until(33, 40 * MINUTE);
    scenario.at(2 * HOUR, Act::Put { number: 3, rev: 2 });
    scenario.at(32 * HOUR, Act::Put { number: 4, rev: 2 });
    live(&scenario);
}

/// Its child is young enough to have lost nothing, and says nothing about it.
#[test]
fn records_trimmed_from_a_shard_that_ended_since_are_healed() {
    let mut scenario = one_shard_read_until(34, 40 * MINUTE);
    scenario.at(20 * MINUTE, Act::Put { number: 2, rev: 2 });
    scenario.at(2 * HOUR, Act::Put { number: 3, rev: 2 });
    scenario.at(19 * HOUR, Act::Put { number: 4, rev: 2 });
    scenario.at(20 * HOUR, Act::Roll { shard: None });
    scenario.at(32 * HOUR, Act::Put { number: 5, rev: 2 });
    live(&scenario);
}

/// Its child tells of a loss too, but only from its own beginning on.
#[test]
fn a_shard_that_is_gone_is_healed_from_where_it_was_read_to() {
    let mut scenario = one_shard_read_until(35, 40 * MINUTE);
    scenario.at(20 * MINUTE, Act::Put { number: 2, rev: 2 });
    scenario.at(2 * HOUR, Act::Put { number: 3, rev: 2 });
    scenario.at(5 * HOUR, Act::Roll { shard: None });
    scenario.at(32 * HOUR, Act::Put { number: 4, rev: 2 });
    live(&scenario);
}

/// Shards that ended at different times, none of whose successors was ever listed.
#[test]
fn two_losses_are_healed_from_the_earlier_on() {
    let mut scenario = paused_for(36, 30 * HOUR);
    scenario.config.stream.auto_rollover_ms = None;
    scenario.config.stream.shards = 2;
    scenario.config.stream.children_delay_ms = 20 * HOUR;
    // Each shard is read every five seconds until it ends, and each call passes a crash twice.
    scenario.crashes[0].nth = 2 * 1_300;
    scenario.at(30 * MINUTE, Act::Roll { shard: Some(0) });
    for number in 0..10 {
        scenario.at(HOUR, Act::Put { number, rev: 2 });
    }
    scenario.at(90 * MINUTE, Act::Roll { shard: None });
    scenario.at(34 * HOUR, Act::Put { number: 3, rev: 3 });
    live(&scenario);
}

/// The first loss waits for the next backfill, which would bury what was deleted in it. Before that one is loaded there
/// is a second loss, so that both are healed by windows.
#[test]
fn a_loss_that_waits_for_an_export_is_healed_with_the_next_one() {
    let mut scenario = Scenario::calm(60);
    scenario.config.stream.shards = 1;
    scenario.settings.poll_idle_max_ms = 60_000;
    // Asked for at minute 10, and again some 32 hours after it failed.
    scenario.config.export.duration_ms = 50 * HOUR;
    scenario.settings.export_retry_ms = 16 * HOUR as u64;
    let failed = FaultKind::ExportFailed {
        code: "S3NoSuchBucket".to_owned(),
        message: "no bucket".to_owned(),
    };
    scenario.faults = vec![Fault::new("ExportTableToPointInTime", failed).times(1)];
    scenario.at(49 * HOUR, Act::Put { number: 77, rev: 1 });
    scenario.at(51 * HOUR, Act::Delete { number: 77 });
    scenario.at(81 * HOUR, Act::Put { number: 3, rev: 2 });
    scenario.at(87 * HOUR, Act::Put { number: 4, rev: 2 });
    scenario.at(118 * HOUR, Act::Put { number: 5, rev: 2 });
    let of_stream = [Call::DescribeStream, Call::ShardIterator, Call::GetRecords];
    for from_ms in [49 * HOUR + 30 * MINUTE, 86 * HOUR] {
        let lost = role_lost(&scenario, from_ms, 30 * HOUR + 30 * MINUTE);
        scenario.windows.push(Window {
            calls: of_stream.to_vec(),
            ..lost
        });
    }
    scenario.expects = Expected {
        healed: Some(1),
        resyncs: Some(0),
    };
    scenario.patience_ms = 200 * HOUR;
    live(&scenario);
}

/// Items that are written twice within a second, wherever one window ends and another, or the stream, goes on.
#[test]
fn nothing_is_lost_where_windows_meet() {
    let mut scenario = one_shard_read_until(37, 40 * MINUTE);
    let mut number = 1_000;
    let mut twice = |at_ms: i64| {
        scenario.at(at_ms, Act::Put { number, rev: 1 });
        scenario.at(at_ms + 700, Act::Put { number, rev: 2 });
        number += 1;
    };
    // 24 hours after five minutes before the last look, and some minutes after the next one.
    for half_second in 0..20 * 60 {
        twice(24 * HOUR + 28 * MINUTE + half_second * SECOND / 2);
        twice(30 * HOUR + 38 * MINUTE + half_second * SECOND / 2);
    }
    live(&scenario);
}

/// What the table held before the gap is ahead of both windows' rows.
#[test]
fn an_item_in_two_windows_is_as_the_later_one_says() {
    // The looks that follow the two changes are not every five seconds: it is read until about 41 minutes, and the
    // windows meet five minutes before.
    let mut scenario = one_shard_read_until(42, 44 * MINUTE);
    scenario.at(30 * MINUTE, Act::Put { number: 3, rev: 2 });
    scenario.at(38 * MINUTE, Act::Put { number: 3, rev: 3 });
    scenario.at(2 * HOUR, Act::Put { number: 4, rev: 2 });
    scenario.at(32 * HOUR, Act::Put { number: 5, rev: 2 });
    live(&scenario);
}

/// Twenty thousand changes within a second: versions are 20 s ahead of the clock, and so is what the table holds.
#[test]
fn what_was_lost_wins_over_rows_whose_versions_ran_ahead() {
    let mut scenario = Scenario::calm(38);
    scenario.config.stream.shards = 1;
    for rev in 2..20_002 {
        scenario.at(HOUR, Act::Put { number: 3, rev });
    }
    scenario.windows = vec![role_lost(&scenario, HOUR + 15 * SECOND, 30 * HOUR)];
    scenario.at(
        HOUR + 16 * SECOND,
        Act::Put {
            number: 3,
            rev: 30_000,
        },
    );
    scenario.at(32 * HOUR, Act::Put { number: 4, rev: 2 });
    scenario.expects.healed = Some(1);
    scenario.patience_ms = 6 * HOUR;
    live(&scenario);
}

/// An item that is inserted, read, and deleted while nobody reads: an incremental export does not show it.
#[test]
fn an_item_inserted_before_a_gap_and_deleted_in_it_is_no_ghost() {
    for before_ms in [
        SECOND,
        30 * SECOND,
        2 * MINUTE,
        4 * MINUTE,
        6 * MINUTE,
        11 * MINUTE,
        25 * MINUTE,
    ] {
        let mut scenario = Scenario::calm(24);
        scenario.config.stream.shards = 1;
        let pause_ms = 3 * HOUR;
        scenario.at(pause_ms - before_ms, Act::Put { number: 77, rev: 1 });
        scenario.at(pause_ms - before_ms, Act::Put { number: 78, rev: 1 });
        // Lives on.
        scenario.at(pause_ms - before_ms, Act::Put { number: 79, rev: 1 });
        scenario.windows = vec![role_lost(&scenario, pause_ms + 10 * SECOND, 30 * HOUR)];
        scenario.at(pause_ms + MINUTE, Act::Delete { number: 77 });
        scenario.at(pause_ms + 2 * HOUR, Act::Delete { number: 78 });
        scenario.at(pause_ms + 31 * HOUR, Act::Put { number: 1, rev: 9 });
        scenario.expects.healed = Some(1);
        scenario.patience_ms = 6 * HOUR;
        live(&scenario);
    }
}

/// Windows may begin a minute early. Items that were inserted just then, and deleted unseen, are in none of them.
#[test]
fn an_item_inserted_where_a_window_begins_early_is_no_ghost() {
    for seed in 43..47 {
        let mut scenario = Scenario::calm(seed);
        scenario.config.stream.shards = 1;
        scenario.config.export.incremental_fuzz_ms = MINUTE;
        let lost_ms = 3 * HOUR;
        // The first window of the gap begins five minutes before what was known last.
        for turn in 0..60 {
            let number = 100 + turn as u32;
            let at_ms = lost_ms - 8 * MINUTE + turn * 5 * SECOND;
            scenario.at(at_ms, Act::Put { number, rev: 1 });
            scenario.at(lost_ms + HOUR, Act::Delete { number });
        }
        scenario.windows = vec![role_lost(&scenario, lost_ms, 30 * HOUR)];
        scenario.at(lost_ms + 31 * HOUR, Act::Put { number: 1, rev: 9 });
        scenario.expects.healed = Some(1);
        scenario.patience_ms = 6 * HOUR;
        live(&scenario);
    }
}

fn from_aws() -> Vec<Call> {
    vec![
        Call::DescribeTable,
        Call::DescribeStream,
        Call::ShardIterator,
        Call::GetRecords,
        Call::StartExport,
        Call::DescribeExport,
    ]
}

/// The role may do nothing from `from_ms` on for `ms`.
fn role_lost(scenario: &Scenario, from_ms: i64, ms: i64) -> Window {
    let world_ms = scenario.config.start_ms;
    Window {
        from_ms: world_ms + from_ms,
        to_ms: world_ms + from_ms + ms,
        calls: from_aws(),
        error: ErrorKind::AccessDenied,
    }
}

#[test]
fn a_role_lost_for_longer_than_the_stream_remembers_is_healed() {
    for (seed, rollover_ms) in [(25, Some(4 * HOUR)), (26, None)] {
        let mut scenario = Scenario::calm(seed);
        scenario.config.stream.auto_rollover_ms = rollover_ms;
        scenario.windows = vec![role_lost(&scenario, 2 * HOUR, 40 * HOUR)];
        hourly(&mut scenario, 45 * HOUR);
        scenario.expects = Expected {
            healed: Some(1),
            resyncs: Some(0),
        };
        scenario.patience_ms = 8 * HOUR;
        live(&scenario);
    }
}

#[test]
fn a_stream_switched_off_and_on_is_healed_and_followed() {
    for off_ms in [2 * MINUTE, HOUR, 30 * HOUR] {
        let mut scenario = Scenario::calm(27);
        scenario.at(3 * HOUR, Act::StreamOff);
        for minute in 0..off_ms / MINUTE {
            let number = (minute % 10) as u32;
            scenario.at(
                3 * HOUR + minute * MINUTE + 30 * SECOND,
                Act::Put {
                    number,
                    rev: minute as u64 + 5,
                },
            );
        }
        scenario.at(3 * HOUR + off_ms / 2, Act::Delete { number: 3 });
        scenario.at(3 * HOUR + off_ms, Act::SwitchOn);
        scenario.at(
            4 * HOUR + off_ms,
            Act::Put {
                number: 5,
                rev: 9_999,
            },
        );
        scenario.expects = Expected {
            healed: Some(1),
            resyncs: Some(0),
        };
        scenario.patience_ms = 6 * HOUR;
        live(&scenario);
    }
}

/// The stream is new, so that the windows reach into its first minutes; just then an export fails and the next is due.
/// What lives for half a minute is in that export, in no window, and passed over in the stream.
#[test]
fn an_export_asked_for_while_a_gap_is_healed_brings_nothing_back() {
    let mut scenario = Scenario::calm(40);
    scenario.at(30 * MINUTE, Act::StreamOff);
    scenario.at(HOUR, Act::SwitchOn);
    scenario.faults = vec![
        Fault::new(
            "ExportTableToPointInTime",
            FaultKind::ExportFailed {
                code: "S3NoSuchBucket".to_owned(),
                message: "no bucket".to_owned(),
            },
        )
        .times(1),
    ];
    // Asked for at minute 10; the next one a minute after it failed.
    scenario.config.export.duration_ms = 51 * MINUTE;
    scenario.settings.export_retry_ms = 60_000;
    for turn in 0..60 {
        let number = 100 + turn as u32;
        let at_ms = 56 * MINUTE + turn * 10 * SECOND;
        scenario.at(at_ms, Act::Put { number, rev: 1 });
        scenario.at(at_ms + 30 * SECOND, Act::Delete { number });
    }
    scenario.expects = Expected {
        healed: Some(1),
        resyncs: Some(0),
    };
    scenario.patience_ms = 6 * HOUR;
    let outcome = live(&scenario);
    assert_eq!(outcome.progress.export.unwrap().attempt, 2);
}

/// The process dies between the request for the export and the first look at a shard, and nothing of the stream that
/// it knew is there when it comes back.
#[test]
fn shards_that_were_never_read_are_missed() {
    let mut scenario = Scenario::calm(41);
    scenario.config.stream.auto_rollover_ms = Some(4 * HOUR);
    scenario.crashes = vec![Crash {
        call: Some(Call::SaveExport),
        moment: Some(Moment::Done),
        nth: 1,
        down_ms: 40 * HOUR,
    }];
    hourly(&mut scenario, 20 * HOUR);
    scenario.at(45 * HOUR, Act::Put { number: 1, rev: 99 });
    scenario.patience_ms = 6 * HOUR;
    live(&scenario);
}

#[test]
fn a_table_that_was_created_again_is_filled_anew() {
    let mut scenario = Scenario::calm(28);
    hourly(&mut scenario, 5 * HOUR);
    scenario.at(5 * HOUR, Act::Recreate);
    for number in 20..30 {
        scenario.at(5 * HOUR + MINUTE, Act::Put { number, rev: 1 });
    }
    scenario.at(7 * HOUR, Act::Put { number: 25, rev: 2 });
    scenario.expects.resyncs = Some(1);
    live(&scenario);
}

#[test]
fn a_resync_asked_for_while_changes_go_on_loses_nothing() {
    let mut scenario = Scenario::calm(29);
    for second in 0..3_600 {
        let number = (second % 13) as u32;
        let act = match second % 5 {
            0 => Act::Delete { number },
            _ => Act::Put {
                number,
                rev: second as u64 + 2,
            },
        };
        scenario.at(20 * MINUTE + second * SECOND, act);
    }
    scenario.at(30 * MINUTE, Act::Resync);
    scenario.expects.resyncs = Some(1);
    live(&scenario);
}

/// One shard that is looked at every two minutes, by both tables' readers at times of their own.
#[test]
fn an_exchange_takes_nothing_back_that_people_saw() {
    for turn in 0..8 {
        let mut scenario = Scenario::calm(50 + turn as u64);
        scenario.config.stream.shards = 1;
        scenario.config.export.duration_ms = 7 * MINUTE;
        scenario.settings.poll_idle_max_ms = 120_000;
        for change in 0..40 {
            let act = Act::Put {
                number: change as u32 % 10,
                rev: change as u64 + 2,
            };
            scenario.at(15 * MINUTE + change * 110 * SECOND, act);
        }
        scenario.at(30 * MINUTE + turn * 13 * SECOND, Act::Resync);
        scenario.expects.resyncs = Some(1);
        live(&scenario);
    }
}

#[test]
fn a_second_resync_goes_on_from_the_first_through_a_crash() {
    let mut scenario = Scenario::calm(58);
    hourly(&mut scenario, 12 * HOUR);
    scenario.at(3 * HOUR, Act::Resync);
    scenario.at(6 * HOUR, Act::Resync);
    for nth in [1, 2, 40] {
        scenario.crashes = vec![Crash {
            call: Some(Call::SaveShadow),
            moment: Some(Moment::Done),
            nth,
            down_ms: 2 * SECOND,
        }];
        scenario.expects.resyncs = Some(2);
        live(&scenario);
    }
}

#[test]
fn a_gap_older_than_recovery_is_filled_anew() {
    let mut scenario = paused_for(30, 40 * 24 * HOUR);
    scenario.config.stream.auto_rollover_ms = None;
    for day in 1..40 {
        scenario.at(
            day * 24 * HOUR,
            Act::Put {
                number: (day % 10) as u32,
                rev: day as u64 + 2,
            },
        );
    }
    scenario.expects = Expected {
        healed: None,
        resyncs: Some(1),
    };
    live(&scenario);
}

#[test]
fn a_healing_survives_a_crash_at_every_door() {
    let doors = [
        Call::SaveGap,
        Call::SaveHealing,
        Call::StartExport,
        Call::SaveExport,
        Call::HighestVersion,
        Call::OpenFile,
        Call::CommitFile,
        Call::Bury,
        Call::FinishHealing,
    ];
    for call in doors {
        for moment in [Moment::Asked, Moment::Done] {
            for nth in 1..=3 {
                let mut scenario = paused_for(31, 30 * HOUR);
                hourly(&mut scenario, 33 * HOUR);
                scenario.crashes.push(Crash {
                    call: Some(call),
                    moment: Some(moment),
                    nth,
                    down_ms: 2 * SECOND,
                });
                live(&scenario);
            }
        }
    }
}

#[test]
fn a_resync_survives_a_crash_at_every_door() {
    let doors = [
        Call::SaveShadow,
        Call::CreateShadow,
        Call::StartExport,
        Call::CommitFile,
        Call::CommitShards,
        Call::Exchange,
        Call::DropTable,
        Call::FinishResync,
    ];
    for call in doors {
        for moment in [Moment::Asked, Moment::Done] {
            for nth in 1..=3 {
                let mut scenario = Scenario::calm(32);
                hourly(&mut scenario, 6 * HOUR);
                scenario.at(3 * HOUR, Act::Resync);
                // The first life ends before the resync is asked for, so that the second meets the crash in it.
                scenario.crashes = vec![
                    Crash {
                        call: Some(Call::GetRecords),
                        moment: None,
                        nth: 1_000,
                        down_ms: SECOND,
                    },
                    Crash {
                        call: Some(call),
                        moment: Some(moment),
                        nth,
                        down_ms: 2 * SECOND,
                    },
                ];
                scenario.expects.resyncs = Some(1);
                live(&scenario);
            }
        }
    }
}
