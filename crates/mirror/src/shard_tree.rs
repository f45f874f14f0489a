//! Which shards may be read now: a child only after its parent is durable to the last record.
//!
//! All records of one item live in one lineage of shards, so reading a child before its parent is finished
//! could apply two changes of one item in the wrong order. The tree remembers finished shards after AWS has
//! forgotten them, so that a lineage is neither read twice nor continued without its clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::ShardCheckpoint;
use crate::heal::Coverage;
use crate::limits::FINISHED_SHARD_KEPT_MS;
use crate::source::Shard;

/// What a look at the stream brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Shards seen for the first time, to be stored before they are read.
    pub new: Vec<ShardCheckpoint>,
    /// New shards whose parent is neither listed nor known although the stream was followed before: a
    /// generation began and ended unseen, so its records are lost.
    pub orphans: Vec<String>,
}

/// Shards of one stream and how far each is durable.
#[derive(Clone, Debug, Default)]
pub struct ShardTree {
    shards: BTreeMap<String, ShardCheckpoint>,
    coverage: Coverage,
    shape: Shape,
}

/// What follows from parents and ends alone, so that nobody has to look at every shard to tell how far the mirror is.
#[derive(Clone, Debug, Default)]
struct Shape {
    frontier: Vec<String>,
    waiting: usize,
}

impl ShardTree {
    /// The tree as it was stored, and what else is in the table.
    pub fn restore(checkpoints: Vec<ShardCheckpoint>, coverage: Coverage) -> Self {
        let mut tree = Self {
            shards: checkpoints
                .into_iter()
                .map(|shard| {
                    let clock_ms = shard.clock_ms.max(coverage.clock_floor_ms);
                    (
                        shard.shard_id.clone(),
                        ShardCheckpoint { clock_ms, ..shard },
                    )
                })
                .collect(),
            coverage,
            shape: Shape::default(),
        };
        tree.reshape();
        tree
    }

    fn reshape(&mut self) {
        let parents: BTreeSet<&str> = self
            .shards
            .values()
            .filter_map(|shard| shard.parent.as_deref())
            .collect();
        let open = |shard: &&ShardCheckpoint| !shard.finished;
        let in_front = |shard: &&ShardCheckpoint| {
            if shard.finished {
                !parents.contains(shard.shard_id.as_str())
            } else {
                self.parent_done(shard)
            }
        };
        let frontier = self.shards.values().filter(in_front);
        let waiting = self.shards.values().filter(open);
        self.shape = Shape {
            frontier: frontier.map(|shard| shard.shard_id.clone()).collect(),
            waiting: waiting.filter(|shard| !self.parent_done(shard)).count(),
        };
    }

    /// Takes in all pages of a DescribeStream. Known shards are left as they are.
    pub fn observe(&mut self, listed: &[Shard]) -> Discovery {
        let followed_before = !self.shards.is_empty();
        let mut discovery = Discovery::default();
        for shard in listed
            .iter()
            .filter(|shard| !self.shards.contains_key(&shard.id))
        {
            if let Some(parent) = &shard.parent {
                let known = self.shards.contains_key(parent)
                    || listed.iter().any(|other| other.id == *parent);
                if followed_before && !known {
                    discovery.orphans.push(shard.id.clone());
                }
            }
            discovery.new.push(ShardCheckpoint {
                shard_id: shard.id.clone(),
                parent: shard.parent.clone(),
                position: None,
                clock_ms: self.coverage.clock_floor_ms,
                finished: false,
                finished_at_ms: None,
                watermark_ms: None,
            });
        }
        for shard in &discovery.new {
            self.shards.insert(shard.shard_id.clone(), shard.clone());
        }
        if !discovery.new.is_empty() {
            self.reshape();
        }
        discovery
    }

    /// Shards that may be read now, each with the clock it has to start from.
    pub fn readable(&self) -> Vec<ShardCheckpoint> {
        self.shards
            .values()
            .filter(|shard| !shard.finished && self.parent_done(shard))
            .map(|shard| self.with_inherited_clock(shard))
            .collect()
    }

    /// Shards that wait for their parent.
    pub fn waiting(&self) -> usize {
        self.shape.waiting
    }

    /// A shard by id.
    pub fn get(&self, shard_id: &str) -> Option<&ShardCheckpoint> {
        self.shards.get(shard_id)
    }

    /// All shards.
    pub fn iter(&self) -> impl Iterator<Item = &ShardCheckpoint> {
        self.shards.values()
    }

    /// Takes in what became durable. The caller has stored it already.
    pub fn commit(&mut self, checkpoints: &[ShardCheckpoint]) {
        let mut ended = false;
        for checkpoint in checkpoints {
            let before = self
                .shards
                .insert(checkpoint.shard_id.clone(), checkpoint.clone());
            ended |= before.is_none_or(|before| before.finished != checkpoint.finished);
        }
        if ended {
            self.reshape();
        }
    }

    /// Notes that every change of a shard before `tip_ms` is durable.
    pub fn at_tip(&mut self, shard_id: &str, tip_ms: i64) {
        if let Some(shard) = self.shards.get_mut(shard_id) {
            shard.watermark_ms = shard.watermark_ms.max(Some(tip_ms));
        }
    }

    /// The highest version given so far, milliseconds.
    pub fn highest_clock_ms(&self) -> i64 {
        let clocks = self.shards.values().map(|shard| shard.clock_ms);
        clocks.max().unwrap_or(0).max(self.coverage.clock_floor_ms)
    }

    /// Every change before this time in the lineage that ends with this shard is durable, AWS's milliseconds: how far it
    /// was read, and what a healing brought. `None` if nothing is known.
    pub fn watermark_ms(&self, shard_id: &str) -> Option<i64> {
        self.read_until_ms(shard_id).max(self.coverage.until_ms)
    }

    /// How far the lineage that ends with this shard was read, AWS's milliseconds: what is known of the shard itself, of
    /// its parents, and that it has no records from before it began. `None` if nothing is known.
    pub fn read_until_ms(&self, shard_id: &str) -> Option<i64> {
        let mut next = self.shards.get(shard_id);
        // A lineage has no loops on AWS; a stored one is read only so far.
        for _ in 0..self.shards.len() {
            let Some(shard) = next else { break };
            if shard.watermark_ms.is_some() {
                return shard.watermark_ms.max(created_ms(shard_id));
            }
            next = shard.parent.as_ref().and_then(|id| self.shards.get(id));
        }
        created_ms(shard_id)
    }

    /// Whether anything was ever read of the lineage that ends with this shard.
    pub fn was_read(&self, shard_id: &str) -> bool {
        let mut next = self.shards.get(shard_id);
        for _ in 0..self.shards.len() {
            let Some(shard) = next else { break };
            if shard.position.is_some() || shard.watermark_ms.is_some() {
                return true;
            }
            next = shard.parent.as_ref().and_then(|id| self.shards.get(id));
        }
        false
    }

    /// Shards that hold the mirror's watermark back: those that are being read, and those that ended and whose
    /// children are not listed yet.
    pub fn frontier(&self) -> impl Iterator<Item = &ShardCheckpoint> {
        self.shape
            .frontier
            .iter()
            .filter_map(|id| self.shards.get(id))
    }

    /// Shards that ended, have no children, and are not listed any more: nobody will ever list their children.
    pub fn dead_ends(&self, listed: &[Shard]) -> Vec<String> {
        let listed: BTreeSet<&str> = listed.iter().map(|shard| shard.id.as_str()).collect();
        self.frontier()
            .filter(|shard| shard.finished && !listed.contains(shard.shard_id.as_str()))
            .map(|shard| shard.shard_id.clone())
            .collect()
    }

    /// Forgets shards. The caller has done so in the store.
    pub fn forget(&mut self, shard_ids: &[String]) {
        for id in shard_ids {
            self.shards.remove(id);
        }
        self.reshape();
    }

    /// Every change before this time is durable, AWS's milliseconds; `None` if there is no shard, or one of which
    /// nothing is known.
    pub fn lowest_watermark_ms(&self) -> Option<i64> {
        let known = self
            .frontier()
            .map(|shard| self.watermark_ms(&shard.shard_id));
        known.min().flatten()
    }

    /// Finished shards that AWS no longer lists and nobody will ask for again.
    pub fn outdated(&self, listed: &[Shard], now_ms: i64) -> Vec<String> {
        let old = |shard: &ShardCheckpoint| {
            shard.finished
                && shard
                    .finished_at_ms
                    .is_some_and(|at| now_ms - at > FINISHED_SHARD_KEPT_MS)
                && !listed.iter().any(|other| other.id == shard.shard_id)
        };
        // A child that has not been opened still needs its parent's clock.
        let needed = |id: &str| {
            self.shards
                .values()
                .any(|child| !child.finished && child.parent.as_deref() == Some(id))
        };
        self.shards
            .values()
            .filter(|shard| old(shard) && !needed(&shard.shard_id))
            .map(|shard| shard.shard_id.clone())
            .collect()
    }

    /// A parent that is not in the tree has left the stream: its child is a root, and waiting would hang.
    fn parent_done(&self, shard: &ShardCheckpoint) -> bool {
        let parent = shard.parent.as_ref().and_then(|id| self.shards.get(id));
        parent.is_none_or(|parent| parent.finished)
    }

    fn with_inherited_clock(&self, shard: &ShardCheckpoint) -> ShardCheckpoint {
        let parent = shard.parent.as_ref().and_then(|id| self.shards.get(id));
        let inherited = parent.map_or(0, |parent| parent.clock_ms);
        ShardCheckpoint {
            clock_ms: shard.clock_ms.max(inherited),
            ..shard.clone()
        }
    }
}

/// How far the time in a shard's id may be from the time of its first record, milliseconds: AWS promises nothing.
const CREATION_FUZZ_MS: i64 = 5_000;

/// No record of the shard is from before this time, AWS's milliseconds.
pub fn created_ms(shard_id: &str) -> Option<i64> {
    Some(named_ms(shard_id)? - CREATION_FUZZ_MS)
}

/// No record of the shard's parents is from after this time, AWS's milliseconds.
pub fn created_by_ms(shard_id: &str) -> Option<i64> {
    Some(named_ms(shard_id)? + CREATION_FUZZ_MS)
}

/// The time of creation that a shard's id carries: `shardId-<20 digits of milliseconds>-<hex>`.
fn named_ms(shard_id: &str) -> Option<i64> {
    let digits = shard_id.strip_prefix("shardId-")?.split('-').next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, parent: Option<&str>) -> Shard {
        Shard {
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            starting: None,
            ending: None,
        }
    }

    fn ids(shards: &[ShardCheckpoint]) -> Vec<&str> {
        shards.iter().map(|shard| shard.shard_id.as_str()).collect()
    }

    fn finish(tree: &mut ShardTree, id: &str, clock_ms: i64, now_ms: i64) {
        let shard = tree.get(id).cloned().expect("the shard is in the tree");
        tree.commit(&[ShardCheckpoint {
            clock_ms,
            finished: true,
            finished_at_ms: Some(now_ms),
            ..shard
        }]);
    }

    #[test]
    fn a_child_waits_for_its_parent_and_starts_from_its_clock() {
        let mut tree = ShardTree::default();
        tree.observe(&[
            listed("a", None),
            listed("b", Some("a")),
            listed("c", Some("a")),
        ]);
        assert_eq!(ids(&tree.readable()), ["a"]);
        assert_eq!(tree.waiting(), 2);
        finish(&mut tree, "a", 77, 1);
        let readable = tree.readable();
        assert_eq!(ids(&readable), ["b", "c"]);
        assert!(readable.iter().all(|shard| shard.clock_ms == 77));
    }

    #[test]
    fn a_child_of_a_parent_that_left_the_stream_before_we_came_is_a_root() {
        let mut tree = ShardTree::default();
        let discovery = tree.observe(&[listed("b", Some("a"))]);
        assert_eq!(ids(&tree.readable()), ["b"]);
        assert!(discovery.orphans.is_empty());
    }

    #[test]
    fn a_generation_that_began_and_ended_unseen_is_noticed() {
        let mut tree = ShardTree::default();
        tree.observe(&[listed("a", None)]);
        finish(&mut tree, "a", 5, 1);
        let discovery = tree.observe(&[listed("c", Some("b"))]);
        assert_eq!(discovery.orphans, ["c"]);
        assert_eq!(ids(&tree.readable()), ["c"]);
    }

    #[test]
    fn a_finished_shard_that_is_listed_for_a_day_is_not_read_again() {
        let mut tree = ShardTree::default();
        tree.observe(&[listed("a", None)]);
        finish(&mut tree, "a", 5, 0);
        let discovery = tree.observe(&[listed("a", None)]);
        assert!(discovery.new.is_empty());
        assert!(tree.readable().is_empty());
        assert!(tree.outdated(&[], FINISHED_SHARD_KEPT_MS).is_empty());
        assert!(
            tree.outdated(&[listed("a", None)], FINISHED_SHARD_KEPT_MS + 1)
                .is_empty()
        );
        assert_eq!(tree.outdated(&[], FINISHED_SHARD_KEPT_MS + 1), ["a"]);
    }

    #[test]
    fn a_parent_is_kept_while_a_child_still_needs_its_clock() {
        let mut tree = ShardTree::default();
        tree.observe(&[listed("a", None), listed("b", Some("a"))]);
        finish(&mut tree, "a", 9, 0);
        assert!(tree.outdated(&[], i64::MAX).is_empty());
        finish(&mut tree, "b", 9, 0);
        assert_eq!(tree.outdated(&[], i64::MAX), ["a", "b"]);
    }

    #[test]
    fn a_restored_tree_goes_on_where_it_was() {
        let mut tree = ShardTree::default();
        tree.observe(&[listed("a", None), listed("b", Some("a"))]);
        finish(&mut tree, "a", 40, 0);
        let again = ShardTree::restore(tree.iter().cloned().collect(), Coverage::default());
        assert_eq!(ids(&again.readable()), ["b"]);
        assert_eq!(again.readable()[0].clock_ms, 40);
    }
}
