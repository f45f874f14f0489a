//! How long calls take and which of them fail, out of one seed.
//!
//! A call's fate depends on what it asks for and how often that was asked, not on how calls of different
//! tasks happen to interleave, so that a seed replays.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use aws_sim::rng::{Rng, hash_bytes, mix};
use mirror::error::ErrorKind;

use crate::process::Call;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It works.
    Fine,
    /// It has no effect and this error.
    Refused(ErrorKind),
    /// It works; the answer is lost.
    Lost,
    /// Nothing is heard for so many milliseconds; then it has no effect.
    Hangs(i64),
    /// The code that calls breaks.
    Panics,
    /// It seems to fail, and works after this many milliseconds. Only inserts; others are `Lost`.
    Late(i64),
}

/// A call's fate and duration, milliseconds to and from the effect.
#[derive(Clone, Debug)]
pub struct Prospect {
    pub before_ms: u64,
    pub after_ms: u64,
    pub fate: Fate,
}

/// Shares of calls, 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    pub throttled: f64,
    pub unavailable: f64,
    pub lost: f64,
    pub late: f64,
    pub expired: f64,
    pub slow: f64,
    /// Longest usual way to or from the effect, milliseconds.
    pub latency_ms: u64,
}

/// Calls of a kind that all fail for a while; times in AWS's milliseconds.
#[derive(Clone, Debug)]
pub struct Window {
    pub from_ms: i64,
    pub to_ms: i64,
    pub calls: Vec<Call>,
    pub error: ErrorKind,
}

/// Fails the next calls of a kind, whatever the odds.
#[derive(Clone, Debug)]
pub struct Forced {
    pub call: Call,
    pub fate: Fate,
    pub times: u32,
}

/// The faults of one simulation.
#[derive(Debug)]
pub struct Weather {
    seed: u64,
    odds: Odds,
    windows: Vec<Window>,
    calm_ms: i64,
    forced: Mutex<Vec<Forced>>,
    asked: Mutex<HashMap<(Call, u64), u64>>,
}

impl Weather {
    /// From `calm_ms` on nothing fails any more.
    pub fn new(
        seed: u64,
        odds: Odds,
        windows: Vec<Window>,
        forced: Vec<Forced>,
        calm_ms: i64,
    ) -> Self {
        Self {
            seed,
            odds,
            windows,
            calm_ms,
            forced: Mutex::new(forced),
            asked: Mutex::default(),
        }
    }

    /// What becomes of a call that asks for `what` at `now_ms`.
    pub fn prospect(&self, call: Call, what: &[u8], now_ms: i64) -> Prospect {
        let what = hash_bytes(what);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry((call, what)).or_default();
        *times += 1;
        let mut rng = Rng::new(mix(self.seed
            ^ mix(what ^ (call as u64) << 32)
            ^ mix(*times)));
        drop(asked);
        let (mut before_ms, mut after_ms) = (self.way(&mut rng), self.way(&mut rng));
        let fate = if now_ms >= self.calm_ms {
            Fate::Fine
        } else {
            if rng.chance(self.odds.slow) {
                before_ms += rng.below(40_000);
                after_ms += rng.below(40_000);
            }
            self.fate(call, now_ms, &mut rng)
        };
        Prospect {
            before_ms,
            after_ms,
            fate,
        }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.values().sum()
    }

    /// Calls so far, by their kind.
    pub fn calls_by_kind(&self) -> BTreeMap<Call, u64> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut calls = BTreeMap::new();
        for ((call, _), times) in asked.iter() {
            *calls.entry(*call).or_default() += times;
        }
        calls
    }

    fn way(&self, rng: &mut Rng) -> u64 {
        1 + rng.below(self.odds.latency_ms)
    }

    fn fate(&self, call: Call, now_ms: i64, rng: &mut Rng) -> Fate {
        if let Some(fate) = self.forced(call) {
            return fate;
        }
        let closed = self.windows.iter().find(|window| {
            (window.from_ms..window.to_ms).contains(&now_ms) && window.calls.contains(&call)
        });
        if let Some(window) = closed {
            return Fate::Refused(window.error.clone());
        }
        let odds = &self.odds;
        if rng.chance(odds.throttled) {
            return Fate::Refused(ErrorKind::Throttled);
        }
        if rng.chance(odds.unavailable) {
            return Fate::Refused(ErrorKind::Unavailable);
        }
        if call == Call::GetRecords && rng.chance(odds.expired) {
            return Fate::Refused(ErrorKind::IteratorExpired);
        }
        if call == Call::Insert && rng.chance(odds.late) {
            return Fate::Late(rng.below(90_000) as i64);
        }
        if rng.chance(odds.lost) {
            return Fate::Lost;
        }
        Fate::Fine
    }

    fn forced(&self, call: Call) -> Option<Fate> {
        let mut forced = self.forced.lock().unwrap_or_else(PoisonError::into_inner);
        let found = forced
            .iter_mut()
            .find(|forced| forced.call == call && forced.times > 0)?;
        found.times -= 1;
        Some(found.fate.clone())
    }
}
