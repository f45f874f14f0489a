//! Starts, ends, crashes.

use std::time::Instant;

use mirror::sink::{RowOrder, Sink};
use mirror::warehouse::Warehouse;
use sink_clickhouse::engine::EngineState;

use crate::support::{Engine, ask, is_alive, rows, simple_plan, start_in};

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
