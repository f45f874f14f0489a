//! What a resync needs before its worker can begin.

use std::sync::Arc;

use super::super::board::Topic;
use super::super::retry::Retry;
use super::super::{MirrorSpec, prepare};

/// The table that a resync fills.
pub(super) struct ShadowTable {
    pub(super) retry: Retry,
    pub(super) spec: Arc<MirrorSpec>,
}

impl ShadowTable {
    /// Switches on what a new DynamoDB table may lack, and creates the ClickHouse table. `None` if cancelled.
    pub(super) async fn make(&self) -> Option<()> {
        let retry = &self.retry;
        retry
            .until_done(Topic::Table, "prepare the table for a new backfill", || {
                prepare::prepare_again(&retry.ports, &retry.settings, &self.spec.source)
            })
            .await?;
        let (warehouse, plan) = (&retry.ports.warehouse, &self.spec.plan);
        retry
            .until_done(Topic::ClickHouse, "create the table of the resync", || {
                warehouse.create_shadow(plan, &retry.mirror)
            })
            .await
    }
}
