//! `/_sim/load`: writes at a steady rate from inside the simulator, each stamped with the time it was accepted.
//!
//! A client that writes 25,000 items a second takes more of a small machine than what is to be measured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::generate::Load;
use crate::sim::Sim;

/// Writes of one turn are accepted together; a reader that polls does not see the difference.
const TURN: Duration = Duration::from_millis(2);
/// A load that cannot keep up lets others have the world between so many writes.
const MOST_AT_ONCE: u64 = 200;

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// The routes, to be nested under `/_sim`.
pub fn routes(sim: Sim) -> Router<Sim> {
    Router::new()
        .route("/load", post(start))
        .route("/load/{id}", get(show).delete(stop))
        .with_state(Loads {
            sim,
            all: Arc::default(),
        })
}

#[derive(Debug, Clone)]
struct Loads {
    sim: Sim,
    all: Arc<Mutex<BTreeMap<u64, Progress>>>,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    written: u64,
    /// Writes that should have been made by now.
    due: u64,
    /// How late the latest write of all was.
    late_ms: u64,
    ended: bool,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLoad {
    table: String,
    /// Writes per second.
    rate: f64,
    seconds: f64,
    /// Number of the first write.
    #[serde(default)]
    start: u64,
    /// Size of each item, about.
    #[serde(default = "item_bytes")]
    bytes: usize,
    /// So many items are written over and over; every write is a new item when absent.
    items: Option<u64>,
    /// The sort key, a string, is the number of the write and its time: `<12 digits>-<microseconds>`.
    #[serde(default)]
    stamp_key: bool,
}

fn item_bytes() -> usize {
    700
}

impl Loads {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Progress>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, id: u64, note: impl FnOnce(&mut Progress)) -> bool {
        let mut all = self.all();
        let progress = all.entry(id).or_default();
        note(progress);
        !progress.ended
    }

    async fn run(self, id: u64, body: NewLoad) {
        let load = Load::new(&body.table, body.bytes, body.items, body.stamp_key);
        let total = (body.rate * body.seconds) as u64;
        let began = Instant::now();
        let mut ticks = interval(TURN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut written = 0;
        while written < total {
            ticks.tick().await;
            let due = ((began.elapsed().as_secs_f64() * body.rate) as u64).min(total);
            while written < due {
                let until = due.min(written + MOST_AT_ONCE);
                let numbers = body.start + written..body.start + until;
                let done = self.sim.with(|world| world.write_load(&load, numbers));
                written = until;
                let late = began.elapsed().as_secs_f64() - written as f64 / body.rate;
                let goes_on = self.note(id, |progress| {
                    progress.written = written;
                    progress.due = due;
                    progress.late_ms = progress.late_ms.max((late.max(0.0) * 1000.0) as u64);
                    progress.error = done.err().map(|error| error.to_string());
                    progress.ended |= progress.error.is_some();
                });
                if !goes_on {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
        self.note(id, |progress| progress.ended = true);
    }
}

async fn start(State(loads): State<Loads>, Json(body): Json<NewLoad>) -> Answer {
    let known = loads
        .sim
        .with(|world| world.table_state(&body.table).is_some());
    if !(known && body.rate > 0.0 && body.seconds > 0.0) {
        let message = "needs a table that exists, a rate and seconds";
        let error = json!({ "error": "InvalidLoad", "message": message });
        return Err((StatusCode::UNPROCESSABLE_ENTITY, Json(error)));
    }
    let id = {
        let mut all = loads.all();
        let id = all.last_key_value().map_or(1, |(last, _)| last + 1);
        all.insert(id, Progress::default());
        id
    };
    tokio::spawn(loads.run(id, body));
    Ok(Json(json!({ "id": id })))
}

async fn show(State(loads): State<Loads>, Path(id): Path<u64>) -> Answer {
    match loads.all().get(&id) {
        Some(progress) => Ok(Json(json!({
            "written": progress.written,
            "due": progress.due,
            "late_ms": progress.late_ms,
            "running": !progress.ended,
            "error": progress.error,
        }))),
        None => Err((
            StatusCode::NOT_FOUND,
            Json(json!({ "error": "NoSuchLoad" })),
        )),
    }
}

async fn stop(State(loads): State<Loads>, Path(id): Path<u64>) -> Answer {
    loads.note(id, |progress| progress.ended = true);
    Ok(Json(json!({})))
}
