//! A stream: its shards in lexical order, routing of writes, splits, rollovers and trimming.

use std::collections::{BTreeMap, HashMap};

use crate::config::StreamConfig;
use crate::key::KeySchema;
use crate::rng::Rng;
use crate::shard::{Record, Shard};

/// Which images records carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewType {
    KeysOnly,
    NewImage,
    OldImage,
    NewAndOldImages,
}

impl ViewType {
    /// AWS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeysOnly => "KEYS_ONLY",
            Self::NewImage => "NEW_IMAGE",
            Self::OldImage => "OLD_IMAGE",
            Self::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        }
    }

    /// Reads AWS's name.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::KeysOnly,
            Self::NewImage,
            Self::OldImage,
            Self::NewAndOldImages,
        ]
        .into_iter()
        .find(|view| view.name() == name)
    }

    /// True if the new image is in the record.
    pub fn has_new(self) -> bool {
        matches!(self, Self::NewImage | Self::NewAndOldImages)
    }

    /// True if the old image is in the record.
    pub fn has_old(self) -> bool {
        matches!(self, Self::OldImage | Self::NewAndOldImages)
    }
}

/// One stream of one table; outlives its table and being disabled.
#[derive(Debug, Clone)]
pub struct Stream {
    pub arn: String,
    pub label: String,
    pub table: String,
    pub view: ViewType,
    pub schema: KeySchema,
    pub created_ms: i64,
    /// ENABLING before this time.
    pub enabled_ms: i64,
    pub disabled_ms: Option<i64>,
    /// DescribeStream calls in the running second.
    pub rate: (i64, u32),
    shards: BTreeMap<u64, Shard>,
    by_id: HashMap<String, u64>,
    /// First hash of the range to shard, open shards only.
    open: BTreeMap<u64, u64>,
    next: u64,
    last_id_ms: i64,
}

impl Stream {
    /// A stream without shards; see [`Stream::open_roots`].
    pub fn new(
        arn: String,
        label: String,
        table: String,
        view: ViewType,
        schema: KeySchema,
        now_ms: i64,
    ) -> Self {
        Self {
            arn,
            label,
            table,
            view,
            schema,
            created_ms: now_ms,
            enabled_ms: now_ms,
            disabled_ms: None,
            rate: (0, 0),
            shards: BTreeMap::new(),
            by_id: HashMap::new(),
            open: BTreeMap::new(),
            next: 0,
            last_id_ms: 0,
        }
    }

    /// Opens the first generation of shards.
    pub fn open_roots(&mut self, config: &StreamConfig, now_ms: i64, rng: &mut Rng) {
        let count = u64::from(config.shards.max(1));
        let step = u64::MAX / count;
        for at in 0..count {
            let end = if at + 1 == count {
                u64::MAX
            } else {
                step * (at + 1) - 1
            };
            let id = self.new_id(now_ms, rng);
            let shard = Shard::root(id, (step * at, end), now_ms, rng);
            self.insert(shard, config, now_ms, rng);
        }
    }

    /// Shards in lexical order of their ids.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values()
    }

    /// A shard by id.
    pub fn shard(&self, id: &str) -> Option<&Shard> {
        self.by_id.get(id).and_then(|at| self.shards.get(at))
    }

    /// A shard by id.
    pub fn shard_mut(&mut self, id: &str) -> Option<&mut Shard> {
        self.by_id.get(id).and_then(|at| self.shards.get_mut(at))
    }

    /// Ids of the open shards.
    pub fn open_ids(&self) -> Vec<String> {
        self.open
            .values()
            .filter_map(|at| self.shards.get(at))
            .map(|shard| shard.id.clone())
            .collect()
    }

    /// Appends a change of the item with partition hash `hash`.
    pub fn record(&mut self, hash: u64, record: Record, rng: &mut Rng) {
        let at = self.open.range(..=hash).next_back().map(|(_, at)| *at);
        if let Some(shard) = at.and_then(|at| self.shards.get_mut(&at)) {
            shard.push(record, rng);
        }
    }

    /// Closes an open shard and opens `children` (1 is a rollover, 2 a split). Returns the children's ids.
    pub fn replace(
        &mut self,
        id: &str,
        children: u32,
        config: &StreamConfig,
        now_ms: i64,
        rng: &mut Rng,
    ) -> Vec<String> {
        let Some(shard) = self.shard_mut(id) else {
            return Vec::new();
        };
        if shard.closed_ms.is_some() {
            return Vec::new();
        }
        shard.close(now_ms, rng);
        let parent = shard.lineage();
        self.open.remove(&parent.range.0);
        let (low, high) = parent.range;
        let ranges = if children > 1 && high > low {
            let middle = low + (high - low) / 2;
            vec![(low, middle), (middle + 1, high)]
        } else {
            vec![(low, high)]
        };
        let mut ids = Vec::new();
        for range in ranges {
            let id = self.new_id(now_ms, rng);
            let child = parent.child(id.clone(), range, now_ms + config.children_delay_ms, rng);
            self.insert(child, config, now_ms, rng);
            ids.push(id);
        }
        ids
    }

    /// Closes every shard, as disabling the stream does.
    pub fn disable(&mut self, now_ms: i64, rng: &mut Rng) {
        if self.disabled_ms.is_some() {
            return;
        }
        self.disabled_ms = Some(now_ms);
        for at in std::mem::take(&mut self.open).into_values() {
            if let Some(shard) = self.shards.get_mut(&at) {
                shard.close(now_ms, rng);
            }
        }
    }

    /// Trims old records, drops closed shards past retention and performs due rollovers.
    pub fn tick(&mut self, config: &StreamConfig, now_ms: i64, rng: &mut Rng) {
        let horizon = now_ms - config.retention_ms;
        let mut gone = Vec::new();
        let mut due = Vec::new();
        for (at, shard) in &mut self.shards {
            shard.trim(horizon);
            match shard.closed_ms {
                Some(closed) if closed < horizon => gone.push((*at, shard.id.clone())),
                None if shard.rollover_ms.is_some_and(|at| at <= now_ms) => {
                    due.push(shard.id.clone())
                }
                _ => {}
            }
        }
        for (at, id) in gone {
            self.shards.remove(&at);
            self.by_id.remove(&id);
        }
        for id in due {
            self.replace(&id, 1, config, now_ms, rng);
        }
    }

    /// Drops a closed shard from the listing at once.
    pub fn forget(&mut self, id: &str) -> bool {
        if self.shard(id).is_none_or(|shard| shard.closed_ms.is_none()) {
            return false;
        }
        match self.by_id.remove(id) {
            Some(at) => self.shards.remove(&at).is_some(),
            None => false,
        }
    }

    /// DescribeStream's StreamStatus.
    pub fn status(&self, now_ms: i64) -> &'static str {
        if self.disabled_ms.is_some() {
            "DISABLED"
        } else if now_ms < self.enabled_ms {
            "ENABLING"
        } else {
            "ENABLED"
        }
    }

    fn insert(&mut self, mut shard: Shard, config: &StreamConfig, now_ms: i64, rng: &mut Rng) {
        if let Some(every) = config.auto_rollover_ms {
            let jitter = rng.below((every / 5).max(1) as u64) as i64;
            shard.rollover_ms = Some(now_ms + every - every / 10 + jitter);
        }
        self.by_id.insert(shard.id.clone(), self.next);
        self.open.insert(shard.range.0, self.next);
        self.shards.insert(self.next, shard);
        self.next += 1;
    }

    /// Ids never repeat a millisecond, so creation order is lexical order.
    fn new_id(&mut self, now_ms: i64, rng: &mut Rng) -> String {
        self.last_id_ms = now_ms.max(self.last_id_ms + 1);
        format!("shardId-{:020}-{}", self.last_id_ms, rng.hex(8))
    }
}
