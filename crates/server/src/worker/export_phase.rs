//! The backfill: a full export, asked for once the stream is surely older, and asked for again if it fails.
//!
//! Its rows carry the export time minus a margin as their version, so that any change the stream delivers wins over
//! them, whichever arrives first.

use mirror::checkpoint::ExportPhase;
use mirror::error::Result;
use mirror::heal::EXPORT_FUZZ_MS;
use mirror::limits::{EXPORT_AFTER_STREAM_ENABLED_MS, EXPORT_MARGIN_MS};
use tokio::sync::watch;
use tracing::info;

use super::export_run::ExportRun;
use super::file_loader::Lines;

/// Longest pause before another export is asked for, milliseconds.
pub(crate) const EXPORT_RETRY_MAX_MS: u64 = 6 * 60 * 60 * 1000;

/// How often a backfill that waits for a healing looks whether it is over, milliseconds.
const HEALING_POLL_MS: u64 = 10_000;

/// Backfills one mirror.
pub(crate) struct Backfill {
    pub(crate) run: ExportRun,
    /// When the stream began, milliseconds; the export must be later by a margin.
    pub(crate) stream_began_ms: Option<i64>,
    /// Tells whoever waits for the ARN.
    pub(crate) asked: watch::Sender<bool>,
}

impl Backfill {
    /// Runs until every row of the export is durable. `None` if cancelled.
    pub(crate) async fn run(mut self) -> Option<()> {
        let mut pause_ms = self.run.retry.settings.export_retry_ms;
        loop {
            let board = &self.run.retry.board;
            board.export(self.run.part, &self.run.progress);
            match self.attempt().await? {
                Ok(()) => return self.run.sweep().await,
                Err(error) => {
                    self.run.failed(&error).await?;
                    self.run.wait(pause_ms).await?;
                    pause_ms = (pause_ms * 2).min(EXPORT_RETRY_MAX_MS);
                    self.run.next_attempt();
                }
            }
        }
    }

    async fn attempt(&mut self) -> Option<Result<()>> {
        if self.run.progress.phase == ExportPhase::Failed {
            // The process died, or was restarted on purpose, after a failure: nothing to wait for.
            self.run.next_attempt();
        }
        if self.run.progress.phase == ExportPhase::Waiting {
            self.wait_for_the_stream().await?;
            self.wait_for_healing().await?;
            self.wait_for_the_gap().await?;
            match self.run.ask().await? {
                Ok(()) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        self.asked.send_replace(true);
        if self.run.progress.phase == ExportPhase::Loaded {
            return Some(Ok(()));
        }
        let export = match self.run.completed().await? {
            Ok(export) => export,
            Err(error) => return Some(Err(error)),
        };
        self.run
            .load(&export, |export_time_ms| Lines::Items {
                version_ms: export_time_ms - EXPORT_MARGIN_MS,
            })
            .await
    }

    /// The export must surely miss nothing that the stream misses too.
    async fn wait_for_the_stream(&self) -> Option<()> {
        let Some(began_ms) = self.stream_began_ms else {
            return Some(());
        };
        let wait_ms = began_ms + EXPORT_AFTER_STREAM_ENABLED_MS - self.run.aws_now_ms();
        if wait_ms > 0 {
            info!(mirror = %self.run.retry.mirror, wait_ms, "the stream is young: waiting before the export");
            self.run.wait(u64::try_from(wait_ms).unwrap_or(0)).await?;
        }
        Some(())
    }

    /// What was lost must surely be in the export.
    async fn wait_for_the_gap(&self) -> Option<()> {
        while let Some(gap) = self.run.retry.board.current_gap() {
            let wait_ms = gap.until_ms + 2 * EXPORT_FUZZ_MS - self.run.aws_now_ms();
            if wait_ms <= 0 {
                break;
            }
            self.run.wait(u64::try_from(wait_ms).unwrap_or(0)).await?;
        }
        Some(())
    }

    /// An export of a moment inside a healing's windows could bring back what they say was deleted.
    async fn wait_for_healing(&self) -> Option<()> {
        while self.run.retry.board.is_healing() {
            self.run.wait(HEALING_POLL_MS).await?;
        }
        Some(())
    }
}
