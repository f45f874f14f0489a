//! What a workspace looks like before a deployment.

use std::collections::HashMap;

use datafile::{Datasource, Project, Severity, SourceFile};
use mirror::source::SourceSpec;

use super::Deployer;
use super::validate::{Surroundings, describe, validate};
use crate::secrets::Secret;
use crate::store::{MirrorRow, ResourceRow, Result, TokenRow, Workspace};

/// The live project and what hangs on it.
pub(super) struct Live {
    pub(super) resources: Vec<ResourceRow>,
    pub(super) project: Project,
    pub(super) mirrors: Vec<MirrorRow>,
    pub(super) unfinished: Vec<String>,
    /// Data sources whose tables hold a sample.
    pub(super) sampled: Vec<String>,
    pub(super) tokens: Vec<TokenRow>,
    pub(super) secrets: HashMap<String, Secret>,
}

impl Live {
    pub(super) fn resource(&self, kind: &str, name: &str) -> Option<&ResourceRow> {
        self.resources
            .iter()
            .find(|row| row.kind == kind && row.name == name)
    }

    /// A live data source with a table of its own.
    pub(super) fn with_table(&self, name: &str) -> Option<&Datasource> {
        self.project
            .datasources
            .iter()
            .find(|live| live.name == name && live.import.is_some())
    }

    /// Whether its table holds a sample, and nothing that a mirror wrote.
    pub(super) fn is_only_sampled(&self, datasource: &str) -> bool {
        self.mirror(datasource).is_none() && self.sampled.iter().any(|name| name == datasource)
    }

    pub(super) fn mirror(&self, datasource: &str) -> Option<&MirrorRow> {
        self.mirrors.iter().find(|row| row.datasource == datasource)
    }

    /// The table a live data source was made for: as its mirror knows it, or as its file says.
    pub(super) fn table_arn(&self, live: &Datasource) -> String {
        if let Some(mirror) = self.mirror(&live.name) {
            return mirror.source.table_arn.clone();
        }
        let lookup = |name: &str| self.secrets.get(name).map(|v| v.expose().to_owned());
        let template = live.import.as_ref().map(|import| &import.table_arn);
        template
            .and_then(|template| template.resolve(&lookup).ok())
            .map(|arn| super::validate::unquoted(arn.trim()).to_owned())
            .unwrap_or_default()
    }
}

impl Deployer {
    pub(super) async fn live(&self, workspace: &Workspace) -> Result<Live> {
        let resources = self.store.resources(&workspace.id).await?;
        let project = datafile::parse_project(&source_files(&resources)).project;
        Ok(Live {
            project,
            mirrors: self.store.mirrors(&workspace.id).await?,
            sampled: self.store.sampled_tables(&workspace.id).await?,
            unfinished: self.store.unfinished_tables(&workspace.id).await?,
            tokens: self.store.tokens(&workspace.id).await?,
            secrets: self.secret_values(workspace).await?,
            resources,
        })
    }
}

impl Deployer {
    /// A live data source that imports a DynamoDB table and has no mirror; or why there is none such.
    pub(crate) async fn unconnected(
        &self,
        workspace: &Workspace,
        name: &str,
    ) -> std::result::Result<Datasource, String> {
        let live = self
            .live(workspace)
            .await
            .map_err(|error| error.to_string())?;
        if live.mirror(name).is_some() {
            return Err(format!(
                "{name:?} is connected to its DynamoDB table, so it has or gets every row; a sample is for data sources that are not"
            ));
        }
        live.with_table(name).cloned().ok_or_else(|| {
            format!("{name:?} imports no DynamoDB table, so there is nothing to sample")
        })
    }

    /// How a live data source reaches its table, by its file; or what is wrong with the file or its secrets.
    pub(crate) async fn live_source(
        &self,
        workspace: &Workspace,
        name: &str,
    ) -> Result<std::result::Result<SourceSpec, String>> {
        let live = self.live(workspace).await?;
        let around = Surroundings {
            live: &live.resources,
            secrets: &live.secrets,
            keys: &self.keys,
            skip_roles: false,
        };
        let (mut wanted, diagnostics) = validate(source_files(&live.resources), &around);
        Ok(match wanted.imports.remove(name) {
            Some(import) => Ok(import.source),
            None => Err(diagnostics
                .iter()
                .find(|diagnostic| diagnostic.severity == Severity::Error)
                .map_or_else(
                    || format!("{name:?} imports no DynamoDB table"),
                    |diagnostic| describe(diagnostic, &wanted.files),
                )),
        })
    }
}

/// The live project as files.
pub(crate) fn source_files(resources: &[ResourceRow]) -> Vec<SourceFile> {
    let file = |row: &ResourceRow| SourceFile {
        path: row.path.clone(),
        text: row.text.clone(),
    };
    resources.iter().map(file).collect()
}
