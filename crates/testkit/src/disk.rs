//! What is stored of a mirror, checked on every commit against what the sink holds. Lives longer than any process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::heal::{Coverage, Gap, Healing};
use mirror::limits::EXPORT_MARGIN_MS;
use mirror::store::{
    ExportPart, Generations, HealingProgress, MirrorProgress, PartProgress, Shadow, TableIdentity,
    progress_key,
};

use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::model_warehouse::ModelWarehouse;

/// One export.
#[derive(Debug)]
pub(crate) struct Part {
    export: ExportProgress,
    files: BTreeMap<String, FileCheckpoint>,
    /// ARN of each attempt.
    arns: HashMap<u32, String>,
}

/// Progress of one generation.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) identity: Option<TableIdentity>,
    pub(crate) parts: BTreeMap<ExportPart, Part>,
    pub(crate) shards: BTreeMap<String, ShardCheckpoint>,
    /// Every shard that was ever stored as finished.
    finished: BTreeSet<String>,
    pub(crate) quarantined: u64,
    pub(crate) gap: Option<Gap>,
    pub(crate) healing: Option<Healing>,
    pub(crate) coverage: Coverage,
    pub(crate) healed: u32,
}

#[derive(Debug, Default)]
struct Content {
    /// By progress key.
    states: BTreeMap<String, State>,
    generations: Generations,
    /// Every ARN that was ever stored.
    arns: BTreeSet<String>,
    resyncs: u32,
    healed: u32,
}

/// What is stored of one mirror, and what it is held against.
#[derive(Debug)]
pub struct Disk {
    content: Mutex<Content>,
    mirror: String,
    warehouse: Arc<ModelWarehouse>,
    ledger: Arc<Mutex<Ledger>>,
    journal: Arc<Journal>,
}

impl Disk {
    pub fn new(
        mirror: &str,
        warehouse: Arc<ModelWarehouse>,
        ledger: Arc<Mutex<Ledger>>,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            content: Mutex::default(),
            mirror: mirror.to_owned(),
            warehouse,
            ledger,
            journal,
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mark of the table that progress is about: the first table carries none.
    fn mark<'a>(&self, key: &'a str) -> &'a str {
        if key == self.mirror { "" } else { key }
    }

    /// Everything stored of the generation that is live, and its mark.
    pub fn live(&self) -> (String, MirrorProgress) {
        let live = self.content().generations.live;
        let key = progress_key(&self.mirror, live);
        (self.mark(&key).to_owned(), self.progress(&key))
    }

    pub fn generations(&self) -> Generations {
        self.content().generations.clone()
    }

    /// Exports that were asked for and stored, ever.
    pub fn exports(&self) -> usize {
        self.content().arns.len()
    }

    /// Gaps healed and resyncs completed, ever.
    pub fn repairs(&self) -> (u32, u32) {
        let content = self.content();
        (content.healed, content.resyncs)
    }

    pub(crate) fn progress(&self, key: &str) -> MirrorProgress {
        let content = self.content();
        let Some(state) = content.states.get(key) else {
            return MirrorProgress::default();
        };
        let stored = |part: &Part| PartProgress {
            export: part.export.clone(),
            files: part.files.values().cloned().collect(),
        };
        let backfill = state.parts.get(&ExportPart::Backfill).map(stored);
        let windows = state
            .parts
            .iter()
            .filter_map(|(part, progress)| match part {
                ExportPart::Backfill => None,
                ExportPart::Window(window) => Some((*window, stored(progress))),
            });
        MirrorProgress {
            identity: state.identity.clone(),
            export: backfill.as_ref().map(|part| part.export.clone()),
            files: backfill.map(|part| part.files).unwrap_or_default(),
            shards: state.shards.values().cloned().collect(),
            quarantined: state.quarantined,
            gap: state.gap.clone(),
            healing: state.healing.clone().map(|healing| HealingProgress {
                healing,
                windows: windows.collect(),
            }),
            coverage: state.coverage,
            healed: state.healed,
        }
    }

    fn check(&self, outcome: std::result::Result<(), String>) {
        if let Err(rule) = outcome {
            self.journal.broken(rule);
        }
    }

    pub(crate) fn save_export(&self, key: &str, at: ExportPart, export: &ExportProgress) {
        let mut content = self.content();
        content.arns.extend(export.arn.clone());
        let part = content
            .states
            .entry(key.to_owned())
            .or_default()
            .parts
            .entry(at)
            .or_insert_with(|| Part {
                export: export.clone(),
                files: BTreeMap::new(),
                arns: HashMap::new(),
            });
        self.check(export_moves(part, export));
        if part.export.attempt != export.attempt {
            part.files.clear();
        }
        if let Some(arn) = &export.arn {
            part.arns.insert(export.attempt, arn.clone());
        }
        part.export = export.clone();
    }

    pub(crate) fn commit_file(
        &self,
        key: &str,
        at: ExportPart,
        file: &FileCheckpoint,
        export: &ExportProgress,
    ) {
        self.save_export(key, at, export);
        let mut content = self.content();
        let state = content.states.entry(key.to_owned()).or_default();
        let Some(part) = state.parts.get_mut(&at) else {
            return;
        };
        if part.files.insert(file.key.clone(), file.clone()).is_none() {
            state.quarantined += file.quarantined;
        }
        if at != ExportPart::Backfill {
            return;
        }
        let committed: u64 = part
            .files
            .values()
            .map(|file| file.items - file.quarantined)
            .sum();
        let version_ms = export.export_time_ms.unwrap_or_default() - EXPORT_MARGIN_MS;
        let held = self
            .warehouse
            .with_marked(self.mark(key), |table| table.exported(version_ms));
        if held.is_some_and(|held| committed > held) {
            self.journal.broken(format!(
                "files with {committed} items are committed, the sink holds {held:?} of this export"
            ));
        }
    }

    pub(crate) fn commit_shards(&self, key: &str, shards: &[ShardCheckpoint], quarantined: u64) {
        let mut content = self.content();
        self.check(may_write(&content.generations, &self.mirror, key));
        let state = content.states.entry(key.to_owned()).or_default();
        let moved = shards
            .iter()
            .any(|shard| state.shards.get(&shard.shard_id) != Some(shard));
        for shard in shards {
            let outcome = self
                .ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .commit(self.mark(key), shard);
            self.check(outcome);
            self.check(shard_moves(state.shards.get(&shard.shard_id), shard));
            // It was forgotten while the stream still had it.
            if shard.finished {
                state.finished.insert(shard.shard_id.clone());
            } else if state.finished.contains(&shard.shard_id) {
                self.journal.broken(format!(
                    "a shard that was read to its end is read again: {shard:?}"
                ));
            }
            state.shards.insert(shard.shard_id.clone(), shard.clone());
        }
        if moved {
            state.quarantined += quarantined;
        }
    }

    pub(crate) fn change(&self, key: &str, change: impl FnOnce(&mut State)) {
        change(self.content().states.entry(key.to_owned()).or_default());
    }

    pub(crate) fn finish_healing(&self, key: &str, closed: Option<&Gap>, coverage: Coverage) {
        let mut content = self.content();
        let state = content.states.entry(key.to_owned()).or_default();
        if state.healing.take().is_some() {
            state.healed += 1;
            content.healed += 1;
        }
        let state = content.states.entry(key.to_owned()).or_default();
        state.gap = state.gap.take().filter(|known| Some(known) != closed);
        state.coverage = coverage;
        state.parts.retain(|part, _| *part == ExportPart::Backfill);
    }

    pub(crate) fn close_gap(&self, key: &str, gap: &Gap, coverage: Coverage) {
        self.change(key, |state| {
            state.gap = state.gap.take().filter(|known| known != gap);
            state.coverage = coverage;
        });
        self.cover(key, coverage);
    }

    /// What came in another way need not come from the stream.
    fn cover(&self, key: &str, coverage: Coverage) {
        if let Some(until_ms) = coverage.until_ms {
            self.ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .cover(self.mark(key), until_ms);
        }
    }

    /// The windows are on their way: what they will bring need not come from the stream.
    pub(crate) fn save_healing(&self, key: &str, healing: &Healing) {
        self.change(key, |state| state.healing = Some(healing.clone()));
        if let Some(highest_ms) = healing.highest_ms {
            self.cover(key, healing.coverage(highest_ms));
        }
    }

    pub(crate) fn save_shadow(&self, shadow: &Shadow) {
        let mut content = self.content();
        let before = content.generations.shadow.replace(shadow.clone());
        if let Some(before) = before.filter(|before| before.generation != shadow.generation) {
            content
                .states
                .remove(&progress_key(&self.mirror, before.generation));
        }
    }

    pub(crate) fn finish_resync(&self) {
        let mut content = self.content();
        if let Some(shadow) = content.generations.shadow.take() {
            let former = progress_key(&self.mirror, content.generations.live);
            content.states.remove(&former);
            content.generations.live = shadow.generation;
            content.resyncs += 1;
        }
    }
}

/// While tables are exchanged nobody writes, and afterwards nobody does who wrote to the former one.
fn may_write(
    generations: &Generations,
    mirror: &str,
    key: &str,
) -> std::result::Result<(), String> {
    let shadow = generations.shadow.as_ref();
    let known = [
        Some(generations.live),
        shadow.map(|shadow| shadow.generation),
    ];
    let is_known = known
        .into_iter()
        .flatten()
        .any(|generation| progress_key(mirror, generation) == key);
    if is_known && !shadow.is_some_and(|shadow| shadow.exchanging) {
        return Ok(());
    }
    Err(format!(
        "shards of {key} are stored while the generations are {generations:?}"
    ))
}

/// One attempt has one export, and attempts only grow.
fn export_moves(part: &Part, export: &ExportProgress) -> std::result::Result<(), String> {
    let known = part.arns.get(&export.attempt);
    if known.is_some() && known != export.arn.as_ref() {
        return Err(format!(
            "attempt {} had export {known:?}, now it is {:?}",
            export.attempt, export.arn
        ));
    }
    if part.export.attempt > export.attempt {
        return Err(format!(
            "attempt {} was stored after a later one",
            export.attempt
        ));
    }
    if export.phase == ExportPhase::Loaded && part.files.len() as u64 != export.files_total {
        return Err(format!(
            "the export is loaded with {} of {} files",
            part.files.len(),
            export.files_total
        ));
    }
    Ok(())
}

/// Nothing moves back.
fn shard_moves(
    known: Option<&ShardCheckpoint>,
    shard: &ShardCheckpoint,
) -> std::result::Result<(), String> {
    let Some(known) = known else { return Ok(()) };
    let back = known.position > shard.position
        || known.clock_ms > shard.clock_ms
        || (known.finished && !shard.finished);
    if back {
        return Err(format!(
            "the checkpoint of a shard moved back from {known:?} to {shard:?}"
        ));
    }
    Ok(())
}
