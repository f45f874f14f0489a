//! Metadata and progress in SQLite: write-ahead log, synced at every commit, one writer.
//!
//! Every public method is one transaction, durable when it returns. What a table is for stands in
//! `migrations/`; shipped migrations never change.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use mirror::error::ErrorKind;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

pub use deployments::{DeploymentRow, DeploymentStatus};
pub(crate) use history::{HistoryRow, MirrorName};
pub use installation::Installation;
pub(crate) use mirrors::key_type_name;
pub use mirrors::{MirrorRow, Refill, StoredSource};
pub use resources::{ProjectChange, ResourceKind, ResourceRow};
pub use secrets::SecretRow;
pub use tokens::TokenRow;
pub use workspaces::Workspace;

mod deployments;
mod history;
mod installation;
mod mirrors;
mod progress;
mod resources;
mod secrets;
mod tokens;
mod workspaces;

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The store of one server.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("{doing} in the metadata database")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: sqlx::Error,
    },
    /// The file cannot be made or opened.
    #[error("open the metadata database {path}")]
    Open {
        /// The file.
        path: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row that this version cannot read.
    #[error("read {what} from the metadata database: {reason}")]
    Unreadable {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl StoreError {
    /// What to do about it, as workers understand it.
    pub fn kind(&self) -> ErrorKind {
        let Self::Database { source, .. } = self else {
            return ErrorKind::Permanent;
        };
        match source {
            sqlx::Error::Database(error) => {
                match error.code().and_then(|code| code.parse::<u32>().ok()) {
                    // https://www.sqlite.org/rescode.html: the low byte is the primary code.
                    Some(code) if code & 0xff == 13 => ErrorKind::DiskFull,
                    Some(code) if matches!(code & 0xff, 5 | 6 | 10 | 14) => ErrorKind::Unavailable,
                    _ => ErrorKind::Permanent,
                }
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                ErrorKind::Unavailable
            }
            _ => ErrorKind::Permanent,
        }
    }
}

/// Result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

fn failed(doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { doing, source }
}

fn unreadable(what: &'static str, reason: impl ToString) -> StoreError {
    StoreError::Unreadable {
        what,
        reason: reason.to_string(),
    }
}

impl SqliteStore {
    /// Opens the file (made with mode 0600 if it is not there) and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        let open_error = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Open {
            path: path.display().to_string(),
            source,
        };
        // SQLite gives the log and the shared memory file the permissions of the database.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| open_error(error.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(200);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(|error| open_error(error.into()))?;
        sqlx::migrate!("src/store/migrations")
            .run(&writer)
            .await
            .map_err(|error| open_error(error.into()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(|error| open_error(error.into()))?;
        Ok(Self { writer, readers })
    }

    /// Closes all connections, which folds the log into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that writes. It holds the only writing connection until it ends.
    async fn begin(&self, doing: &'static str) -> Result<Transaction<'static, Sqlite>> {
        self.writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failed(doing))
    }
}
