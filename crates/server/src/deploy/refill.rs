//! Changes that need another table, of a data source that has a mirror: the live table stays as it is and is followed,
//! while a resync fills a table of the new schema beside it, which then takes its place.
//!
//! What is stored with the project is the file that the live table was made with, and the generation of the mirror
//! from which on the table has the schema of the live project; `settle_refill` makes the rest true, now or after a
//! restart.

use super::connect::{Step, TableStep};
use super::diff::TableChange;
use super::live::Live;
use super::{DeployError, DeployRequest, Deployer};
use crate::store::{Refill, Workspace};
use crate::telemetry;

impl Deployer {
    /// Turns losses of data into resyncs where that can be.
    pub(super) async fn plan_refills(
        &self,
        request: &DeployRequest,
        steps: &mut [Step<'_>],
    ) -> Result<(), DeployError> {
        for step in steps {
            let TableStep::Change(change) = &step.table else {
                continue;
            };
            let Some(mirror) = step.old_mirror else {
                continue;
            };
            let reasons = match change {
                TableChange::Keep => continue,
                TableChange::Recreate(_) if request.allow_destructive => continue,
                TableChange::Recreate(reasons) => reasons.clone(),
                // What fills beside the table would lack the columns.
                TableChange::Add(columns) => {
                    let generations = self.store.generations_of(&mirror.id).await?;
                    if generations.shadow.is_none() {
                        continue;
                    }
                    vec![format!(
                        "the columns {} are new, and a resync is under way",
                        columns.join(", ")
                    )]
                }
            };
            let same_table = mirror.source.table_arn == step.import.source.table_arn;
            if same_table && request.connections && self.has_credentials && !mirror.stopped {
                step.table = TableStep::Refill(reasons);
            } else if let TableStep::Change(TableChange::Add(_)) = step.table {
                step.table = TableStep::Change(TableChange::Recreate(reasons));
            }
        }
        Ok(())
    }

    /// Stops the mirrors of tables that are to be filled anew, and writes down what the project is to be stored with.
    /// Nobody begins or ends a resync of them from then on until they are started again.
    pub(super) async fn begin_refills(
        &self,
        live: &Live,
        steps: &mut [Step<'_>],
    ) -> Result<(), DeployError> {
        for step in steps {
            let TableStep::Refill(_) = step.table else {
                continue;
            };
            let Some(row) = step.mirror.as_mut() else {
                continue;
            };
            self.supervisor.stop(&row.id).await;
            let generations = self.store.generations_of(&row.id).await?;
            let shadow = generations.shadow;
            if shadow.as_ref().is_some_and(|shadow| shadow.exchanging) {
                return Err(DeployError::TableBusy {
                    datasource: row.datasource.clone(),
                });
            }
            // While a refill is under way, the live table is still the one from before it.
            let unfinished = row
                .refill
                .take()
                .filter(|refill| generations.live < refill.generation);
            let former_text = unfinished.map(|refill| refill.former_text).or_else(|| {
                live.resource("datasource", &row.datasource)
                    .map(|resource| resource.text.clone())
            });
            let highest = shadow.map_or(generations.live, |shadow| shadow.generation);
            row.refill = former_text.map(|former_text| Refill {
                former_text,
                generation: highest.max(generations.live) + 1,
            });
        }
        Ok(())
    }

    /// Starts the mirrors again that [`Self::begin_refills`] stopped, as they were.
    pub(super) async fn resume_refills(&self, workspace: &Workspace, steps: &[Step<'_>]) {
        for step in steps {
            let (TableStep::Refill(_), Some(row)) = (&step.table, step.old_mirror) else {
                continue;
            };
            if let Ok(Err(error)) = self.start_stored(workspace, row).await {
                telemetry::mirror_not_started(&row.datasource, &error);
            }
        }
    }
}
