//! What happens in such a life.

use aws_sim::rng::{Rng, mix};
use aws_sim::{StreamConfig, WorldConfig};
use mirror::error::ErrorKind;
use server::worker::WorkerSettings;

use crate::exports::Doctored;
use crate::process::{Call, Crash, Moment};
use crate::scenario::{Act, Expected, HOUR, MINUTE, SECOND, Scenario, Step};
use crate::weather::{Odds, Window};

/// Items of the table.
const ITEMS: u64 = 400;
/// Shards that are open at a time, before splits.
const SHARDS: u32 = 12;
/// Restarts, most of them short.
const RESTARTS: i64 = 10;

/// `hours` of a mirror whose settings are the product's own: steady writes with bursts, shards replaced every four
/// hours, restarts, a role lost for hours, ClickHouse and disk and store away, a stream switched off and on, which
/// leaves a gap, and a resync. What lasts is in proportion to `hours`.
pub fn scenario(seed: u64, hours: i64) -> Scenario {
    let mut rng = Rng::new(mix(seed ^ 0x0000_3ee6));
    let ends_ms = hours * HOUR;
    let config = WorldConfig {
        seed,
        stream: StreamConfig {
            shards: SHARDS,
            children_delay_ms: 20 * SECOND,
            auto_rollover_ms: Some(4 * HOUR),
            empty_page_chance: 0.05,
            duplicate_chance: 0.05,
            backstep_chance: 0.05,
            last_page_chance: 0.5,
            enforce_rates: true,
            ..StreamConfig::default()
        },
        ..WorldConfig::default()
    };
    let mut scenario = Scenario {
        seed,
        composite: seed.is_multiple_of(2),
        settings: WorkerSettings::default(),
        starts_ms: 10 * MINUTE,
        prepare: false,
        steps: writes(&mut rng, ends_ms),
        crashes: restarts(&mut rng, hours),
        odds: Odds {
            throttled: 0.002,
            unavailable: 0.000_5,
            lost: 0.000_5,
            late: 0.002,
            expired: 0.000_5,
            slow: 0.000_05,
            latency_ms: 40,
        },
        windows: Vec::new(),
        forced: Vec::new(),
        faults: Vec::new(),
        doctored: Doctored::default(),
        skew_ms: rng.below(4_000) as i64 - 2_000,
        ends_ms,
        patience_ms: 8 * HOUR,
        expects: Expected {
            healed: Some(1),
            resyncs: Some(1),
        },
        config,
    };
    scenario.config.export.duration_ms = 12 * MINUTE;
    scenario.config.export.fuzz_ms = 20 * SECOND;
    scenario.config.export.files = Some(8);
    troubles(&mut rng, &mut scenario);
    scenario
}

/// A change every quarter of a minute or so, and hundreds at once every few hours.
fn writes(rng: &mut Rng, ends_ms: i64) -> Vec<Step> {
    let mut steps = Vec::new();
    for number in 0..ITEMS as u32 * 3 / 4 {
        let act = Act::Put { number, rev: 1 };
        steps.push(Step { at_ms: 0, act });
    }
    let act = Act::SwitchOn;
    steps.push(Step { at_ms: SECOND, act });
    let (mut at_ms, mut rev) = (2 * SECOND, 1);
    while at_ms < ends_ms - MINUTE {
        let (changes, pause_ms) = match rng.below(500) {
            0 => (200 + rng.below(800), 20),
            _ => (1, SECOND + rng.below(29_000) as i64),
        };
        for _ in 0..changes {
            rev += 1;
            let number = rng.below(ITEMS) as u32;
            let act = match rng.below(20) {
                0 | 1 => Act::Delete { number },
                2 => Act::Expire { number },
                3 => Act::Same { number },
                _ => Act::Put { number, rev },
            };
            steps.push(Step { at_ms, act });
            at_ms += pause_ms;
        }
    }
    steps
}

fn restarts(rng: &mut Rng, hours: i64) -> Vec<Crash> {
    // An idle shard is read about every two seconds.
    let reads_an_hour = i64::from(SHARDS) * 1_800;
    let doors = [Call::GetRecords, Call::GetRecords, Call::Insert];
    let restart = |turn| {
        let share = 50 + rng.below(50) as i64;
        let call = doors[rng.below(3) as usize];
        let nth = match call {
            Call::Insert => hours * 240 / RESTARTS * share / 100,
            _ => hours * reads_an_hour / RESTARTS * share / 100,
        };
        Crash {
            call: Some(call),
            moment: [Some(Moment::Asked), Some(Moment::Done)][rng.below(2) as usize],
            nth: nth.max(1) as u32,
            down_ms: match turn {
                // A machine that has to be replaced.
                3 => hours * HOUR / 336,
                _ => SECOND + rng.below(40_000) as i64,
            },
        }
    };
    (0..RESTARTS - 2).map(restart).collect()
}

fn troubles(rng: &mut Rng, scenario: &mut Scenario) {
    let (world_ms, ends_ms) = (scenario.config.start_ms, scenario.ends_ms);
    // In hundredths of the whole, so that they do not meet.
    let mut at = |percent: i64| ends_ms * percent / 100 + rng.below(ends_ms as u64 / 50) as i64;
    let from_aws = vec![
        Call::DescribeTable,
        Call::DescribeStream,
        Call::ShardIterator,
        Call::GetRecords,
    ];
    let kinds = [
        (20, 168, vec![Call::GetRecords], ErrorKind::Throttled),
        (30, 24, from_aws, ErrorKind::AccessDenied),
        (45, 336, vec![Call::Insert], ErrorKind::Unavailable),
        (50, 336, vec![Call::Insert], ErrorKind::DiskFull),
        (53, 1_000, vec![Call::CommitShards], ErrorKind::Unavailable),
        (85, 336, vec![Call::Connect], ErrorKind::RoleRefused),
    ];
    for (percent, part, calls, error) in kinds {
        let from_ms = world_ms + at(percent);
        scenario.windows.push(Window {
            from_ms,
            to_ms: from_ms + ends_ms / part,
            calls,
            error,
        });
    }
    let off_ms = at(60);
    let acts = [
        (off_ms, Act::StreamOff),
        (off_ms + ends_ms / 84, Act::SwitchOn),
        (at(75), Act::Resync),
        (at(10), Act::Split { shard: Some(3) }),
        (at(40), Act::Split { shard: Some(5) }),
        (at(90), Act::Roll { shard: None }),
    ];
    for (at_ms, act) in acts {
        scenario.steps.push(Step { at_ms, act });
    }
}
