//! Puts records of a quarantine back into their table, after a fix: with the versions they had, so that each wins over
//! what is older than it and loses to what is newer, as if it had never been away.

use std::collections::BTreeMap;
use std::sync::Arc;

use mirror::batch::Batch;
use mirror::change::{ChangeRecord, EventKind};
use mirror::error::Result;
use mirror::projection::{Projection, RowError};
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use mirror::warehouse::Warehouse;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::worker::MirrorSpec;

/// Records read at a time: each may be a megabyte.
pub(crate) const PAGE: usize = 64;

/// Reasons that are told apart in an answer; what is left counts together.
const MAX_REASONS: usize = 50;

/// One replay of one quarantine.
pub(crate) struct Replay {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) warehouse: Arc<dyn Warehouse>,
    /// The mirror with the plan that its live table has.
    pub(crate) spec: MirrorSpec,
    /// Only say what would happen.
    pub(crate) dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplayReport {
    /// Records that are rows now.
    pub(crate) replayed: u64,
    /// Records that still fail, by reason.
    pub(crate) failed: BTreeMap<String, u64>,
}

impl Replay {
    /// Takes one page after `after`. Returns the last record of the page, `None` at the end, and how many records left
    /// the quarantine.
    pub(crate) async fn page(
        &self,
        after: Option<&QuarantinedRecord>,
        report: &mut ReplayReport,
    ) -> Result<Option<(QuarantinedRecord, u64)>> {
        let plan = &self.spec.plan;
        let mut records = self.warehouse.quarantined(plan, after, PAGE).await?;
        let Some(last) = records.last().cloned() else {
            return Ok(None);
        };
        // What this run itself wrote back with another column may come again.
        let same = |a: &QuarantinedRecord, b: &QuarantinedRecord| {
            a.origin == b.origin && a.position == b.position
        };
        records.dedup_by(|next, kept| same(next, kept));
        records.retain(|record| !after.is_some_and(|after| same(record, after)));
        let mut projection = Projection::new(plan);
        let mut rows = plan.new_batch();
        let (mut done, mut changed) = (Vec::new(), Vec::new());
        for record in records {
            let region = &self.spec.source.region;
            match project(&record, region, &mut projection, &mut rows) {
                Ok(()) => done.push(record),
                Err(error) => {
                    report.count(&error);
                    if error.column != record.column || error.reason != record.reason {
                        changed.push((record, error));
                    }
                }
            }
        }
        report.replayed += done.len() as u64;
        if self.dry_run {
            return Ok(Some((last, 0)));
        }
        let left = done.len() as u64;
        self.write(&rows, done, changed).await?;
        Ok(Some((last, left)))
    }

    /// First what is new, then what is no longer wanted: dying in between leaves a record twice, and never nowhere.
    async fn write(
        &self,
        rows: &Batch,
        done: Vec<QuarantinedRecord>,
        changed: Vec<(QuarantinedRecord, RowError)>,
    ) -> Result<()> {
        let plan = &self.spec.plan;
        let mut gone = done;
        if rows.rows > 0 {
            self.sink.insert(plan, rows, RowOrder::AsGiven).await?;
        }
        let mut kept = Vec::with_capacity(changed.len());
        for (record, error) in changed {
            kept.push(QuarantinedRecord {
                column: error.column.clone(),
                reason: error.reason,
                ..record.clone()
            });
            if record.column != error.column {
                gone.push(record);
            }
        }
        if !kept.is_empty() {
            self.sink.quarantine(plan, &kept).await?;
        }
        if !gone.is_empty() {
            self.warehouse.discharge(plan, &gone).await?;
        }
        Ok(())
    }
}

impl ReplayReport {
    fn count(&mut self, error: &RowError) {
        let mut reason = error.to_string();
        if self.failed.len() >= MAX_REASONS && !self.failed.contains_key(&reason) {
            reason = "other reasons".to_owned();
        }
        *self.failed.entry(reason).or_default() += 1;
    }
}

/// The members by which the kinds of raw records are told apart, and those that a row is made of.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "Item", borrow)]
    item: Option<&'a RawValue>,
    #[serde(rename = "Metadata", borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(rename = "eventName")]
    event_name: Option<String>,
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    #[serde(rename = "Keys", borrow)]
    keys: Option<&'a RawValue>,
    #[serde(rename = "NewImage", borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(rename = "OldImage", borrow)]
    old_image: Option<&'a RawValue>,
    #[serde(rename = "userIdentity")]
    user_identity: Option<Identity>,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(rename = "principalId", default)]
    principal: String,
}

/// A record as AWS sends it; what could not be read when it came stands where the keys should.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(rename = "eventName")]
    event_name: String,
    #[serde(rename = "eventID", default)]
    event_id: String,
    #[serde(borrow)]
    dynamodb: Change<'a>,
    #[serde(rename = "userIdentity")]
    user_identity: Option<Identity>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(rename = "Keys", borrow)]
    keys: &'a RawValue,
    #[serde(rename = "NewImage", borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(rename = "OldImage", borrow)]
    old_image: Option<&'a RawValue>,
    /// Every stream record has one, and no typed map of attributes has a text there.
    #[serde(rename = "SequenceNumber")]
    _sequence_number: String,
}

fn project(
    record: &QuarantinedRecord,
    aws_region: &str,
    projection: &mut Projection,
    rows: &mut Batch,
) -> std::result::Result<(), RowError> {
    let line = record.raw_record.as_slice();
    let version_ms = record.version_ms;
    // The parser's own text could quote the record.
    let raw: Raw<'_> = serde_json::from_slice(line)
        .map_err(|error| broken(format!("{:?} error in its JSON", error.classify())))?;
    if raw.metadata.is_some() {
        return projection.project_incremental_line(line, |_| version_ms, aws_region, rows);
    }
    if raw.item.is_some() {
        return projection.project_export_line(line, version_ms, aws_region, rows);
    }
    let keys = raw.keys.ok_or_else(|| broken("it has no Keys"))?;
    let whole: Option<Whole<'_>> = serde_json::from_str(keys.get()).ok();
    let (event_name, event_id, identity, keys, new_image, old_image) = match whole {
        Some(whole) => {
            let change = whole.dynamodb;
            let (new_image, old_image) = (change.new_image, change.old_image);
            let (name, id) = (whole.event_name, whole.event_id);
            (
                name,
                id,
                whole.user_identity,
                change.keys,
                new_image,
                old_image,
            )
        }
        None => {
            let name = raw.event_name.unwrap_or_default();
            let id = raw.event_id.unwrap_or_default();
            (
                name,
                id,
                raw.user_identity,
                keys,
                raw.new_image,
                raw.old_image,
            )
        }
    };
    let kind = match event_name.as_str() {
        "INSERT" => EventKind::Insert,
        "MODIFY" => EventKind::Modify,
        "REMOVE" => EventKind::Remove,
        _ => return Err(broken("its eventName is none of INSERT, MODIFY and REMOVE")),
    };
    let bytes = |value: &'_ RawValue| value.get().as_bytes().to_vec();
    let (new_image, old_image) = (new_image.map(bytes), old_image.map(bytes));
    let change = ChangeRecord {
        kind,
        keys: keys.get().as_bytes(),
        new_image: new_image.as_deref(),
        old_image: old_image.as_deref(),
        version_ms,
        event_id: &event_id,
        sequence_number: &record.position,
        aws_region,
        user_identity: identity
            .as_ref()
            .map(|who| (who.kind.as_str(), who.principal.as_str())),
    };
    projection.project(&change, rows)
}

fn broken(why: impl std::fmt::Display) -> RowError {
    RowError {
        column: String::new(),
        reason: format!("the record cannot be read: {why}"),
    }
}
