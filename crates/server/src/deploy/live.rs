//! What a workspace looks like before a deployment.

use std::collections::HashMap;

use datafile::{Datasource, Project, SourceFile};

use super::Deployer;
use crate::secrets::Secret;
use crate::store::{MirrorRow, ResourceRow, Result, TokenRow, Workspace};

/// The live project and what hangs on it.
pub(super) struct Live {
    pub(super) resources: Vec<ResourceRow>,
    pub(super) project: Project,
    pub(super) mirrors: Vec<MirrorRow>,
    pub(super) unfinished: Vec<String>,
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
            unfinished: self.store.unfinished_tables(&workspace.id).await?,
            tokens: self.store.tokens(&workspace.id).await?,
            secrets: self.secret_values(workspace).await?,
            resources,
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
