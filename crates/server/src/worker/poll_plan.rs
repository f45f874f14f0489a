//! When a shard is read next: as fast as AWS lets it while it has records, and cheaply while it has none.
//!
//! Every GetRecords call costs money, empty ones too: $0.02 per 100,000 calls after the first 2.5 million of a month.
//! The readers of one stream share a plan, so that what idle shards cost is a number that somebody chose
//! ([`WorkerSettings::idle_calls_per_hour`], here `B`). With the default of 10,000 an hour a table that nobody writes
//! to costs at most 7.2 million calls in 30 days, $0.94. A table of one partition costs next to nothing: nobody looks
//! more often than [`LEAST_IDLE_MS`]. Beyond 75 shards the budget gives way: none waits longer than
//! `poll_idle_max_ms`, 30 s, so that 700 cost 84,000 calls an hour.
//!
//! - **Busy.** A full page is followed by the next one at once, and so are the empty ones that AWS may send behind it.
//!   Any other page with news is followed after `poll_min_ms`.
//! - **Active.** For [`ACTIVE_MS`] after its last news a shard is read at least every [`ACTIVE_PAUSE_MS`]: writes follow
//!   each other. Then the pause grows by half each time until the shard is idle. That is 20 calls after the last of a
//!   series of writes.
//! - **Idle.** 9/10 of `B` are spread evenly over the idle shards *and over time*: each has its own moment in the
//!   round, so that with 44 shards one of them is looked at every 0.4 s although each waits for 17.6 s.
//! - **Hot.** Writes come where they came before. If a round takes longer than [`HOT_PAUSE_MS`], the [`HOT_SHARDS`]
//!   shards with the latest news are looked at that often, for 3,200 calls of the 9,000, and the round of the other 40
//!   takes 24.8 s. They take half of the budget at most.
//! - **Surprises.** News on an idle shard says that writes come where nobody looks. Each pays for [`SURPRISE_CALLS`]
//!   more, spent within seconds ([`SPENT_IN_MS`]) by a faster round: a table with a few writes a second, each
//!   somewhere else, is soon looked at everywhere every [`ACTIVE_PAUSE_MS`].
//! - **Wake.** News on an idle shard often is the beginning of a burst over many: all idle shards are looked at once,
//!   as long as the last tenth of `B` lasts (1,000 calls an hour, saved up for an hour: 25 wakes of 44 shards).
//!
//! So a write costs 20 to 40 calls at most, less the closer it follows another one, $8 per million of the most isolated
//! writes. What follows for 44 shards after an idle time, from write to read: (a) a single write to any shard waits for
//! its round, 9 s in the middle and 18 s at most (12 and 25 s where others were hot): no budget can be spent twice,
//! seeing every shard within 5 s takes 32,000 calls an hour, $4.10 a month; (b) writes to the few items that are always
//! written wait for 2.3 s in the middle and 4.5 s at most; (c) a burst over `k` shards waits for the first of `k`
//! rounds, 17.6 s / (k + 1) on average: 0.4 s for all of 44 and under 5 s in 99 of 100 cases from 14 shards on.
//! A table of up to 11 shards is looked at every 4.4 s or more often, whatever happens. The tests below hold these
//! numbers, in virtual time. If AWS puts an empty page in front of a single record, it waits for one more round: reading
//! every idle shard twice at its turn would cost twice as much.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::WorkerSettings;

/// So long after its last news a shard counts as active.
const ACTIVE_MS: i64 = 5_000;
/// Longest pause of an active shard.
const ACTIVE_PAUSE_MS: u64 = 700;
/// Shortest pause of an idle shard, whatever the budget: it would buy next to nothing.
pub(crate) const LEAST_IDLE_MS: u64 = 1_000;
/// Shards that are looked at more often than other idle ones.
const HOT_SHARDS: usize = 4;
/// Pause of these.
const HOT_PAUSE_MS: u64 = 4_500;
/// What news on an idle shard pays for.
const SURPRISE_CALLS: f64 = 20.0;
/// Two thirds of that are spent in this time, milliseconds.
const SPENT_IN_MS: f64 = 15_000.0;
/// Two wakes are at least so far apart, milliseconds: the answers to the first one come in the meantime.
const WAKE_EVERY_MS: i64 = 1_000;
/// Of so many calls one is kept for wakes.
const WAKE_SHARE: u64 = 10;

const HOUR_MS: u64 = 3_600_000;

/// What a page said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As much as a page holds: more is waiting.
    FullPage,
    /// Records that were not read before.
    News,
    /// Nothing new, but records may lie behind it: AWS sends empty pages in front of records, too.
    NothingYet,
    /// Nothing new, and the shard is read to its tip.
    AtTip,
}

/// The plan of the readers of one stream.
#[derive(Debug)]
pub(crate) struct PollPlan {
    poll_min_ms: u64,
    poll_idle_max_ms: u64,
    idle_calls_per_hour: u64,
    shards: Mutex<Shards>,
    woken: Notify,
}

#[derive(Debug)]
struct Shards {
    by_id: BTreeMap<Arc<str>, Pace>,
    /// Shards with the latest news, the latest first; some may have ended.
    hot: Vec<Arc<str>>,
    /// Calls that may be spent on wakes, in calls times milliseconds of an hour.
    savings: u64,
    saved_at_ms: Option<i64>,
    woken_ms: Option<i64>,
    wakes: u64,
    /// Rounds so far, with a fraction, at this time.
    rounds: f64,
    rounds_at_ms: Option<i64>,
    /// Calls that surprises pay for.
    surprise_calls: f64,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    pause_ms: u64,
    news_ms: Option<i64>,
    turn: Turn,
    /// Wakes before the pause began.
    wakes: u64,
}

/// When a pause is over.
#[derive(Clone, Copy, Debug)]
enum Turn {
    At(i64),
    /// When so many rounds have passed.
    Round(f64),
}

impl PollPlan {
    pub(crate) fn new(settings: &WorkerSettings) -> Arc<Self> {
        let plan = Self {
            poll_min_ms: settings.poll_min_ms,
            poll_idle_max_ms: settings.poll_idle_max_ms.max(settings.poll_min_ms),
            idle_calls_per_hour: settings.idle_calls_per_hour.max(1),
            shards: Mutex::new(Shards {
                by_id: BTreeMap::new(),
                hot: Vec::new(),
                savings: 0,
                saved_at_ms: None,
                woken_ms: None,
                wakes: 0,
                rounds: 0.0,
                rounds_at_ms: None,
                surprise_calls: 0.0,
            }),
            woken: Notify::new(),
        };
        plan.shards().savings = plan.wake_budget() * HOUR_MS;
        Arc::new(plan)
    }

    /// A shard is read from now on, until what is returned is dropped. It is as hot as its parent was.
    pub(crate) fn enter(self: &Arc<Self>, shard_id: &str, parent: Option<&str>) -> Seat {
        let id: Arc<str> = shard_id.into();
        let pace = Pace {
            pause_ms: self.poll_min_ms,
            news_ms: None,
            turn: Turn::At(i64::MIN),
            wakes: 0,
        };
        let shards = &mut *self.shards();
        shards.by_id.insert(Arc::clone(&id), pace);
        if let Some(place) = shards.hot.iter().position(|hot| Some(&**hot) == parent) {
            shards.hot.insert(place, Arc::clone(&id));
        }
        Seat {
            plan: Arc::clone(self),
            id,
        }
    }

    fn shards(&self) -> MutexGuard<'_, Shards> {
        // Plain numbers: a panic elsewhere leaves nothing that matters half-written.
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn active_pause_ms(&self) -> u64 {
        ACTIVE_PAUSE_MS
            .max(self.poll_min_ms)
            .min(self.poll_idle_max_ms)
    }

    fn wake_budget(&self) -> u64 {
        self.idle_calls_per_hour / WAKE_SHARE
    }

    /// The shards that are hot now, and what the others share.
    fn shares<'a>(&self, shards: &'a Shards) -> (Vec<&'a Arc<str>>, Share) {
        let all = shards.by_id.len().max(1) as f64;
        let budget = (self.idle_calls_per_hour - self.wake_budget()) as f64 / HOUR_MS as f64;
        let hot_pause_ms = HOT_PAUSE_MS as f64;
        let mut hot = Vec::new();
        if all / budget > hot_pause_ms {
            let most = HOT_SHARDS.min((budget / 2.0 * hot_pause_ms) as usize);
            let open = |id: &&Arc<str>| shards.by_id.contains_key(*id);
            hot.extend(shards.hot.iter().filter(open).take(most));
        }
        let others = (all - hot.len() as f64).max(1.0);
        let least_ms = LEAST_IDLE_MS
            .max(self.active_pause_ms())
            .min(self.poll_idle_max_ms);
        let calls_per_ms = (budget - hot.len() as f64 / hot_pause_ms)
            .min(others / least_ms as f64)
            .max(others / self.poll_idle_max_ms as f64);
        (
            hot,
            Share {
                others,
                calls_per_ms,
            },
        )
    }

    /// Lets rounds pass until now.
    fn advance(&self, shards: &mut Shards, now_ms: i64) {
        let passed_ms = shards
            .rounds_at_ms
            .replace(now_ms)
            .map_or(0, |at_ms| (now_ms - at_ms).max(0)) as f64;
        let share = self.shares(shards).1;
        let spent = shards.surprise_calls * (1.0 - (-passed_ms / SPENT_IN_MS).exp());
        shards.surprise_calls -= spent;
        shards.rounds += (share.calls_per_ms * passed_ms + spent) / share.others;
    }

    /// How long a round takes at the pace of this moment, milliseconds.
    fn round_ms(share: &Share, shards: &Shards) -> f64 {
        share.others / (share.calls_per_ms + shards.surprise_calls / SPENT_IN_MS)
    }

    /// The pause of an idle shard after one of `pause_ms`, and its end.
    fn idle(&self, shards: &mut Shards, id: &Arc<str>, pause_ms: u64, now_ms: i64) -> (u64, Turn) {
        self.advance(shards, now_ms);
        let (hot, share) = self.shares(shards);
        let round_ms = Self::round_ms(&share, shards);
        let grown_ms = pause_ms * 3 / 2 + 1;
        let is_hot = hot.contains(&id);
        let most_ms = if is_hot {
            round_ms.min(HOT_PAUSE_MS as f64)
        } else {
            round_ms
        };
        let pause_ms = grown_ms
            .min(most_ms.round() as u64)
            .min(self.poll_idle_max_ms);
        if is_hot || pause_ms == grown_ms {
            let until_ms = now_ms.saturating_add_unsigned(pause_ms);
            return (pause_ms, Turn::At(until_ms));
        }
        let before = shards.by_id.range(..Arc::clone(id));
        let place = before.filter(|(other, _)| !hot.contains(other)).count();
        let offset = place as f64 / share.others;
        // A quarter of a round away at least.
        let rounds = (shards.rounds + 0.25 - offset).ceil() + offset;
        (pause_ms, Turn::Round(rounds))
    }

    fn left_ms(&self, shards: &mut Shards, id: &Arc<str>, now_ms: i64) -> u64 {
        self.advance(shards, now_ms);
        let Some(pace) = shards.by_id.get(id) else {
            return 0;
        };
        if pace.wakes != shards.wakes && pace.pause_ms > self.active_pause_ms() {
            return 0;
        }
        match pace.turn {
            Turn::At(at_ms) => u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0),
            Turn::Round(rounds) => {
                let left = rounds - shards.rounds;
                // A hundredth of a round is close enough.
                if left < 0.01 {
                    return 0;
                }
                (left * Self::round_ms(&self.shares(shards).1, shards)).ceil() as u64
            }
        }
    }

    /// Lets all idle shards be read at once, if there is anything left for it.
    fn wake(&self, shards: &mut Shards, now_ms: i64) {
        let soon = shards
            .woken_ms
            .is_some_and(|woken_ms| now_ms - woken_ms < WAKE_EVERY_MS);
        let idle = shards
            .by_id
            .values()
            .filter(|pace| pace.pause_ms > self.active_pause_ms());
        let cost = idle.count() as u64 * HOUR_MS;
        if let Some(saved_at_ms) = shards.saved_at_ms.replace(now_ms) {
            let passed = u64::try_from(now_ms - saved_at_ms).unwrap_or(0);
            let saved = passed.min(HOUR_MS) * self.wake_budget();
            let most = HOUR_MS * self.wake_budget();
            shards.savings = (shards.savings + saved).min(most);
        }
        if !soon && cost <= shards.savings {
            shards.savings -= cost;
            shards.woken_ms = Some(now_ms);
            shards.wakes += 1;
        }
    }
}

/// What the shards share that are not hot.
struct Share {
    others: f64,
    calls_per_ms: f64,
}

/// One reader's part in the plan.
#[derive(Debug)]
pub(crate) struct Seat {
    plan: Arc<PollPlan>,
    id: Arc<str>,
}

impl Seat {
    /// The pause until the next read, milliseconds, after a page that arrived at `now_ms`. In a hurry nobody counts
    /// calls.
    pub(crate) fn next_ms(&self, found: Found, hurry: bool, now_ms: i64) -> u64 {
        let plan = &*self.plan;
        let shards = &mut *plan.shards();
        let Some(&Pace {
            pause_ms, news_ms, ..
        }) = shards.by_id.get(&self.id)
        else {
            return plan.poll_min_ms;
        };
        let active = news_ms.is_some_and(|news_ms| now_ms - news_ms < ACTIVE_MS);
        let mut turn = None;
        let pause_ms = match found {
            Found::FullPage | Found::News => {
                self.has_news(shards, pause_ms, now_ms);
                plan.poll_min_ms
            }
            _ if hurry => plan.poll_min_ms,
            // Not known to be at the tip: no slower than before.
            Found::NothingYet => pause_ms,
            Found::AtTip if active => (pause_ms * 5 / 4 + 1).min(plan.active_pause_ms()),
            Found::AtTip => {
                let (pause_ms, end) = plan.idle(shards, &self.id, pause_ms, now_ms);
                turn = Some(end);
                pause_ms
            }
        };
        let wakes = shards.wakes;
        if let Some(pace) = shards.by_id.get_mut(&self.id) {
            pace.pause_ms = pause_ms;
            pace.turn = turn.unwrap_or(Turn::At(now_ms.saturating_add_unsigned(pause_ms)));
            pace.wakes = wakes;
        }
        if found == Found::FullPage {
            0
        } else {
            plan.left_ms(shards, &self.id, now_ms)
        }
    }

    /// What is left of the pause, milliseconds: others may have found that it is time to look, or slept longer.
    pub(crate) fn left_ms(&self, now_ms: i64) -> u64 {
        self.plan.left_ms(&mut self.plan.shards(), &self.id, now_ms)
    }

    fn has_news(&self, shards: &mut Shards, pause_ms: u64, now_ms: i64) {
        if let Some(pace) = shards.by_id.get_mut(&self.id) {
            pace.news_ms = Some(now_ms);
        }
        if shards.hot.first() != Some(&self.id) {
            shards.hot.retain(|id| *id != self.id);
            shards.hot.insert(0, Arc::clone(&self.id));
            shards.hot.truncate(4 * HOT_SHARDS);
        }
        if self.is_long(pause_ms) {
            let plan = &*self.plan;
            plan.advance(shards, now_ms);
            let all = shards.by_id.len() as f64;
            let most = SPENT_IN_MS * all / plan.active_pause_ms() as f64;
            shards.surprise_calls = (shards.surprise_calls + SURPRISE_CALLS).min(most);
            plan.wake(shards, now_ms);
            // Their turns come earlier now.
            plan.woken.notify_waiters();
        }
    }

    /// Completes when [`Seat::left_ms`] of an idle shard may have become less.
    pub(crate) fn woken(&self) -> Notified<'_> {
        self.plan.woken.notified()
    }

    /// Whether a pause is one of an idle shard.
    pub(crate) fn is_long(&self, pause_ms: u64) -> bool {
        pause_ms > self.plan.active_pause_ms()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.plan.shards().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
