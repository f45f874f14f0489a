//! Between a mirror as it is stored and a mirror as a worker runs it.

use std::sync::PoisonError;

use datafile::Datasource;
use mirror::plan::build_plan;
use mirror::source::SourceSpec;

use super::validate::WantedImport;
use super::{DeployError, Deployer};
use crate::secrets::{SealBroken, Secret};
use crate::store::{MirrorRow, StoredSource, Workspace};
use crate::telemetry;
use crate::worker::MirrorSpec;

/// A mirror that cannot be run as it is stored.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The role cannot be read.
    #[error(transparent)]
    Role(#[from] SealBroken),
    /// The data source is gone, or this version refuses its file.
    #[error("use the file of data source {datasource}: {reason}; build the project again")]
    Datasource {
        /// Its name.
        datasource: String,
        /// Why.
        reason: String,
    },
}

impl Deployer {
    /// A new mirror of `datasource`.
    pub(super) fn new_mirror(
        &self,
        workspace: &Workspace,
        datasource: &str,
        import: &WantedImport,
    ) -> MirrorRow {
        let mut row = MirrorRow {
            id: uuid::Uuid::new_v4().to_string(),
            workspace_id: workspace.id.clone(),
            datasource: datasource.to_owned(),
            source: StoredSource {
                connection: String::new(),
                external_id: String::new(),
                region: String::new(),
                table_arn: String::new(),
                export_bucket: String::new(),
                s3_prefix: format!("dynamirror/{}/{datasource}", workspace.id),
            },
            role_sealed: Vec::new(),
            keys: Vec::new(),
            stopped: false,
            created_at_ms: self.clock.now_ms(),
        };
        self.set_source(&mut row, import);
        row
    }

    /// Makes a mirror use another role, region or bucket.
    pub(super) fn set_source(&self, row: &mut MirrorRow, import: &WantedImport) {
        let source = &import.source;
        let role = Secret::new(source.role_arn.clone());
        row.role_sealed = self.keys.seal(&sealing_context(&row.id), "role", &role);
        row.source = StoredSource {
            connection: import.connection.clone(),
            external_id: source.external_id.clone(),
            region: source.region.clone(),
            table_arn: source.table_arn.clone(),
            export_bucket: source.export_bucket.clone(),
            s3_prefix: row.source.s3_prefix.clone(),
        };
    }

    /// How a stored mirror reaches its table.
    pub(crate) fn source_spec(&self, row: &MirrorRow) -> Result<SourceSpec, SealBroken> {
        let role = self
            .keys
            .open(&sealing_context(&row.id), "role", &row.role_sealed)?;
        Ok(SourceSpec {
            role_arn: role.expose().to_owned(),
            external_id: row.source.external_id.clone(),
            region: row.source.region.clone(),
            table_arn: row.source.table_arn.clone(),
            export_bucket: row.source.export_bucket.clone(),
        })
    }

    /// What a worker needs to know about a stored mirror of `datasource`.
    pub(crate) fn mirror_spec(
        &self,
        workspace: &Workspace,
        row: &MirrorRow,
        datasource: &Datasource,
    ) -> Result<MirrorSpec, SpecError> {
        let (plan, _) =
            build_plan(&workspace.database(), datasource, &row.keys).map_err(|diagnostics| {
                SpecError::Datasource {
                    datasource: row.datasource.clone(),
                    reason: diagnostics
                        .first()
                        .map_or_else(String::new, |first| first.message.clone()),
                }
            })?;
        Ok(MirrorSpec {
            id: row.id.clone(),
            name: format!("{}/{}", workspace.name, row.datasource),
            source: self.source_spec(row)?,
            s3_prefix: row.source.s3_prefix.clone(),
            plan,
        })
    }

    /// Starts a stored mirror from the live project.
    pub(crate) async fn start_stored(
        &self,
        workspace: &Workspace,
        row: &MirrorRow,
    ) -> Result<Result<(), SpecError>, DeployError> {
        let resources = self.store.resources(&workspace.id).await?;
        let project = datafile::parse_project(&super::live::source_files(&resources)).project;
        let datasource = project
            .datasources
            .iter()
            .find(|d| d.name == row.datasource);
        let spec = match datasource {
            Some(datasource) => self.mirror_spec(workspace, row, datasource),
            None => Err(SpecError::Datasource {
                datasource: row.datasource.clone(),
                reason: "it is not in the live project".to_owned(),
            }),
        };
        Ok(self.start_spec(row, spec).await)
    }

    /// Starts a mirror, or remembers why it cannot be started.
    pub(super) async fn start_spec(
        &self,
        row: &MirrorRow,
        spec: Result<MirrorSpec, SpecError>,
    ) -> Result<(), SpecError> {
        let failure = spec.as_ref().err().map(ToString::to_string);
        {
            let mut not_started = self
                .not_started
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match failure {
                Some(failure) => not_started.insert(row.id.clone(), failure),
                None => not_started.remove(&row.id),
            };
        }
        let spec = spec?;
        if self.supervisor.status(&row.id).is_none() {
            telemetry::mirror_starts(&spec.name, &row.id, &row.source.table_arn);
        }
        self.supervisor.start(spec).await;
        Ok(())
    }

    /// Why a mirror could not be started, if it could not.
    pub(crate) fn start_failure(&self, mirror: &str) -> Option<String> {
        let not_started = self
            .not_started
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        not_started.get(mirror).cloned()
    }
}

fn sealing_context(mirror: &str) -> String {
    format!("mirror:{mirror}")
}
