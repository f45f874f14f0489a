//! One export, of everything or of a window of time: asked for once, waited for, loaded, all of it resumable.
//!
//! It is asked for once per attempt, however often the process dies: the client token and the prefix come from
//! mirror, part and attempt, and the ARN is stored before anything else is done.

use std::collections::HashSet;
use std::sync::Arc;

use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint};
use mirror::error::{Error, ErrorKind, Result};
use mirror::limits::EXPORT_MARGIN_MS;
use mirror::source::{
    ExportDescription, ExportManifest, ExportRequest, ExportStatus, ExportWindow, Source,
};
use mirror::store::{ExportPart, PartProgress};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::MirrorSpec;
use super::board::Topic;
use super::file_loader::{self, Lines, LoadContext};
use super::retry::Retry;

/// First pause between two looks at an export, milliseconds.
const FIRST_POLL_MS: u64 = 300;

/// An export on its way.
pub(crate) struct ExportRun {
    pub(crate) retry: Retry,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) part: ExportPart,
    /// Tells exports of one mirror apart: part of the client token.
    pub(crate) name: String,
    pub(crate) window: Option<ExportWindow>,
    pub(crate) progress: ExportProgress,
    pub(crate) files: Vec<FileCheckpoint>,
}

impl ExportRun {
    /// Goes on from what is stored.
    pub(crate) fn resume(&mut self, stored: Option<PartProgress>) {
        if let Some(stored) = stored {
            self.progress = stored.export;
            self.files = stored.files;
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.retry.ports.clock.now_ms()
    }

    /// AWS's time, by its latest answer.
    pub(crate) fn aws_now_ms(&self) -> i64 {
        self.now_ms() + self.source.clock_ahead_ms()
    }

    pub(crate) async fn save(&self) -> Option<()> {
        self.retry.board.export(self.part, &self.progress);
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store the export", || {
                store.save_export(mirror, self.part, &self.progress)
            })
            .await
    }

    /// Notes that this attempt is lost.
    pub(crate) async fn failed(&mut self, error: &Error) -> Option<()> {
        warn!(mirror = %self.retry.mirror, part = ?self.part, error = %error.report(), attempt = self.progress.attempt, "an export failed");
        self.retry
            .board
            .problem(Topic::Export, error, self.now_ms());
        self.progress.phase = ExportPhase::Failed;
        self.save().await
    }

    /// Something is about to be heard of this export.
    fn moves(&self) {
        let board = &self.retry.board;
        board.export_moves(self.part, self.now_ms(), 0);
    }

    /// Waits, and says that nothing is heard meanwhile on purpose. `None` if cancelled.
    pub(crate) async fn wait(&self, ms: u64) -> Option<()> {
        self.retry.board.export_moves(self.part, self.now_ms(), ms);
        self.retry.pause(ms).await
    }

    /// Prepares another attempt; it is stored once it was asked for.
    pub(crate) fn next_attempt(&mut self) {
        self.progress = ExportProgress::waiting(self.progress.attempt + 1);
        self.files.clear();
    }

    /// Asks for the export until AWS takes it.
    ///
    /// Comes back with what waiting does not help against: a conflict, which stays for eight hours, and a window that
    /// point-in-time recovery does not reach.
    pub(crate) async fn ask(&mut self) -> Option<Result<()>> {
        let request = self.request();
        let mut backoff = self.retry.backoff("ask for an export");
        let export = loop {
            self.moves();
            match self.source.start_export(&request).await {
                Ok(export) => break export,
                Err(error) if self.is_final(&error.kind) => return Some(Err(error)),
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
        info!(mirror = %self.retry.mirror, part = ?self.part, export_arn = %export.arn, attempt = self.progress.attempt, "export asked for");
        self.progress.phase = ExportPhase::Running;
        self.progress.arn = Some(export.arn.clone());
        self.progress.export_time_ms = export.export_time_ms;
        self.progress.started_at_ms = Some(self.now_ms());
        self.save().await?;
        self.retry.board.solved(Topic::Export);
        Some(Ok(()))
    }

    fn is_final(&self, kind: &ErrorKind) -> bool {
        let in_window = matches!(kind, ErrorKind::ExportTime | ErrorKind::PitrUnavailable);
        matches!(kind, ErrorKind::ExportConflict) || (self.window.is_some() && in_window)
    }

    /// Waits until AWS has written the export.
    pub(crate) async fn completed(&mut self) -> Option<Result<ExportDescription>> {
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
            self.moves();
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
                            self.retry
                                .board
                                .export_moves(self.part, self.now_ms(), poll);
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

    /// Loads all files that are not loaded yet. `lines` says what becomes of a line, given the export's time.
    pub(crate) async fn load(
        &mut self,
        export: &ExportDescription,
        lines: impl FnOnce(i64) -> Lines,
    ) -> Option<Result<()>> {
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
            .get_or_insert(self.retry.ports.clock.now_ms());
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
            part: self.part,
            lines: lines(export_time_ms),
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
        info!(mirror = %self.retry.mirror, part = ?self.part, items = self.progress.items_loaded, files = self.progress.files_loaded, "export loaded");
        Some(Ok(()))
    }

    /// Closes a gap that this full export, which is loaded, has all of: buries what was read before the gap and is not
    /// in the export.
    pub(crate) async fn sweep(&self) -> Option<()> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        let progress = self
            .retry
            .until_done(Topic::Progress, "load the mirror's progress", || {
                store.load(mirror)
            })
            .await?;
        let exported_ms = self.progress.export_time_ms;
        let (Some(gap), Some(at_ms)) = (progress.gap, exported_ms) else {
            return Some(());
        };
        if !gap.is_in_export(exported_ms) {
            return Some(());
        }
        let coverage = progress.coverage.with_export(at_ms);
        let version_ms = at_ms - EXPORT_MARGIN_MS;
        let (sink, plan) = (&self.retry.ports.sink, &self.spec.plan);
        let region = &self.spec.source.region;
        let buried = self
            .retry
            .until_done(Topic::ClickHouse, "bury what was deleted unseen", || {
                sink.bury(plan, region, 0..=version_ms - 1, version_ms)
            })
            .await?;
        self.retry
            .until_done(Topic::Progress, "store that the gap is closed", || {
                store.close_gap(mirror, &gap, coverage)
            })
            .await?;
        self.retry.board.gap_closed(&gap);
        warn!(mirror = %self.retry.mirror, gap = %gap.what, buried, "the backfill has what was lost");
        Some(())
    }

    /// Reads the manifest; one that stays wrong fails the attempt.
    async fn manifest(&self, export: &ExportDescription) -> Option<Result<ExportManifest>> {
        let mut backoff = self.retry.backoff("read the manifest");
        let mut corrupt_left = file_loader::CORRUPT_TRIES;
        loop {
            self.moves();
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

    /// The request of this attempt: the same after every crash.
    fn request(&self) -> ExportRequest {
        let name = format!("{}:{}", self.name, self.progress.attempt);
        let digest = Sha256::digest(name);
        let client_token = digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        ExportRequest {
            client_token,
            s3_prefix: self.spec.s3_prefix.clone(),
            window: self.window,
        }
    }
}
