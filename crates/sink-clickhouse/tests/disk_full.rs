//! A disk without space, for which a small file system is mounted: needs root.

use std::path::Path;
use std::process::Command;

use mirror::error::ErrorKind;
use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::Warehouse;

use crate::support::{Engine, ask, eventually, options, push, simple_plan};

struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// `None` if this environment does not let us mount.
    fn new(path: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", size, "tmpfs"])
            .arg(path)
            .output()
            .ok()?
            .status;
        status.success().then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that was not run must say so")]
async fn a_full_disk_is_said_so_and_no_acknowledged_row_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(_mounted) = Mounted::new(&data, "size=64m") else {
        eprintln!(
            "NOT RUN: a_full_disk_is_said_so_and_no_acknowledged_row_is_lost needs root and mount"
        );
        return;
    };
    let (client, handle) = sink_clickhouse::engine::EngineHandle::start(options(folder.path()))
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    let engine = Engine {
        client,
        handle,
        folder,
    };
    engine.client.create_database("ws_1").await.unwrap();
    let mut plan = simple_plan("orders");
    // Compressed, the rows would never fill the disk.
    plan.columns[1].codec = Some("NONE".to_owned());
    engine.client.create_table(&plan).await.unwrap();
    engine.client.hold_merges(&plan, true).await.unwrap();
    let value = "v".repeat(4000);
    let batch_of = |number: usize| {
        let mut batch = plan.new_batch();
        for row in 0..500 {
            push(&mut batch, &format!("{number}-{row}"), &value, 1, 0);
        }
        batch
    };
    let mut acknowledged = 0;
    let error = loop {
        match engine
            .client
            .insert(&plan, &batch_of(acknowledged), RowOrder::Free)
            .await
        {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 60, "64 MB cannot hold 120 MB");
    };
    assert_eq!(error.kind, ErrorKind::DiskFull, "{}", error.report());
    assert!(acknowledged > 10, "{acknowledged}");
    let count = async || ask(&engine.client, "SELECT uniqExact(pk) FROM orders FINAL").await;
    assert_eq!(count().await, (acknowledged * 500).to_string());

    // With space again the same batch is taken.
    let grown = Command::new("mount")
        .args(["-o", "remount,size=256m"])
        .arg(&data)
        .status()
        .unwrap();
    assert!(grown.success());
    engine
        .client
        .insert(&plan, &batch_of(acknowledged), RowOrder::Free)
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(count().await, ((acknowledged + 1) * 500).to_string());
    let before = engine.handle.restarts();
    crate::support::kill(engine.handle.pid().unwrap());
    eventually("the engine is back", async || {
        engine.handle.restarts() > before && engine.client.ping().await.is_ok()
    })
    .await;
    assert_eq!(count().await, ((acknowledged + 1) * 500).to_string());
    let folder = engine.stop().await;
    drop(_mounted);
    drop(folder);
}
