//! The folder a server keeps everything in, held by one server at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::secrets::MasterKey;

/// The folder, locked for as long as this value lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another server holds it.
    #[error(
        "use {}: another server (process {pid}) uses it; stop that one with `tb local stop`, or choose another folder",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Process id as that server wrote it, `unknown` if it had no time to.
        pid: String,
    },
    /// The key file can be read by others.
    #[error(
        "use the key file {}: its permissions are {mode:o}, others may read it; run: chmod 600 {}",
        path.display(), path.display()
    )]
    KeyReadable {
        /// The file.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// The key file is not one of ours.
    #[error(
        "use the key file {}: it holds {bytes} bytes, not 32; put the right one back from a backup: secrets and tokens cannot be read without it",
        path.display()
    )]
    KeyBroken {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// There is a database but no key.
    #[error(
        "open {}: metadata.db is there and the key file is not; put the key file back from a backup, or remove the folder to start anew",
        path.display()
    )]
    KeyLost {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system said no.
    #[error("use {}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl StateDir {
    /// Makes the folder if need be (mode 0700) and locks it. Lock first, start everything else after.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateDirError> {
        let path = path.into();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(io_error(&path))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let read = (&mut lock).take(32).read_to_string(&mut pid).is_ok();
                let known = read && !pid.trim().is_empty();
                let pid = if known { pid.trim() } else { "unknown" }.to_owned();
                return Err(StateDirError::InUse { path, pid });
            }
            Err(errno) => return Err(io_error(&lock_path)(errno.into())),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(io_error(&lock_path))?;
        let state = Self { path, _lock: lock };
        // Whoever wrote it was killed: nobody else holds the lock.
        let stale = state.server_file();
        match fs::remove_file(&stale) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&stale)(error)),
            _ => Ok(state),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata database.
    pub fn database_path(&self) -> PathBuf {
        self.path.join("metadata.db")
    }

    /// The file that says where the server listens.
    pub fn server_file(&self) -> PathBuf {
        self.path.join("server.json")
    }

    /// The file with the first tokens of a shared server.
    pub fn tokens_file(&self) -> PathBuf {
        self.path.join("tokens.json")
    }

    /// Reads the key file, or makes it on the first start.
    pub fn master_key(&self) -> Result<MasterKey, StateDirError> {
        let path = self.path.join("key");
        match File::open(&path) {
            Ok(file) => read_key(&path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.database_path().exists() {
                    return Err(StateDirError::KeyLost {
                        path: self.path.clone(),
                    });
                }
                create_key(&path)
            }
            Err(error) => Err(io_error(&path)(error)),
        }
    }
}

fn read_key(path: &Path, mut file: File) -> Result<MasterKey, StateDirError> {
    let mode = file.metadata().map_err(io_error(path))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StateDirError::KeyReadable {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    (&mut file)
        .take(64)
        .read_to_end(&mut bytes)
        .map_err(io_error(path))?;
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| StateDirError::KeyBroken {
            path: path.to_owned(),
            bytes: bytes.len(),
        })?;
    Ok(MasterKey::new(bytes))
}

/// The key is written beside and linked into place, so that a crash leaves no half of one.
fn create_key(path: &Path) -> Result<MasterKey, StateDirError> {
    let key = MasterKey::random();
    let draft = path.with_extension("new");
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(io_error(&draft)(error));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(io_error(&draft))?;
    file.write_all(key.expose())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path))
        .and_then(|()| fs::remove_file(&draft))
        .map_err(io_error(path))?;
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error(folder))?;
    }
    Ok(key)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StateDirError {
    let path = path.to_owned();
    move |source| StateDirError::Io { path, source }
}
