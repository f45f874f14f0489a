//! The life of one mirror: reach the table, pin the stream, then follow the stream and backfill beside it.

use std::sync::Arc;

use mirror::checkpoint::{ExportPhase, ExportProgress, FileCheckpoint};
use mirror::error::{Error, ErrorKind};
use mirror::heal::{Coverage, Gap};
use mirror::shard_tree::ShardTree;
use mirror::source::Source;
use mirror::store::{ExportPart, MirrorProgress, TableIdentity};
use mirror::table::TableDescription;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{info, warn};

use super::MirrorSpec;
use super::board::Topic;
use super::export_phase::Backfill;
use super::export_run::ExportRun;
use super::heal_phase::{Begun, Healer, Hopeless};
use super::retry::Retry;
use super::stream_label::stream_began_ms;
use super::stream_phase::{StreamEnd, StreamFollower, StreamStart};

/// What runs beside the follower: a backfill, a healing.
type Beside = JoinSet<Option<Result<(), Hopeless>>>;

/// What became of it; `None` if it was cancelled. A panic goes on: whoever watches this task starts all of it again.
fn outcome(ended: Result<Option<Result<(), Hopeless>>, JoinError>) -> Option<Result<(), Hopeless>> {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => None,
    })
}

/// Runs one generation of a mirror until it is cancelled.
pub(crate) struct MirrorWorker {
    pub(crate) retry: Retry,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) asked: watch::Sender<bool>,
    /// Why only a new backfill helps, once that is known.
    pub(crate) hopeless: watch::Sender<Option<String>>,
}

impl MirrorWorker {
    /// Returns when cancelled; whatever goes wrong is on the board and tried again.
    pub(crate) async fn run(self) {
        let mut beside = JoinSet::new();
        let _ = self.live(&mut beside).await;
        // Cancelled too; a second worker of this mirror may start only after it has really ended.
        while let Some(ended) = beside.join_next().await {
            let _ = outcome(ended);
        }
        info!(mirror = %self.retry.mirror, "mirror stops");
    }

    async fn live(&self, beside: &mut Beside) -> Option<()> {
        let mut progress = self.load().await?;
        let source = self.connect().await?;
        let mut identity = self.identify(source.as_ref(), &progress).await?;
        self.show(&progress);
        let mut backfill = Some((progress.export.clone(), std::mem::take(&mut progress.files)));
        let mut hopeless = false;
        loop {
            // 1. Begin to close a gap before anything is read: `mirror::heal` wants to know what the table holds.
            //    What was begun goes on even if the backfill failed since: a new one waits for it.
            let begun = progress.healing.is_some();
            let heals = |gap: &Gap| !hopeless && (begun || !self.waits(gap));
            if let Some(gap) = progress.gap.clone().filter(heals) {
                if let Some((export, files)) = backfill.take() {
                    let run = self.backfill(&source, &identity, export, files);
                    beside.spawn(async { run.run().await.map(Ok) });
                }
                self.retry.board.started();
                match self.begin_healing(&source, gap, progress).await? {
                    Ok(Some(begun)) => {
                        progress = self.load().await?;
                        progress.coverage = begun.coverage();
                        beside.spawn(begun.run());
                    }
                    Ok(None) => {
                        progress = self.load().await?;
                        continue;
                    }
                    Err(why) => {
                        self.give_up(&why);
                        hopeless = true;
                        progress = self.load().await?;
                    }
                }
            }
            // 2. Pin the stream before the export is asked for: every change after the export is in these shards.
            let start = StreamStart {
                stream_arn: identity.stream_arn.clone(),
                shards: std::mem::take(&mut progress.shards),
                coverage: progress.coverage,
                hopeless,
            };
            let mut follower = StreamFollower::new(
                self.retry.clone(),
                Arc::clone(&self.spec),
                Arc::clone(&source),
                start,
            );
            follower.pin().await?;
            self.retry.board.started();
            // 3. Backfill beside it, in a task of its own: an export can take longer than the stream remembers.
            if let Some((export, files)) = backfill.take() {
                let run = self.backfill(&source, &identity, export, files);
                beside.spawn(async { run.run().await.map(Ok) });
            }
            // 4. Follow until stopped, until something was lost, or until this stream has nothing more to say.
            let mut following = std::pin::pin!(follower.run());
            let end = loop {
                tokio::select! {
                    end = &mut following => break end,
                    Some(ended) = beside.join_next() => {
                        if let Some(Err(why)) = outcome(ended) {
                            self.give_up(&why);
                            hopeless = true;
                        }
                        // What is stored counts, not what was up meanwhile.
                        self.retry.board.gap(self.load().await?.gap.as_ref());
                        // A gap that was found before a restart, while another one was being healed.
                        let gap = self.retry.board.current_gap();
                        if !hopeless && !self.retry.board.is_healing() && gap.is_some_and(|gap| !self.waits(&gap)) {
                            break StreamEnd::Gap;
                        }
                    }
                }
            };
            if end == StreamEnd::Cancelled {
                return None;
            }
            // A healing under way ends first: whatever was lost meanwhile is a gap of its own.
            while self.retry.board.is_healing() && !hopeless {
                let Some(ended) = beside.join_next().await else {
                    break;
                };
                if let Some(Err(why)) = outcome(ended) {
                    self.give_up(&why);
                    hopeless = true;
                }
            }
            progress = self.load().await?;
            self.retry.board.gap(progress.gap.as_ref());
            if end == StreamEnd::Drained {
                identity = self
                    .next_stream(source.as_ref(), &identity, &progress)
                    .await?;
                progress = self.load().await?;
            }
        }
    }

    /// Whether a backfill under way closes this gap when it is done.
    fn waits(&self, gap: &Gap) -> bool {
        let board = &self.retry.board;
        gap.is_in_export(board.export_time_ms()) && !board.is_loaded()
    }

    /// Closes a gap that the backfill has all of (`None`), or begins to heal it.
    async fn begin_healing(
        &self,
        source: &Arc<dyn Source>,
        gap: Gap,
        progress: MirrorProgress,
    ) -> Option<Result<Option<Begun>, Hopeless>> {
        if gap.is_in_export(self.retry.board.export_time_ms()) && progress.healing.is_none() {
            let run = self.export_run(source, progress.export.clone(), Vec::new());
            run.sweep().await?;
            return Some(Ok(None));
        }
        let healer = Healer {
            retry: self.retry.clone(),
            spec: Arc::clone(&self.spec),
            source: Arc::clone(source),
            gap,
            progress,
        };
        let clock = &self.retry.ports.clock;
        self.retry.board.suspended(true, clock.now_ms());
        let begun = healer.begin().await?;
        self.retry.board.suspended(false, clock.now_ms());
        Some(begun.map(Some))
    }

    async fn load(&self) -> Option<MirrorProgress> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "load the mirror's progress", || {
                store.load(mirror)
            })
            .await
    }

    /// Shows what is stored.
    fn show(&self, progress: &MirrorProgress) {
        let board = &self.retry.board;
        let waiting = ExportProgress::waiting(1);
        // Whoever sees that the export is there sees the right number of records in quarantine.
        board.quarantined(progress.quarantined);
        board.export(
            ExportPart::Backfill,
            progress.export.as_ref().unwrap_or(&waiting),
        );
        board.gap(progress.gap.as_ref());
        if progress.healing.is_some() {
            board.healing(Some(0));
        }
    }

    /// Only a new backfill helps.
    fn give_up(&self, why: &str) {
        self.retry.board.hopeless(why);
        let before = self.hopeless.send_replace(Some(why.to_owned()));
        if before.as_deref() != Some(why) {
            warn!(mirror = %self.retry.mirror, why, "a gap cannot be healed; a new backfill is needed");
        }
    }

    fn export_run(
        &self,
        source: &Arc<dyn Source>,
        export: Option<ExportProgress>,
        files: Vec<FileCheckpoint>,
    ) -> ExportRun {
        ExportRun {
            retry: self.retry.clone(),
            spec: Arc::clone(&self.spec),
            source: Arc::clone(source),
            part: ExportPart::Backfill,
            name: self.retry.mirror.clone(),
            window: None,
            progress: export.unwrap_or_else(|| ExportProgress::waiting(1)),
            files,
        }
    }

    fn backfill(
        &self,
        source: &Arc<dyn Source>,
        identity: &TableIdentity,
        export: Option<ExportProgress>,
        files: Vec<FileCheckpoint>,
    ) -> Backfill {
        let run = self.export_run(source, export, files);
        if run.progress.phase == ExportPhase::Loaded {
            self.asked.send_replace(true);
        }
        Backfill {
            run,
            stream_began_ms: stream_began_ms(&identity.stream_arn)
                .map(|asked_ms| self.enabled_ms(source.as_ref(), asked_ms)),
            asked: self.asked.clone(),
        }
    }

    /// The latest that a stream asked for at `asked_ms` took its first record: its label says when it was asked
    /// for, and what was written while AWS was still switching it on is not in it. It is on now.
    fn enabled_ms(&self, source: &dyn Source, asked_ms: i64) -> i64 {
        let longest_ms = i64::try_from(self.retry.settings.enable_timeout_ms).unwrap_or(i64::MAX);
        let now_ms = self.retry.ports.clock.now_ms() + source.clock_ahead_ms();
        now_ms
            .min(asked_ms.saturating_add(longest_ms))
            .max(asked_ms)
    }

    async fn connect(&self) -> Option<Arc<dyn Source>> {
        let sources = &self.retry.ports.sources;
        self.retry
            .until_done(Topic::Table, "assume the role", || async move {
                match sources {
                    Some(sources) => sources.connect(&self.spec.source).await,
                    None => Err(Error::new(
                        ErrorKind::CredentialsMissing,
                        "reach DynamoDB: the server has no AWS credentials",
                    )),
                }
            })
            .await
    }

    /// Describes the table until it can be mirrored, and compares it with what was remembered.
    async fn identify(
        &self,
        source: &dyn Source,
        progress: &MirrorProgress,
    ) -> Option<TableIdentity> {
        loop {
            let table = self
                .retry
                .until_done(Topic::Table, "describe the table", || {
                    source.describe_table()
                })
                .await?;
            match identity_of(&table, progress.identity.as_ref(), &self.spec) {
                Ok(identity) => {
                    if progress.identity.as_ref() != Some(&identity) {
                        self.save_identity(&identity).await?;
                    }
                    return Some(identity);
                }
                Err(refusal) => self.refused(&refusal).await?,
            }
        }
    }

    async fn save_identity(&self, identity: &TableIdentity) -> Option<()> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store the table's identity", || {
                store.save_identity(mirror, identity)
            })
            .await
    }

    /// Says why the table cannot be mirrored as it is, and waits before the next look.
    async fn refused(&self, refusal: &Refused) -> Option<()> {
        let error = match refusal {
            Refused::NoStream(error) | Refused::OtherKeys(error) => error,
            // The rows here belong to another table: only a new backfill helps.
            Refused::Replaced(error) => {
                self.give_up(&error.context);
                return self.retry.pause(self.retry.settings.retry_max_ms).await;
            }
        };
        warn!(mirror = %self.retry.mirror, error = %error.report(), "the table cannot be mirrored as it is");
        self.retry
            .board
            .problem(Topic::Table, error, self.retry.ports.clock.now_ms());
        self.retry.pause(self.retry.settings.retry_max_ms).await
    }

    /// The followed stream was switched off and is drained: waits for its successor. What was written in
    /// between is in neither, so this is a gap.
    async fn next_stream(
        &self,
        source: &dyn Source,
        drained: &TableIdentity,
        progress: &MirrorProgress,
    ) -> Option<TableIdentity> {
        let remembered = TableIdentity {
            table_id: drained.table_id.clone(),
            stream_arn: String::new(),
        };
        let tree = ShardTree::restore(progress.shards.clone(), progress.coverage);
        let gap = Gap {
            // While a shard was open the stream was on.
            since_ms: tree
                .lowest_watermark_ms()
                .unwrap_or_else(|| stream_began_ms(&drained.stream_arn).unwrap_or(0)),
            until_ms: 0,
            what: "the stream was switched off and on again; changes made in between are in neither stream"
                .to_owned(),
        };
        let mut gap = match progress.gap.clone() {
            Some(known) => known.with(gap),
            None => gap,
        };
        let coverage = Coverage {
            clock_floor_ms: tree.highest_clock_ms(),
            ..progress.coverage
        };
        loop {
            let table = self
                .retry
                .until_done(Topic::Table, "describe the table", || {
                    source.describe_table()
                })
                .await?;
            let refusal = match identity_of(&table, Some(&remembered), &self.spec) {
                Ok(_) => match table.stream {
                    Some(stream) if stream.arn != drained.stream_arn => {
                        let next = TableIdentity {
                            table_id: drained.table_id.clone(),
                            stream_arn: stream.arn,
                        };
                        // It may still be on its way.
                        let now_ms = self.retry.ports.clock.now_ms() + source.clock_ahead_ms();
                        let longest_ms = self.retry.settings.enable_timeout_ms;
                        gap.until_ms =
                            now_ms.saturating_add(i64::try_from(longest_ms).unwrap_or(0));
                        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
                        self.retry
                            .until_done(Topic::Progress, "store the new stream and the gap", || {
                                store.change_stream(mirror, &next, &gap, coverage)
                            })
                            .await?;
                        self.retry.board.gap(Some(&gap));
                        return Some(next);
                    }
                    _ => Refused::NoStream(Error::new(ErrorKind::Permanent, STREAM_OFF)),
                },
                Err(refusal) => refusal,
            };
            self.refused(&refusal).await?;
        }
    }
}

const STREAM_OFF: &str = "DynamoDB Streams must be enabled. The stream was switched off: switch it on again with NEW_AND_OLD_IMAGES. \
     Changes made meanwhile are brought by incremental exports";

/// Why a table cannot be mirrored as it is.
enum Refused {
    /// It has no stream to follow.
    NoStream(Error),
    /// It was deleted and created again.
    Replaced(Error),
    /// It has other key attributes than the data source was planned for.
    OtherKeys(Error),
}

/// What to remember of a table; refused if it is another table now, or has no stream to follow.
fn identity_of(
    table: &TableDescription,
    remembered: Option<&TableIdentity>,
    spec: &MirrorSpec,
) -> Result<TableIdentity, Refused> {
    if let Some(remembered) = remembered.filter(|remembered| remembered.table_id != table.table_id)
    {
        let text = format!(
            "table {} was deleted and created again (its id was {}, now it is {}): the rows here belong to the table that was",
            table.name, remembered.table_id, table.table_id
        );
        return Err(Refused::Replaced(Error::new(ErrorKind::Permanent, text)));
    }
    if !spec.plan.keys.is_empty() && table.keys != spec.plan.keys {
        let text = format!(
            "table {} has other key attributes than when the data source was built; run: tb build --with-connections",
            table.name
        );
        return Err(Refused::OtherKeys(Error::new(ErrorKind::Permanent, text)));
    }
    match (remembered, &table.stream) {
        // The followed stream goes on being followed even if it was replaced: it is read to its end first.
        (Some(remembered), _) => Ok(remembered.clone()),
        (None, Some(stream)) => Ok(TableIdentity {
            table_id: table.table_id.clone(),
            stream_arn: stream.arn.clone(),
        }),
        (None, None) => Err(Refused::NoStream(Error::new(
            ErrorKind::Permanent,
            "DynamoDB Streams must be enabled. Switch it on with NEW_AND_OLD_IMAGES",
        ))),
    }
}
