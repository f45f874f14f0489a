//! The life of one mirror: reach the table, pin the stream, then follow the stream and backfill beside it.

use std::sync::Arc;

use mirror::checkpoint::{ExportPhase, ExportProgress};
use mirror::error::{Error, ErrorKind};
use mirror::source::Source;
use mirror::store::{MirrorProgress, TableIdentity};
use mirror::table::TableDescription;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::MirrorSpec;
use super::board::Topic;
use super::export_phase::Backfill;
use super::retry::Retry;
use super::stream_phase::{StreamEnd, StreamFollower};

/// Runs one mirror until it is cancelled.
pub(crate) struct MirrorWorker {
    pub(crate) retry: Retry,
    pub(crate) spec: Arc<MirrorSpec>,
    pub(crate) asked: watch::Sender<bool>,
}

impl MirrorWorker {
    /// Returns when cancelled; whatever goes wrong is on the board and tried again.
    pub(crate) async fn run(self) {
        let mut backfills = JoinSet::new();
        let _ = self.live(&mut backfills).await;
        // Cancelled too; a second worker of this mirror may start only after it has really ended.
        while backfills.join_next().await.is_some() {}
        info!(mirror = %self.retry.mirror, "mirror stops");
    }

    async fn live(&self, backfills: &mut JoinSet<Option<()>>) -> Option<()> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        let progress = self
            .retry
            .until_done(Topic::Progress, "load the mirror's progress", || {
                store.load(mirror)
            })
            .await?;
        self.retry.board.export(
            progress
                .export
                .as_ref()
                .unwrap_or(&ExportProgress::waiting(1)),
        );
        self.retry.board.quarantined(progress.quarantined);
        if let Some(gap) = &progress.gap {
            self.retry.board.gap(gap);
        }
        let source = self.connect().await?;
        let identity = self.identify(source.as_ref(), &progress).await?;
        let mut shards = progress.shards;
        let mut stream_arn = identity.stream_arn.clone();
        let mut backfill = Some((progress.export, progress.files));
        loop {
            // 1. Pin the stream before the export is asked for: every change after the export is in these shards.
            let mut follower = StreamFollower::new(
                self.retry.clone(),
                Arc::clone(&self.spec),
                Arc::clone(&source),
                stream_arn.clone(),
                std::mem::take(&mut shards),
            );
            follower.pin().await?;
            self.retry.board.started();
            // 2. Backfill beside it, in a task of its own: an export can take longer than the stream remembers.
            if let Some((export, files)) = backfill.take() {
                backfills.spawn(
                    self.backfill(Arc::clone(&source), &stream_arn, export, files)
                        .run(),
                );
            }
            // 3. Follow until stopped, or until this stream has nothing more to say.
            match follower.run().await {
                StreamEnd::Cancelled => return None,
                StreamEnd::Drained => {
                    stream_arn = self
                        .next_stream(source.as_ref(), &identity.table_id, &stream_arn)
                        .await?
                }
            }
        }
    }

    fn backfill(
        &self,
        source: Arc<dyn Source>,
        stream_arn: &str,
        export: Option<ExportProgress>,
        files: Vec<mirror::checkpoint::FileCheckpoint>,
    ) -> Backfill {
        let progress = export.unwrap_or_else(|| ExportProgress::waiting(1));
        if progress.phase == ExportPhase::Loaded {
            self.asked.send_replace(true);
        }
        Backfill {
            retry: self.retry.clone(),
            spec: Arc::clone(&self.spec),
            source,
            stream_began_ms: stream_began_ms(stream_arn).map(|asked_ms| self.enabled_ms(asked_ms)),
            progress,
            files,
            asked: self.asked.clone(),
        }
    }

    /// The latest that a stream asked for at `asked_ms` took its first record: its label says when it was asked
    /// for, and what was written while AWS was still switching it on is not in it. It is on now.
    fn enabled_ms(&self, asked_ms: i64) -> i64 {
        let longest_ms = i64::try_from(self.retry.settings.enable_timeout_ms).unwrap_or(i64::MAX);
        let now_ms = self.retry.ports.clock.now_ms();
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
            match identity_of(&table, progress.identity.as_ref()) {
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

    /// Stores that changes were lost, until a new backfill.
    async fn lost(&self, gap: &str) -> Option<()> {
        let (store, mirror) = (&self.retry.ports.store, &self.retry.mirror);
        self.retry
            .until_done(Topic::Progress, "store the gap", || {
                store.save_gap(mirror, gap)
            })
            .await?;
        self.retry.board.gap(gap);
        Some(())
    }

    /// Says why the table cannot be mirrored as it is, and waits before the next look.
    async fn refused(&self, refusal: &Refused) -> Option<()> {
        let error = match refusal {
            Refused::NoStream(error) => error,
            // The rows here belong to another table: only a new backfill helps.
            Refused::Replaced(error) => {
                self.lost(&error.context).await?;
                error
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
        table_id: &str,
        drained_arn: &str,
    ) -> Option<String> {
        loop {
            let table = self
                .retry
                .until_done(Topic::Table, "describe the table", || {
                    source.describe_table()
                })
                .await?;
            let remembered = TableIdentity {
                table_id: table_id.to_owned(),
                stream_arn: String::new(),
            };
            match identity_of(&table, Some(&remembered)) {
                Ok(_)
                    if table
                        .stream
                        .as_ref()
                        .is_some_and(|stream| stream.arn != drained_arn) =>
                {
                    let Some(stream) = table.stream else { continue };
                    let gap = "gap: the stream was switched off and on again; changes made in between are in neither stream";
                    self.lost(gap).await?;
                    self.save_identity(&TableIdentity {
                        table_id: table_id.to_owned(),
                        stream_arn: stream.arn.clone(),
                    })
                    .await?;
                    return Some(stream.arn);
                }
                Ok(_) => {
                    let error = Error::new(ErrorKind::Permanent, STREAM_OFF);
                    self.refused(&Refused::NoStream(error)).await?
                }
                Err(refusal) => self.refused(&refusal).await?,
            }
        }
    }
}

const STREAM_OFF: &str = "DynamoDB Streams must be enabled. The stream was switched off: switch it on again with NEW_AND_OLD_IMAGES. \
     Changes made meanwhile will need a new backfill";

/// Why a table cannot be mirrored as it is.
enum Refused {
    /// It has no stream to follow.
    NoStream(Error),
    /// It was deleted and created again.
    Replaced(Error),
}

/// What to remember of a table; refused if it is another table now, or has no stream to follow.
fn identity_of(
    table: &TableDescription,
    remembered: Option<&TableIdentity>,
) -> Result<TableIdentity, Refused> {
    if let Some(remembered) = remembered.filter(|remembered| remembered.table_id != table.table_id)
    {
        let text = format!(
            "table {} was deleted and created again (its id was {}, now it is {}): the rows here belong to the table that was",
            table.name, remembered.table_id, table.table_id
        );
        return Err(Refused::Replaced(Error::new(ErrorKind::Permanent, text)));
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

/// When a stream was asked for, milliseconds: its ARN ends with the time, `.../stream/2015-05-11T21:21:33.291`.
fn stream_began_ms(stream_arn: &str) -> Option<i64> {
    let label = stream_arn.rsplit_once("/stream/")?.1;
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]"
    );
    let began = time::PrimitiveDateTime::parse(label, format)
        .ok()?
        .assume_utc();
    i64::try_from(began.unix_timestamp_nanos() / 1_000_000).ok()
}
