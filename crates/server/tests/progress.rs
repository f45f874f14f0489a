//! Progress of mirrors in SQLite: what is committed is there after a crash, and nothing else.

use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint, ShardCheckpoint};
use mirror::sequence_number::SequenceNumber;
use mirror::store::{MirrorProgress, Store, TableIdentity};
use proptest::prelude::*;
use server::store::SqliteStore;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

#[derive(Clone, Debug)]
enum Step {
    Identity(TableIdentity),
    Export(ExportProgress),
    File(FileCheckpoint, ExportProgress),
    Shards(Vec<ShardCheckpoint>, u64),
    Forget(Vec<String>),
    Gap(String),
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
                caught_up_at_ms: times[1],
            },
        )
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
        ("[a-z]{4}", "[a-z]{4}").prop_map(|(table_id, stream_arn)| {
            Step::Identity(TableIdentity {
                table_id,
                stream_arn,
            })
        }),
        export().prop_map(Step::Export),
        (file, export()).prop_map(|(file, export)| Step::File(file, export)),
        (prop::collection::vec(shard(), 0..4), 0_u64..5).prop_map(|(s, q)| Step::Shards(s, q)),
        prop::collection::vec(shard_id(), 0..3).prop_map(Step::Forget),
        "[a-z ]{1,20}".prop_map(Step::Gap),
        Just(Step::Reopen),
    ]
}

/// What the port promises, said once more without a database.
fn apply(model: &mut MirrorProgress, step: &Step) {
    let set_export = |model: &mut MirrorProgress, export: &ExportProgress| {
        if model
            .export
            .as_ref()
            .is_some_and(|known| known.attempt != export.attempt)
        {
            model.files.clear();
        }
        model.export = Some(export.clone());
    };
    match step {
        Step::Identity(identity) => model.identity = Some(identity.clone()),
        Step::Export(export) => set_export(model, export),
        Step::File(file, export) => {
            set_export(model, export);
            if !model.files.iter().any(|known| known.key == file.key) {
                model.quarantined += file.quarantined;
                model.files.push(file.clone());
                model.files.sort_by(|a, b| a.key.cmp(&b.key));
            }
        }
        Step::Shards(shards, quarantined) => {
            for shard in shards {
                model
                    .shards
                    .retain(|known| known.shard_id != shard.shard_id);
                model.shards.push(shard.clone());
            }
            model.shards.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
            model.quarantined += quarantined;
        }
        Step::Forget(ids) => model.shards.retain(|shard| !ids.contains(&shard.shard_id)),
        Step::Gap(gap) => model.gap = Some(gap.clone()),
        Step::Reopen => {}
    }
}

async fn perform(store: &mut SqliteStore, dir: &TempDir, step: &Step) {
    let mirror = "m1";
    match step {
        Step::Identity(identity) => store.save_identity(mirror, identity).await.unwrap(),
        Step::Export(export) => store.save_export(mirror, export).await.unwrap(),
        Step::File(file, export) => store.commit_file(mirror, file, export).await.unwrap(),
        Step::Shards(shards, q) => store.commit_shards(mirror, shards, *q).await.unwrap(),
        Step::Forget(ids) => store.forget_shards(mirror, ids).await.unwrap(),
        Step::Gap(gap) => store.save_gap(mirror, gap).await.unwrap(),
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
            let mut model = MirrorProgress::default();
            for step in &steps {
                apply(&mut model, step);
                perform(&mut store, &dir, step).await;
            }
            assert_eq!(store.load("m1").await.unwrap(), model);
            drop(store);
            let store = SqliteStore::open(&path).await.unwrap();
            assert_eq!(store.load("m1").await.unwrap(), model);
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
            caught_up_at_ms: None,
        })
        .collect();
    store.commit_shards("m1", &shards, 0).await.unwrap();
    assert_eq!(store.load("m1").await.unwrap().shards, shards);
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
