//! What a plan says beyond what would change: the texts before and after, and what new mirrors take.

use serde::Serialize;

use super::Deployer;
use super::connect::{Step, TableStep};
use super::diff::TableChange;
use super::live::Live;
use super::prices::{self, Estimate, PRICES_OF, Prices};
use crate::store::ResourceRow;

/// The whole outlook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// Files that change, by path.
    pub files: Vec<FileChange>,
    /// Mirrors that begin, or fill another table.
    pub mirrors: Vec<MirrorOutlook>,
    /// The prices that the estimates are made with.
    pub prices: PriceList,
}

/// Prices and what they are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceList {
    /// Region and date of those that no setting replaces.
    pub of: &'static str,
    /// In millionths of a dollar.
    #[serde(flatten)]
    pub prices: Prices,
}

impl Default for PriceList {
    fn default() -> Self {
        Self {
            of: PRICES_OF,
            prices: Prices::default(),
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Path in the project.
    pub path: String,
    /// The live text; `None` for a new file.
    pub before: Option<String>,
    /// The text it would have; `None` for a file that is gone.
    pub after: Option<String>,
}

/// One mirror that begins, or fills another table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MirrorOutlook {
    /// Its data source.
    pub datasource: String,
    /// The DynamoDB table.
    pub table_arn: String,
    /// Why there is an export: `new`, or what makes the table be filled again.
    pub reason: String,
    /// What it takes; `None` if the table could not be described.
    #[serde(flatten)]
    pub estimate: Option<Estimate>,
    /// What the role was refused, as far as it was tried.
    pub permissions_missing: Vec<String>,
}

/// Files whose texts differ. Texts hold the names of secrets, never their values.
pub(super) fn files(live: &[ResourceRow], wanted: &[ResourceRow]) -> Vec<FileChange> {
    let same = |a: &ResourceRow, b: &ResourceRow| a.kind == b.kind && a.name == b.name;
    let mut changes = Vec::new();
    for row in wanted {
        let known = live.iter().find(|known| same(known, row));
        if known.is_none_or(|known| known.text != row.text) {
            changes.push(FileChange {
                path: row.path.clone(),
                before: known.map(|known| known.text.clone()),
                after: Some(row.text.clone()),
            });
        }
    }
    for row in live {
        if !wanted.iter().any(|wanted| same(wanted, row)) {
            changes.push(FileChange {
                path: row.path.clone(),
                before: Some(row.text.clone()),
                after: None,
            });
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

impl Deployer {
    /// Looks at the tables of mirrors that would begin, or be filled again.
    pub(super) async fn mirrors_ahead(
        &self,
        live: &Live,
        steps: &[Step<'_>],
    ) -> Vec<MirrorOutlook> {
        let mut mirrors = Vec::new();
        for step in steps {
            let known = live.mirror(&step.datasource.name).is_some();
            let reason = match &step.table {
                TableStep::Refill(reasons) => reasons.join(", "),
                TableStep::Change(TableChange::Recreate(reasons)) => reasons.join(", "),
                _ if !known => "new".to_owned(),
                _ => continue,
            };
            let source = &step.import.source;
            let survey = self.supervisor.survey(source).await;
            let estimate = survey.table.as_ref().map(|table| {
                let worker = self.supervisor.settings();
                prices::estimate(table, survey.open_shards, &self.prices, worker)
            });
            mirrors.push(MirrorOutlook {
                datasource: step.datasource.name.clone(),
                table_arn: source.table_arn.clone(),
                reason,
                estimate,
                permissions_missing: survey.missing,
            });
        }
        mirrors
    }
}
