//! Starts, ends, crashes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mirror::error::ErrorKind;
use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::Warehouse;
use sink_clickhouse::engine::{EngineExecutable, EngineHandle, EngineOptions, EngineState};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{
    Engine, ask, ask_in, eventually, is_alive, kill, options, rows, simple_plan, start_in,
};

#[tokio::test]
async fn an_engine_starts_takes_rows_answers_and_keeps_them_over_a_stop() {
    let begun = Instant::now();
    let engine = Engine::start().await;
    let start = begun.elapsed();
    assert_eq!(engine.client.ping().await.unwrap(), "26.7.2.1");
    let plan = simple_plan("orders");
    engine.client.create_table(&plan).await.unwrap();
    engine
        .client
        .insert(&plan, &rows(&plan, 0..1000), RowOrder::Free)
        .await
        .unwrap();
    assert_eq!(
        ask(&engine.client, "SELECT count() FROM orders FINAL").await,
        "1000"
    );
    let pid = engine.handle.pid().unwrap();
    let begun = Instant::now();
    let folder = engine.stop().await;
    let stop = begun.elapsed();
    assert!(!is_alive(pid));
    // Generous: the machine is shared. The usual values are 0.3 s and 0.1 s.
    assert!(
        start.as_secs_f64() < 15.0 && stop.as_secs_f64() < 4.0,
        "start {start:?}, stop {stop:?}"
    );

    let (client, handle) = start_in(folder.path()).await;
    assert_eq!(
        ask(&client, "SELECT count() FROM orders FINAL").await,
        "1000"
    );
    assert!(matches!(handle.state(), EngineState::Running { .. }));
    assert_eq!(handle.restarts(), 0);
    handle.stop().await;
    assert_eq!(
        client.ping().await.unwrap_err().kind,
        mirror::error::ErrorKind::Unavailable
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_rows_survive_kills_between_and_during_inserts() {
    let engine = Engine::start().await;
    let plan = simple_plan("orders");
    engine.client.create_table(&plan).await.unwrap();
    let client = Arc::clone(&engine.client);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&acknowledged);
    let writer_plan = plan.clone();
    // As the worker does: the same batch again until it is accepted, then the next one.
    let writer = tokio::spawn(async move {
        for batch in 0..200 {
            let rows = rows(&writer_plan, batch * 500..(batch + 1) * 500);
            loop {
                match client.insert(&writer_plan, &rows, RowOrder::AsGiven).await {
                    Ok(()) => break,
                    Err(error) => {
                        assert_eq!(error.kind, ErrorKind::Unavailable, "{}", error.report())
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    for kill_at in [20, 90, 150] {
        eventually("the writer goes on", async || {
            acknowledged.load(Ordering::SeqCst) >= kill_at
        })
        .await;
        let before = engine.handle.restarts();
        let pid = engine.handle.pid().unwrap();
        kill(pid);
        eventually("the engine is started again", async || {
            engine.handle.restarts() > before
        })
        .await;
        assert_ne!(engine.handle.pid().unwrap(), pid);
    }
    writer.await.unwrap();
    // Between inserts: nothing is in flight now.
    kill(engine.handle.pid().unwrap());
    eventually("the engine answers again", async || {
        engine.handle.restarts() == 4 && engine.client.ping().await.is_ok()
    })
    .await;
    let counts = ask(&engine.client, "SELECT count(), uniqExact(pk), sum(value = concat('value', substring(pk, 4))) FROM orders FINAL").await;
    assert_eq!(counts, "100000\t100000\t100000");
    engine.stop().await;
}

#[tokio::test]
async fn calls_fail_at_once_while_the_engine_restarts() {
    let engine = Engine::start().await;
    let mut state = engine.handle.watch();
    kill(engine.handle.pid().unwrap());
    state
        .wait_for(|state| matches!(state, EngineState::Restarting { .. }))
        .await
        .unwrap();
    let begun = Instant::now();
    let error = engine.client.ping().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.report().contains("ended unexpectedly"),
        "{}",
        error.report()
    );
    assert!(begun.elapsed().as_millis() < 500);
    engine.stop().await;
}

#[tokio::test]
async fn a_second_engine_on_the_same_directory_is_refused() {
    let engine = Engine::start().await;
    let mut options = options(engine.folder.path());
    options.conf_dir = engine.folder.path().join("conf2");
    let error = EngineHandle::start(options).await.unwrap_err();
    assert!(
        error.report().contains("is in use by another process"),
        "{}",
        error.report()
    );
    assert_eq!(ask(&engine.client, "SELECT 1").await, "1");
    engine.stop().await;
}

#[tokio::test]
async fn the_engine_ends_when_its_parent_is_killed_and_the_next_start_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = tokio::process::Command::new(env!("CARGO_BIN_EXE_engine-child"))
        .arg("parent")
        .arg(folder.path())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .await
        .unwrap();
    let engine: u32 = line.trim().parse().unwrap();
    assert!(is_alive(engine));
    parent.start_kill().unwrap();
    parent.wait().await.unwrap();
    let (client, handle) = start_in(folder.path()).await;
    assert!(client.ping().await.is_ok());
    eventually("the orphan ends", async || !is_alive(engine)).await;
    handle.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong_library = options(folder.path());
    wrong_library.library = Some(folder.path().join("libchdb.so"));
    std::fs::write(folder.path().join("libchdb.so"), "not a library").unwrap();
    let error = EngineHandle::start(wrong_library)
        .await
        .unwrap_err()
        .report();
    assert!(error.contains("cannot load the engine"), "{error}");

    let mut wrong_program = options(folder.path());
    wrong_program.executable.program = folder.path().join("missing");
    let error = EngineHandle::start(wrong_program)
        .await
        .unwrap_err()
        .report();
    assert!(
        error.contains("missing") && error.contains("No such file"),
        "{error}"
    );
}

/// The engine behind a shell that writes down the process id of every start and does `then` before it.
fn watched(folder: &Path, then: &str) -> (EngineOptions, PathBuf) {
    let (script, pids) = (folder.join("start.sh"), folder.join("pids"));
    let mut options = options(folder);
    let text = format!(
        "echo $$ >> {}\n{then}\nexec {} \"$@\"\n",
        pids.display(),
        options.executable.program.display()
    );
    std::fs::write(&script, text).unwrap();
    options.executable = EngineExecutable {
        program: "/bin/sh".into(),
        arguments: vec![script.into()],
    };
    (options, pids)
}

fn started(pids: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(pids).unwrap_or_default();
    text.lines().map(|pid| pid.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_while_it_starts_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let (options, pids) = watched(folder.path(), "");
    let starting = tokio::spawn(EngineHandle::start(options));
    // Too late for one is right, too: then it runs and is started again by the supervisor.
    for killed in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(20);
        while started(&pids).len() <= killed && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        kill(started(&pids)[killed]);
    }
    let (client, handle) = starting
        .await
        .unwrap()
        .unwrap_or_else(|error| panic!("{}", error.report()));
    eventually("the third engine answers", async || {
        started(&pids).len() == 3 && client.ping().await.is_ok()
    })
    .await;
    assert_eq!(handle.pid(), started(&pids).last().copied());
    handle.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_killed_whenever_it_starts_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (options, pids) = watched(folder.path(), "kill -KILL $$");
    let error = EngineHandle::start(options).await.unwrap_err().report();
    assert!(
        error.contains("signal: 9") && error.contains("5 times in a row"),
        "{error}"
    );
    assert_eq!(started(&pids).len(), 5);
}

#[tokio::test]
async fn an_engine_that_cannot_start_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libchdb.so");
    std::fs::write(&library, "not a library").unwrap();
    let (mut wrong, pids) = watched(folder.path(), "");
    wrong.library = Some(library);
    let error = EngineHandle::start(wrong).await.unwrap_err().report();
    assert!(error.contains("cannot load the engine"), "{error}");
    assert_eq!(started(&pids).len(), 1);

    let folder = tempfile::tempdir().unwrap();
    let (wrong, pids) = watched(folder.path(), "echo '<clickhouse>' > \"$6\"/engine.xml");
    let error = EngineHandle::start(wrong).await.unwrap_err().report();
    assert!(error.contains("it ended (exit status"), "{error}");
    assert_eq!(started(&pids).len(), 1);
}

#[tokio::test]
async fn a_dropped_handle_stops_the_engine() {
    let engine = Engine::start().await;
    let pid = engine.handle.pid().unwrap();
    drop(engine.handle);
    eventually("the engine ends", async || !is_alive(pid)).await;
}

#[tokio::test]
async fn a_workspace_beyond_the_pool_restarts_the_engine_with_more_users() {
    let engine = Engine::start().await;
    assert_eq!(engine.handle.restarts(), 0);
    engine.client.create_database("ws_65").await.unwrap();
    assert_eq!(engine.handle.restarts(), 1);
    assert_eq!(
        ask_in(
            &engine.client,
            "ws_65",
            "SELECT currentUser(), currentDatabase()"
        )
        .await
        .unwrap(),
        "reader_65\tws_65"
    );
    assert_eq!(
        ask(&engine.client, "SELECT currentUser()").await,
        "reader_1"
    );
    for name in ["analytics", "ws_0", "ws_01", "default"] {
        let error = engine.client.create_database(name).await.unwrap_err();
        assert!(
            error.report().contains("named ws_<n>"),
            "{}",
            error.report()
        );
    }
    // The next start makes enough users from the beginning.
    let folder = engine.stop().await;
    let (client, handle) = start_in(folder.path()).await;
    assert_eq!(ask_in(&client, "ws_65", "SELECT 1").await.unwrap(), "1");
    assert_eq!(handle.restarts(), 0);
    handle.stop().await;
}

#[tokio::test]
async fn the_password_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let engine = Engine::start().await;
    for file in ["engine.xml", "users.xml"] {
        let mode = std::fs::metadata(engine.folder.path().join("conf").join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    engine.stop().await;
}
