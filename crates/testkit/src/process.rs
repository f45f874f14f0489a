//! One life of the process, and the moment it dies: at a door, before or after what was asked has happened.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The doors between a worker and the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    Connect,
    DescribeTable,
    EnablePitr,
    EnableStream,
    CheckBucket,
    DescribeStream,
    ShardIterator,
    GetRecords,
    StartExport,
    DescribeExport,
    ReadManifest,
    OpenFile,
    Insert,
    Quarantine,
    HoldMerges,
    LoadProgress,
    SaveIdentity,
    SaveExport,
    CommitFile,
    CommitShards,
    ForgetShards,
    SaveGap,
    CloseGap,
    SaveHealing,
    FinishHealing,
    ChangeStream,
    SaveShadow,
    FinishResync,
    HighestVersion,
    Bury,
    CreateShadow,
    Exchange,
    DropTable,
    ReadItems,
    Scan,
}

/// When at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Nothing has happened yet.
    Asked,
    /// It has happened, nobody knows.
    Done,
}

/// A death to come, and how long the process stays dead.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// At this door; at any if `None`.
    pub call: Option<Call>,
    /// At this moment; at any if `None`.
    pub moment: Option<Moment>,
    /// The how manieth time, from 1.
    pub nth: u32,
    /// Milliseconds until the next life.
    pub down_ms: i64,
}

#[derive(Debug)]
struct State {
    crash: Option<Crash>,
    dead: bool,
}

/// One life.
#[derive(Debug)]
pub struct Process {
    state: Mutex<State>,
    bell: Notify,
}

impl Process {
    /// A life that ends with `crash`, if there is one.
    pub fn new(crash: Option<Crash>) -> Self {
        Self {
            state: Mutex::new(State { crash, dead: false }),
            bell: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a moment; true if the process is dead from here on.
    pub fn dies(&self, call: Call, moment: Moment) -> bool {
        let mut state = self.state();
        if state.dead {
            return true;
        }
        let Some(crash) = &mut state.crash else {
            return false;
        };
        let here = crash.call.is_none_or(|wanted| wanted == call)
            && crash.moment.is_none_or(|wanted| wanted == moment);
        if here {
            crash.nth = crash.nth.saturating_sub(1);
            if crash.nth == 0 {
                state.dead = true;
                drop(state);
                self.bell.notify_waiters();
                return true;
            }
        }
        false
    }

    /// Returns at once, or never once the process is dead.
    pub async fn live(&self) {
        let dead = self.state().dead;
        if dead {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the process is dead.
    pub async fn death(&self) {
        let heard = self.bell.notified();
        if !self.state().dead {
            heard.await;
        }
    }
}
