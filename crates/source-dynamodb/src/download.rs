//! One S3 object -> one unlinked local file, with its MD5. Broken bodies are resumed where they broke.
//!
//! The file stands between S3 and a reader that may pause for minutes: S3 drops connections that nobody reads,
//! and nothing may be parsed before the whole object has been checked.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use md5::{Digest, Md5};
use mirror::error::{Error, ErrorKind, Result};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::debug;

use crate::bucket::{Bucket, Resume};
use crate::options::AwsOptions;

/// Bytes gathered before they go to the thread that writes and hashes; with the queue below this bounds the
/// memory of one download to about 1 MB.
const CHUNK_BYTES: usize = 256 * 1024;
const QUEUED_CHUNKS: usize = 2;

/// First pause before a broken body is resumed; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A whole object on disk, rewound to its start.
#[derive(Debug)]
pub(crate) struct Downloaded {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    pub(crate) md5: [u8; 16],
}

/// Downloads an object; `None` if there is none of that key.
///
/// # Errors
/// `Corrupt` if it is larger than `max_bytes` or changed between two tries, `DiskFull`, and what S3 says.
pub(crate) async fn download(
    bucket: &Bucket,
    options: &AwsOptions,
    key: &str,
    max_bytes: Option<u64>,
) -> Result<Option<Downloaded>> {
    let mut spool: Option<Spool> = None;
    let mut resume: Option<Resume> = None;
    let mut pause = FIRST_PAUSE;
    for attempt in 0..=options.download_resumes {
        let Some(answer) = bucket.get(key, resume.as_ref()).await? else {
            return Ok(None);
        };
        let spool = spool.get_or_insert_with(|| Spool::start(&options.spool_dir));
        let start = spool.received;
        // A server without ranges sends the object from its start again.
        let skip = if answer.content_range().is_some() {
            0
        } else {
            start
        };
        let length = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        let whole = length.map(|length| length + (start - skip));
        if let (Some(whole), Some(max)) = (whole, max_bytes)
            && whole > max
        {
            return Err(too_large(key, max));
        }
        let etag = answer.e_tag().map(str::to_owned);
        let broken = spool
            .take(answer.body, skip, options.body_idle_timeout, max_bytes, key)
            .await?;
        let complete = match whole {
            Some(whole) => whole == spool.received,
            None => broken.is_none(),
        };
        if complete {
            break;
        }
        let broken = broken.unwrap_or_else(|| "the body ended early".to_owned());
        if attempt == options.download_resumes {
            let context = format!(
                "read {key}: broke off {} times, last at byte {}: {broken}",
                attempt + 1,
                spool.received
            );
            return Err(Error::new(ErrorKind::Unavailable, context));
        }
        debug!(
            file = key,
            bytes = spool.received,
            attempt,
            error = broken,
            "body broke off, resuming"
        );
        let offset = spool.received;
        resume = (offset > 0).then_some(Resume { offset, etag });
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
    match spool {
        Some(spool) => spool.finish().await.map(Some),
        None => Ok(None),
    }
}

fn too_large(key: &str, max: u64) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("read {key}: it is larger than the {max} bytes such a file may have"),
    )
}

/// A thread that writes and hashes what it is sent.
struct Spool {
    chunks: mpsc::Sender<Vec<Bytes>>,
    writer: JoinHandle<io::Result<Downloaded>>,
    received: u64,
}

impl Spool {
    fn start(dir: &Path) -> Self {
        let (chunks, queue) = mpsc::channel(QUEUED_CHUNKS);
        let dir = dir.to_owned();
        let writer = tokio::task::spawn_blocking(move || write_all(&dir, queue));
        Self {
            chunks,
            writer,
            received: 0,
        }
    }

    /// Takes in one body without its first `skip` bytes. Returns why it broke off, or `None` at its end.
    async fn take(
        &mut self,
        mut body: ByteStream,
        mut skip: u64,
        idle: Duration,
        max_bytes: Option<u64>,
        key: &str,
    ) -> Result<Option<String>> {
        let mut gathered = Vec::new();
        let mut size = 0;
        let broken = loop {
            let mut piece = match tokio::time::timeout(idle, body.next()).await {
                Err(_) => break Some(format!("nothing came for {} s", idle.as_secs_f32())),
                Ok(None) => break None,
                Ok(Some(Err(error))) => break Some(crate::error::chain_text(&error)),
                Ok(Some(Ok(piece))) => piece,
            };
            let skipped = piece.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            skip -= skipped as u64;
            let piece = piece.split_off(skipped);
            self.received += piece.len() as u64;
            if let Some(max) = max_bytes.filter(|max| self.received > *max) {
                return Err(too_large(key, max));
            }
            size += piece.len();
            gathered.push(piece);
            if size >= CHUNK_BYTES {
                size = 0;
                self.send(std::mem::take(&mut gathered)).await?;
            }
        };
        // What came before the break is good: the whole is hashed in the end.
        self.send(gathered).await?;
        Ok(broken)
    }

    async fn send(&mut self, chunk: Vec<Bytes>) -> Result<()> {
        if self.chunks.send(chunk).await.is_ok() {
            return Ok(());
        }
        // The writer hung up, so it has an error to tell.
        match (&mut self.writer).await {
            Ok(Err(error)) => Err(spool_failure(error)),
            Ok(Ok(_)) => Err(Error::new(
                ErrorKind::Unavailable,
                "spool a data file: the writer stopped early",
            )),
            Err(error) => Err(Error::with_source(
                ErrorKind::Unavailable,
                "spool a data file",
                error,
            )),
        }
    }

    async fn finish(self) -> Result<Downloaded> {
        drop(self.chunks);
        match self.writer.await {
            Ok(outcome) => outcome.map_err(spool_failure),
            Err(error) => Err(Error::with_source(
                ErrorKind::Unavailable,
                "spool a data file",
                error,
            )),
        }
    }
}

fn write_all(dir: &PathBuf, mut queue: mpsc::Receiver<Vec<Bytes>>) -> io::Result<Downloaded> {
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::tempfile_in(dir)?;
    let mut hasher = Md5::new();
    let mut bytes = 0;
    while let Some(chunk) = queue.blocking_recv() {
        for piece in chunk {
            hasher.update(&piece);
            file.write_all(&piece)?;
            bytes += piece.len() as u64;
        }
    }
    file.rewind()?;
    Ok(Downloaded {
        file,
        bytes,
        md5: hasher.finalize().into(),
    })
}

/// Errors of the spool directory: a full disk passes, everything else needs a person.
pub(crate) fn spool_failure(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        _ => ErrorKind::Permanent,
    };
    Error::with_source(kind, "write a data file to the spool directory", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_passes_and_a_forbidden_one_does_not() {
        let kind = |kind: io::ErrorKind| spool_failure(kind.into()).kind;
        assert_eq!(kind(io::ErrorKind::StorageFull), ErrorKind::DiskFull);
        assert_eq!(kind(io::ErrorKind::QuotaExceeded), ErrorKind::DiskFull);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), ErrorKind::Permanent);
    }
}
