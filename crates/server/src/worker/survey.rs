//! What a plan wants to know of a table: all that can be seen without changing anything, mistakes or not.

use mirror::access::{Statement, Trial};
use mirror::error::ErrorKind;
use mirror::source::{Source, SourceSpec};
use mirror::table::TableDescription;

use super::WorkerPorts;

/// What could be seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    /// The table, if the role may describe it.
    pub(crate) table: Option<TableDescription>,
    /// Open shards of its stream.
    pub(crate) open_shards: Option<u64>,
    /// Actions that the role was refused, with the reason.
    pub(crate) missing: Vec<String>,
}

/// Connects, looks around and tries what the role may do. Whatever fails for another reason than a permission is left
/// out: the deployment's own checks say it.
pub(crate) async fn survey(ports: &WorkerPorts, spec: &SourceSpec) -> Survey {
    let mut survey = Survey::default();
    let Some(sources) = &ports.sources else {
        return survey;
    };
    let source = match sources.connect(spec).await {
        Ok(source) => source,
        Err(error) => {
            if matches!(error.kind, ErrorKind::AccessDenied | ErrorKind::RoleRefused) {
                let why = error.report();
                let why = why.trim_end_matches('.');
                survey.missing.push(format!("sts:AssumeRole: {why}"));
            }
            return survey;
        }
    };
    survey.table = source.describe_table().await.ok();
    survey.open_shards = survey.open_shards(source.as_ref()).await;
    for tried in source.try_access().await {
        let needed = tried.action.statement() != Statement::Guide;
        if let (Trial::Denied(why), true) = (&tried.trial, needed) {
            let why = why.trim_end_matches('.');
            survey
                .missing
                .push(format!("{}: {why}", tried.action.name()));
        }
    }
    survey
}

impl Survey {
    async fn open_shards(&self, source: &dyn Source) -> Option<u64> {
        let stream = self.table.as_ref()?.stream.as_ref()?;
        let described = source.describe_stream(&stream.arn).await.ok()?;
        let open = described.shards.iter().filter(|it| it.ending.is_none());
        Some(open.count() as u64)
    }
}
