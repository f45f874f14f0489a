//! From a change to a row: every column of the plan takes its value from the record.
//!
//! Which image a path reads is the table in [`Projection`]; how a value becomes a column's value is in
//! `projection/value.rs`. Each image is scanned once, and whole-image columns are written straight into the
//! column's bytes.

mod time;
mod value;

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

use crate::batch::{Batch, BatchColumn};
use crate::change::{ChangeRecord, EventKind};
use crate::column_type::ColumnType;
use crate::plan::{MirrorPlan, PlanColumn, RecordPath};
use crate::transcode::{Descriptor, PlainValue, TranscodeError, Transcoder, escape_into, find};

use value::{Misfit, push_mark, push_value, push_version};

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
    /// Canonical names of the table's key attributes, sorted by what they say.
    keys: Vec<Vec<u8>>,
    needs: Needs,
    images: Images,
}

/// What one column is filled with.
#[derive(Clone, Debug)]
struct Fill {
    column: String,
    declared_type: String,
    column_type: ColumnType,
    is_key: bool,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Whole(Image),
    Attribute {
        image: Image,
        /// Canonically escaped.
        name: Vec<u8>,
        /// Names below it.
        below: Vec<String>,
    },
    Version,
    EventName,
    IsDeleted,
    EventId,
    SequenceNumber,
    AwsRegion,
    UserIdentityType,
    UserIdentityPrincipal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Image {
    Keys,
    New,
    Old,
}

/// Which images the columns read.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    keys: bool,
    new: bool,
    old: bool,
}

/// The images of the record at hand, scanned.
#[derive(Clone, Debug, Default)]
struct Images {
    keys: Transcoder,
    new: Transcoder,
    old: Transcoder,
    has_new: bool,
    has_old: bool,
    below: Below,
}

/// For values inside maps.
#[derive(Clone, Debug, Default)]
struct Below {
    transcoder: Transcoder,
    plain: Vec<u8>,
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
            if let Content::Whole(image) | Content::Attribute { image, .. } = &fill.content {
                match image {
                    Image::Keys => needs.keys = true,
                    Image::New => needs.new = true,
                    Image::Old => needs.old = true,
                }
            }
        }
        let mut keys: Vec<&str> = plan.keys.iter().map(|key| key.name.as_str()).collect();
        keys.sort_unstable();
        Self {
            fills,
            keys: keys.into_iter().map(canonical).collect(),
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
    pub fn project_export_line(
        &mut self,
        line: &[u8],
        version_ms: i64,
        aws_region: &str,
        batch: &mut Batch,
    ) -> Result<(), RowError> {
        self.images.has_old = false;
        self.images.has_new = true;
        let item = match self.images.new.scan_export_line(line) {
            Ok(item) => item,
            Err(error) => return Err(RowError::broken(error)),
        };
        let item = &line[item];
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

fn canonical(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    escape_into(name, &mut out);
    out
}

impl RowError {
    fn broken(error: TranscodeError) -> Self {
        Self {
            column: String::new(),
            reason: format!("the record is not DynamoDB JSON: {error}"),
        }
    }
}

impl ChangeRecord<'_> {
    /// The item of an export.
    fn item(&self) -> &[u8] {
        self.new_image.unwrap_or(self.keys)
    }

    fn image(&self, image: Image) -> &[u8] {
        let bytes = match (self.kind, image) {
            (EventKind::Export, _) => Some(self.item()),
            (_, Image::Keys) => Some(self.keys),
            (_, Image::New) => self.new_image,
            (_, Image::Old) => self.old_image,
        };
        bytes.unwrap_or(&[])
    }
}

impl Fill {
    fn new(column: &PlanColumn, is_key: impl Fn(&[String]) -> bool) -> Self {
        let part = |image, path: &[String]| match path.split_first() {
            None => Content::Whole(image),
            Some((name, below)) => Content::Attribute {
                image,
                name: canonical(name),
                below: below.to_vec(),
            },
        };
        let content = match &column.path {
            RecordPath::Item(path) if is_key(path) => part(Image::Keys, path),
            RecordPath::Item(path) | RecordPath::NewImage(path) => part(Image::New, path),
            RecordPath::Keys(path) => part(Image::Keys, path),
            RecordPath::OldImage(path) => part(Image::Old, path),
            RecordPath::Version => Content::Version,
            RecordPath::EventName => Content::EventName,
            RecordPath::IsDeleted => Content::IsDeleted,
            RecordPath::EventId => Content::EventId,
            RecordPath::SequenceNumber => Content::SequenceNumber,
            RecordPath::AwsRegion => Content::AwsRegion,
            RecordPath::UserIdentityType => Content::UserIdentityType,
            RecordPath::UserIdentityPrincipal => Content::UserIdentityPrincipal,
        };
        Self {
            column: column.name.clone(),
            declared_type: column.declared_type.clone(),
            column_type: column.column_type.clone(),
            is_key: column.is_key,
            content,
        }
    }

    fn append(
        &self,
        change: &ChangeRecord<'_>,
        images: &mut Images,
        keys: &[Vec<u8>],
        out: &mut BatchColumn,
    ) -> Result<(), RowError> {
        let scalar = &self.column_type.scalar;
        let outcome = match &self.content {
            Content::Whole(image) => return self.whole(*image, change, images, keys, out),
            Content::Attribute { image, name, below } => {
                return self.attribute(*image, name, below, change, images, out);
            }
            Content::Version => push_version(change.version_ms, scalar, out),
            Content::IsDeleted => push_mark(change.kind == EventKind::Remove, scalar, out),
            Content::EventName => return self.text(Some(change.kind.name()), out),
            Content::EventId => return self.text(Some(change.event_id), out),
            Content::SequenceNumber => return self.text(Some(change.sequence_number), out),
            Content::AwsRegion => return self.text(Some(change.aws_region), out),
            Content::UserIdentityType => {
                return self.text(change.user_identity.map(|(kind, _)| kind), out);
            }
            Content::UserIdentityPrincipal => {
                return self.text(change.user_identity.map(|(_, principal)| principal), out);
            }
        };
        outcome.map_err(|misfit| self.misfit(misfit))
    }

    fn text(&self, text: Option<&str>, out: &mut BatchColumn) -> Result<(), RowError> {
        match text {
            None => out.push_null(),
            Some(_) if self.column_type.scalar.width().is_some() => {
                return Err(self.misfit(Misfit::Type(Descriptor::S)));
            }
            Some(text) => out.push_text(text.as_bytes()),
        }
        Ok(())
    }

    fn whole(
        &self,
        image: Image,
        change: &ChangeRecord<'_>,
        images: &Images,
        keys: &[Vec<u8>],
        out: &mut BatchColumn,
    ) -> Result<(), RowError> {
        if self.column_type.scalar.width().is_some() {
            return Err(self.misfit(Misfit::Type(Descriptor::M)));
        }
        let from_export = change.kind == EventKind::Export;
        let present = match image {
            Image::Keys => true,
            Image::New => images.has_new && change.kind != EventKind::Remove,
            Image::Old => images.has_old && !from_export,
        };
        if !present {
            self.check_new_image(image, change)?;
            if self.column_type.nullable {
                out.push_null();
            } else {
                out.push_text(b"");
            }
            return Ok(());
        }
        let pushed: Result<(), Infallible> = out.push_text_with(|bytes| {
            match image {
                Image::Keys if from_export => write_keys(&images.new, keys, bytes),
                Image::Keys => images.keys.write_item(bytes),
                Image::New => images.new.write_item(bytes),
                Image::Old => images.old.write_item(bytes),
            }
            Ok(())
        });
        match pushed {
            Ok(()) => Ok(()),
        }
    }

    fn attribute(
        &self,
        image: Image,
        name: &[u8],
        below: &[String],
        change: &ChangeRecord<'_>,
        images: &mut Images,
        out: &mut BatchColumn,
    ) -> Result<(), RowError> {
        let from_export = change.kind == EventKind::Export;
        let transcoder = match image {
            Image::Keys if from_export => Some(&images.new),
            Image::Keys => Some(&images.keys),
            Image::New if change.kind == EventKind::Remove => None,
            Image::New => images.has_new.then_some(&images.new),
            Image::Old => images.has_old.then_some(&images.old),
        };
        if transcoder.is_none() {
            self.check_new_image(image, change)?;
        }
        let found = transcoder.and_then(|transcoder| transcoder.attribute(name));
        let value = match found {
            Some((value, typed)) if !below.is_empty() => {
                let typed = change.image(image).get(typed).unwrap_or(&[]);
                images.below.value(value.descriptor, typed, below)
            }
            found => found.map(|(value, _)| value),
        };
        match value.filter(|value| value.descriptor != Descriptor::Null) {
            Some(value) => push_value(value, &self.column_type.scalar, self.is_key, out)
                .map_err(|misfit| self.misfit(misfit)),
            None if self.is_key => {
                Err(self.error("the record has no value for this key attribute"))
            }
            None => {
                out.push_null();
                Ok(())
            }
        }
    }

    /// INSERT and MODIFY without a new image: the stream's view type changed, or it is not a mirror's stream.
    /// An empty row would look like data.
    fn check_new_image(&self, image: Image, change: &ChangeRecord<'_>) -> Result<(), RowError> {
        let changed = matches!(change.kind, EventKind::Insert | EventKind::Modify);
        if image == Image::New && changed && change.new_image.is_none() {
            return Err(self.error(
                "the record has no new image; the stream's view type must be NEW_AND_OLD_IMAGES or NEW_IMAGE",
            ));
        }
        Ok(())
    }

    fn misfit(&self, misfit: Misfit) -> RowError {
        self.error(&misfit.reason(&self.declared_type))
    }

    fn error(&self, reason: &str) -> RowError {
        RowError {
            column: self.column.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Writes the key attributes of the item last scanned, as a stream's `Keys` would be written.
fn write_keys(item: &Transcoder, keys: &[Vec<u8>], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for name in keys {
        let Some((value, _)) = item.attribute(name) else {
            continue;
        };
        if !first {
            out.push(b',');
        }
        first = false;
        out.push(b'"');
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.json);
    }
    out.push(b'}');
}

impl Below {
    /// The value below a map, at `path`.
    fn value(
        &mut self,
        descriptor: Descriptor,
        typed: &[u8],
        path: &[String],
    ) -> Option<PlainValue<'_>> {
        if descriptor != Descriptor::M {
            return None;
        }
        // The item has been scanned and found good, so nothing here can fail.
        let map: Range<usize> = map_of(typed)?;
        let found = find(&typed[map], path).ok()??;
        self.plain.clear();
        let descriptor = self.transcoder.value(found.typed, &mut self.plain).ok()?;
        Some(PlainValue {
            descriptor,
            json: &self.plain,
        })
    }
}

/// The map inside `{"M":{...}}`.
fn map_of(typed: &[u8]) -> Option<Range<usize>> {
    let open = typed.iter().skip(1).position(|byte| *byte == b'{')? + 1;
    let close = typed.iter().rposition(|byte| *byte == b'}')?;
    Some(open..close)
}
