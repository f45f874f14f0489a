//! Everything that happens in one simulation. One seed makes one; tests of one trap make theirs by hand.

use aws_sim::{Fault, Poison, WorldConfig};
use server::worker::WorkerSettings;

use crate::exports::Doctored;
use crate::process::Crash;
use crate::weather::{Forced, Odds, Window};

pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// What somebody does to the table or AWS to its stream. Items are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Put {
        number: u32,
        rev: u64,
    },
    /// Writes the item as it is: no change, no record.
    Same {
        number: u32,
    },
    Delete {
        number: u32,
    },
    /// Deletes the item by its time to live.
    Expire {
        number: u32,
    },
    /// One open shard (the how manieth, modulo their number) or all become one child each.
    Roll {
        shard: Option<u64>,
    },
    /// ... or two children each.
    Split {
        shard: Option<u64>,
    },
    /// The owner of the table switches stream and recovery on.
    SwitchOn,
    /// ... switches the stream off.
    StreamOff,
    /// ... deletes the table and creates it again, empty, without stream and recovery.
    Recreate,
    /// Somebody asks for a resync.
    Resync,
    /// The stream carries a record that no reader expects, of an item that is not in the table.
    Poison {
        number: u32,
        poison: Poison,
    },
}

/// An act and when, milliseconds since the world began.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub at_ms: i64,
    pub act: Act,
}

/// One simulation. Times are milliseconds since the world began.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// Whether the table has a sort key.
    pub composite: bool,
    pub config: WorldConfig,
    pub settings: WorkerSettings,
    /// The worker's first life begins.
    pub starts_ms: i64,
    /// Whether stream and recovery are off until the worker switches them on.
    pub prepare: bool,
    pub steps: Vec<Step>,
    pub crashes: Vec<Crash>,
    pub odds: Odds,
    pub windows: Vec<Window>,
    pub forced: Vec<Forced>,
    /// Faults of the world itself, for exports.
    pub faults: Vec<Fault>,
    /// What else is wrong with exports.
    pub doctored: Doctored,
    /// How far the process's clock is ahead of AWS's.
    pub skew_ms: i64,
    /// Nothing happens and nothing fails from here on.
    pub ends_ms: i64,
    /// How long after that the mirror may take to catch up.
    pub patience_ms: i64,
    /// How many exports, gaps and resyncs there were in the end must be what these say, if they say anything.
    pub expects: Expected,
}

/// What must have happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Gaps healed, at least.
    pub healed: Option<u32>,
    /// Resyncs completed, exactly.
    pub resyncs: Option<u32>,
}

impl Scenario {
    /// A table of ten items with a stream, good weather, nothing else. For tests that add their trap.
    pub fn calm(seed: u64) -> Self {
        let mut steps: Vec<Step> = (0..10)
            .map(|number| Step {
                at_ms: 0,
                act: Act::Put { number, rev: 1 },
            })
            .collect();
        steps.push(Step {
            at_ms: SECOND,
            act: Act::SwitchOn,
        });
        Self {
            seed,
            composite: false,
            config: WorldConfig {
                seed,
                ..WorldConfig::default()
            },
            settings: WorkerSettings {
                poll_idle_max_ms: 5_000,
                // Never more often: tests count reads.
                idle_calls_per_hour: 1,
                ..WorkerSettings::default()
            },
            starts_ms: 10 * MINUTE,
            prepare: false,
            steps,
            crashes: Vec::new(),
            odds: Odds {
                latency_ms: 20,
                ..Odds::default()
            },
            windows: Vec::new(),
            forced: Vec::new(),
            faults: Vec::new(),
            doctored: Doctored::default(),
            skew_ms: 0,
            ends_ms: 12 * MINUTE,
            patience_ms: HOUR,
            expects: Expected::default(),
        }
    }

    /// Adds a step.
    pub fn at(&mut self, at_ms: i64, act: Act) -> &mut Self {
        self.steps.push(Step { at_ms, act });
        self.ends_ms = self.ends_ms.max(at_ms + MINUTE);
        self
    }

    /// The scenario of a seed.
    pub fn from_seed(seed: u64) -> Self {
        crate::draft::Draft::new(seed).scenario()
    }
}
