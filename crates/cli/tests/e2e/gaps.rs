//! Changes that the stream no longer has: the mirror says so, and brings them back without anybody's help.
//!
//! AWS's clock is moved, ours is not. A healing waits some minutes of AWS's time before it asks for its last window.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_sim::{ExportConfig, Role, ViewType, WorldConfig};

use super::flow::{churn, fill, key, order};
use super::oracle::equal;
use super::stage::{ROLE, Stage, orders_table, signal, wait};

const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;

/// Longer than a healing waits in any case, AWS's milliseconds.
const SETTLED: i64 = 15 * MINUTE;

fn quick_exports() -> WorldConfig {
    WorldConfig {
        export: ExportConfig {
            duration_ms: 500,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// A mirror that is live, half an hour after its backfill: every shard was read since.
fn half_an_hour_old(config: WorldConfig, prepare: impl FnOnce(&Stage)) -> Stage {
    let mut stage = Stage::with(config, &orders_table());
    prepare(&stage);
    fill(&stage, 100);
    stage.set_up();
    equal(&stage);
    for round in 0..3 {
        stage.aws.advance(10 * MINUTE);
        churn(&stage, round, 200);
        equal(&stage);
    }
    stage
}

/// Exports so far: full ones and windows.
fn exports(stage: &Stage) -> (usize, usize) {
    stage.aws.handle.with(|world| {
        let windows = world
            .export_states()
            .filter(|export| matches!(export.scope, aws_sim::export::Scope::Incremental { .. }));
        let windows = windows.count();
        (world.export_states().count() - windows, windows)
    })
}

/// Lets AWS's time pass while a gap is healed; returns once it is.
#[track_caller]
fn healed(stage: &Stage, healings_before: usize) {
    let mut begun = healings_before;
    wait("the gap to be healed", || {
        let now = stage.logged("healing begins");
        if now > begun {
            begun = now;
            stage.aws.advance(SETTLED);
        }
        let state = |mirror: serde_json::Value| mirror["state"] == "live";
        now > healings_before && stage.mirror().is_some_and(state)
    });
}

fn put_and_delete(stage: &Stage, put: std::ops::Range<u32>, deleted: std::ops::Range<u32>) {
    stage.aws.handle.with(|world| {
        for number in put {
            world.put_item("orders", &order(number, 7)).unwrap();
        }
        for number in deleted {
            world.delete_item("orders", &key(number)).unwrap();
        }
    });
}

#[test]
fn a_server_that_was_away_for_thirty_hours_heals_by_incremental_exports() {
    let mut stage = half_an_hour_old(quick_exports(), |_| ());
    // Inserted just before, so that the windows may not have it if it is deleted unseen.
    put_and_delete(&stage, 1000..1040, 0..0);
    equal(&stage);
    stage.kill();

    put_and_delete(&stage, 1100..1140, 1000..1020);
    churn(&stage, 10, 200);
    stage
        .aws
        .handle
        .with(|world| world.roll_over_shards("orders", None));
    stage.aws.advance(10 * HOUR);
    put_and_delete(&stage, 1200..1240, 1100..1120);
    churn(&stage, 11, 200);
    stage.aws.advance(20 * HOUR);
    put_and_delete(&stage, 1300..1310, 1200..1210);

    stage.start();
    let healing = stage.wait_for_state(&["healing"]);
    assert!(
        healing["next_action"]
            .as_str()
            .is_some_and(|text| text.contains("incremental exports")),
        "{healing}"
    );
    healed(&stage, 0);
    equal(&stage);
    // One window before the gap, two for its thirty hours.
    assert_eq!(exports(&stage), (1, 3));

    churn(&stage, 12, 200);
    equal(&stage);
}

#[test]
fn a_stream_that_was_off_for_a_while_heals_by_incremental_exports() {
    let stage = half_an_hour_old(quick_exports(), |_| ());
    put_and_delete(&stage, 1000..1040, 0..0);
    equal(&stage);
    stage
        .aws
        .handle
        .with(|world| world.disable_stream("orders").unwrap());
    put_and_delete(&stage, 1100..1140, 1000..1020);
    churn(&stage, 10, 200);
    let broken = stage.wait_for_state(&["broken"]);
    assert!(
        broken.to_string().contains("The stream was switched off"),
        "{broken}"
    );
    stage.aws.advance(20 * MINUTE);
    churn(&stage, 11, 200);
    stage.aws.handle.with(|world| {
        let view = ViewType::NewAndOldImages;
        world.enable_stream("orders", view).unwrap();
    });
    churn(&stage, 12, 200);
    stage.wait_for_state(&["healing"]);
    healed(&stage, 0);
    equal(&stage);
    assert_eq!(exports(&stage), (1, 2));
}

#[test]
fn a_table_that_was_created_again_is_exchanged_under_the_queries_of_others() {
    let stage = half_an_hour_old(quick_exports(), |_| ());
    let (ended, queries) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                let rows = stage.rows("SELECT count() AS items FROM orders FINAL");
                let items = rows[0]["items"].to_string();
                let items: u64 = items.trim_matches('"').parse().unwrap();
                assert!(items >= 30, "{items} items were seen");
                queries.fetch_add(1, Ordering::SeqCst);
            }
        });
        let end = EndOnDrop(&ended);
        stage
            .aws
            .handle
            .with(|world| world.drop_table("orders").unwrap());
        stage.wait_for_state(&["broken"]);
        // An export waits until the stream is some minutes old: the new table's is when it is seen first.
        stage.aws.handle.with(|world| {
            world.create_table(&orders_table()).unwrap();
            for number in 1000..1040 {
                world.put_item("orders", &order(number, 1)).unwrap();
            }
            world.advance(10 * MINUTE);
        });
        stage.aws.advance(10 * MINUTE);
        wait("the resync to be complete", || {
            assert!(!reader.is_finished(), "a query failed");
            stage.logged("the resync is complete") == 1
        });
        assert_eq!(equal(&stage), 40, "and no ghost of the table that was");
        churn(&stage, 20, 200);
        equal(&stage);
        drop(end);
        reader.join().unwrap();
    });
    assert!(queries.load(Ordering::SeqCst) > 5);
    stage.wait_for_state(&["live"]);
    assert_eq!(exports(&stage), (2, 0));
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_role_that_was_broken_for_a_day_heals_when_it_is_back() {
    let table_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";
    let role = || {
        Role::new(ROLE, "123456789012", &[]).with_connector_policy(table_arn, "my-orders-exports")
    };
    let closed = WorldConfig {
        open_roles: false,
        ..quick_exports()
    };
    let stage = half_an_hour_old(closed, |stage| {
        stage.aws.handle.with(|world| world.iam.add_role(role()));
    });
    stage.aws.handle.with(|world| {
        world.iam.roles.clear();
        world.iam.expire_sessions(ROLE);
    });
    stage.wait_for_state(&["broken"]);
    put_and_delete(&stage, 1000..1040, 0..10);
    stage
        .aws
        .handle
        .with(|world| world.roll_over_shards("orders", None));
    stage.aws.advance(13 * HOUR);
    churn(&stage, 10, 200);
    stage.aws.advance(13 * HOUR);
    put_and_delete(&stage, 1100..1120, 1000..1010);
    stage.aws.handle.with(|world| world.iam.add_role(role()));
    stage.wait_for_state(&["healing"]);
    healed(&stage, 0);
    equal(&stage);
    assert_eq!(exports(&stage).0, 1, "no second full export");
}

#[test]
fn clickhouse_that_stands_still_for_hours_costs_no_change() {
    let stage = half_an_hour_old(quick_exports(), |_| ());
    let engine = stage.engine_pid().unwrap();
    signal("-STOP", engine);
    for round in 10..14 {
        churn(&stage, round, 200);
        stage
            .aws
            .handle
            .with(|world| world.split_shards("orders", None));
        // Every iterator and every session is over by then.
        stage.aws.advance(5 * HOUR);
    }
    signal("-CONT", engine);
    equal(&stage);
    stage.wait_for_state(&["live"]);
    assert_eq!(stage.logged("changes were lost"), 0);
    assert_eq!(exports(&stage), (1, 0));
}
