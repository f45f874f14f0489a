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
            let worthless = known == Some(0) || live.is_only_sampled(name);
            if live.mirror(name).is_none() && worthless {
                continue;
            }
            let size = match known {
                Some(rows) => format!(" with {rows} rows"),
                None => String::new(),
            };
            let instead = self.instead(live, steps, name);
            let path = live
                .resource("datasource", name)
                .map_or(name.as_str(), |row| row.path.as_str());
            report.error(
                path,
                format!(
                    "this would lose data: {reason}. The table {name}{size} would be dropped; a data source that stays is filled again by a new export of its DynamoDB table. If you want that, add --allow-destructive-operations{instead}"
                ),
            );
        }
    }

    /// How a table that is to be filled anew could stay in use meanwhile.
    fn instead(&self, live: &Live, steps: &[Step<'_>], name: &str) -> String {
        let step = steps.iter().find(|step| step.datasource.name == name);
        let same_table = |step: &Step<'_>| {
            step.old_mirror
                .is_some_and(|row| row.source.table_arn == step.import.source.table_arn)
        };
        let Some(mirror) = live.mirror(name).filter(|_| step.is_some_and(same_table)) else {
            return String::new();
        };
        let how = if mirror.stopped {
            format!("start the mirror first (tb datasource start {name})")
        } else if !self.has_credentials {
            "give the server AWS credentials (tb local restart --use-aws-creds)".to_owned()
        } else {
            "use connections (tb build --with-connections, or tb deploy)".to_owned()
        };
        format!(". To keep the table in use while a new one is filled, {how}")
    }
}
