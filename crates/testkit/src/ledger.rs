//! Every change the stream ever carried, and which of them are in the sink: the truth that inserts and
//! checkpoints are held against.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sim::World;
use mirror::checkpoint::ShardCheckpoint;
use mirror::sequence_number::SequenceNumber;

#[derive(Debug, Default)]
struct Shard {
    parent: Option<String>,
    closed: bool,
    /// Sequence numbers in order.
    numbers: Vec<SequenceNumber>,
    /// When each was created, AWS's milliseconds.
    created_ms: Vec<i64>,
    /// Length of the prefix that has left the stream.
    trimmed: usize,
    /// Of a table that was deleted.
    retired: bool,
}

/// What one table of the sink holds.
#[derive(Debug, Default)]
struct Holding {
    /// Length of the prefix of each shard that is in it.
    inserted: HashMap<String, usize>,
    /// Records from before this time came in another way.
    covered_until_ms: i64,
    /// Shard and sequence number of records in quarantine.
    aside: HashSet<(String, String)>,
}

/// All shards of a table's streams, and what each table of the sink has of them. Tables go by their mark.
#[derive(Debug, Default)]
pub struct Ledger {
    shards: BTreeMap<String, Shard>,
    /// Shard and index of each event.
    events: HashMap<String, (String, usize)>,
    /// For each shard, the world's last position that was taken over.
    seen: HashMap<String, u128>,
    holdings: HashMap<String, Holding>,
}

impl Ledger {
    /// Takes over what the world's streams hold. To be called after every write, and before time passes.
    pub fn sync(&mut self, world: &World) {
        let mut listed = 0;
        for shard in world
            .stream_states()
            .flat_map(aws_sim::stream::Stream::shards)
        {
            listed += 1;
            let known = self.shards.entry(shard.id.clone()).or_default();
            known.parent.clone_from(&shard.parent);
            known.closed = shard.closed_ms.is_some();
            known.trimmed = known.numbers.len().saturating_sub(shard.records.len());
            let Some(newest) = shard.records.back().map(|record| record.position) else {
                continue;
            };
            let seen = self.seen.entry(shard.id.clone()).or_default();
            if *seen == newest {
                continue;
            }
            for record in shard.records.range(shard.index_at(*seen + 1)..) {
                let number = SequenceNumber::parse(&shard.number(record.position));
                known
                    .numbers
                    .push(number.expect("the world's numbers are digits"));
                known.created_ms.push(record.created_s * 1000);
                let at = (shard.id.clone(), known.numbers.len() - 1);
                self.events.insert(format!("{:032x}", record.event_id), at);
                *seen = record.position;
            }
            known.trimmed = known.numbers.len() - shard.records.len();
        }
        if listed == self.shards.len() {
            return;
        }
        let listed: HashSet<&str> = world
            .stream_states()
            .flat_map(aws_sim::stream::Stream::shards)
            .map(|shard| shard.id.as_str())
            .collect();
        for (id, shard) in self
            .shards
            .iter_mut()
            .filter(|(_, shard)| shard.trimmed < shard.numbers.len())
        {
            if shard.closed && !listed.contains(id.as_str()) {
                shard.trimmed = shard.numbers.len();
            }
        }
    }

    /// The table was deleted: what its streams had does not matter any more.
    pub fn retire(&mut self) {
        for shard in self.shards.values_mut() {
            shard.retired = true;
        }
    }

    /// Records from before `until_ms` came into the table of `mark` in another way.
    pub fn cover(&mut self, mark: &str, until_ms: i64) {
        let holding = self.holdings.entry(mark.to_owned()).or_default();
        holding.covered_until_ms = holding.covered_until_ms.max(until_ms);
    }

    /// A record of a shard is in the quarantine of the table of `mark`.
    pub fn set_aside(&mut self, mark: &str, shard: &str, number: &str) {
        let holding = self.holdings.entry(mark.to_owned()).or_default();
        holding.aside.insert((shard.to_owned(), number.to_owned()));
    }

    /// Length of a shard's prefix that the table of `mark` holds, or never can.
    fn done(&self, mark: &str, id: &str, shard: &Shard) -> usize {
        let mut done = shard.trimmed;
        if let Some(holding) = self.holdings.get(mark) {
            done = done.max(holding.inserted.get(id).copied().unwrap_or(0));
            let passed = |at: usize| {
                shard.created_ms[at] < holding.covered_until_ms
                    || (!holding.aside.is_empty()
                        && holding
                            .aside
                            .contains(&(id.to_owned(), shard.numbers[at].to_string())))
            };
            while done < shard.numbers.len() && passed(done) {
                done += 1;
            }
        }
        done
    }

    /// A row of this event enters a table: in the order of its shard, and after all of the parent's.
    pub fn insert(&mut self, mark: &str, event_id: &str) -> Result<(), String> {
        let Some((id, index)) = self.events.get(event_id).cloned() else {
            return Err(format!(
                "event {event_id} was inserted, but the stream never had it"
            ));
        };
        let Some(shard) = self.shards.get(&id) else {
            return Ok(());
        };
        let done = self.done(mark, &id, shard);
        if let Some((parent_id, parent)) = shard
            .parent
            .as_ref()
            .and_then(|parent| self.shards.get_key_value(parent))
        {
            let (done, all) = (self.done(mark, parent_id, parent), parent.numbers.len());
            if !parent.closed || done < all {
                return Err(format!(
                    "a record of shard {id} was inserted with {done} of {all} records of its parent in the sink"
                ));
            }
        }
        if index > done {
            return Err(format!(
                "record {index} of shard {id} was inserted after only {done} before it"
            ));
        }
        let holding = self.holdings.entry(mark.to_owned()).or_default();
        let inserted = holding.inserted.entry(id).or_default();
        *inserted = done.max(index + 1);
        Ok(())
    }

    /// A checkpoint is stored: everything up to it must be in the table.
    pub fn commit(&self, mark: &str, checkpoint: &ShardCheckpoint) -> Result<(), String> {
        let id = &checkpoint.shard_id;
        let Some(shard) = self.shards.get(id) else {
            return Err(format!("a checkpoint of shard {id}, which never was"));
        };
        let (done, all) = (self.done(mark, id, shard), shard.numbers.len());
        let passed = checkpoint.position.as_ref();
        let passed = passed.map_or(0, |position| {
            shard.numbers.partition_point(|number| number <= position)
        });
        if passed > done {
            return Err(format!(
                "the checkpoint of shard {id} passed {passed} records, {done} are in the sink"
            ));
        }
        if checkpoint.finished && !(shard.closed && done == all) {
            return Err(format!(
                "shard {id} was marked finished with {done} of {all} records in the sink, closed: {}",
                shard.closed
            ));
        }
        Ok(())
    }

    /// Whether every change is in the table, or left the stream before it could be, or is from before
    /// `exported_ms`.
    pub fn caught_up(&self, mark: &str, exported_ms: i64) -> bool {
        self.open(mark, exported_ms).next().is_none()
    }

    fn open<'a>(
        &'a self,
        mark: &'a str,
        exported_ms: i64,
    ) -> impl Iterator<Item = (&'a String, &'a Shard, usize)> {
        let shards = self.shards.iter().filter(|(_, shard)| !shard.retired);
        shards
            .map(move |(id, shard)| (id, shard, self.done(mark, id, shard)))
            .filter(move |(_, shard, done)| {
                let left = shard.created_ms.get(*done..).unwrap_or_default();
                left.iter().any(|created_ms| *created_ms >= exported_ms)
            })
    }

    /// Shards and changes so far.
    pub fn size(&self) -> (usize, usize) {
        (self.shards.len(), self.events.len())
    }

    /// Shards whose changes are not all in the table.
    pub fn behind(&self, mark: &str, exported_ms: i64) -> Vec<String> {
        self.open(mark, exported_ms)
            .map(|(id, shard, done)| format!("{id}: {done} of {}", shard.numbers.len()))
            .collect()
    }
}
