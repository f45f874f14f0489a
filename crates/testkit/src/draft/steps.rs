//! What happens to the table and its stream in the scenario of a seed.

use aws_sim::Poison;

use super::{Draft, Shape, Trouble};
use crate::scenario::{Act, HOUR, MINUTE, SECOND, Step};

impl Draft {
    pub(super) fn steps(
        &mut self,
        starts_ms: i64,
        ends_ms: i64,
        prepare: bool,
        trouble: Trouble,
    ) -> Vec<Step> {
        // Enough items to have some in the shards that are listed last.
        let pool = if self.shape == Shape::Wide {
            150
        } else {
            self.between(3, 40) as u64
        };
        let mut steps = Vec::new();
        for number in 0..pool as u32 {
            if self.chance(0.6) {
                steps.push(Step {
                    at_ms: 0,
                    act: Act::Put { number, rev: 1 },
                });
            }
        }
        let on_ms = self.between(0, starts_ms / 2 + 1);
        if !prepare {
            steps.push(Step {
                at_ms: on_ms,
                act: Act::SwitchOn,
            });
        }
        let bulk = self.shape == Shape::Usual && self.chance(0.1);
        for _ in 0..self.between(10, 40) {
            let at_ms = match self.rng.below(4) {
                // Around stream and export, where what one misses the other must have.
                0 => self
                    .between(starts_ms - 2 * MINUTE, starts_ms + 6 * MINUTE)
                    .max(1),
                1 => self.between(1, starts_ms + HOUR),
                _ => self.between(starts_ms, ends_ms),
            };
            let changes = match self.rng.below(10) {
                0 if bulk => self.between(500, 1500),
                0..4 => 1,
                _ => self.between(2, 25),
            };
            self.burst(at_ms, changes, pool, &mut steps);
        }
        if self.chance(0.1) {
            for _ in 0..self.between(1, 6) {
                let poison = Poison::ALL[self.rng.below(Poison::ALL.len() as u64) as usize];
                let number = self.rng.next_u64() as u32;
                let at_ms = self.between(starts_ms, ends_ms);
                let act = Act::Poison { number, poison };
                steps.push(Step { at_ms, act });
            }
        }
        self.troubled(trouble, pool, &mut steps);
        steps.retain(|step| step.at_ms < ends_ms);
        steps.sort_by_key(|step| step.at_ms);
        steps
    }

    /// What somebody does, and changes around it.
    fn troubled(&mut self, trouble: Trouble, pool: u64, steps: &mut Vec<Step>) {
        let (from_ms, to_ms) = match trouble {
            Trouble::None => return,
            Trouble::Pause { from_ms, ms } | Trouble::RoleLost { from_ms, ms } => {
                (from_ms, from_ms + ms)
            }
            Trouble::StreamOff { from_ms, ms } => {
                steps.push(Step {
                    at_ms: from_ms,
                    act: Act::StreamOff,
                });
                steps.push(Step {
                    at_ms: from_ms + ms,
                    act: Act::SwitchOn,
                });
                (from_ms, from_ms + ms)
            }
            Trouble::Recreated { at_ms } => {
                steps.push(Step {
                    at_ms,
                    act: Act::Recreate,
                });
                (at_ms, at_ms + HOUR)
            }
            Trouble::Resync { at_ms } => {
                steps.push(Step {
                    at_ms,
                    act: Act::Resync,
                });
                (at_ms, at_ms + HOUR)
            }
        };
        // Where what is missing would show: just before, inside, and just after.
        for _ in 0..self.between(5, 25) {
            let at_ms = match self.rng.below(4) {
                0 => self.between(from_ms - 15 * MINUTE, from_ms),
                1 => self.between(to_ms, to_ms + 20 * MINUTE),
                _ => self.between(from_ms, to_ms),
            };
            let changes = self.between(1, 12);
            self.burst(at_ms.max(1), changes, pool, steps);
        }
    }

    /// Changes of few items in a second or so, with shards replaced in the middle of some.
    fn burst(&mut self, at_ms: i64, changes: i64, pool: u64, steps: &mut Vec<Step>) {
        let mut at_ms = at_ms / SECOND * SECOND + self.between(0, 300);
        let keys = 1 + self.rng.below(3);
        let first = self.rng.below(pool);
        let gap_ms = [0, 1, 10, 400][self.rng.below(4) as usize] * 40 / changes.max(40);
        let turn = if self.chance(0.25) {
            self.between(0, changes)
        } else {
            -1
        };
        for change in 0..changes {
            if change == turn {
                let shard = self.rng.next_u64();
                // Every split is one more shard to look at for the rest of the scenario.
                let act = match self.rng.below(4) {
                    0 if self.shape == Shape::Usual => Act::Split { shard: Some(shard) },
                    2.. if self.shape != Shape::Wide => Act::Roll { shard: None },
                    _ => Act::Roll { shard: Some(shard) },
                };
                steps.push(Step { at_ms, act });
            }
            let number = ((first + self.rng.below(keys)) % pool) as u32;
            self.rev += 1;
            let act = match self.rng.below(10) {
                0 | 1 => Act::Delete { number },
                2 => Act::Expire { number },
                3 => Act::Same { number },
                _ => Act::Put {
                    number,
                    rev: self.rev,
                },
            };
            steps.push(Step { at_ms, act });
            at_ms += gap_ms;
        }
    }
}
