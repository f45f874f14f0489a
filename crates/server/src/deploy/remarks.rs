//! What is worth saying about a deployment that is not refused.

use super::Deployer;
use super::changes::{Level, Report};
use super::connect::{Step, TableStep};
use super::diff::TableChange;
use super::validate::Wanted;
use crate::store::{StoreError, Workspace};

pub(super) fn remark_steps(wanted: &Wanted, steps: &[Step<'_>], report: &mut Report) {
    for datasource in &wanted.project.datasources {
        if datasource.import.is_none() {
            report.remark(
                Level::Warning,
                &datasource.path,
                format!(
                    "data source '{}' mirrors no DynamoDB table: its file is kept, and it has no table in this version",
                    datasource.name
                ),
            );
        }
    }
    for pipe in &wanted.project.pipes {
        report.remark(
            Level::Warning,
            &pipe.path,
            format!(
                "pipe '{}' is kept and not run: endpoints, materializations, copies and sinks are not part of this version; run its SQL with: tb sql",
                pipe.name
            ),
        );
    }
    for step in steps {
        let path = &step.datasource.path;
        if let (TableStep::Change(TableChange::Add(columns)), Some(_)) =
            (&step.table, step.old_mirror)
        {
            report.remark(
                Level::Warning,
                path,
                format!(
                    "rows that are in the table already hold the default in the new columns {}; they are filled as items change",
                    columns.join(", ")
                ),
            );
        }
        if let TableStep::Refill(reasons) = &step.table {
            report.remark(
                Level::Warning,
                path,
                format!(
                    "{}: a new full export of the DynamoDB table fills a new table beside '{name}', which takes its place when it has caught up; until then '{name}' stays as it is and up to date. Watch it with: tb datasource ls",
                    reasons.join(", "),
                    name = step.datasource.name
                ),
            );
        }
        if step.mirror.as_ref().is_some_and(|row| row.stopped) {
            let name = &step.datasource.name;
            let message =
                format!("the mirror of '{name}' is stopped; run: tb datasource start {name}");
            report.remark(Level::Info, path, message);
        }
    }
}

impl Deployer {
    /// A branch that reads the table of its parent, or of a branch beside it, is told what that costs.
    pub(super) async fn caution_branch(
        &self,
        workspace: &Workspace,
        steps: &[Step<'_>],
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let Some(parent) = &workspace.parent else {
            return Ok(());
        };
        let mut others = self.store.branches(parent).await?;
        others.extend(self.store.workspace(parent).await?);
        others.retain(|other| other.id != workspace.id);
        // The parent first: it is the one that must not be slowed down.
        others.sort_by_key(|other| other.parent.is_some());
        let mut readers: Vec<(String, String)> = Vec::new();
        for other in &others {
            for mirror in self.store.mirrors(&other.id).await? {
                readers.push((mirror.source.table_arn, other.name.clone()));
            }
        }
        for step in steps.iter().filter(|step| step.mirror_is_new) {
            let arn = &step.import.source.table_arn;
            let same: Vec<&str> = readers
                .iter()
                .filter(|(other, _)| other == arn)
                .map(|(_, name)| name.as_str())
                .collect();
            let Some(first) = same.first() else { continue };
            let more = match same.len() {
                1 => String::new(),
                2 => " and 1 other".to_owned(),
                count => format!(" and {} others", count - 1),
            };
            let name = &step.datasource.name;
            report.remark(
                Level::Warning,
                &step.datasource.path,
                format!(
                    "data source '{name}' of branch '{branch}' reads the same DynamoDB table as '{first}'{more}: it starts an export of its own, which AWS bills, and AWS serves two readers of a stream's shard at a time, so mirrors of one table slow each other down. Let branches read a test table, or fill the branch with: tb --branch={branch} datasource sample {name}",
                    branch = workspace.name,
                ),
            );
        }
        Ok(())
    }
}

/// A data source with a new mirror counts as changed, or clients would say that nothing changed.
pub(super) fn list_connected(steps: &[Step<'_>], report: &mut Report) {
    let lists = &mut report.changes;
    for step in steps.iter().filter(|step| step.mirror_changes()) {
        let name = &step.datasource.name;
        let listed = lists.new_datasource_names.contains(name)
            || lists.changed_datasource_names.contains(name);
        if !listed {
            lists.changed_datasource_names.push(name.clone());
        }
    }
}
