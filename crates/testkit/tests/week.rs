//! `make sim-week` in small: hours instead of a week, and what its figures must be.

use testkit::process::Call;
use testkit::scenario::{HOUR, SECOND};
use testkit::week;

use crate::paused;

const HOURS: i64 = 6;

#[test]
fn six_hours_are_told_as_people_saw_them() {
    let scenario = week::scenario(1, HOURS);
    let mut figures =
        week::watch(&scenario, paused, 10 * SECOND).unwrap_or_else(|report| panic!("{report}"));
    let lines = figures.lines().join("\n");
    // Most of the time the data are seconds old, and at worst as old as the role was lost for, or the gap took to heal.
    let mut age_ms = |share| figures.ages.share(share).unwrap();
    let (usual_ms, worst_ms) = (age_ms(0.5), age_ms(1.0));
    assert!((0..30 * SECOND).contains(&usual_ms), "{lines}");
    assert!((HOUR / 4..4 * HOUR).contains(&worst_ms), "{lines}");
    // AWS tells its time in whole seconds, and one is taken off for safety.
    assert!(figures.lag_off_ms <= 4 * SECOND, "{}", figures.lag_off_ms);
    let headroom_ms = figures.headroom_ms.unwrap();
    assert!((20 * HOUR..24 * HOUR).contains(&headroom_ms), "{lines}");
    let seen_ms: i64 = figures.states.values().sum();
    assert!(
        (HOURS * HOUR - 30 * 60 * SECOND..(HOURS + 8) * HOUR).contains(&seen_ms),
        "{lines}"
    );
    for state in ["live", "backfilling", "broken", "healing", "dead"] {
        assert!(figures.states.contains_key(state), "no {state}: {lines}");
    }
    assert!(
        figures.healed >= 1 && figures.resyncs == 1 && figures.stalls > 0,
        "{lines}"
    );
    // A shard is read every two seconds or more often.
    let reads = figures.calls[&Call::GetRecords] * HOUR as u64 / figures.shard_ms as u64;
    assert!((1_000..18_000).contains(&reads), "{reads} {lines}");
}
