//! The state of the simulated account and its clock. Actions live in the files named after them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::ApiError;
use crate::attribute::Map;
use crate::config::WorldConfig;
use crate::export::Export;
use crate::faults::Faults;
use crate::iam::Iam;
use crate::image::Image;
use crate::key::{ItemKey, partition_hash};
use crate::ready_export::ReadyFile;
use crate::rng::Rng;
use crate::s3::Storage;
use crate::shard::Record;
use crate::stream::{Stream, ViewType};
use crate::table::{Table, TableSpec, Write};

/// How often, in world time, old records are trimmed.
const TRIM_EVERY_MS: i64 = 1000;
/// Longest window of point-in-time recovery.
const HISTORY_MS: i64 = 35 * 24 * 3600 * 1000;

/// One simulated account in one region.
#[derive(Debug)]
pub struct World {
    /// Settings; may be changed at any time.
    pub config: WorldConfig,
    /// Roles, sessions and keys.
    pub iam: Iam,
    /// Failures on command.
    pub faults: Faults,
    /// Buckets and objects.
    pub s3: Storage,
    pub(crate) now_ms: i64,
    pub(crate) rng: Rng,
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) streams: BTreeMap<String, Stream>,
    pub(crate) exports: BTreeMap<String, Export>,
    pub(crate) active_exports: Vec<String>,
    /// Files of full exports by table, see [`World::offer_export`].
    pub(crate) ready_exports: BTreeMap<String, Vec<ReadyFile>>,
    /// Calls that came in, by action.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Shuffles answers apart from `rng`, so that reading does not change what is written.
    pub(crate) shuffle: Rng,
    last_micros: i64,
    next_trim_ms: i64,
}

impl World {
    /// An empty account.
    pub fn new(config: WorldConfig) -> Self {
        Self {
            now_ms: config.start_ms,
            rng: Rng::new(config.seed),
            shuffle: Rng::new(config.seed ^ 0x5eed),
            config,
            iam: Iam::default(),
            faults: Faults::default(),
            s3: Storage::default(),
            tables: BTreeMap::new(),
            streams: BTreeMap::new(),
            exports: BTreeMap::new(),
            active_exports: Vec::new(),
            ready_exports: BTreeMap::new(),
            calls: BTreeMap::new(),
            last_micros: 0,
            next_trim_ms: 0,
        }
    }

    /// The world's time, epoch milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Moves the clock forward (never back) and does what has become due.
    pub fn set_now(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.step_exports();
        if self.now_ms >= self.next_trim_ms {
            self.next_trim_ms = self.now_ms + TRIM_EVERY_MS;
            self.trim();
        }
    }

    /// Moves the clock forward by a number of milliseconds.
    pub fn advance(&mut self, ms: i64) {
        self.set_now(self.now_ms + ms);
    }

    fn trim(&mut self) {
        let Self {
            config,
            streams,
            tables,
            rng,
            now_ms,
            ..
        } = self;
        for stream in streams.values_mut() {
            stream.tick(&config.stream, *now_ms, rng);
        }
        let horizon = *now_ms - config.stream.retention_ms;
        streams.retain(|_, stream| {
            stream.disabled_ms.is_none_or(|at| at >= horizon) || stream.shards().next().is_some()
        });
        for table in tables.values_mut() {
            let oldest = (*now_ms - HISTORY_MS) * 1000;
            while table
                .pitr
                .history
                .front()
                .is_some_and(|write| write.micros < oldest)
            {
                table.pitr.history.pop_front();
            }
        }
    }

    /// Creates a table that is ACTIVE at once, with its stream ENABLED and point-in-time recovery on if asked for.
    pub fn create_table(&mut self, spec: &TableSpec) -> Result<(), ApiError> {
        self.insert_table(&spec.name, spec.schema())?;
        if let Some(view) = spec.view {
            self.open_stream(&spec.name, view, 0);
        }
        let now_ms = self.now_ms;
        if let Some(table) = self.tables.get_mut(&spec.name) {
            table.active_ms = now_ms;
            if spec.pitr {
                table.pitr.since_ms = Some(now_ms);
                table.pitr.ready_ms = now_ms;
            }
        }
        Ok(())
    }

    /// Deletes a table at once, with its items and its history. Its stream is closed and stays readable for a day.
    pub fn drop_table(&mut self, table: &str) -> Result<(), ApiError> {
        let name = self.table(table)?.name.clone();
        self.remove_table(&name);
        Ok(())
    }

    /// Switches the stream of a table off at once: its shards are closed, and readable for a day.
    pub fn disable_stream(&mut self, table: &str) -> Result<(), ApiError> {
        let name = self.table(table)?.name.clone();
        self.switch_stream(&name, None, 0)
    }

    /// Switches the stream of a table on at once: a new stream with a new ARN.
    pub fn enable_stream(&mut self, table: &str, view: ViewType) -> Result<(), ApiError> {
        let name = self.table(table)?.name.clone();
        self.switch_stream(&name, Some(view), 0)
    }

    /// Puts a whole item. Its numbers must be in AWS's form ([`crate::Attr::number`]) and its sets sorted.
    pub fn put_item(&mut self, table: &str, item: &Map) -> Result<(), ApiError> {
        let key = self.table(table)?.schema.of_item(item)?;
        self.commit(table, &key, Some(Image::of(item)), false);
        Ok(())
    }

    /// Deletes the item with this key, if there is one.
    pub fn delete_item(&mut self, table: &str, key: &Map) -> Result<(), ApiError> {
        let key = self.table(table)?.schema.of_key(key)?;
        self.commit(table, &key, None, false);
        Ok(())
    }

    /// The oracle: every live item's canonical DynamoDB JSON (sorted names and sets), in partition order.
    pub fn table_items(&self, table: &str) -> Vec<Arc<[u8]>> {
        self.tables
            .get(table)
            .map(|table| {
                table
                    .items
                    .values()
                    .map(|image| image.json.clone())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// A table's state.
    pub fn table_state(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// Names of all tables.
    pub fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    /// Streams, disabled ones included.
    pub fn stream_states(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values()
    }

    /// Overrides TableSizeBytes (`None` for the true size).
    pub fn set_reported_bytes(&mut self, table: &str, bytes: Option<u64>) {
        if let Some(table) = self.tables.get_mut(table) {
            table.reported_bytes = bytes;
        }
    }

    pub(crate) fn table(&self, name: &str) -> Result<&Table, ApiError> {
        self.tables
            .get(table_name(name))
            .filter(|table| self.now_ms >= table.active_ms)
            .ok_or_else(|| {
                ApiError::new("ResourceNotFoundException", "Requested resource not found")
            })
    }

    pub(crate) fn table_arn(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        format!(
            "arn:aws:dynamodb:{}:{}:table/{name}",
            self.config.region, self.config.account
        )
    }

    /// Writes or removes one item and records the change. Returns what was there before.
    pub(crate) fn commit(
        &mut self,
        table: &str,
        key: &ItemKey,
        new: Option<Image>,
        expired: bool,
    ) -> Option<Image> {
        let name = table_name(table);
        let table = self.tables.get_mut(name)?;
        if let Some(new) = &new
            && table
                .items
                .get(&key.bytes)
                .is_some_and(|old| old.json == new.json)
        {
            // A write that changes nothing leaves no trace in streams.
            return Some(new.clone());
        }
        let old = table.replace(&key.bytes, new.clone());
        if old.is_none() && new.is_none() {
            return None;
        }
        self.last_micros = (self.now_ms * 1000).max(self.last_micros + 1);
        if table.pitr.since_ms.is_some() {
            table.pitr.history.push_back(Write {
                micros: self.last_micros,
                key: key.bytes.clone(),
                keys: key.json.clone(),
                old: old.clone(),
                new: new.clone(),
            });
        }
        if table.stream_on
            && let Some(stream) = table
                .stream
                .as_ref()
                .and_then(|arn| self.streams.get_mut(arn))
            && self.now_ms >= stream.enabled_ms
        {
            let early = if self.rng.chance(self.config.stream.backstep_chance) {
                1 + self.rng.below(3) as i64
            } else {
                0
            };
            let exists = new.is_some();
            let record = Record {
                position: 0,
                written_ms: self.now_ms,
                created_s: self.now_ms.div_euclid(1000) - early,
                keys: key.json.clone(),
                old: old.clone().filter(|_| stream.view.has_old()),
                new: new.filter(|_| stream.view.has_new()),
                expired,
                event_id: (u128::from(self.rng.next_u64()) << 64) | u128::from(self.rng.next_u64()),
                existed: old.is_some(),
                exists,
                poison: None,
            };
            stream.record(partition_hash(&key.bytes), record, &mut self.rng);
        }
        old
    }
}

/// The name in a table name or table ARN.
pub(crate) fn table_name(name: &str) -> &str {
    match name.split_once(":table/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => name,
    }
}
