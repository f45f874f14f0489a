//! The worst traps, one by one, with a crash at every door they lead through.

use aws_sim::{Fault, FaultKind};
use mirror::checkpoint::ExportPhase;
use testkit::exports::Doctored;
use testkit::process::{Call, Crash, Moment};
use testkit::scenario::{Act, HOUR, MINUTE, SECOND, Scenario};
use testkit::simulation::{self, Outcome};
use testkit::weather::{Fate, Forced};

use crate::paused;

#[track_caller]
fn live(scenario: &Scenario) -> Outcome {
    match simulation::run(scenario, paused) {
        Ok(outcome) => outcome,
        Err(report) => panic!("{report}"),
    }
}

/// Every crash at these doors, before and after what was asked, the first to the `times`th time.
fn crashes(calls: &[Call], times: u32) -> Vec<Crash> {
    let mut crashes = Vec::new();
    for call in calls {
        for moment in [Moment::Asked, Moment::Done] {
            crashes.extend((1..=times).map(|nth| Crash {
                call: Some(*call),
                moment: Some(moment),
                nth,
                down_ms: 2 * SECOND,
            }));
        }
    }
    crashes
}

fn puts(scenario: &mut Scenario, at_ms: i64, number: u32, revs: std::ops::Range<u64>) {
    for rev in revs {
        scenario.at(at_ms, Act::Put { number, rev });
    }
}

/// Insert, update, delete and insert again of one item within a second, several times.
fn one_second() -> Scenario {
    let mut scenario = Scenario::calm(1);
    scenario.config.stream.shards = 1;
    let at_ms = 11 * MINUTE;
    for round in 0..5_u64 {
        puts(
            &mut scenario,
            at_ms + round as i64,
            3,
            round * 10 + 2..round * 10 + 6,
        );
        scenario.at(at_ms + round as i64, Act::Delete { number: 3 });
        scenario.at(
            at_ms + round as i64,
            Act::Put {
                number: 4,
                rev: round + 2,
            },
        );
    }
    scenario.at(at_ms + 300, Act::Delete { number: 4 });
    scenario.at(at_ms + 600, Act::Put { number: 3, rev: 99 });
    scenario
}

#[test]
fn fifty_changes_of_an_item_in_one_second_survive_a_crash_between_any_two_steps() {
    for crash in crashes(&[Call::GetRecords, Call::Insert, Call::CommitShards], 4) {
        let outcome = live(&Scenario {
            crashes: vec![crash],
            ..one_second()
        });
        assert_eq!(outcome.lives, 2, "{crash:?}");
    }
}

/// A shard is replaced by two between changes of one item, all within one second.
fn split_in_a_second() -> Scenario {
    let mut scenario = Scenario::calm(2);
    scenario.config.stream.shards = 1;
    for turn in 0..4 {
        let at_ms = 11 * MINUTE + turn * 200;
        for number in 0..6 {
            puts(
                &mut scenario,
                at_ms,
                number,
                turn as u64 * 10 + 10..turn as u64 * 10 + 14,
            );
        }
        scenario.at(
            at_ms,
            Act::Delete {
                number: turn as u32,
            },
        );
        let act = if turn % 2 == 0 {
            Act::Split { shard: Some(0) }
        } else {
            Act::Roll { shard: None }
        };
        scenario.at(at_ms + 100, act);
    }
    scenario
}

#[test]
fn a_child_waits_for_its_parent_and_goes_on_with_its_clock_through_a_crash_anywhere() {
    for crash in crashes(
        &[
            Call::GetRecords,
            Call::Insert,
            Call::CommitShards,
            Call::DescribeStream,
        ],
        5,
    ) {
        live(&Scenario {
            crashes: vec![crash],
            ..split_in_a_second()
        });
    }
}

#[test]
fn children_that_are_listed_late_are_found() {
    let mut scenario = split_in_a_second();
    scenario.config.stream.children_delay_ms = 10 * MINUTE;
    live(&scenario);
}

#[test]
fn three_days_of_rotation_are_followed_and_old_marks_forgotten() {
    let mut scenario = Scenario::calm(3);
    scenario.config.stream.auto_rollover_ms = Some(4 * HOUR);
    scenario.settings.poll_idle_max_ms = 300_000;
    scenario.settings.discovery_ms = 300_000;
    for hour in 0..75 {
        let number = (hour % 10) as u32;
        puts(
            &mut scenario,
            11 * MINUTE + hour * HOUR,
            number,
            hour as u64 * 5 + 2..hour as u64 * 5 + 5,
        );
        scenario.at(12 * MINUTE + hour * HOUR, Act::Delete { number });
    }
    scenario.crashes = (0..6)
        .map(|_| Crash {
            call: Some(Call::DescribeStream),
            moment: None,
            nth: 150,
            down_ms: HOUR,
        })
        .collect();
    let outcome = live(&scenario);
    // Twelve generations of four shards in 48 hours, and what is younger than a rotation.
    assert!(
        outcome.shards > outcome.progress.shards.len() && outcome.progress.shards.len() < 80,
        "{} of {}",
        outcome.progress.shards.len(),
        outcome.shards
    );
}

#[test]
fn more_shards_than_fit_a_page_are_all_read() {
    let mut scenario = Scenario::calm(4);
    scenario.config.stream.shards = 120;
    scenario.at(11 * MINUTE, Act::Roll { shard: None });
    for number in 0..100 {
        scenario.at(11 * MINUTE + 30 * SECOND, Act::Put { number, rev: 7 });
    }
    let outcome = live(&scenario);
    assert_eq!(outcome.shards, 240);
}

#[test]
fn an_export_is_asked_for_once_however_often_the_answer_is_lost() {
    for crash in crashes(&[Call::StartExport, Call::SaveExport], 1) {
        let mut scenario = Scenario::calm(5);
        scenario.forced.push(Forced {
            call: Call::StartExport,
            fate: Fate::Lost,
            times: 3,
        });
        scenario.crashes = vec![crash; 3];
        let outcome = live(&scenario);
        assert_eq!(outcome.exports, 1, "{crash:?}");
    }
}

#[test]
fn a_failed_export_is_followed_by_one_new_one() {
    for kind in [
        FaultKind::ExportFailed {
            code: "S3NoSuchBucket".to_owned(),
            message: "no bucket".to_owned(),
        },
        FaultKind::WrongManifestItemCount,
        FaultKind::WrongManifestMd5,
        FaultKind::TruncatedDataFile,
    ] {
        let mut scenario = Scenario::calm(6);
        scenario.faults = vec![Fault::new("ExportTableToPointInTime", kind.clone()).times(1)];
        let outcome = live(&scenario);
        assert_eq!(outcome.exports, 2, "{kind:?}");
    }
}

/// Its MD5 is right, and no gzip reader finds anything wrong with it.
#[test]
fn a_data_file_that_ends_between_two_gzip_members_is_not_the_whole_file() {
    let mut scenario = Scenario::calm(11);
    scenario.doctored = Doctored { cut: 1, odd: 0 };
    let outcome = live(&scenario);
    assert_eq!(outcome.exports, 2);
}

#[test]
fn items_of_an_export_that_cannot_be_converted_are_kept_in_quarantine() {
    for crash in crashes(&[Call::Quarantine, Call::CommitFile], 1) {
        let mut scenario = Scenario::calm(12);
        scenario.doctored = Doctored { cut: 0, odd: 2 };
        scenario.crashes = vec![crash];
        let outcome = live(&scenario);
        assert_eq!((outcome.lives, outcome.progress.quarantined), (2, 2));
        assert_eq!(outcome.progress.export.unwrap().items_loaded, 12);
    }
}

#[test]
fn files_that_were_durable_before_a_crash_are_not_loaded_again() {
    for crash in crashes(&[Call::OpenFile, Call::Insert, Call::CommitFile], 4) {
        let mut scenario = Scenario::calm(7);
        scenario.config.export.files = Some(8);
        scenario.settings.load_parallelism = 1;
        scenario.crashes = vec![crash];
        let outcome = live(&scenario);
        let export = outcome.progress.export.unwrap();
        assert_eq!(
            (export.phase, export.items_loaded),
            (ExportPhase::Loaded, 10)
        );
        let again = outcome.opened.values().filter(|times| **times > 1).count();
        assert!(again <= 1, "{crash:?}: {:?}", outcome.opened);
    }
}

#[test]
fn a_deleted_item_stays_deleted_when_the_export_still_has_it() {
    for fuzz_ms in [0, 59 * SECOND] {
        let mut scenario = Scenario::calm(8);
        scenario.config.export.fuzz_ms = fuzz_ms;
        scenario.config.export.duration_ms = 3 * MINUTE;
        scenario.config.export.files = Some(10);
        // The worker starts at minute ten and asks at once: deletes and updates on both sides of the export.
        for number in 0..10_u32 {
            let at_ms = 9 * MINUTE + i64::from(number) * 12 * SECOND;
            scenario.at(at_ms, Act::Put { number, rev: 5 });
            scenario.at(
                at_ms + 50,
                if number % 2 == 0 {
                    Act::Delete { number }
                } else {
                    Act::Put { number, rev: 6 }
                },
            );
        }
        live(&scenario);
    }
}

#[test]
fn changes_made_while_a_stream_is_being_switched_on_are_in_the_export() {
    for seed in 0..4 {
        let mut scenario = Scenario::calm(100 + seed);
        scenario.steps.retain(|step| step.act != Act::SwitchOn);
        scenario.prepare = true;
        scenario.config.update_table_ms = 115 * SECOND;
        scenario.config.export.fuzz_ms = 60 * SECOND;
        scenario.config.export.files = Some(8);
        // A new item every second until well after the export has been asked for, each written once: what both
        // the stream and the export miss never comes again.
        for second in 0..300_i64 {
            scenario.at(
                10 * MINUTE + second * SECOND,
                Act::Put {
                    number: 10 + second as u32,
                    rev: 1,
                },
            );
        }
        live(&scenario);
    }
}

/// Changes fall between two looks at an idle shard, and the watermark is looked at meanwhile.
#[test]
fn a_clock_that_is_ahead_of_aws_makes_no_watermark_untrue() {
    let mut scenario = Scenario::calm(9);
    scenario.config.stream.shards = 1;
    scenario.skew_ms = 20 * SECOND;
    for turn in 0..150_u32 {
        let at_ms = 20 * MINUTE + i64::from(turn) * (3 * MINUTE + 7 * SECOND);
        scenario.at(
            at_ms,
            Act::Put {
                number: turn % 10,
                rev: 2 + u64::from(turn),
            },
        );
    }
    live(&scenario);
}

/// Once all shards have parents one is replaced, and AWS tells of its successor ten minutes later.
#[test]
fn a_successor_that_is_not_listed_yet_holds_the_watermark_back() {
    let mut scenario = Scenario::calm(10);
    scenario.config.stream.shards = 2;
    scenario.config.stream.children_delay_ms = 10 * MINUTE;
    scenario.at(11 * MINUTE, Act::Roll { shard: None });
    scenario.at(40 * MINUTE, Act::Roll { shard: Some(0) });
    for number in 0..10 {
        scenario.at(41 * MINUTE, Act::Put { number, rev: 2 });
    }
    live(&scenario);
}
