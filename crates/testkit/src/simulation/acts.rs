//! What somebody does to the table, or AWS to its stream.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use aws_sim::World;
use serde_json::json;

use super::Simulation;
use crate::items::{self, POISONED};
use crate::scenario::Act;
use crate::table_plan::{self, TABLE};

impl Simulation<'_> {
    pub(super) fn act(&mut self, world: &mut World, act: Act) -> Result<(), aws_sim::ApiError> {
        let composite = self.scenario.composite;
        let now_ms = self.now_ms;
        match act {
            Act::Put { number, rev } => {
                self.revs.insert(number, rev);
                self.history.write(number, now_ms, Some(rev));
                world.put_item(TABLE, &items::item(composite, number, rev))
            }
            Act::Same { number } => match self.revs.get(&number) {
                Some(rev) => world.put_item(TABLE, &items::item(composite, number, *rev)),
                None => Ok(()),
            },
            Act::Delete { number } => {
                self.revs.remove(&number);
                self.history.write(number, now_ms, None);
                world.delete_item(TABLE, &items::key(composite, number))
            }
            Act::Expire { number } => {
                self.revs.remove(&number);
                self.history.write(number, now_ms, None);
                world
                    .expire_item(TABLE, &items::key(composite, number))
                    .map(drop)
            }
            Act::Roll { shard } => {
                replace(world, shard, World::roll_over_shards);
                Ok(())
            }
            Act::Split { shard } => {
                replace(world, shard, World::split_shards);
                Ok(())
            }
            Act::SwitchOn => switch_on(world),
            Act::StreamOff => {
                let specification = json!({ "StreamEnabled": false });
                let body = json!({ "TableName": TABLE, "StreamSpecification": specification });
                match world.dynamodb("UpdateTable", body) {
                    // It is off already, or on its way: what the scenario wants.
                    Err(error) if error.code == "ValidationException" => Ok(()),
                    outcome => outcome.map(drop),
                }
            }
            Act::Recreate => {
                world.dynamodb("DeleteTable", json!({ "TableName": TABLE }))?;
                self.cloud.sync(world);
                let mut ledger = self
                    .cloud
                    .ledger
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                ledger.retire();
                self.revs.clear();
                self.history.clear(now_ms);
                world.create_table(&table_plan::table(composite))
            }
            Act::Poison { number, poison } => {
                let number = POISONED.start + number % (POISONED.end - POISONED.start);
                // Nobody plants anything while the stream is off.
                let planted = world.plant_poison(TABLE, &items::key(composite, number), poison);
                planted.or(Ok(()))
            }
            Act::Resync => {
                self.resync_asked.store(true, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

fn switch_on(world: &mut World) -> Result<(), aws_sim::ApiError> {
    let specification = json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
    world.config.backups_unavailable_ms = 0;
    let body = json!({ "TableName": TABLE, "StreamSpecification": specification });
    match world.dynamodb("UpdateTable", body) {
        // Somebody else was faster: the mirror switches on what a new table lacks.
        Err(error) if error.code != "ValidationException" => return Err(error),
        _ => {}
    }
    let on = json!({ "PointInTimeRecoveryEnabled": true });
    world
        .dynamodb(
            "UpdateContinuousBackups",
            json!({ "TableName": TABLE, "PointInTimeRecoverySpecification": on }),
        )
        .map(drop)
}

/// Replaces all open shards of the table's stream, or one of them.
fn replace(
    world: &mut World,
    shard: Option<u64>,
    how: fn(&mut World, &str, Option<&str>) -> Vec<String>,
) {
    let Some(arn) = world
        .table_state(TABLE)
        .and_then(|table| table.stream.clone())
    else {
        return;
    };
    let open: Vec<String> = world
        .stream_states()
        .filter(|stream| stream.arn == arn)
        .flat_map(aws_sim::stream::Stream::open_ids)
        .collect();
    match shard {
        None => drop(how(world, &arn, None)),
        Some(_) if open.is_empty() => {}
        Some(pick) => drop(how(
            world,
            &arn,
            Some(&open[(pick % open.len() as u64) as usize]),
        )),
    }
}
