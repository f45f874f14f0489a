//! The folder of the Local server: who holds it, where it listens, its log.
//!
//! A server locks the file `lock` for as long as it lives and writes its process id into it, so a lock that
//! is held names a process that is ours, whatever happened to process ids in between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use serde::Deserialize;

/// A log larger than this is put aside when the server starts, bytes.
const LOG_ROTATION_BYTES: u64 = 20 * 1024 * 1024;
/// As much of a log is read to find its last lines, bytes.
const TAIL_BYTES: u64 = 4 * 1024 * 1024;

/// What a server keeps in its folder. The lock comes last: whoever starts a server meanwhile waits for it.
const OURS: [&str; 12] = [
    "server.json",
    "server.json.new",
    "spool",
    "engine",
    "metadata.db",
    "metadata.db-wal",
    "metadata.db-shm",
    "key",
    "key.new",
    "server.log",
    "server.log.1",
    "lock",
];

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct LocalState {
    path: PathBuf,
}

/// `server.json`: where the server listens.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServerFile {
    /// Process id of the server that wrote it.
    pub(crate) pid: Option<u32>,
    /// Port of the API.
    pub(crate) port: Option<u16>,
    /// Version of the server.
    pub(crate) version: Option<String>,
}

/// Whether a server holds the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody does.
    Nobody,
    /// This process does.
    Process(u32),
    /// A process that has not written its id yet.
    Unnamed,
}

impl LocalState {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's log.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Who holds the folder now.
    pub(crate) fn holder(&self) -> io::Result<Holder> {
        let mut lock = match OpenOptions::new().read(true).open(self.path.join("lock")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
            Err(error) => return Err(error),
        };
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Holder::Nobody),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                (&mut lock).take(32).read_to_string(&mut text)?;
                Ok(text.trim().parse().map_or(Holder::Unnamed, Holder::Process))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Where the server of process `pid` listens; nothing until it does.
    pub(crate) fn server_file(&self, pid: u32) -> Option<ServerFile> {
        self.any_server_file()
            .filter(|file| file.pid.is_none_or(|written| written == pid))
    }

    fn any_server_file(&self) -> Option<ServerFile> {
        let text = fs::read_to_string(self.path.join("server.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The port of the server that was started last.
    pub(crate) fn port(&self) -> Option<u16> {
        self.any_server_file()?.port
    }

    /// Opens the log to append to, an old and long one put aside as `server.log.1`.
    pub(crate) fn open_log(&self) -> io::Result<File> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)?;
        let path = self.log_path();
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_ROTATION_BYTES) {
            fs::rename(&path, self.path.join("server.log.1"))?;
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
    }

    /// Size of the log, 0 without one.
    pub(crate) fn log_len(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |log| log.len())
    }

    /// Whole lines of the log from byte `from` on, and where they end.
    pub(crate) fn log_since(&self, from: u64) -> io::Result<(Vec<String>, u64)> {
        let mut file = File::open(self.log_path())?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        Ok((
            text.lines().map(str::to_owned).collect(),
            from + whole as u64,
        ))
    }

    /// Whether a server ever ran here.
    pub(crate) fn exists(&self) -> bool {
        OURS.iter().any(|name| self.path.join(name).exists())
    }

    /// Deletes what servers keep here, and the folder if nothing else is in it. Gives the names of what is
    /// left, so that a folder that was named by mistake loses nothing of somebody else's.
    pub(crate) fn remove(&self) -> io::Result<Vec<String>> {
        for name in OURS {
            let path = self.path.join(name);
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut left = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            left.push(entry?.file_name().to_string_lossy().into_owned());
        }
        if left.is_empty() {
            fs::remove_dir(&self.path)?;
        }
        left.sort();
        Ok(left)
    }

    /// The last `lines` lines of the log that start at byte `from` or later, and where the log ended.
    pub(crate) fn log_tail(&self, from: u64, lines: usize) -> io::Result<(Vec<String>, u64)> {
        let mut file = File::open(self.log_path())?;
        let end = file.metadata()?.len();
        let start = from.max(end.saturating_sub(TAIL_BYTES)).min(end);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end - start).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut found: Vec<String> = text.lines().map(str::to_owned).collect();
        found.drain(..found.len().saturating_sub(lines));
        Ok((found, end))
    }
}

/// Asks a process to stop, or ends it.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) -> io::Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    rustix::process::kill_process(pid, signal).map_err(io::Error::from)
}

/// Whether the process runs. One that has ended and waits for its parent to notice does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // `pid (name) state ...`; the name may hold anything, a closing parenthesis included.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ended = stat
        .rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    !ended && rustix::process::test_kill_process(id).is_ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_a_lock_that_is_held_names_a_process() {
        let folder = tempfile::tempdir().unwrap();
        let state = LocalState::new(folder.path().to_owned());
        assert_eq!(state.holder().unwrap(), Holder::Nobody);
        fs::write(folder.path().join("lock"), "4242\n").unwrap();
        assert_eq!(state.holder().unwrap(), Holder::Nobody);
        let lock = File::open(folder.path().join("lock")).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(state.holder().unwrap(), Holder::Process(4242));
        fs::write(folder.path().join("lock"), "").unwrap();
        assert_eq!(state.holder().unwrap(), Holder::Unnamed);
    }

    #[test]
    fn the_port_comes_from_the_file_of_the_right_process() {
        let folder = tempfile::tempdir().unwrap();
        let state = LocalState::new(folder.path().to_owned());
        assert_eq!(state.port(), None);
        fs::write(
            folder.path().join("server.json"),
            r#"{"pid": 7, "port": 9000, "other": []}"#,
        )
        .unwrap();
        assert_eq!(state.port(), Some(9000));
        assert!(state.server_file(7).is_some());
        assert!(state.server_file(8).is_none());
    }

    #[test]
    fn the_tail_of_the_log_starts_where_this_run_began() {
        let folder = tempfile::tempdir().unwrap();
        let state = LocalState::new(folder.path().to_owned());
        fs::write(state.log_path(), "old\none\ntwo\nthree\n").unwrap();
        assert_eq!(
            state.log_tail(0, 2).unwrap(),
            (vec!["two".into(), "three".into()], 18)
        );
        assert_eq!(state.log_tail(4, 9).unwrap().0, ["one", "two", "three"]);
        assert_eq!(state.log_tail(99, 9).unwrap().0, Vec::<String>::new());
    }
}
