//! Progress of mirrors in SQLite: what is committed is there after a crash, and nothing else.

use std::collections::BTreeMap;

use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::heal::{Coverage, Gap, Healing};
use mirror::sequence_number::SequenceNumber;
use mirror::store::{
    ExportPart, Generations, HealingProgress, MirrorProgress, PartProgress, Shadow, Store,
    TableIdentity, progress_key,
};
use proptest::prelude::*;
use server::store::SqliteStore;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

#[derive(Clone, Debug)]
enum Step {
    Identity(TableIdentity),
    Export(ExportPart, ExportProgress),
    File(ExportPart, FileCheckpoint, ExportProgress),
    Shards(Vec<ShardCheckpoint>, u64),
    Forget(Vec<String>),
    Gap(Gap),
    Healing(Healing),
    Healed(Option<Gap>, Coverage),
    Closed(Gap, Coverage),
    Stream(TableIdentity, Gap, Coverage),
    Repair(i64),
    OutOfQuarantine(u64),
    Reopen,
}

fn phase() -> impl Strategy<Value = ExportPhase> {
    use ExportPhase::*;
    prop::sample::select(vec![Waiting, Running, Loading, Loaded, Failed])
}

fn export() -> impl Strategy<Value = ExportProgress> {
    let times = prop::array::uniform4(prop::option::of(0_i64..2_000_000_000_000));
    let counts = prop::array::uniform5(0_u64..(1 << 50));
    (
        1_u32..3,
        phase(),
        prop::option::of("[a-z]{1,8}"),
        counts,
        times,
    )
        .prop_map(|(attempt, phase, arn, counts, times)| ExportProgress {
            attempt,
            phase,
            arn,
            export_time_ms: times[0],
            files_total: counts[0],
            files_loaded: counts[1],
            items_total: counts[2],
            items_loaded: counts[3],
            bytes_loaded: counts[4],
            started_at_ms: times[1],
            load_started_at_ms: times[2],
            loaded_at_ms: times[3],
        })
}

fn shard_id() -> impl Strategy<Value = String> {
    (0..6).prop_map(|number| format!("shardId-{number}"))
}

fn shard() -> impl Strategy<Value = ShardCheckpoint> {
    let times = prop::array::uniform2(prop::option::of(any::<i64>()));
    let position = prop::option::of("[0-9]{1,40}");
    (
        shard_id(),
        prop::option::of(shard_id()),
        position,
        any::<i64>(),
        any::<bool>(),
        times,
    )
        .prop_map(
            |(shard_id, parent, position, clock_ms, finished, times)| ShardCheckpoint {
                shard_id,
                parent,
                position: position.map(|text| SequenceNumber::parse(&text).unwrap()),
                clock_ms,
                finished,
                finished_at_ms: times[0],
                watermark_ms: times[1],
            },
        )
}

fn part() -> impl Strategy<Value = ExportPart> {
    (0_u32..4).prop_map(|part| match part {
        0 => ExportPart::Backfill,
        window => ExportPart::Window(window - 1),
    })
}

fn identity() -> impl Strategy<Value = TableIdentity> {
    ("[a-z]{4}", "[a-z]{4}").prop_map(|(table_id, stream_arn)| TableIdentity {
        table_id,
        stream_arn,
    })
}

fn gap() -> impl Strategy<Value = Gap> {
    let times = prop::array::uniform2(0..3_i64);
    // Few different ones, so that one is closed now and then.
    (times, "[ab]").prop_map(|(times, what)| Gap {
        since_ms: times[0],
        until_ms: times[1],
        what,
    })
}

fn coverage() -> impl Strategy<Value = Coverage> {
    let times = prop::array::uniform3(prop::option::of(any::<i64>()));
    (times, any::<i64>()).prop_map(|(times, clock_floor_ms)| Coverage {
        until_ms: times[0],
        healed_from_ms: times[1],
        swept_ms: times[2],
        clock_floor_ms,
        repaired_ms: None,
    })
}

fn healing() -> impl Strategy<Value = Healing> {
    let times = prop::array::uniform2(any::<i64>());
    (1_u32..9, times, prop::option::of(any::<i64>())).prop_map(|(round, times, highest_ms)| {
        Healing {
            round,
            from_ms: times[0],
            end_ms: times[1],
            highest_ms,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let file = ("f[0-4]", 0_u64..1000, 0_u64..1000, 0_u64..10).prop_map(
        |(key, items, bytes, quarantined)| FileCheckpoint {
            key,
            items,
            bytes,
            quarantined,
        },
    );
    prop_oneof![
        identity().prop_map(Step::Identity),
        (part(), export()).prop_map(|(part, export)| Step::Export(part, export)),
        (part(), file, export()).prop_map(|(part, file, export)| Step::File(part, file, export)),
        (prop::collection::vec(shard(), 0..4), 0_u64..5).prop_map(|(s, q)| Step::Shards(s, q)),
        prop::collection::vec(shard_id(), 0..3).prop_map(Step::Forget),
        gap().prop_map(Step::Gap),
        healing().prop_map(Step::Healing),
        (prop::option::of(gap()), coverage())
            .prop_map(|(gap, coverage)| Step::Healed(gap, coverage)),
        (gap(), coverage()).prop_map(|(gap, coverage)| Step::Closed(gap, coverage)),
        (identity(), gap(), coverage()).prop_map(|(i, g, c)| Step::Stream(i, g, c)),
        any::<i64>().prop_map(Step::Repair),
        (0_u64..12).prop_map(Step::OutOfQuarantine),
        Just(Step::Reopen),
    ]
}

/// A mirror as the port promises it, said once more without a database.
#[derive(Default)]
struct Model {
    progress: MirrorProgress,
    /// Exports of windows; shown while there is a healing.
    windows: BTreeMap<u32, PartProgress>,
    /// Something was written that begins the mirror's state.
    begun: bool,
}

impl Model {
    fn set_export(&mut self, part: ExportPart, export: &ExportProgress) {
        let replaced = |known: &ExportProgress| known.attempt != export.attempt;
        match part {
            ExportPart::Backfill => {
                if self.progress.export.as_ref().is_some_and(replaced) {
                    self.progress.files.clear();
                }
                self.progress.export = Some(export.clone());
            }
            ExportPart::Window(window) => {
                let known = self.windows.entry(window).or_insert_with(|| PartProgress {
                    export: export.clone(),
                    files: Vec::new(),
                });
                if replaced(&known.export) {
                    known.files.clear();
                }
                known.export = export.clone();
            }
        }
    }

    fn set_coverage(&mut self, coverage: Coverage) {
        let repaired_ms = self.progress.coverage.repaired_ms;
        self.progress.coverage = Coverage {
            repaired_ms,
            ..coverage
        };
    }

    fn shown(&self) -> MirrorProgress {
        let mut progress = self.progress.clone();
        if let Some(healing) = &mut progress.healing {
            healing.windows = self.windows.clone();
        }
        progress
    }
}

fn apply(model: &mut Model, step: &Step) {
    match step {
        Step::Identity(identity) => {
            model.begun = true;
            model.progress.identity = Some(identity.clone());
        }
        Step::Export(part, export) => model.set_export(*part, export),
        Step::File(part, file, export) => {
            model.set_export(*part, export);
            let files = match part {
                ExportPart::Backfill => &mut model.progress.files,
                ExportPart::Window(window) => &mut model.windows.get_mut(window).unwrap().files,
            };
            if !files.iter().any(|known| known.key == file.key) {
                files.push(file.clone());
                files.sort_by(|a, b| a.key.cmp(&b.key));
                model.progress.quarantined += file.quarantined;
                model.begun |= file.quarantined > 0;
            }
        }
        Step::Shards(shards, quarantined) => {
            // The same once more is counted once.
            let mut known = model.progress.shards.clone();
            let mut moved = false;
            for shard in shards {
                let before = known
                    .iter()
                    .position(|known| known.shard_id == shard.shard_id);
                moved |= before.is_none_or(|at| known[at] != *shard);
                if let Some(at) = before {
                    known.remove(at);
                }
                known.push(shard.clone());
            }
            for shard in shards {
                model
                    .progress
                    .shards
                    .retain(|known| known.shard_id != shard.shard_id);
                model.progress.shards.push(shard.clone());
            }
            model
                .progress
                .shards
                .sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
            if moved {
                model.progress.quarantined += quarantined;
                model.begun |= *quarantined > 0;
            }
        }
        Step::Forget(ids) => model
            .progress
            .shards
            .retain(|shard| !ids.contains(&shard.shard_id)),
        Step::Gap(gap) => {
            model.begun = true;
            model.progress.gap = Some(gap.clone());
        }
        // A healing is of a gap: what has no state has none.
        Step::Healing(healing) if model.begun => {
            model.progress.healing = Some(HealingProgress {
                healing: healing.clone(),
                windows: BTreeMap::new(),
            });
        }
        Step::Closed(gap, coverage) => {
            if model.begun {
                model.set_coverage(*coverage);
            }
            let known = model.progress.gap.take();
            model.progress.gap = known.filter(|known| known != gap);
        }
        Step::Healed(closed, coverage) => {
            if model.begun {
                model.set_coverage(*coverage);
                model.progress.healed += u32::from(model.progress.healing.is_some());
                model.progress.healing = None;
                let known = model.progress.gap.take();
                model.progress.gap = known.filter(|known| Some(known) != closed.as_ref());
            }
            model.windows.clear();
        }
        Step::Stream(identity, gap, coverage) => {
            model.begun = true;
            model.progress.identity = Some(identity.clone());
            model.progress.gap = Some(gap.clone());
            model.set_coverage(*coverage);
            model.progress.shards.clear();
        }
        Step::Repair(at_ms) => {
            model.begun = true;
            let coverage = &mut model.progress.coverage;
            coverage.repaired_ms = coverage.repaired_ms.max(Some(*at_ms));
        }
        Step::OutOfQuarantine(records) => {
            let quarantined = &mut model.progress.quarantined;
            *quarantined = quarantined.saturating_sub(*records);
        }
        Step::Healing(_) | Step::Reopen => {}
    }
}

async fn perform(store: &mut SqliteStore, dir: &TempDir, step: &Step) {
    let mirror = "m1";
    match step {
        Step::Identity(identity) => store.save_identity(mirror, identity).await.unwrap(),
        Step::Export(part, export) => store.save_export(mirror, *part, export).await.unwrap(),
        Step::File(part, file, export) => store
            .commit_file(mirror, *part, file, export)
            .await
            .unwrap(),
        Step::Shards(shards, q) => store.commit_shards(mirror, shards, *q).await.unwrap(),
        Step::Forget(ids) => store.forget_shards(mirror, ids).await.unwrap(),
        Step::Gap(gap) => store.save_gap(mirror, gap).await.unwrap(),
        Step::Healing(healing) => store.save_healing(mirror, healing).await.unwrap(),
        Step::Closed(gap, coverage) => store.close_gap(mirror, gap, *coverage).await.unwrap(),
        Step::Healed(closed, coverage) => store
            .finish_healing(mirror, closed.as_ref(), *coverage)
            .await
            .unwrap(),
        Step::Stream(identity, gap, coverage) => store
            .change_stream(mirror, identity, gap, *coverage)
            .await
            .unwrap(),
        Step::Repair(at_ms) => store.save_repair(mirror, *at_ms).await.unwrap(),
        Step::OutOfQuarantine(records) => {
            store.leave_quarantine(mirror, *records).await.unwrap();
        }
        // Dropped, not closed: the log is still there, as after a crash.
        Step::Reopen => {
            *store = SqliteStore::open(&dir.path().join("metadata.db"))
                .await
                .unwrap()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_committed_is_there_after_reopening(steps in prop::collection::vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("metadata.db");
            let mut store = SqliteStore::open(&path).await.unwrap();
            let mut model = Model::default();
            for step in &steps {
                apply(&mut model, step);
                perform(&mut store, &dir, step).await;
            }
            assert_eq!(store.load("m1").await.unwrap(), model.shown());
            drop(store);
            let store = SqliteStore::open(&path).await.unwrap();
            assert_eq!(store.load("m1").await.unwrap(), model.shown());
            assert_eq!(store.load("m2").await.unwrap(), MirrorProgress::default());
        });
    }
}

#[tokio::test]
async fn many_shards_are_committed_in_one_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("metadata.db"))
        .await
        .unwrap();
    let shards: Vec<ShardCheckpoint> = (0..500)
        .map(|number| ShardCheckpoint {
            shard_id: format!("shardId-{number:04}"),
            parent: None,
            position: SequenceNumber::parse(&format!("{number}")),
            clock_ms: number,
            finished: false,
            finished_at_ms: None,
            watermark_ms: None,
        })
        .collect();
    store.commit_shards("m1", &shards, 0).await.unwrap();
    assert_eq!(store.load("m1").await.unwrap().shards, shards);
}

async fn new_store(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(&dir.path().join("metadata.db"))
        .await
        .unwrap()
}

fn shadow(generation: u32) -> Shadow {
    Shadow {
        generation,
        reason: "somebody asked".to_owned(),
        exchanging: false,
    }
}

#[tokio::test]
async fn a_resync_takes_over_once_and_takes_its_progress_along() {
    let dir = tempfile::tempdir().unwrap();
    let store = new_store(&dir).await;
    assert_eq!(
        store.generations("m1").await.unwrap(),
        Generations::default()
    );
    let of = |table_id: &str| TableIdentity {
        table_id: table_id.to_owned(),
        stream_arn: "s".to_owned(),
    };
    store.save_identity("m1", &of("old")).await.unwrap();
    for generation in 1..=2 {
        store.save_shadow("m1", &shadow(generation)).await.unwrap();
        let key = progress_key("m1", generation);
        store.save_identity(&key, &of("new")).await.unwrap();
    }
    let abandoned = store.load(&progress_key("m1", 1)).await.unwrap();
    assert_eq!(abandoned, MirrorProgress::default());
    let exchanging = Shadow {
        exchanging: true,
        ..shadow(2)
    };
    store.save_shadow("m1", &exchanging).await.unwrap();
    let store = new_store(&dir).await;
    let expected = Generations {
        live: 0,
        shadow: Some(exchanging),
    };
    assert_eq!(store.generations("m1").await.unwrap(), expected);
    // The second time is after an answer that was lost.
    for _ in 0..2 {
        store.finish_resync("m1").await.unwrap();
        let expected = Generations {
            live: 2,
            shadow: None,
        };
        assert_eq!(store.generations("m1").await.unwrap(), expected);
    }
    assert_eq!(store.load("m1").await.unwrap(), MirrorProgress::default());
    let live = store.load(&progress_key("m1", 2)).await.unwrap();
    assert_eq!(live.identity, Some(of("new")));
}

#[tokio::test]
async fn a_healing_that_ends_twice_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = new_store(&dir).await;
    let gap = Gap {
        since_ms: 7,
        until_ms: 8,
        what: "the stream was off".to_owned(),
    };
    let healing = Healing {
        round: 1,
        from_ms: 5,
        end_ms: 9,
        highest_ms: None,
    };
    store.save_gap("m1", &gap).await.unwrap();
    store.save_healing("m1", &healing).await.unwrap();
    store.save_repair("m1", 3).await.unwrap();
    for _ in 0..2 {
        store
            .finish_healing("m1", Some(&gap), Coverage::default())
            .await
            .unwrap();
    }
    let progress = store.load("m1").await.unwrap();
    assert_eq!((progress.healed, progress.gap), (1, None));
    assert_eq!(
        progress.coverage.repaired_ms,
        Some(3),
        "a healing knows nothing of repairs"
    );
}

#[tokio::test]
async fn a_database_of_the_first_version_goes_on() {
    use sqlx::Connection;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metadata.db");
    // The first migration alone, as the first version ran it.
    let migrations = tempfile::tempdir().unwrap();
    let first = include_bytes!("../src/store/migrations/0001_first.sql");
    std::fs::write(migrations.path().join("0001_first.sql"), first).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut old = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    let migrator = sqlx::migrate::Migrator::new(migrations.path())
        .await
        .unwrap();
    migrator.run_direct(None, &mut old, false).await.unwrap();
    for statement in [
        "INSERT INTO mirror_state VALUES ('m1', 'table', 'stream', 4, 'records left the stream')",
        "INSERT INTO mirror_exports VALUES ('m1', 2, 'loading', 'arn', 100, 3, 1, 30, 10, 5, 1, 2, NULL)",
        "INSERT INTO mirror_files VALUES ('m1', 2, 'f1', 10, 5, 4)",
        "INSERT INTO mirror_shards VALUES ('m1', 'shardId-1', NULL, '111', 90, 0, NULL, 80)",
    ] {
        sqlx::query(statement).execute(&mut old).await.unwrap();
    }
    old.close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let progress = store.load("m1").await.unwrap();
    let export = progress.export.unwrap();
    assert_eq!((export.attempt, export.phase), (2, ExportPhase::Loading));
    assert_eq!(progress.files.len(), 1);
    assert_eq!(progress.quarantined, 4);
    // Its beginning is unknown: as old as can be, so that no windows are tried.
    let gap = progress.gap.unwrap();
    assert_eq!(
        (gap.since_ms, gap.what.as_str()),
        (0, "records left the stream")
    );
    assert_eq!(progress.shards[0].watermark_ms, Some(80));
    assert_eq!(progress.coverage, Coverage::default());
    assert_eq!(
        store.generations("m1").await.unwrap(),
        Generations::default()
    );
}

/// A migration that was shipped is never edited: databases out there remember its checksum. Change tables with a
/// new file.
#[test]
fn shipped_migrations_do_not_change() {
    let shipped = [(
        include_bytes!("../src/store/migrations/0001_first.sql").as_slice(),
        "be80a9cc840a0200ad73b52252035d009ec229bd38a9cd3650ca65b0a1e5fb16",
    )];
    for (bytes, pinned) in shipped {
        let digest: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, pinned);
    }
}
