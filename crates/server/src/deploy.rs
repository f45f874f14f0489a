//! From uploaded files to tables and running mirrors.
//!
//! `validate` finds everything that is wrong with the files, `diff` says what would change and what would be
//! lost, `apply` does it. Builds and deployments of one workspace run one after the other, and each may find
//! what an earlier one left half done.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use datafile::SourceFile;
use mirror::clock::Clock;
use mirror::error::Error as PortError;
use mirror::warehouse::Warehouse;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub use changes::{
    ChangeLists, Feedback, FileError, Level, NamedResource, Report, StartedExport, TokenChange,
};
pub(crate) use live::source_files;
pub use mirror_spec::SpecError;
pub use outlook::{FileChange, MirrorOutlook, Outlook, PriceList};
pub(crate) use validate::{RESERVED_TOKENS, unquoted};

use crate::secrets::{Keyring, Secret};
use crate::store::{SqliteStore, StoreError, Workspace};
use crate::worker::Supervisor;

mod apply;
mod changes;
mod connect;
mod diff;
mod live;
mod losses;
mod mirror_spec;
mod outlook;
pub mod prices;
mod project_tokens;
mod refill;
mod remarks;
mod validate;

/// Prepares, checks and applies projects.
pub struct Deployer {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) warehouse: Arc<dyn Warehouse>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether the server has AWS credentials at all.
    pub(crate) has_credentials: bool,
    pub(crate) user_id: String,
    /// What AWS asks for.
    pub(crate) prices: prices::Prices,
    locks: std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>,
    /// Databases that were made or seen since the server started.
    ensured: std::sync::Mutex<HashSet<String>>,
    /// Why mirrors could not be started, by their ids.
    not_started: std::sync::Mutex<HashMap<String, String>>,
}

/// What to do with a project.
#[derive(Clone, Debug, Default)]
pub struct DeployRequest {
    /// All files: what is not among them is deleted.
    pub files: Vec<SourceFile>,
    /// Whether connections are used: tables prepared, mirrors started.
    pub connections: bool,
    /// Whether data may be lost.
    pub allow_destructive: bool,
    /// Only say what would happen.
    pub check: bool,
    /// With `check`: also what it costs, and the texts before and after.
    pub outlook: bool,
}

/// An uploaded file as it is stored with its deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredFile {
    /// Path in the project.
    pub path: String,
    /// The file.
    pub text: String,
}

/// A failure that is not the project's fault.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The metadata database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// ClickHouse.
    #[error("change the tables in ClickHouse")]
    Warehouse(#[source] PortError),
    /// The progress of mirrors.
    #[error("change the progress of a mirror")]
    Progress(#[source] PortError),
    /// A resync is just replacing a table that a deployment wants to change.
    #[error(
        "change the table of data source {datasource}: a resync is just replacing it; deploy again in a moment"
    )]
    TableBusy {
        /// Which.
        datasource: String,
    },
    /// The project it is about is being deleted.
    #[error("find the workspace: it has been deleted")]
    WorkspaceGone,
}

impl Deployer {
    /// Assembles it.
    pub fn new(
        store: Arc<SqliteStore>,
        keys: Arc<Keyring>,
        warehouse: Arc<dyn Warehouse>,
        supervisor: Arc<Supervisor>,
        clock: Arc<dyn Clock>,
        has_credentials: bool,
        user_id: String,
    ) -> Self {
        Self {
            store,
            keys,
            warehouse,
            supervisor,
            clock,
            has_credentials,
            user_id,
            prices: prices::Prices::default(),
            locks: std::sync::Mutex::default(),
            ensured: std::sync::Mutex::default(),
            not_started: std::sync::Mutex::default(),
        }
    }

    /// Estimates with these prices.
    pub fn with_prices(self, prices: prices::Prices) -> Self {
        Self { prices, ..self }
    }

    /// Whoever holds this is alone in changing the workspace.
    pub async fn lock(&self, workspace: &Workspace) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(workspace.id.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// Makes sure that the workspace has its database.
    pub(crate) async fn ensure_database(&self, workspace: &Workspace) -> Result<(), DeployError> {
        let database = workspace.database();
        let known = |ensured: &HashSet<String>| ensured.contains(&database);
        if known(&self.ensured.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        self.warehouse
            .create_database(&database)
            .await
            .map_err(DeployError::Warehouse)?;
        let mut ensured = self.ensured.lock().unwrap_or_else(PoisonError::into_inner);
        ensured.insert(database);
        Ok(())
    }

    /// Deletes a workspace and its branches: they are hidden at once, their mirrors stop, their databases go, then
    /// their metadata. Whatever fails is tried again on the next start.
    pub(crate) async fn delete_workspace(&self, workspace: &Workspace) -> Result<(), DeployError> {
        let now_ms = self.clock.now_ms();
        {
            let _alone = self.lock(workspace).await;
            self.store
                .begin_deleting_workspace(&workspace.id, now_ms)
                .await?;
        }
        for branch in self.store.deleting_branches(&workspace.id).await? {
            self.drop_workspace(&branch).await?;
        }
        self.drop_workspace(workspace).await
    }

    /// The second half: what it held goes.
    async fn drop_workspace(&self, workspace: &Workspace) -> Result<(), DeployError> {
        let _alone = self.lock(workspace).await;
        for mirror in self.store.mirrors(&workspace.id).await? {
            self.supervisor.stop(&mirror.id).await;
        }
        self.warehouse
            .drop_database(&workspace.database())
            .await
            .map_err(DeployError::Warehouse)?;
        self.store.finish_deleting_workspace(&workspace.id).await?;
        Ok(())
    }

    /// Values of all secrets of a workspace that this key file opens; the others count as not set. What a branch
    /// has not set itself it has from its parent.
    pub(crate) async fn secret_values(
        &self,
        workspace: &Workspace,
    ) -> Result<HashMap<String, Secret>, StoreError> {
        let mut values = HashMap::new();
        for owner in workspace.parent.iter().chain([&workspace.id]) {
            for row in self.store.secrets(owner).await? {
                match self.keys.open(owner, &row.name, &row.sealed) {
                    Ok(value) => {
                        values.insert(row.name, value);
                    }
                    Err(error) => {
                        values.remove(&row.name);
                        crate::telemetry::secret_unreadable(&workspace.name, &error);
                    }
                }
            }
        }
        Ok(values)
    }
}
