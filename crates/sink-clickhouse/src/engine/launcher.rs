//! What a start of the engine needs: the data directory to ourselves, a configuration, the library.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mirror::error::{Error, ErrorKind, Result};
use tokio::time::Instant;

use super::child::{Child, EngineExecutable, StartError};
use super::{config, find_library};
use crate::endpoint::Address;

/// An engine whose parent was killed ends within about 5 s; the next start waits for it.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);
const ORPHAN_RETRY: Duration = Duration::from_millis(200);

/// What an embedded engine needs.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where tables are.
    pub data_dir: PathBuf,
    /// Where the configuration is written, anew for every start.
    pub conf_dir: PathBuf,
    /// Where the engine's logs go.
    pub logs_dir: PathBuf,
    /// The library; `None` searches for it, see [`find_library`].
    pub library: Option<PathBuf>,
    /// Memory the engine may use, bytes.
    pub max_memory_bytes: u64,
    /// The program to start as the engine.
    pub executable: EngineExecutable,
    /// Workspaces that have users from the start, usually 64; more are added when needed, with a restart of about 0.3 s.
    pub reader_slots: u32,
}

/// Everything a start needs.
pub(super) struct Launcher {
    options: EngineOptions,
    library: PathBuf,
    pub(super) slots: u32,
    /// Held as long as we are responsible for the data directory.
    _lock: File,
}

impl Launcher {
    pub(super) fn new(mut options: EngineOptions) -> Result<Self> {
        let library = match options.library.take() {
            Some(library) => library,
            None => find_library()?,
        };
        // The child runs in another folder.
        for path in [
            &mut options.data_dir,
            &mut options.conf_dir,
            &mut options.logs_dir,
        ] {
            *path = std::path::absolute(&*path).map_err(|error| {
                Error::with_source(ErrorKind::Permanent, "find the current folder", error)
            })?;
        }
        let library = std::path::absolute(library).map_err(|error| {
            Error::with_source(ErrorKind::Permanent, "find the current folder", error)
        })?;
        config::private_folder(&options.data_dir)?;
        let lock = lock(&options.data_dir)?;
        let present = largest_slot(&options.data_dir);
        let slots = config::slots_for(options.reader_slots.max(present)).min(config::MAX_SLOTS);
        Ok(Self {
            options,
            library,
            slots,
            _lock: lock,
        })
    }

    /// Where the engine itself says more.
    pub(super) fn logs(&self) -> String {
        self.options
            .logs_dir
            .join("engine.err.log")
            .display()
            .to_string()
    }

    pub(super) async fn launch(&mut self) -> Result<(Child, Arc<Address>)> {
        let options = &self.options;
        let admin = config::new_admin()?;
        config::write(
            &options.conf_dir,
            &options.logs_dir,
            options.max_memory_bytes,
            &admin,
            self.slots,
        )?;
        let give_up = Instant::now() + ORPHAN_TIMEOUT;
        loop {
            let start = Child::start(
                &options.executable,
                &self.library,
                &options.data_dir,
                &options.conf_dir,
            );
            match start.await {
                Ok(child) => {
                    let address = Address::embedded(child.port, admin, self.slots)?;
                    return Ok((child, Arc::new(address)));
                }
                // We hold our lock, so this is an engine that has lost its parent and is about to end.
                Err(StartError::InUse) if Instant::now() < give_up => {
                    tokio::time::sleep(ORPHAN_RETRY).await
                }
                Err(StartError::InUse) => return Err(in_use(&options.data_dir)),
                Err(StartError::Failed(error)) => return Err(error),
            }
        }
    }
}

fn lock(data: &Path) -> Result<File> {
    let path = data.join("tb.lock");
    let failed = |error| {
        Error::with_source(
            ErrorKind::Permanent,
            format!("lock {}", path.display()),
            error,
        )
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(in_use(data)),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn in_use(data: &Path) -> Error {
    Error::new(
        ErrorKind::Permanent,
        format!(
            "start the engine: the data directory {} is in use by another process; stop the other server, or choose another directory",
            data.display()
        ),
    )
}

/// The largest slot that has a database: `metadata/ws_<n>.sql` in the data directory.
fn largest_slot(data: &Path) -> u32 {
    let Ok(entries) = std::fs::read_dir(data.join("metadata")) else {
        return 0;
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| config::slot_of(name.strip_suffix(".sql").unwrap_or(&name)))
        .max()
        .unwrap_or(0)
}
