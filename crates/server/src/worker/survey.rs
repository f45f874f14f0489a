//! What a plan wants to know of a table: all that can be seen without changing anything, mistakes or not.

use mirror::error::{Error, ErrorKind};
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

/// Connects and looks around. Whatever fails for another reason than a permission is left out: the deployment's own
/// checks say it.
pub(crate) async fn survey(ports: &WorkerPorts, spec: &SourceSpec) -> Survey {
    let mut survey = Survey::default();
    let Some(sources) = &ports.sources else {
        return survey;
    };
    let source = match sources.connect(spec).await {
        Ok(source) => source,
        Err(error) => {
            survey.note("sts:AssumeRole", &error);
            return survey;
        }
    };
    match source.describe_table().await {
        Ok(table) => survey.table = Some(table),
        Err(error) => survey.note(
            "dynamodb:DescribeTable or dynamodb:DescribeContinuousBackups",
            &error,
        ),
    }
    survey.look_at_stream(source.as_ref()).await;
    if let Err(error) = source.check_bucket().await {
        survey.note("s3:ListBucket", &error);
    }
    survey
}

impl Survey {
    async fn look_at_stream(&mut self, source: &dyn Source) {
        let stream = self.table.as_ref().and_then(|table| table.stream.as_ref());
        let Some(arn) = stream.map(|stream| stream.arn.clone()) else {
            return;
        };
        match source.describe_stream(&arn).await {
            Ok(stream) => {
                let open = stream.shards.iter().filter(|it| it.ending.is_none());
                self.open_shards = Some(open.count() as u64);
            }
            Err(error) => self.note("dynamodb:DescribeStream", &error),
        }
    }

    fn note(&mut self, action: &str, error: &Error) {
        if matches!(error.kind, ErrorKind::AccessDenied | ErrorKind::RoleRefused) {
            self.missing.push(format!(
                "{action}: {}",
                error.report().trim_end_matches('.')
            ));
        }
    }
}
