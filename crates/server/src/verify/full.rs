//! Candidates by a fresh full export: every key of the mirror and of DynamoDB.

use futures::stream::{self, StreamExt, TryStreamExt};
use mirror::error::{Error, ErrorKind, Result};
use mirror::limits::EXPORT_MARGIN_MS;
use mirror::sink::RowOrder;
use mirror::source::{ExportDescription, ExportFile, ExportManifest, ExportRequest, ExportStatus};
use mirror::warehouse::Difference;
use sha2::{Digest, Sha256};

use super::keys;
use super::repair::Taken;
use super::run::{Check, Found, MAX_CANDIDATES, Outcome, failed};
use crate::secrets::hex;
use crate::worker::conversion::{Blocks, Lines};

/// First and longest pause between two looks at the export, milliseconds.
const FIRST_POLL_MS: u64 = 500;
const LONGEST_POLL_MS: u64 = 10_000;

/// AWS's cut of an export may be off by a minute, milliseconds.
const FUZZY_MS: i64 = 60_000;

/// Tries for a file.
const TRIES: u32 = 4;

/// Pause before the second try, milliseconds; doubles.
const RETRY_MS: u64 = 500;

/// Files loaded at a time.
const FILES_AT_A_TIME: usize = 2;

impl Check<'_> {
    /// Keys to be confirmed; `None` if single items may not be read, and all that can be said is in `outcome`.
    pub(super) async fn full(&self, outcome: &mut Outcome) -> Result<Option<Vec<Vec<String>>>> {
        let export = self.export().await?;
        let manifest = self.source.read_manifest(&export).await?;
        // A manifest is read from a bucket; AWS's own answer counts if it says less.
        let export_time_ms = export
            .export_time_ms
            .map_or(manifest.export_time_ms, |at_ms| {
                at_ms.min(manifest.export_time_ms)
            });
        let unreadable = self.load(&manifest, export_time_ms).await?;
        outcome.checked = manifest.item_count;
        self.of
            .job
            .phase("waiting until the mirror has caught up with the export", 0);
        self.caught_up(export_time_ms + FUZZY_MS).await?;
        self.of.job.phase("comparing all keys", 0);
        // What was written in the minutes around the export's time may or may not be in the export. A key that has a
        // row of those minutes, or a later one, is left out: what is left has not changed since before the export.
        let differences = self
            .of
            .verifier
            .compare(
                self.plan(),
                &self.beside.plan.table,
                export_time_ms - EXPORT_MARGIN_MS,
                true,
                MAX_CANDIDATES + 1,
            )
            .await?;
        if differences.len() > MAX_CANDIDATES {
            outcome.notes.push(format!(
                "more than {MAX_CANDIDATES} keys differ, and only so many were looked at; a resync is the better way"
            ));
        }
        let differences: Vec<Difference> = differences.into_iter().take(MAX_CANDIDATES).collect();
        let Some(first) = differences.first() else {
            return Ok(Some(Vec::new()));
        };
        let key = keys::to_json(self.plan(), &first.keys);
        match self.source.read_items(&[key]).await {
            Ok(_) => Ok(Some(differences.into_iter().map(|one| one.keys).collect())),
            Err(error) if error.kind == ErrorKind::AccessDenied => {
                outcome.notes.push(format!(
                    "the role may not read single items, so nothing is confirmed by a second look{}; to have both, add dynamodb:BatchGetItem to its access policy",
                    if self.of.repair { ", and repaired rows say what the export says" } else { "" }
                ));
                outcome.unreadable = unreadable;
                let taken = Taken {
                    export_time_ms,
                    unreadable,
                };
                outcome.found = match self.of.repair {
                    true => {
                        self.repair_by_export(taken, differences, &mut outcome.notes)
                            .await?
                    }
                    false => {
                        let found = |one: &Difference| self.unconfirmed(one, false);
                        differences.iter().map(found).collect()
                    }
                };
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A key that differs from the export, and no more is known.
    pub(super) fn unconfirmed(&self, one: &Difference, repaired: bool) -> Found {
        Found {
            kind: one.kind,
            key: keys::named(self.plan(), &one.keys),
            repaired,
        }
    }

    /// A new full export. Its ARN is nowhere stored: a verification that dies is asked for again.
    async fn export(&self) -> Result<ExportDescription> {
        let job = &self.of.job;
        job.phase("AWS exports the table", 0);
        let digest = Sha256::digest(format!("verify:{}", job.id));
        let request = ExportRequest {
            client_token: hex(&digest[..16]),
            s3_prefix: self.of.spec.s3_prefix.clone(),
            window: None,
        };
        let mut export = self.source.start_export(&request).await?;
        let mut pause_ms = FIRST_POLL_MS;
        let mut failures = 0;
        loop {
            match &export.status {
                ExportStatus::Completed => return Ok(export),
                ExportStatus::Failed { code, message } => {
                    let text = format!("AWS gave the export up: {code}: {message}");
                    return Err(failed(&text));
                }
                ExportStatus::InProgress => {}
            }
            self.of.clock.sleep_ms(pause_ms).await;
            pause_ms = (pause_ms * 3 / 2).min(LONGEST_POLL_MS);
            match self.source.describe_export(&export.arn).await {
                Ok(next) => (export, failures) = (next, 0),
                Err(error) if error.kind.passes() && failures < 10 * TRIES => failures += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Loads the export into the table beside the mirror's; returns how many items the table cannot hold.
    async fn load(&self, manifest: &ExportManifest, export_time_ms: i64) -> Result<u64> {
        self.empty_table("export").await?;
        let text = format!("loading the export, {} items", manifest.item_count);
        self.of.job.phase(text, manifest.item_count);
        let lines = Lines::Items {
            version_ms: export_time_ms - EXPORT_MARGIN_MS,
        };
        // Collected first, or the compiler cannot see that the whole is Send.
        let files: Vec<_> = manifest
            .files
            .iter()
            .map(|file| self.load_file(file, lines))
            .collect();
        let unreadable: Vec<u64> = stream::iter(files)
            .buffer_unordered(FILES_AT_A_TIME)
            .try_collect()
            .await?;
        Ok(unreadable.into_iter().sum())
    }

    async fn load_file(&self, file: &ExportFile, lines: Lines) -> Result<u64> {
        let mut pause_ms = RETRY_MS;
        let mut tries_left = TRIES;
        loop {
            tries_left -= 1;
            match self.try_file(file, lines).await {
                Err(error)
                    if tries_left > 0
                        && (error.kind.passes() || error.kind == ErrorKind::Corrupt) =>
                {
                    self.of.clock.sleep_ms(pause_ms).await;
                    pause_ms *= 2;
                }
                Err(error) => return Err(error),
                Ok(unreadable) => {
                    self.of.job.advance(file.item_count);
                    return Ok(unreadable);
                }
            }
        }
    }

    /// Rows that come twice are one row under FINAL.
    async fn try_file(&self, file: &ExportFile, lines: Lines) -> Result<u64> {
        let slots = self.of.supervisor.load_slots();
        let downloading = slots.download().await;
        let reader = self.source.open_file(file).await?;
        drop(downloading);
        let slot = slots.slot().await;
        let mut blocks = Blocks::start(&self.beside, &file.key, lines, reader, slot);
        let mut unreadable = 0;
        while let Some(block) = blocks.next().await {
            unreadable += block.quarantined.len() as u64;
            // What the table cannot hold is not in the mirror's either.
            let plan = &self.beside.plan;
            self.of
                .sink
                .insert(plan, &block.rows, RowOrder::Free)
                .await?;
            blocks.give_back(block);
        }
        let items = blocks.end().await?.lines;
        if items != file.item_count {
            let text = format!("load {}: it has not as many lines as promised", file.key);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(unreadable)
    }
}
