//! Makes the scenario of a seed.

use aws_sim::rng::{Rng, mix};
use aws_sim::{Fault, FaultKind, StreamConfig, WorldConfig};
use mirror::error::ErrorKind;
use server::worker::WorkerSettings;

use crate::exports::Doctored;
use crate::process::{Call, Crash, Moment};
use crate::scenario::{Expected, HOUR, MINUTE, SECOND, Scenario};
use crate::weather::{Odds, Window};

mod steps;

/// The general shape of a seeded scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Hours, a few shards.
    Usual,
    /// More shards than fit a page of DescribeStream.
    Wide,
    /// Days, so that marks of finished shards are purged.
    Long,
}

/// The worst thing that happens in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Nothing that lasts.
    None,
    /// The process is dead for longer than the stream remembers.
    Pause { from_ms: i64, ms: i64 },
    /// The role may not read for longer than the stream remembers.
    RoleLost { from_ms: i64, ms: i64 },
    /// The stream is off for a while.
    StreamOff { from_ms: i64, ms: i64 },
    /// The table is deleted and created again.
    Recreated { at_ms: i64 },
    /// Somebody asks for a resync.
    Resync { at_ms: i64 },
}

impl Trouble {
    /// When it is over.
    fn ends_ms(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Pause { from_ms, ms }
            | Self::RoleLost { from_ms, ms }
            | Self::StreamOff { from_ms, ms } => from_ms + ms,
            Self::Recreated { at_ms } | Self::Resync { at_ms } => at_ms,
        }
    }
}

/// A scenario being made up.
pub(crate) struct Draft {
    seed: u64,
    rng: Rng,
    shape: Shape,
    rev: u64,
}

impl Draft {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = Rng::new(mix(seed ^ 0x00d1_ce00));
        // The two that take longest, so that every run of a few dozen seeds has both.
        let shape = match seed % 25 {
            7 => Shape::Wide,
            19 => Shape::Long,
            _ => Shape::Usual,
        };
        Self {
            seed,
            rng,
            shape,
            rev: 1,
        }
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.rng.below((high - low).max(1) as u64) as i64
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.chance(share)
    }

    pub(crate) fn scenario(mut self) -> Scenario {
        let prepare = self.chance(0.3);
        let life_ms = match self.shape {
            Shape::Usual => self.between(2 * HOUR, 14 * HOUR),
            Shape::Wide => self.between(HOUR / 2, 2 * HOUR),
            Shape::Long => self.between(55 * HOUR, 75 * HOUR),
        };
        let starts_ms = match self.rng.below(3) {
            _ if prepare => self.between(MINUTE, HOUR),
            0 => self.between(2 * SECOND, 5 * MINUTE),
            1 => self.between(5 * MINUTE, 12 * HOUR),
            _ if self.shape == Shape::Wide => self.between(HOUR, 6 * HOUR),
            _ => self.between(12 * HOUR, 40 * HOUR),
        };
        let trouble = self.trouble(starts_ms, life_ms);
        let ends_ms = (starts_ms + life_ms).max(trouble.ends_ms() + 2 * HOUR);
        let life_ms = ends_ms - starts_ms;
        let failing = self.rng.below(4) == 0;
        let config = self.config(failing);
        let crashes = self.crashes(trouble);
        let windows = self.windows(config.start_ms, starts_ms, ends_ms, trouble);
        let patience_ms = 8 * HOUR + 6 * config.export.duration_ms;
        Scenario {
            seed: self.seed,
            composite: self.chance(0.4),
            settings: self.settings(life_ms, config.stream.shards),
            starts_ms,
            prepare,
            steps: self.steps(starts_ms, ends_ms, prepare, trouble),
            crashes,
            odds: self.odds(),
            windows: windows.into_iter().collect(),
            forced: Vec::new(),
            faults: if failing {
                self.export_faults()
            } else {
                Vec::new()
            },
            doctored: self.doctored(failing),
            skew_ms: if self.chance(0.3) {
                self.between(-20 * SECOND, 20 * SECOND)
            } else {
                0
            },
            ends_ms,
            patience_ms,
            expects: Expected::default(),
            config,
        }
    }

    fn trouble(&mut self, starts_ms: i64, life_ms: i64) -> Trouble {
        if self.shape != Shape::Usual {
            return Trouble::None;
        }
        let from_ms = starts_ms + self.between(0, life_ms);
        let long_ms = match self.rng.below(4) {
            0 => self.between(2 * HOUR, 26 * HOUR),
            3 => self.between(2 * 24 * HOUR, 6 * 24 * HOUR),
            _ => self.between(25 * HOUR, 50 * HOUR),
        };
        match self.rng.below(20) {
            0..3 => Trouble::Pause {
                from_ms,
                ms: long_ms,
            },
            3..5 => Trouble::RoleLost {
                from_ms,
                ms: long_ms,
            },
            5..7 => Trouble::StreamOff {
                from_ms,
                ms: match self.rng.below(3) {
                    0 => self.between(MINUTE, 20 * MINUTE),
                    1 => self.between(20 * MINUTE, 5 * HOUR),
                    _ => self.between(5 * HOUR, 40 * HOUR),
                },
            },
            7 => Trouble::Recreated { at_ms: from_ms },
            8..10 => Trouble::Resync { at_ms: from_ms },
            _ => Trouble::None,
        }
    }

    fn config(&mut self, failing: bool) -> WorldConfig {
        let wide = self.shape == Shape::Wide;
        let shards = if wide {
            self.between(105, 160)
        } else {
            self.between(1, 6)
        };
        let stream = StreamConfig {
            shards: shards as u32,
            children_delay_ms: if self.chance(0.3) {
                self.between(0, 10 * MINUTE)
            } else {
                0
            },
            auto_rollover_ms: self.chance(0.85).then_some(4 * HOUR),
            empty_page_chance: [0.0, 0.05, 0.4][self.rng.below(3) as usize],
            duplicate_chance: [0.0, 0.1, 0.5][self.rng.below(3) as usize],
            backstep_chance: [0.0, 0.05, 0.5][self.rng.below(3) as usize],
            last_page_chance: [0.0, 0.5, 1.0][self.rng.below(3) as usize],
            enforce_rates: self.chance(0.3),
            ..StreamConfig::default()
        };
        let mut config = WorldConfig {
            seed: self.seed,
            update_table_ms: self.between(300, 100 * SECOND),
            pitr_ms: self.between(300, 100 * SECOND),
            backups_unavailable_ms: self.between(0, 90 * SECOND),
            stream,
            ..WorldConfig::default()
        };
        config.export.duration_ms = match self.rng.below(4) {
            0 => self.between(SECOND, 20 * SECOND),
            _ if self.shape == Shape::Wide => self.between(SECOND, 20 * MINUTE),
            1 if !failing && self.chance(0.1) => self.between(20 * HOUR, 30 * HOUR),
            1 if !failing => self.between(HOUR, 5 * HOUR),
            _ => self.between(MINUTE, 30 * MINUTE),
        };
        config.export.fuzz_ms = [0, 20, 60][self.rng.below(3) as usize] * SECOND;
        config.export.incremental_fuzz_ms = [0, 5, 60][self.rng.below(3) as usize] * SECOND;
        config.export.files = Some(self.between(1, 6) as u32);
        config
    }

    fn settings(&mut self, life_ms: i64, shards: u32) -> WorkerSettings {
        let slow = self.shape != Shape::Usual;
        // Looking at idle shards is most of the work: a few thousand looks are enough.
        let idle_ms = (life_ms * i64::from(shards) / 1000).min(10 * MINUTE);
        WorkerSettings {
            load_parallelism: self.between(1, 4) as usize,
            export_poll_ms: self.between(10, 60) as u64 * 1000,
            discovery_ms: if slow {
                300_000
            } else {
                self.between(60, 300) as u64 * 1000
            },
            poll_min_ms: self.between(200, 1000) as u64,
            poll_idle_max_ms: self.between(20, 120).max(idle_ms / SECOND) as u64 * 1000,
            // As seldom as the line above says, or by a budget that rounds, hot shards and wakes share.
            idle_calls_per_hour: [1, 600, 1, 3_000][(self.seed % 4) as usize],
            linger_ms: [0, 100, 2_000][self.rng.below(3) as usize],
            pages_in_flight: [1, 2, 16][self.rng.below(3) as usize],
            ..WorkerSettings::default()
        }
    }

    fn odds(&mut self) -> Odds {
        let storm = [0.0, 0.02, 0.15][self.rng.below(3) as usize];
        let mut share = |most: f64| most * self.rng.below(100) as f64 / 100.0;
        Odds {
            throttled: share(storm),
            unavailable: share(storm),
            lost: share(storm),
            late: share(storm),
            expired: share(storm),
            slow: share(storm / 4.0),
            latency_ms: [2, 50, 1500][self.rng.below(3) as usize],
        }
    }

    fn crashes(&mut self, trouble: Trouble) -> Vec<Crash> {
        let critical = [
            Call::Insert,
            Call::Insert,
            Call::CommitShards,
            Call::CommitShards,
            Call::GetRecords,
            Call::DescribeStream,
            Call::StartExport,
            Call::SaveExport,
            Call::OpenFile,
            Call::CommitFile,
        ];
        let count = self.rng.below(9);
        let mut crashes = Vec::new();
        for _ in 0..count {
            let call = self
                .chance(0.7)
                .then(|| critical[self.rng.below(10) as usize]);
            let moment =
                [None, Some(Moment::Asked), Some(Moment::Done)][self.rng.below(3) as usize];
            let nth = match call {
                None => self.between(1, 600),
                Some(Call::Insert | Call::CommitShards) => self.between(1, 20),
                Some(_) => self.between(1, 5),
            };
            let down_ms = match self.rng.below(10) {
                0 => self.between(HOUR / 2, 3 * HOUR),
                1 | 2 => self.between(SECOND, 10 * MINUTE),
                _ => self.between(0, 3 * SECOND),
            };
            crashes.push(Crash {
                call,
                moment,
                nth: nth as u32,
                down_ms,
            });
        }
        if let Trouble::Pause { ms, .. } = trouble {
            let at = self.rng.below(crashes.len() as u64 + 1) as usize;
            let call = self.chance(0.5).then_some(Call::Insert);
            let nth = match call {
                Some(_) => self.between(1, 20),
                None => self.between(100, 3000),
            };
            crashes.insert(
                at,
                Crash {
                    call,
                    moment: None,
                    nth: nth as u32,
                    down_ms: ms,
                },
            );
        }
        crashes
    }

    fn windows(
        &mut self,
        world_ms: i64,
        starts_ms: i64,
        ends_ms: i64,
        trouble: Trouble,
    ) -> Vec<Window> {
        let from_aws = vec![
            Call::DescribeTable,
            Call::DescribeStream,
            Call::ShardIterator,
            Call::GetRecords,
            Call::StartExport,
            Call::DescribeExport,
            Call::ReadManifest,
            Call::OpenFile,
        ];
        let store = vec![
            Call::LoadProgress,
            Call::SaveIdentity,
            Call::SaveExport,
            Call::CommitFile,
            Call::CommitShards,
        ];
        let kinds = [
            (vec![Call::Connect], ErrorKind::RoleRefused, 2 * HOUR),
            (from_aws.clone(), ErrorKind::AccessDenied, 2 * HOUR),
            (vec![Call::Insert], ErrorKind::Unavailable, 2 * HOUR),
            (vec![Call::Insert], ErrorKind::DiskFull, HOUR),
            (store, ErrorKind::Unavailable, HOUR / 3),
        ];
        let mut windows = Vec::new();
        if let Trouble::RoleLost { from_ms, ms } = trouble {
            windows.push(Window {
                from_ms: world_ms + from_ms,
                to_ms: world_ms + from_ms + ms,
                calls: from_aws.clone(),
                error: ErrorKind::AccessDenied,
            });
        }
        for (calls, error, longest_ms) in kinds {
            if self.chance(0.2) {
                let from_ms = world_ms + self.between(starts_ms, ends_ms);
                let to_ms = (from_ms + self.between(MINUTE, longest_ms)).min(world_ms + ends_ms);
                windows.push(Window {
                    from_ms,
                    to_ms,
                    calls,
                    error,
                });
            }
        }
        windows
    }

    /// Out of a generator of its own: what other seeds' worth of numbers decide stays as it was.
    fn doctored(&self, failing: bool) -> Doctored {
        let mut rng = Rng::new(mix(self.seed ^ 0x0d0c_703e));
        let some = rng.chance(0.25);
        match failing {
            _ if !some => Doctored::default(),
            true => Doctored { cut: 1, odd: 0 },
            // An export that is given up leaves items in quarantine that no file's end counted.
            false => Doctored {
                cut: 0,
                odd: 1 + rng.below(3) as u32,
            },
        }
    }

    fn export_faults(&mut self) -> Vec<Fault> {
        let kinds = [
            FaultKind::ExportFailed {
                code: "S3AccessDenied".to_owned(),
                message: "Access Denied".to_owned(),
            },
            FaultKind::WrongManifestItemCount,
            FaultKind::WrongManifestMd5,
            FaultKind::TruncatedDataFile,
        ];
        let kind = kinds[self.rng.below(4) as usize].clone();
        vec![Fault::new("ExportTableToPointInTime", kind).times(1 + self.rng.below(2) as u32)]
    }
}
