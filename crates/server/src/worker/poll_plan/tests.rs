//! Readers of 44 shards in virtual time: what they cost, and how soon they see a write.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stdout, reason = "the figures are worth a line each")]

use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;
use mirror::change::{EventKind, StreamPage, StreamRecord};
use mirror::checkpoint::ShardCheckpoint;
use mirror::clock::Clock;
use mirror::error::Result;
use mirror::sequence_number::SequenceNumber;
use mirror::source::{
    ExportDescription, ExportFile, ExportFileReader, ExportManifest, ExportRequest, ScanPage,
    ScanRequest, ShardPosition, Source, StreamDescription,
};
use mirror::table::TableDescription;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};

use super::super::shard_task::{ShardEvent, ShardTask};
use super::*;

const SHARDS: usize = 44;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// An answer of AWS takes so long.
const ANSWER_MS: u64 = 10;
/// Records of a page, as AWS limits them.
const PAGE_RECORDS: usize = 1_000;

struct VirtualClock(Instant);

#[async_trait]
impl Clock for VirtualClock {
    fn now_ms(&self) -> i64 {
        // The world is not as round as its first moment.
        1_722_360_292_123 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    async fn sleep_ms(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }
}

/// A stream whose iterators are the ids of its shards.
struct Stream {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Times of writes that were not read, by shard.
    unread: HashMap<String, VecDeque<i64>>,
    sequence: u64,
    calls: u64,
    /// In front of every page with records comes an empty one.
    hesitates: bool,
    /// Shards whose last page was empty although they have records.
    hesitated: HashSet<String>,
    /// From write to read, milliseconds.
    delays: Vec<i64>,
}

fn id(shard: usize) -> String {
    format!("shardId-{shard:020}-0")
}

impl Stream {
    fn write(&self, shard: usize) {
        let at_ms = self.clock.now_ms();
        let mut state = self.state.lock().unwrap();
        state.unread.entry(id(shard)).or_default().push_back(at_ms);
    }
}

#[async_trait]
impl Source for Stream {
    fn clock_ahead_ms(&self) -> i64 {
        0
    }

    async fn shard_iterator(&self, _: &str, shard: &str, _: &ShardPosition) -> Result<String> {
        Ok(shard.to_owned())
    }

    async fn get_records(&self, iterator: &str) -> Result<StreamPage> {
        self.clock.sleep_ms(ANSWER_MS / 2).await;
        let records = {
            let now_ms = self.clock.now_ms();
            let state = &mut *self.state.lock().unwrap();
            state.calls += 1;
            let unread = state.unread.entry(iterator.to_owned()).or_default();
            let mut records = Vec::new();
            let has_records = !unread.is_empty();
            let hesitates =
                has_records && state.hesitates && state.hesitated.insert(iterator.to_owned());
            if has_records && !hesitates {
                state.hesitated.remove(iterator);
            }
            let most = if hesitates { 0 } else { PAGE_RECORDS };
            while records.len() < most
                && let Some(at_ms) = unread.pop_front()
            {
                state.delays.push(now_ms - at_ms);
                state.sequence += 1;
                records.push(StreamRecord {
                    kind: EventKind::Insert,
                    keys: 0..0,
                    new_image: None,
                    old_image: None,
                    event_id: String::new(),
                    sequence_number: SequenceNumber::parse(&state.sequence.to_string()).unwrap(),
                    creation_ms: at_ms,
                    user_identity: None,
                });
            }
            records
        };
        self.clock.sleep_ms(ANSWER_MS / 2).await;
        Ok(StreamPage {
            buffer: Vec::new(),
            records,
            next_iterator: Some(iterator.to_owned()),
        })
    }

    async fn describe_table(&self) -> Result<TableDescription> {
        unreachable!("only shards are read")
    }

    async fn enable_pitr(&self) -> Result<()> {
        unreachable!("only shards are read")
    }

    async fn enable_stream(&self) -> Result<()> {
        unreachable!("only shards are read")
    }

    async fn try_access(&self) -> Vec<mirror::access::Tried> {
        unreachable!("only shards are read")
    }

    async fn check_bucket(&self) -> Result<()> {
        unreachable!("only shards are read")
    }

    async fn describe_stream(&self, _: &str) -> Result<StreamDescription> {
        unreachable!("only shards are read")
    }

    async fn start_export(&self, _: &ExportRequest) -> Result<ExportDescription> {
        unreachable!("only shards are read")
    }

    async fn describe_export(&self, _: &str) -> Result<ExportDescription> {
        unreachable!("only shards are read")
    }

    async fn read_manifest(&self, _: &ExportDescription) -> Result<ExportManifest> {
        unreachable!("only shards are read")
    }

    async fn open_file(&self, _: &ExportFile) -> Result<Box<dyn ExportFileReader>> {
        unreachable!("only shards are read")
    }

    async fn read_items(&self, _: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        unreachable!("only shards are read")
    }

    async fn scan(&self, _: &ScanRequest) -> Result<ScanPage> {
        unreachable!("only shards are read")
    }
}

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What readers did.
#[derive(Debug)]
struct Seen {
    calls: u64,
    ms: i64,
    delays: Vec<i64>,
}

impl Seen {
    fn calls_per_hour(&self) -> u64 {
        self.calls * 3_600_000 / self.ms.unsigned_abs()
    }

    /// Of 100 writes so many were seen within this time, milliseconds.
    fn within(&self, percent: usize) -> i64 {
        self.delays[(self.delays.len() - 1) * percent / 100]
    }
}

/// Readers of `shards` shards for `ms`, and writes: after a pause of so many milliseconds, into these shards.
fn follow(shards: usize, ms: i64, writes: impl FnMut(&mut Dice) -> (i64, Vec<usize>)) -> Seen {
    follow_stream(shards, ms, false, writes)
}

/// [`follow`] on a stream that may send empty pages in front of records.
fn follow_stream(
    shards: usize,
    ms: i64,
    hesitates: bool,
    mut writes: impl FnMut(&mut Dice) -> (i64, Vec<usize>),
) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock(Instant::now()));
        let stream = Arc::new(Stream {
            clock: Arc::clone(&clock),
            state: Mutex::default(),
        });
        let settings = WorkerSettings::default();
        let plan = PollPlan::new(&settings);
        let pages = Arc::new(Semaphore::new(settings.pages_in_flight));
        let (events, mut heard) = mpsc::channel(64);
        let (_calm, hurry) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for shard in 0..shards {
            let task = ShardTask {
                clock: Arc::clone(&clock),
                settings: settings.clone(),
                source: Arc::clone(&stream) as Arc<dyn Source>,
                stream_arn: "arn".to_owned(),
                shard: ShardCheckpoint {
                    shard_id: id(shard),
                    parent: None,
                    position: None,
                    clock_ms: 0,
                    finished: false,
                    finished_at_ms: None,
                    watermark_ms: None,
                },
                pages: Arc::clone(&pages),
                events: events.clone(),
                plan: Arc::clone(&plan),
                hurry: hurry.clone(),
            };
            tasks.spawn(task.run());
        }
        tasks.spawn(async move {
            while let Some(event) = heard.recv().await {
                if let ShardEvent::Failed { error } = event {
                    panic!("{error}");
                }
            }
        });
        // What the beginning costs is no question of the hour.
        clock.sleep_ms(10 * MINUTE.unsigned_abs()).await;
        *stream.state.lock().unwrap() = State {
            hesitates,
            ..State::default()
        };
        let began_ms = clock.now_ms();
        let mut dice = Dice(7);
        loop {
            let (pause_ms, into) = writes(&mut dice);
            let left_ms = began_ms + ms - clock.now_ms();
            clock.sleep_ms(pause_ms.min(left_ms).unsigned_abs()).await;
            if pause_ms >= left_ms {
                break;
            }
            into.into_iter().for_each(|shard| stream.write(shard));
        }
        let calls = stream.state.lock().unwrap().calls;
        // What was written last is still on its way.
        clock.sleep_ms(MINUTE.unsigned_abs()).await;
        let state = &mut *stream.state.lock().unwrap();
        assert!(state.unread.values().all(VecDeque::is_empty), "all is read");
        let mut delays = std::mem::take(&mut state.delays);
        delays.sort_unstable();
        Seen { calls, ms, delays }
    })
}

fn say(what: &str, seen: &Seen) {
    if !seen.delays.is_empty() {
        let (half, most, last) = (seen.within(50), seen.within(99), seen.within(100));
        println!(
            "{what}: {} calls an hour, {} per write; p50 {half} ms, p99 {most} ms, max {last} ms of {}",
            seen.calls_per_hour(),
            seen.calls / seen.delays.len() as u64,
            seen.delays.len(),
        );
    } else {
        println!("{what}: {} calls an hour", seen.calls_per_hour());
    }
}

fn quiet(_: &mut Dice) -> (i64, Vec<usize>) {
    (i64::MAX, Vec::new())
}

#[test]
fn forty_four_idle_shards_cost_a_dollar_a_month() {
    let seen = follow(SHARDS, 6 * HOUR, quiet);
    say("44 idle shards", &seen);
    // A tenth is kept for wakes.
    assert!((8_500..=9_050).contains(&seen.calls_per_hour()), "{seen:?}");
    for (shards, most) in [(1, 3_600), (4, 9_100), (11, 9_100), (700, 90_000)] {
        let seen = follow(shards, HOUR, quiet);
        say(&format!("{shards} idle shards"), &seen);
        assert!(
            seen.calls_per_hour() <= most,
            "{shards} shards: {}",
            seen.calls_per_hour()
        );
    }
}

#[test]
fn a_single_write_to_any_shard_waits_for_its_turn() {
    let single = |dice: &mut Dice| {
        let pause_ms = 5 * MINUTE + dice.below(10 * MINUTE as u64) as i64;
        (pause_ms, vec![dice.below(SHARDS as u64) as usize])
    };
    let seen = follow(SHARDS, 40 * HOUR, single);
    say("single writes to any shard", &seen);
    assert!(seen.within(100) < 27 * SECOND, "{}", seen.within(100));
    assert!(seen.calls_per_hour() < 10_200, "{}", seen.calls_per_hour());
}

/// A write lets all shards be read, most of them out of their turn: their next turn is not missed for it.
#[test]
fn a_write_soon_after_another_one_waits_no_longer_than_a_round() {
    let mut second = false;
    let pairs = |dice: &mut Dice| {
        second = !second;
        let pause_ms = match second {
            true => 5 * MINUTE + dice.below(10 * MINUTE as u64) as i64,
            false => dice.below(40 * SECOND as u64) as i64,
        };
        (pause_ms, vec![dice.below(SHARDS as u64) as usize])
    };
    let seen = follow(SHARDS, 40 * HOUR, pairs);
    say("two writes, one soon after the other", &seen);
    assert!(seen.within(100) < 26 * SECOND, "{}", seen.within(100));
    assert!(seen.calls_per_hour() < 10_200, "{}", seen.calls_per_hour());
}

#[test]
fn writes_to_the_usual_items_are_seen_within_five_seconds_after_an_idle_time() {
    let usual = |dice: &mut Dice| {
        let pause_ms = 5 * MINUTE + dice.below(10 * MINUTE as u64) as i64;
        (pause_ms, vec![[3, 11, 29][dice.below(3) as usize]])
    };
    let seen = follow(SHARDS, 40 * HOUR, usual);
    say("single writes to three hot shards", &seen);
    assert!(seen.within(99) < 5 * SECOND, "{}", seen.within(99));
    assert!(seen.calls_per_hour() < 10_200, "{}", seen.calls_per_hour());
}

#[test]
fn a_burst_over_many_items_is_seen_within_five_seconds_after_an_idle_time() {
    let mut left = Vec::new();
    // 200 writes in four seconds, every ten minutes or so.
    let burst = |dice: &mut Dice| {
        if left.is_empty() {
            left = (0..200)
                .map(|_| dice.below(SHARDS as u64) as usize)
                .collect();
            return (
                5 * MINUTE + dice.below(10 * MINUTE as u64) as i64,
                Vec::new(),
            );
        }
        (20, left.pop().into_iter().collect())
    };
    let seen = follow(SHARDS, 20 * HOUR, burst);
    say("bursts over all shards", &seen);
    assert!(seen.within(99) < 5 * SECOND, "{}", seen.within(99));
}

#[test]
fn a_table_that_is_written_to_is_seen_within_a_second() {
    for rate in [1, 10, 100, 1_000] {
        let steady = |dice: &mut Dice| {
            let many = (rate / 100).max(1);
            let into = (0..many).map(|_| dice.below(SHARDS as u64) as usize);
            let into = into.collect();
            // Twice the mean at most, so that writes come close together and far apart.
            ((dice.below((2_000 * many / rate) + 1)) as i64, into)
        };
        let ms = if rate < 100 { HOUR / 4 } else { MINUTE };
        let seen = follow(SHARDS, ms, steady);
        say(&format!("{rate} writes a second over 44 shards"), &seen);
        let most_ms = if rate >= 10 { SECOND } else { 3 * SECOND };
        assert!(seen.within(99) < most_ms, "{rate}: {}", seen.within(99));
    }
}

#[test]
fn an_idle_shard_has_its_own_moment_in_the_round() {
    let plan = PollPlan::new(&WorkerSettings::default());
    let seats: Vec<Seat> = (0..SHARDS)
        .map(|shard| plan.enter(&id(shard), None))
        .collect();
    let now_ms = 1_722_360_292_123;
    let mut turns: Vec<i64> = Vec::new();
    for seat in &seats {
        while plan.shards().by_id[&seat.id].pause_ms < 17_599 {
            seat.next_ms(Found::AtTip, false, now_ms);
        }
        turns.push(seat.left_ms(now_ms) as i64);
    }
    turns.sort_unstable();
    for two in turns.windows(2) {
        assert!((399..=401).contains(&(two[1] - two[0])), "{turns:?}");
    }
}

#[test]
fn a_child_is_as_hot_as_its_parent() {
    let plan = PollPlan::new(&WorkerSettings::default());
    let mut seats: Vec<Seat> = (0..SHARDS)
        .map(|shard| plan.enter(&id(shard), None))
        .collect();
    seats[5].next_ms(Found::News, false, 0);
    drop(seats.remove(5));
    seats.push(plan.enter("child", Some(&id(5))));
    for seat in &seats {
        for _ in 0..20 {
            seat.next_ms(Found::AtTip, false, 0);
        }
    }
    let pause_ms = |seat: &Seat| plan.shards().by_id[&seat.id].pause_ms;
    assert_eq!(pause_ms(&seats[SHARDS - 1]), HOT_PAUSE_MS);
    assert!(pause_ms(&seats[0]) > 17_600);
}

#[test]
fn the_longest_pause_is_kept_whatever_it_costs() {
    let settings = WorkerSettings {
        poll_idle_max_ms: 5_000,
        idle_calls_per_hour: 1,
        ..WorkerSettings::default()
    };
    let plan = PollPlan::new(&settings);
    let seat = plan.enter("shard", None);
    for _ in 0..20 {
        seat.next_ms(Found::AtTip, false, 0);
    }
    assert_eq!(plan.shards().by_id[&seat.id].pause_ms, 5_000);
}

#[test]
fn empty_pages_in_front_of_records_do_not_slow_catching_up() {
    let pages = 50;
    let mut written = false;
    let seen = follow_stream(1, MINUTE, true, |_| {
        if std::mem::replace(&mut written, true) {
            return (i64::MAX, Vec::new());
        }
        (10 * SECOND, vec![0; pages * PAGE_RECORDS])
    });
    say("a burst behind empty pages", &seen);
    // The shard's turn comes within a second; then an empty page and a full one follow each other.
    let answers_ms = 2 * pages as i64 * ANSWER_MS as i64;
    assert!(
        seen.within(100) <= SECOND + 2 * answers_ms,
        "{}",
        seen.within(100)
    );
}
