//! Refusing what would lose data, until somebody says that it may be lost.

use std::collections::HashMap;

use super::Deployer;
use super::changes::Report;
use super::connect::{Step, TableStep};
use super::diff::TableChange;
use super::live::Live;
use crate::store::Workspace;

impl Deployer {
    /// One error for each data source whose rows would be lost.
    ///
    /// A table that is known to be empty and has no mirror loses nothing.
    pub(super) async fn refuse_losses(
        &self,
        workspace: &Workspace,
        live: &Live,
        steps: &[Step<'_>],
        dropped: &[String],
        report: &mut Report,
    ) {
        let recreated = steps.iter().filter_map(|step| match &step.table {
            TableStep::Change(TableChange::Recreate(reasons)) => {
                Some((&step.datasource.name, reasons.join(", ")))
            }
            _ => None,
        });
        let gone = dropped.iter().map(|name| {
            let kept = steps.iter().any(|step| step.datasource.name == *name);
            let reason = if kept {
                "it no longer mirrors a table"
            } else {
                "it is not among the files any more"
            };
            (name, reason.to_owned())
        });
        let losses: Vec<_> = recreated.chain(gone).collect();
        if losses.is_empty() {
            return;
        }
        let rows: Option<HashMap<String, u64>> = self
            .warehouse
            .stats(&workspace.database())
            .await
            .ok()
            .map(|stats| {
                stats
                    .into_iter()
                    .map(|table| (table.table, table.rows))
                    .collect()
            });
        for (name, reason) in losses {
            let known = rows
                .as_ref()
                .map(|rows| rows.get(name).copied().unwrap_or(0));
            if live.mirror(name).is_none() && known == Some(0) {
                continue;
            }
            let size = match known {
                Some(rows) => format!(" with {rows} rows"),
                None => String::new(),
            };
            let path = live
                .resource("datasource", name)
                .map_or(name.as_str(), |row| row.path.as_str());
            report.error(
                path,
                format!(
                    "this would lose data: {reason}. The table {name}{size} would be dropped; a data source that stays is filled again by a new export of its DynamoDB table. If you want that, add --allow-destructive-operations"
                ),
            );
        }
    }
}
