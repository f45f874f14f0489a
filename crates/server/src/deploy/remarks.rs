//! What is worth saying about a deployment that is not refused.

use super::changes::{Level, Report};
use super::connect::{Step, TableStep};
use super::diff::TableChange;
use super::validate::Wanted;

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
