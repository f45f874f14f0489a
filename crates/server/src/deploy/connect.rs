//! Reaching the tables before anything changes: roles, validation, switching on, and the plans that follow.

use datafile::{Datasource, Severity};
use futures::{FutureExt, StreamExt};
use mirror::plan::{MirrorPlan, build_plan};
use mirror::source::SourceSpec;
use mirror::table::TableDescription;

use super::changes::{Level, Report};
use super::diff::TableChange;
use super::validate::{Wanted, WantedImport, describe};
use super::{DeployRequest, Deployer};
use crate::store::{MirrorRow, Workspace};

/// The table, if it could be looked at, and remarks; or why it cannot be mirrored.
type Prepared = Result<(Option<TableDescription>, Vec<String>), String>;

/// Tables prepared at a time.
const PREPARED_AT_ONCE: usize = 8;

pub(super) const NO_CREDENTIALS: &str = "missing_credentials: the server has no AWS credentials; \
     start the server with: tb local start --use-aws-creds";

/// What happens to the table of a data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableStep {
    /// There is none yet.
    Create,
    /// An earlier deployment left it half done: it is dropped and made.
    Redo,
    /// It stays or changes.
    Change(TableChange),
    /// It stays until a resync has filled another one, for these reasons, and takes its place.
    Refill(Vec<String>),
}

/// What happens to one data source that mirrors a table.
pub(super) struct Step<'a> {
    pub(super) datasource: &'a Datasource,
    pub(super) import: &'a WantedImport,
    pub(super) table: TableStep,
    /// The mirror that the data source has now.
    pub(super) old_mirror: Option<&'a MirrorRow>,
    /// The mirror it will have.
    pub(super) mirror: Option<MirrorRow>,
    /// The mirror starts from nothing.
    pub(super) mirror_is_new: bool,
    /// The ClickHouse side, once it is known to be possible.
    pub(super) plan: Option<MirrorPlan>,
}

impl Step<'_> {
    /// Whether the table is made anew, so that what was in it and its mirror go.
    pub(super) fn starts_over(&self) -> bool {
        matches!(
            self.table,
            TableStep::Create | TableStep::Redo | TableStep::Change(TableChange::Recreate(_))
        )
    }

    /// Whether the mirror of the data source changes.
    pub(super) fn mirror_changes(&self) -> bool {
        self.mirror.as_ref() != self.old_mirror
    }
}

impl Deployer {
    /// Decides which mirror each data source will have, and prepares the tables of new and changed ones.
    pub(super) async fn connect(
        &self,
        workspace: &Workspace,
        request: &DeployRequest,
        steps: &mut [Step<'_>],
        report: &mut Report,
    ) {
        for step in steps.iter_mut().filter(|step| !step.starts_over()) {
            step.mirror = step.old_mirror.cloned();
        }
        if !request.connections {
            for step in steps.iter().filter(|step| step.mirror.is_none()) {
                self.remark_inactive(step, report);
            }
            return;
        }
        let mut waiting = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            if self.needs_connection(step) {
                let source = step.import.source.clone();
                // Boxed, or the compiler cannot see that the whole is Send.
                waiting.push(self.prepare_one(index, source, request.check).boxed());
            }
        }
        let prepared: Vec<_> = futures::stream::iter(waiting)
            .buffered(PREPARED_AT_ONCE)
            .collect()
            .await;
        for (index, prepared) in prepared {
            let step = &mut steps[index];
            match prepared {
                Err(message) => report.error(&step.datasource.path, message),
                Ok((prepared, remarks)) => {
                    for remark in remarks {
                        report.remark(Level::Warning, &step.datasource.path, remark);
                    }
                    self.set_mirror(workspace, step, prepared);
                }
            }
        }
    }

    fn set_mirror(
        &self,
        workspace: &Workspace,
        step: &mut Step<'_>,
        table: Option<TableDescription>,
    ) {
        let mut row = match step.mirror.take() {
            Some(mut row) => {
                self.set_source(&mut row, step.import);
                row
            }
            None => {
                step.mirror_is_new = true;
                self.new_mirror(workspace, &step.datasource.name, step.import)
            }
        };
        if let Some(table) = table {
            row.keys = table.keys;
        }
        step.mirror = Some(row);
    }

    /// Whether the data source has no mirror, or one that reaches its table in another way.
    fn needs_connection(&self, step: &Step<'_>) -> bool {
        let Some(row) = &step.mirror else { return true };
        match self.source_spec(row) {
            Ok(source) => source != step.import.source,
            // Sealed with another key: only the file knows the role now.
            Err(_) => true,
        }
    }

    /// Prepares the table of step `index`, or only looks at it.
    async fn prepare_one(
        &self,
        index: usize,
        source: SourceSpec,
        check: bool,
    ) -> (usize, Prepared) {
        (index, self.prepare_source(&source, check).await)
    }

    async fn prepare_source(&self, source: &SourceSpec, check: bool) -> Prepared {
        if !self.has_credentials {
            return Err(NO_CREDENTIALS.to_owned());
        }
        if !check {
            let prepared = self.supervisor.prepare(source).await;
            let prepared = prepared.map_err(|error| error.told())?;
            return Ok((Some(prepared.table), prepared.notes));
        }
        let looked = self.supervisor.inspect(source).await;
        let looked = looked.map_err(|error| error.told())?;
        match looked.refusal {
            None => Ok((Some(looked.table), Vec::new())),
            Some(refusal) if refusal.can_be_switched_on() => {
                let remark = format!(
                    "{} A deployment switches it on if the role may.",
                    refusal.message
                );
                Ok((Some(looked.table), vec![remark]))
            }
            Some(refusal) => Err(refusal.told()),
        }
    }

    fn remark_inactive(&self, step: &Step<'_>, report: &mut Report) {
        let name = &step.datasource.name;
        let (level, message) = if self.has_credentials {
            let message = format!(
                "data source '{name}' is not connected to its DynamoDB table yet; run: tb build --with-connections"
            );
            (Level::Info, message)
        } else {
            let message = format!(
                "data source '{name}' is inactive: the server has no AWS credentials; start the server with: tb local start --use-aws-creds"
            );
            (Level::Warning, message)
        };
        report.remark(level, &step.datasource.path, message);
    }
}

/// Works out the ClickHouse side of every step; what cannot be becomes an error of its file.
pub(super) fn plan_tables(
    workspace: &Workspace,
    wanted: &Wanted,
    steps: &mut [Step<'_>],
    report: &mut Report,
) {
    for step in steps {
        let keys = step.mirror.as_ref().map_or(&[][..], |row| &row.keys);
        let diagnostics = match build_plan(&workspace.database(), step.datasource, keys) {
            Ok((plan, warnings)) => {
                step.plan = Some(plan);
                warnings
            }
            Err(diagnostics) => diagnostics,
        };
        for diagnostic in diagnostics {
            let text = describe(&diagnostic, &wanted.files);
            match diagnostic.severity {
                Severity::Error => report.error(&diagnostic.path, text),
                Severity::Warning => report.remark(Level::Warning, &diagnostic.path, text),
            }
        }
    }
}
