//! From a change to a row: every column of the plan takes its value from the record.
//!
//! Which image a path reads is the table in [`Projection`]; how a value becomes a column's value is in
//! `projection/value.rs`. Each image is scanned once, and whole-image columns are written straight into the
//! column's bytes.

mod fill;
mod time;
mod value;

use std::fmt;

use crate::batch::Batch;
use crate::change::{ChangeRecord, EventKind};
use crate::plan::MirrorPlan;
use crate::transcode::{AttributeName, Line, TranscodeError, incremental_line};

use fill::{Fill, Image, Images};

/// Why a record is no row of this table. Holds no value of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Column that refused it; empty if the record itself is broken.
    pub column: String,
    /// Why, for people.
    pub reason: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.column.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "column {}: {}", self.column, self.reason)
        }
    }
}

impl std::error::Error for RowError {}

/// Makes rows of one plan. Keeps its buffers: make one per thread and plan.
///
/// | json path | EXPORT | INSERT, MODIFY | REMOVE |
/// | --- | --- | --- | --- |
/// | `$.Item.<key>` | from the item | from `Keys` | from `Keys` |
/// | `$.Item.<other>` | from the item | from the new image | missing |
/// | `$.Keys` | the item's keys | `Keys` | `Keys` |
/// | `$.Item`, `$.NewImage` | the item | the new image | none |
/// | `$.OldImage` | none | if the stream has it | if the stream has it |
///
/// "None" is `''` in a column that is not Nullable, else NULL. An attribute that is missing, or NULL in
/// DynamoDB, is NULL in a Nullable column and else left to the column's DEFAULT; a key must be there.
#[derive(Clone, Debug)]
pub struct Projection {
    fills: Vec<Fill>,
    /// The table's key attributes, sorted by name.
    keys: Vec<AttributeName>,
    needs: Needs,
    images: Images,
}

/// Which images the columns read.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    keys: bool,
    new: bool,
    old: bool,
}

impl Projection {
    /// Prepares the columns of `plan`.
    pub fn new(plan: &MirrorPlan) -> Self {
        let is_key = |path: &[String]| matches!(path, [name] if plan.keys.iter().any(|key| key.name == *name));
        let fills: Vec<Fill> = plan
            .columns
            .iter()
            .map(|column| Fill::new(column, is_key))
            .collect();
        let mut needs = Needs::default();
        for fill in &fills {
            match fill.image() {
                Some(Image::Keys) => needs.keys = true,
                Some(Image::New) => needs.new = true,
                Some(Image::Old) => needs.old = true,
                None => {}
            }
        }
        let mut keys: Vec<&str> = plan.keys.iter().map(|key| key.name.as_str()).collect();
        keys.sort_unstable();
        Self {
            fills,
            keys: keys.into_iter().map(AttributeName::new).collect(),
            needs,
            images: Images::default(),
        }
    }

    /// Appends one row to `batch`, which has the plan's columns; after an error the batch is as it was.
    pub fn project(
        &mut self,
        change: &ChangeRecord<'_>,
        batch: &mut Batch,
    ) -> Result<(), RowError> {
        self.scan(change).map_err(RowError::broken)?;
        self.append(change, batch)
    }

    /// Appends the item of one line of an export file: [`Self::project`] for an EXPORT, in one pass over the
    /// line instead of two.
    pub fn project_export_line<'l>(
        &mut self,
        line: impl Into<Line<'l>>,
        version_ms: i64,
        aws_region: &str,
        batch: &mut Batch,
    ) -> Result<(), RowError> {
        self.images.has_old = false;
        self.images.has_new = true;
        let line = line.into();
        let item = match self.images.new.scan_export_line(line) {
            Ok(item) => item,
            Err(error) => return Err(RowError::broken(error)),
        };
        let item = &line.bytes()[item];
        let change = ChangeRecord {
            kind: EventKind::Export,
            keys: item,
            new_image: Some(item),
            old_image: None,
            version_ms,
            event_id: "",
            sequence_number: "",
            aws_region,
            user_identity: None,
        };
        self.append(&change, batch)
    }

    /// Appends one line of an incremental export: the last state of an item in a window of time. `version` makes the
    /// row's version out of the time of the write, both in milliseconds.
    pub fn project_incremental_line(
        &mut self,
        line: &[u8],
        version: impl FnOnce(i64) -> i64,
        aws_region: &str,
        batch: &mut Batch,
    ) -> Result<(), RowError> {
        let parts = incremental_line(line).map_err(RowError::broken)?;
        let old_image = parts.old_image.map(|old| &line[old]);
        let change = ChangeRecord {
            kind: match (&parts.new_image, old_image) {
                (None, _) => EventKind::Remove,
                (Some(_), None) => EventKind::Insert,
                (Some(_), Some(_)) => EventKind::Modify,
            },
            keys: &line[parts.keys],
            new_image: parts.new_image.map(|new| &line[new]),
            old_image,
            version_ms: version(parts.written_us.div_euclid(1000)),
            event_id: "",
            sequence_number: "",
            aws_region,
            user_identity: None,
        };
        self.project(&change, batch)
    }

    fn scan(&mut self, change: &ChangeRecord<'_>) -> Result<(), TranscodeError> {
        let images = &mut self.images;
        images.has_new = false;
        images.has_old = false;
        if change.kind == EventKind::Export {
            images.has_new = true;
            return images.new.scan_item(change.item());
        }
        if self.needs.keys {
            images.keys.scan_item(change.keys)?;
        }
        if let Some(new_image) = change.new_image.filter(|_| self.needs.new) {
            images.new.scan_item(new_image)?;
            images.has_new = true;
        }
        if let Some(old_image) = change.old_image.filter(|_| self.needs.old) {
            images.old.scan_item(old_image)?;
            images.has_old = true;
        }
        Ok(())
    }

    fn append(&mut self, change: &ChangeRecord<'_>, batch: &mut Batch) -> Result<(), RowError> {
        let rows = batch.rows;
        for (fill, out) in self.fills.iter().zip(&mut batch.columns) {
            if let Err(error) = fill.append(change, &mut self.images, &self.keys, out) {
                batch.truncate(rows);
                return Err(error);
            }
        }
        batch.rows += 1;
        Ok(())
    }
}

impl RowError {
    fn broken(error: TranscodeError) -> Self {
        Self {
            column: String::new(),
            reason: format!("the record is not DynamoDB JSON: {error}"),
        }
    }
}
