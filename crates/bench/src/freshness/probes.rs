//! Stamped items: written through AWS's interface, looked for through ours.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::stage::{Aws, Server};

/// Probes written in a second.
pub(crate) const PER_SECOND: u64 = 10;
/// Pause between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(10);
/// A probe that is not visible by then is lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sorts behind every other key, so that a look reads few granules.
const PREFIX: &str = "~probe-";

/// From write to sight, milliseconds, in the order of the writes seen.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) ms: Vec<f64>,
}

/// Writes probes for `duration` and waits until all of them were seen.
pub(crate) fn probe(aws: &Aws, server: &Server, duration: Duration) -> Result<Outcome> {
    let waiting = Mutex::new(BTreeMap::<String, Instant>::new());
    let (written, failed) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let outcome = write(aws, duration, &waiting, &failed);
            written.store(true, Ordering::Release);
            outcome
        });
        let outcome = look(server, &waiting, &written);
        failed.store(outcome.is_err(), Ordering::Relaxed);
        writer.join().map_err(|_| "the writer failed")??;
        outcome
    })
}

fn write(
    aws: &Aws,
    duration: Duration,
    waiting: &Mutex<BTreeMap<String, Instant>>,
    failed: &AtomicBool,
) -> Result<()> {
    let begun = Instant::now();
    let pause = Duration::from_secs(1) / u32::try_from(PER_SECOND)?;
    let mut number = 0;
    while begun.elapsed() < duration && !failed.load(Ordering::Relaxed) {
        put(aws, waiting)?;
        number += 1;
        let next = pause * number;
        std::thread::sleep(next.saturating_sub(begun.elapsed()));
    }
    Ok(())
}

/// Writes one probe; it waits from before the call on.
fn put(aws: &Aws, waiting: &Mutex<BTreeMap<String, Instant>>) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let key = format!("{PREFIX}{:020}", now.as_nanos());
    let text = |value: &str| json!({"S": value});
    let item = json!({"pk": text(&key), "sk": text("-"), "kind": text("probe")});
    let mut all = waiting.lock().map_err(|_| "a look failed")?;
    all.insert(key, Instant::now());
    drop(all);
    let request = json!({"TableName": "orders", "Item": item});
    aws.dynamodb("PutItem", &request).map(drop)
}

/// Looks until nothing waits any more.
fn look(
    server: &Server,
    waiting: &Mutex<BTreeMap<String, Instant>>,
    written: &AtomicBool,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    loop {
        // In this order: a probe is in the map before the end is announced.
        let last = written.load(Ordering::Acquire);
        let all = waiting.lock().map_err(|_| "the writer failed")?;
        let oldest = all.first_key_value().map(|(key, at)| (key.clone(), *at));
        drop(all);
        match oldest {
            None if last => return Ok(outcome),
            None => {}
            Some((key, at)) => {
                if at.elapsed() > PATIENCE {
                    return Err(format!("a change was not visible after {PATIENCE:?}").into());
                }
                let seen = server.sql(&format!(
                    "SELECT pk FROM orders WHERE pk >= '{key}' FORMAT TSV"
                ))?;
                let now = Instant::now();
                let mut all = waiting.lock().map_err(|_| "the writer failed")?;
                for key in seen.lines() {
                    if let Some(at) = all.remove(key) {
                        outcome.ms.push((now - at).as_secs_f64() * 1000.0);
                    }
                }
            }
        }
        std::thread::sleep(LOOK);
    }
}
