//! Fills a table with some items of its DynamoDB table, by a Scan: for branches and Local servers, where an export
//! costs more than it is worth.
//!
//! A sample is no mirror: its rows stay as they are. The table is marked in the store before its first row, and a
//! deployment that connects it makes it anew, so that no item of a sample outlives its deletion.

use std::sync::Arc;

use mirror::batch::Batch;
use mirror::error::{Error, ErrorKind, Result};
use mirror::limits::EXPORT_MARGIN_MS;
use mirror::plan::{MirrorPlan, build_plan};
use mirror::projection::Projection;
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use mirror::source::{ScanRequest, Source, SourceSpec, Sources};
use tracing::{info, warn};

use crate::deploy::Deployer;
use crate::jobs::{Done, Job, JobEnd};
use crate::store::Workspace;

/// Parts of the key space that are read in turns, so that a sample is not one corner of the table.
const SEGMENTS: u32 = 8;

/// Items that one call looks at, at most.
const MAX_PAGE: u64 = 1000;

/// A sample that was asked for.
pub(crate) struct Sampling {
    pub(crate) sources: Arc<dyn Sources>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) workspace: Workspace,
    pub(crate) datasource: String,
    pub(crate) source: SourceSpec,
    /// Items, at most.
    pub(crate) rows: u64,
    /// Bytes of items as DynamoDB JSON, at most.
    pub(crate) max_bytes: u64,
    pub(crate) job: Arc<Job>,
}

/// Rows on their way into the table.
struct Filling {
    plan: MirrorPlan,
    projection: Projection,
    rows: Batch,
    quarantined: Vec<QuarantinedRecord>,
    version_ms: i64,
    items: u64,
    bytes: u64,
    failed: u64,
}

impl Sampling {
    /// Runs to its end.
    pub(crate) async fn run(self) {
        let (name, job) = (self.datasource.as_str(), &self.job);
        let outcome = tokio::select! {
            biased;
            () = job.cancel.cancelled() => None,
            outcome = self.fill() => Some(outcome),
        };
        let end = match outcome {
            None => JobEnd::Cancelled,
            Some(Ok(done)) => {
                info!(datasource = name, job = %job.id, ?done, "sample done");
                JobEnd::Done(done)
            }
            Some(Err(error)) => {
                warn!(datasource = name, job = %job.id, error = %error.report(), "sample failed");
                JobEnd::Failed(error.report())
            }
        };
        job.finish(end, self.deployer.clock.now_ms());
    }

    async fn fill(&self) -> Result<Done> {
        self.job.phase("reaching the table", 0);
        let source = self.sources.connect(&self.source).await?;
        let keys = source.describe_table().await?.keys;
        // Nobody may connect the table while a sample is put into it.
        let _alone = self.deployer.lock(&self.workspace).await;
        let database = self.workspace.database();
        let datasource = self
            .deployer
            .unconnected(&self.workspace, &self.datasource)
            .await
            .map_err(|reason| Error::new(ErrorKind::Permanent, reason))?;
        let (plan, _) = build_plan(&database, &datasource, &keys).map_err(|diagnostics| {
            let first = diagnostics.first();
            let reason = first.map_or("", |first| first.message.as_str());
            Error::new(
                ErrorKind::Permanent,
                format!("use the file of data source {}: {reason}", self.datasource),
            )
        })?;
        let store = &self.deployer.store;
        let now_ms = self.deployer.clock.now_ms();
        store
            .mark_sampled(&self.workspace.id, &self.datasource, now_ms)
            .await
            .map_err(|error| {
                Error::with_source(error.kind(), "use the metadata database", error)
            })?;
        let warehouse = &self.deployer.warehouse;
        warehouse.drop_table(&database, &plan.table).await?;
        warehouse.create_table(&plan).await?;
        self.job.phase("scanning the table", self.rows);
        let mut filling = Filling {
            projection: Projection::new(&plan),
            rows: plan.new_batch(),
            quarantined: Vec::new(),
            version_ms: now_ms + source.clock_ahead_ms() - EXPORT_MARGIN_MS,
            items: 0,
            bytes: 0,
            failed: 0,
            plan,
        };
        let whole = self.scan(source.as_ref(), &mut filling).await?;
        self.flush(&mut filling).await?;
        Ok(Done::Sampled {
            rows: filling.items - filling.failed,
            quarantined: filling.failed,
            whole,
        })
    }

    /// Reads the segments in turns, until there is enough. Whether that was everything.
    async fn scan(&self, source: &dyn Source, filling: &mut Filling) -> Result<bool> {
        let mut open: Vec<(u32, Option<Vec<u8>>)> =
            (0..SEGMENTS).map(|segment| (segment, None)).collect();
        while !open.is_empty() {
            let mut left_open = Vec::with_capacity(open.len());
            let count = open.len() as u64;
            for (at, (segment, after)) in open.into_iter().enumerate() {
                let left = self.rows - filling.items;
                if left == 0 || filling.bytes >= self.max_bytes {
                    return Ok(false);
                }
                let share = left.div_ceil(count - at as u64).clamp(1, MAX_PAGE);
                let request = ScanRequest {
                    segment,
                    total_segments: SEGMENTS,
                    limit: u32::try_from(share).unwrap_or(1),
                    after,
                };
                let page = source.scan(&request).await?;
                for item in &page.items {
                    self.take(item, filling);
                }
                self.job.advance(page.items.len() as u64);
                if let Some(next) = page.next {
                    left_open.push((segment, Some(next)));
                }
                if filling.rows.rows as u64 >= MAX_PAGE {
                    self.flush(filling).await?;
                }
            }
            open = left_open;
        }
        Ok(true)
    }

    fn take(&self, item: &[u8], filling: &mut Filling) {
        filling.items += 1;
        filling.bytes += item.len() as u64;
        // An item as a line of an export.
        let mut line = Vec::with_capacity(item.len() + 9);
        line.extend_from_slice(b"{\"Item\":");
        line.extend_from_slice(item);
        line.push(b'}');
        let projected = filling.projection.project_export_line(
            line.as_slice(),
            filling.version_ms,
            &self.source.region,
            &mut filling.rows,
        );
        if let Err(error) = projected {
            filling.failed += 1;
            filling.quarantined.push(QuarantinedRecord {
                origin: "sample".to_owned(),
                position: filling.items.to_string(),
                column: error.column,
                reason: error.reason,
                raw_record: line,
                version_ms: filling.version_ms,
            });
        }
    }

    async fn flush(&self, filling: &mut Filling) -> Result<()> {
        if filling.rows.rows > 0 {
            self.sink
                .insert(&filling.plan, &filling.rows, RowOrder::AsGiven)
                .await?;
            filling.rows.clear();
        }
        if !filling.quarantined.is_empty() {
            self.sink
                .quarantine(&filling.plan, &filling.quarantined)
                .await?;
            filling.quarantined.clear();
        }
        Ok(())
    }
}
