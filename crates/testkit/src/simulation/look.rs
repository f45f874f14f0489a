//! Whether the mirror is what it should be.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use mirror::checkpoint::ExportPhase;
use mirror::status::MirrorState;
use mirror::store::MirrorProgress;
use server::worker::Supervisor;

use super::{EXPORT_FUZZ_MS, SETTLE_MS, Simulation};
use crate::model_table::Table;
use crate::oracle;
use crate::process::Call;
use crate::scenario::HOUR;
use crate::table_plan::TABLE;
use crate::weather::Window;

impl Simulation<'_> {
    /// Whether the table that has just taken the name shows all that people knew to be in the former one.
    pub(super) fn exchanged(&mut self, supervisor: &Supervisor) -> Result<(), String> {
        let report = supervisor.status(&self.spec.id);
        let watermark_ms = report.as_ref().and_then(|report| report.watermark_ms);
        self.shown_ms = self.shown_ms.max(watermark_ms);
        let exchanges = self.warehouse.exchanges();
        if std::mem::replace(&mut self.exchanges, exchanges) != exchanges {
            let (shown_ms, composite) = (self.shown_ms.unwrap_or(0), self.scenario.composite);
            let holds = |table: &Table| self.history.holds(table, shown_ms, composite);
            let held = self.warehouse.with_table(TABLE, holds);
            return held.map_err(|rule| format!("an exchange shows an older state: {rule}"));
        }
        Ok(())
    }

    /// Whether the simulation is over: everything has happened, and the mirror is and stays equal to the table.
    pub(super) fn look(&mut self, supervisor: &Supervisor) -> Result<bool, String> {
        let report = supervisor.status(&self.spec.id);
        if let Some(watermark_ms) = report.as_ref().and_then(|report| report.watermark_ms) {
            let composite = self.scenario.composite;
            self.warehouse.with_table(TABLE, |table| {
                self.history.holds(table, watermark_ms, composite)
            })?;
        }
        let end_ms = self.start_ms + self.scenario.ends_ms;
        if self.now_ms < end_ms || self.next_step < self.steps.len() {
            return Ok(false);
        }
        let late = self.now_ms > end_ms.max(self.born_ms) + self.scenario.patience_ms;
        let (mark, progress) = self.disk.live();
        let export = progress.export.as_ref();
        let loaded = export.is_some_and(|export| export.phase == ExportPhase::Loaded);
        let exported_ms = export.and_then(|export| export.export_time_ms).unwrap_or(0);
        let ledger = self
            .cloud
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let busy = progress.gap.is_some()
            || self.disk.generations().shadow.is_some()
            || self.resync_asked.load(Ordering::SeqCst)
            || !self.follows_this_table(&progress);
        let exported_ms = exported_ms - EXPORT_FUZZ_MS;
        if busy || !loaded || !ledger.caught_up(&mark, exported_ms) {
            return match late {
                true => Err(format!(
                    "not repaired in time, or stalled; shards behind: {:?}",
                    ledger.behind(&mark, exported_ms)
                )),
                false => Ok(false),
            };
        }
        drop(ledger);
        let settled = self
            .caught_up_ms
            .is_some_and(|since_ms| self.now_ms - since_ms >= SETTLE_MS);
        if settled || self.caught_up_ms.is_none() {
            self.caught_up_ms.get_or_insert(self.now_ms);
            self.warehouse.with_table(TABLE, |table| {
                oracle::equal(&self.cloud.world(), table, self.scenario.composite)?;
                oracle::tidy(&progress, table)
            })?;
            self.as_expected()?;
        }
        match report.map(|report| report.state) {
            Some(MirrorState::Live) => Ok(settled),
            _ if late => Err("the mirror is equal to the table and does not say so".to_owned()),
            _ => Ok(false),
        }
    }

    /// Whether the mirror is one of the table that is there now.
    fn follows_this_table(&self, progress: &MirrorProgress) -> bool {
        let world = self.cloud.world();
        let there = world.table_state(TABLE).map(|table| &table.id);
        let followed = progress.identity.as_ref();
        there == followed.map(|identity| &identity.table_id)
    }

    fn as_expected(&self) -> Result<(), String> {
        let (healed, resyncs) = self.disk.repairs();
        let expects = self.scenario.expects;
        if expects.healed.is_some_and(|wanted| healed < wanted) {
            return Err(format!("{healed} gaps were healed"));
        }
        if expects.resyncs.is_some_and(|wanted| resyncs != wanted) {
            return Err(format!("{resyncs} resyncs were completed"));
        }
        // A token is good for eight hours, and who is away for longer asks for another export.
        let kept_away = |window: &Window| {
            window.calls.contains(&Call::StartExport) && window.to_ms - window.from_ms > 7 * HOUR
        };
        let forgotten = self
            .scenario
            .crashes
            .iter()
            .any(|crash| crash.down_ms > 7 * HOUR)
            || self.scenario.windows.iter().any(kept_away);
        let (asked, stored) = (
            self.cloud.world().export_states().count(),
            self.disk.exports(),
        );
        if asked != stored && !forgotten && resyncs == 0 {
            return Err(format!(
                "{asked} exports were asked for, {stored} are known"
            ));
        }
        Ok(())
    }
}
