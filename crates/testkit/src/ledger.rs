//! Every change the stream ever carried, and which of them are in the sink: the truth that inserts and
//! checkpoints are held against.

use std::collections::{BTreeMap, HashMap};

use aws_sim::World;
use mirror::checkpoint::ShardCheckpoint;
use mirror::sequence_number::SequenceNumber;

#[derive(Debug, Default)]
struct Shard {
    parent: Option<String>,
    closed: bool,
    /// Sequence numbers in order.
    numbers: Vec<SequenceNumber>,
    /// Length of the prefix that is in the sink.
    inserted: usize,
    /// Length of the prefix that has left the stream.
    trimmed: usize,
}

impl Shard {
    fn done(&self) -> usize {
        self.inserted.max(self.trimmed)
    }

    fn all_done(&self) -> bool {
        self.closed && self.done() == self.numbers.len()
    }
}

/// All shards of a table's stream.
#[derive(Debug, Default)]
pub struct Ledger {
    shards: BTreeMap<String, Shard>,
    /// Shard and index of each event.
    events: HashMap<String, (String, usize)>,
    /// For each shard, the world's last position that was taken over.
    seen: HashMap<String, u128>,
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
                let at = (shard.id.clone(), known.numbers.len() - 1);
                self.events.insert(format!("{:032x}", record.event_id), at);
                *seen = record.position;
            }
            known.trimmed = known.numbers.len() - shard.records.len();
        }
        if listed == self.shards.len() {
            return;
        }
        let listed = |id: &str| {
            world
                .stream_states()
                .any(|stream| stream.shard(id).is_some())
        };
        for (id, shard) in self
            .shards
            .iter_mut()
            .filter(|(_, shard)| shard.trimmed < shard.numbers.len())
        {
            if shard.closed && !listed(id) {
                shard.trimmed = shard.numbers.len();
            }
        }
    }

    /// A row of this event enters the sink: in the order of its shard, and after all of the parent's.
    pub fn insert(&mut self, event_id: &str) -> Result<(), String> {
        let Some((id, index)) = self.events.get(event_id).cloned() else {
            return Err(format!(
                "event {event_id} was inserted, but the stream never had it"
            ));
        };
        let parent = self.shards.get(&id).and_then(|shard| shard.parent.clone());
        if let Some(parent) = parent.as_ref().and_then(|parent| self.shards.get(parent))
            && !parent.all_done()
        {
            let (done, all) = (parent.done(), parent.numbers.len());
            return Err(format!(
                "a record of shard {id} was inserted with {done} of {all} records of its parent in the sink"
            ));
        }
        let Some(shard) = self.shards.get_mut(&id) else {
            return Ok(());
        };
        if index > shard.done() {
            return Err(format!(
                "record {index} of shard {id} was inserted after only {} before it",
                shard.done()
            ));
        }
        shard.inserted = shard.inserted.max(index + 1);
        Ok(())
    }

    /// A checkpoint is stored: everything up to it must be in the sink.
    pub fn commit(&self, checkpoint: &ShardCheckpoint) -> Result<(), String> {
        let id = &checkpoint.shard_id;
        let Some(shard) = self.shards.get(id) else {
            return Err(format!("a checkpoint of shard {id}, which never was"));
        };
        let passed = checkpoint.position.as_ref();
        let passed = passed.map_or(0, |position| {
            shard.numbers.partition_point(|number| number <= position)
        });
        if passed > shard.done() {
            return Err(format!(
                "the checkpoint of shard {id} passed {passed} records, {} are in the sink",
                shard.done()
            ));
        }
        if checkpoint.finished && !shard.all_done() {
            let (done, all) = (shard.done(), shard.numbers.len());
            return Err(format!(
                "shard {id} was marked finished with {done} of {all} records in the sink, closed: {}",
                shard.closed
            ));
        }
        Ok(())
    }

    /// Whether every change is in the sink, or left the stream before it could be.
    pub fn caught_up(&self) -> bool {
        self.shards
            .values()
            .all(|shard| shard.done() == shard.numbers.len())
    }

    /// Shards and changes so far.
    pub fn size(&self) -> (usize, usize) {
        (self.shards.len(), self.events.len())
    }

    /// Shards whose changes are not all in the sink.
    pub fn behind(&self) -> Vec<String> {
        let behind = self
            .shards
            .iter()
            .filter(|(_, shard)| shard.done() < shard.numbers.len());
        behind
            .map(|(id, shard)| format!("{id}: {} of {}", shard.done(), shard.numbers.len()))
            .collect()
    }
}
