//! Between a mirror as it is stored and a mirror as a worker runs it.

use std::sync::PoisonError;

use datafile::{Datasource, SourceFile};
use mirror::plan::{MirrorPlan, build_plan};
use mirror::source::SourceSpec;
use mirror::store::{Shadow, Store};

use super::validate::WantedImport;
use super::{DeployError, Deployer};
use crate::secrets::{SealBroken, Secret};
use crate::store::{MirrorRow, Refill, StoredSource, Workspace};
use crate::telemetry;
use crate::worker::MirrorSpec;

/// Why there is a resync, for people.
const REFILL_REASON: &str = "a deployment changed the table";

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
            refill: None,
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
        let plan = plan_of(workspace, row, datasource)?;
        let (plan, next_plan) = match &row.refill {
            None => (plan, None),
            Some(refill) => (former_plan(workspace, row, refill)?, Some(plan)),
        };
        Ok(MirrorSpec {
            id: row.id.clone(),
            name: format!("{}/{}", workspace.name, row.datasource),
            source: self.source_spec(row)?,
            s3_prefix: row.source.s3_prefix.clone(),
            plan,
            next_plan,
        })
    }

    /// Finishes what is left of a refill: forgets one that is complete, and begins one that was asked for just before
    /// the process died. Returns the mirror as it is then.
    ///
    /// The mirror's generations tell: what is live from `refill.generation` on has the new schema, and a shadow of a
    /// lower generation has a former one. A shadow of that number or higher fills the new schema.
    pub(super) async fn settle_refill(&self, mut row: MirrorRow) -> Result<MirrorRow, DeployError> {
        let Some(refill) = &row.refill else {
            return Ok(row);
        };
        let wanted = refill.generation;
        let generations = self.store.generations_of(&row.id).await?;
        if generations.live >= wanted {
            self.store.end_refill(&row.id, wanted).await?;
            row.refill = None;
            return Ok(row);
        }
        let shadow = generations.shadow.map_or(0, |shadow| shadow.generation);
        if shadow < wanted {
            let shadow = Shadow {
                generation: wanted,
                reason: REFILL_REASON.to_owned(),
                exchanging: false,
            };
            self.store
                .save_shadow(&row.id, &shadow)
                .await
                .map_err(DeployError::Progress)?;
        }
        Ok(row)
    }

    /// A stored mirror of the live project as a worker runs it.
    pub(crate) async fn stored_spec(
        &self,
        workspace: &Workspace,
        row: &MirrorRow,
    ) -> Result<Result<MirrorSpec, SpecError>, DeployError> {
        let row = self.settle_refill(row.clone()).await?;
        let resources = self.store.resources(&workspace.id).await?;
        let project = datafile::parse_project(&super::live::source_files(&resources)).project;
        let datasource = project
            .datasources
            .iter()
            .find(|d| d.name == row.datasource);
        Ok(match datasource {
            Some(datasource) => self.mirror_spec(workspace, &row, datasource),
            None => Err(SpecError::Datasource {
                datasource: row.datasource.clone(),
                reason: "it is not in the live project".to_owned(),
            }),
        })
    }

    /// Starts a stored mirror from the live project.
    pub(crate) async fn start_stored(
        &self,
        workspace: &Workspace,
        row: &MirrorRow,
    ) -> Result<Result<(), SpecError>, DeployError> {
        let spec = self.stored_spec(workspace, row).await?;
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

fn plan_of(
    workspace: &Workspace,
    row: &MirrorRow,
    datasource: &Datasource,
) -> Result<MirrorPlan, SpecError> {
    build_plan(&workspace.database(), datasource, &row.keys)
        .map(|(plan, _)| plan)
        .map_err(|diagnostics| SpecError::Datasource {
            datasource: row.datasource.clone(),
            reason: diagnostics
                .first()
                .map_or_else(String::new, |first| first.message.clone()),
        })
}

/// The plan that the live table was made with, while another one is filled.
fn former_plan(
    workspace: &Workspace,
    row: &MirrorRow,
    refill: &Refill,
) -> Result<MirrorPlan, SpecError> {
    let file = SourceFile {
        path: format!("{}.datasource", row.datasource),
        text: refill.former_text.clone(),
    };
    let project = datafile::parse_project(&[file]).project;
    match project.datasources.first() {
        Some(former) => plan_of(workspace, row, former),
        None => Err(SpecError::Datasource {
            datasource: row.datasource.clone(),
            reason: "the file that its table was made with cannot be read any more".to_owned(),
        }),
    }
}

fn sealing_context(mirror: &str) -> String {
    format!("mirror:{mirror}")
}
