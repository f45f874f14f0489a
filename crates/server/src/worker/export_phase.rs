//! The backfill: asks AWS for an export, waits for it, and loads its files, all of it resumable.
//!
//! The export is asked for once per attempt, however often the process dies: the client token and the prefix
//! come from mirror and attempt, and the ARN is stored before anything else is done. Its rows carry the export
//! time minus a margin as their version, so that any change the stream delivers wins over them, whichever
//! arrives first.

use std::collections::HashSet;
use std::sync::Arc;

use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint};
use mirror::error::{Error, ErrorKind, Result};
use mirror::limits::{EXPORT_AFTER_STREAM_ENABLED_MS, EXPORT_MARGIN_MS};
use mirror::source::{ExportDescription, ExportManifest, ExportRequest, ExportStatus, Source};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tracing::{info, warn};

use super::MirrorSpec;
use super::board::Topic;
use super::file_loader::{self, LoadContext};
use super::retry::Retry;

/// Longest pause before another export is asked for, milliseconds.
const EXPORT_RETRY_MAX_MS: u64 = 6 * 60 * 60 * 1000;

/// First pause between two looks at an export, milliseconds.
const FIRST_POLL_MS: u64 = 300;

/// Backfills one mirror.
pub(crate) struct Backfill {
    pub(crate) retry: Retry,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) source: Arc<dyn Source>,
    /// When the stream began, milliseconds; the export must be later by a margin.
    pub(crate) stream_began_ms: Option<i64>,
    pub(crate) progress: ExportProgress,
    pub(crate) files: Vec<FileCheckpoint>,
    /// Tells whoever waits for the ARN.
    pub(crate) asked: watch::Sender<bool>,
}

impl Backfill {
    /// Runs until every row of the export is durable. `None` if cancelled.
    pub(crate) async fn run(mut self) -> Option<()> {
        let mut pause_ms = self.retry.settings.export_retry_ms;
        loop {
            self.retry.board.export(&self.progress);
            match self.attempt().await? {
                Ok(()) => return Some(()),
                Err(error) => {
                    warn!(mirror = %self.retry.mirror, error = %error.report(), attempt = self.progress.attempt, "the backfill failed");
                    self.retry
                        .board
                        .problem(Topic::Export, &error, self.now_ms());
                    self.progress.phase = ExportPhase::Failed;
                    self.save().await?;
                    self.retry.pause(pause_ms).await?;
                    pause_ms = (pause_ms * 2).min(EXPORT_RETRY_MAX_MS);
                    self.next_attempt();
                }
            }
        }
    }

    fn next_attempt(&mut self) {
        self.progress = ExportProgress::waiting(self.progress.attempt + 1);
        self.files.clear();
    }

    async fn attempt(&mut self) -> Option<Result<()>> {
        if self.progress.phase == ExportPhase::Failed {
            // The process died, or was restarted on purpose, after a failure: nothing to wait for.
            self.next_attempt();
        }
        if self.progress.phase == ExportPhase::Waiting {
            match self.ask().await? {
                Ok(()) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        self.asked.send_replace(true);
        if self.progress.phase == ExportPhase::Loaded {
            return Some(Ok(()));
        }
        let export = match self.wait_until_completed().await? {
            Ok(export) => export,
            Err(error) => return Some(Err(error)),
        };
        self.retry.board.solved(Topic::Export);
        self.load(&export).await
    }

    fn now_ms(&self) -> i64 {
        self.retry.ports.clock.now_ms()
    }

    async fn save(&self) -> Option<()> {
        self.retry.board.export(&self.progress);
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store the export", || {
                store.save_export(mirror, &self.progress)
            })
            .await
    }

    /// Asks for the export, once the stream is surely older than the export's fuzzy minute.
    async fn ask(&mut self) -> Option<Result<()>> {
        if let Some(began_ms) = self.stream_began_ms {
            let wait_ms = began_ms + EXPORT_AFTER_STREAM_ENABLED_MS - self.now_ms();
            if wait_ms > 0 {
                info!(mirror = %self.retry.mirror, wait_ms, "the stream is young: waiting before the export");
                self.retry
                    .pause(u64::try_from(wait_ms).unwrap_or(0))
                    .await?;
            }
        }
        let request = export_request(&self.spec, self.progress.attempt);
        let mut backoff = self.retry.backoff("ask for an export");
        let export = loop {
            match self.source.start_export(&request).await {
                Ok(export) => break export,
                // A conflict stays for eight hours, a missing bucket fails a fresh attempt too: try as a new one, later.
                Err(error) if matches!(error.kind, ErrorKind::ExportConflict) => {
                    return Some(Err(error));
                }
                Err(error) => {
                    warn!(mirror = %self.retry.mirror, error = %error.report(), "could not ask for an export, trying again");
                    self.retry
                        .board
                        .problem(Topic::Export, &error, self.now_ms());
                    let pause = if error.kind.passes() {
                        backoff.next_ms()
                    } else {
                        backoff.slowest_ms()
                    };
                    self.retry.pause(pause).await?;
                }
            }
        };
        info!(mirror = %self.retry.mirror, export_arn = %export.arn, attempt = self.progress.attempt, "export asked for");
        self.progress.phase = ExportPhase::Running;
        self.progress.arn = Some(export.arn.clone());
        self.progress.export_time_ms = export.export_time_ms;
        self.progress.started_at_ms = Some(self.now_ms());
        self.save().await?;
        self.retry.board.solved(Topic::Export);
        Some(Ok(()))
    }

    async fn wait_until_completed(&mut self) -> Option<Result<ExportDescription>> {
        let Some(arn) = self.progress.arn.clone() else {
            return Some(Err(Error::new(
                ErrorKind::Permanent,
                "go on with an export that has no ARN",
            )));
        };
        let mut backoff = self.retry.backoff("describe the export");
        // Looks often at first: an export takes minutes on AWS but may take seconds elsewhere.
        let mut poll = self.retry.settings.export_poll_ms.min(FIRST_POLL_MS);
        loop {
            let pause = match self.source.describe_export(&arn).await {
                Ok(export) => {
                    self.retry.board.solved(Topic::Export);
                    self.progress.export_time_ms =
                        export.export_time_ms.or(self.progress.export_time_ms);
                    match &export.status {
                        ExportStatus::Completed => return Some(Ok(export)),
                        ExportStatus::Failed { code, message } => {
                            let kind = ErrorKind::ExportFailed { code: code.clone() };
                            return Some(Err(Error::new(
                                kind,
                                format!("AWS gave the export up: {code}: {message} ({arn})"),
                            )));
                        }
                        ExportStatus::InProgress => {
                            poll = (poll * 3 / 2).min(self.retry.settings.export_poll_ms);
                            poll
                        }
                    }
                }
                Err(error) => {
                    warn!(mirror = %self.retry.mirror, error = %error.report(), "could not describe the export, trying again");
                    self.retry
                        .board
                        .problem(Topic::Export, &error, self.now_ms());
                    if error.kind.passes() {
                        backoff.next_ms()
                    } else {
                        backoff.slowest_ms()
                    }
                }
            };
            self.retry.pause(pause).await?;
        }
    }

    async fn load(&mut self, export: &ExportDescription) -> Option<Result<()>> {
        let manifest = match self.manifest(export).await? {
            Ok(manifest) => manifest,
            Err(error) => return Some(Err(error)),
        };
        // A manifest is read from a bucket and might say anything; the export cannot be of a later time than
        // AWS's own answer.
        let export_time_ms = self
            .progress
            .export_time_ms
            .map_or(manifest.export_time_ms, |time| {
                time.min(manifest.export_time_ms)
            });
        self.progress.phase = ExportPhase::Loading;
        self.progress.export_time_ms = Some(export_time_ms);
        self.progress.files_total = manifest.files.len() as u64;
        self.progress.items_total = manifest.item_count;
        self.progress
            .load_started_at_ms
            .get_or_insert(self.now_ms());
        self.save().await?;
        let done: HashSet<&str> = self.files.iter().map(|file| file.key.as_str()).collect();
        let left: Vec<_> = manifest
            .files
            .iter()
            .filter(|file| !done.contains(file.key.as_str()))
            .cloned()
            .collect();
        let context = LoadContext {
            retry: self.retry.clone(),
            spec: Arc::clone(&self.spec),
            source: Arc::clone(&self.source),
            version_ms: export_time_ms - EXPORT_MARGIN_MS,
        };
        let progress = match file_loader::load_files(context, left, self.progress.clone()).await? {
            Ok(progress) => progress,
            Err(error) => return Some(Err(error)),
        };
        self.progress = progress;
        if self.progress.items_loaded != manifest.item_count {
            let text = format!(
                "load the export: {} items in its files, {} promised by its manifest",
                self.progress.items_loaded, manifest.item_count
            );
            return Some(Err(Error::new(ErrorKind::Corrupt, text)));
        }
        self.progress.phase = ExportPhase::Loaded;
        self.progress.loaded_at_ms = Some(self.now_ms());
        self.save().await?;
        self.retry.board.solved(Topic::Export);
        info!(mirror = %self.retry.mirror, items = self.progress.items_loaded, files = self.progress.files_loaded, "backfill loaded");
        Some(Ok(()))
    }

    /// Reads the manifest; one that stays wrong fails the attempt.
    async fn manifest(&self, export: &ExportDescription) -> Option<Result<ExportManifest>> {
        let mut backoff = self.retry.backoff("read the manifest");
        let mut corrupt_left = file_loader::CORRUPT_TRIES;
        loop {
            match self.source.read_manifest(export).await {
                Ok(manifest) => return Some(Ok(manifest)),
                Err(error) => {
                    if error.kind == ErrorKind::Corrupt {
                        corrupt_left -= 1;
                        if corrupt_left == 0 {
                            return Some(Err(error));
                        }
                    }
                    warn!(mirror = %self.retry.mirror, error = %error.report(), "could not read the manifest, trying again");
                    self.retry
                        .board
                        .problem(Topic::Export, &error, self.now_ms());
                    let slow = !error.kind.passes() && error.kind != ErrorKind::Corrupt;
                    let pause = if slow {
                        backoff.slowest_ms()
                    } else {
                        backoff.next_ms()
                    };
                    self.retry.pause(pause).await?;
                }
            }
        }
    }
}

/// The request of one attempt: the same after every crash.
fn export_request(spec: &MirrorSpec, attempt: u32) -> ExportRequest {
    let digest = Sha256::digest(format!("{}:{attempt}", spec.id));
    let client_token = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ExportRequest {
        client_token,
        s3_prefix: spec.s3_prefix.clone(),
    }
}
