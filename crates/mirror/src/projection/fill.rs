//! What fills one column.

use std::convert::Infallible;
use std::ops::Range;

use super::RowError;
use super::value::{Misfit, push_mark, push_value, push_version};
use crate::batch::BatchColumn;
use crate::change::{ChangeRecord, EventKind};
use crate::column_type::ColumnType;
use crate::plan::{PlanColumn, RecordPath};
use crate::transcode::{AttributeName, Descriptor, PlainValue, Transcoder, find};

/// What one column is filled with.
#[derive(Clone, Debug)]
pub(super) struct Fill {
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
        name: AttributeName,
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
pub(super) enum Image {
    Keys,
    New,
    Old,
}

/// The images of the record at hand, scanned.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    pub(super) keys: Transcoder,
    pub(super) new: Transcoder,
    pub(super) old: Transcoder,
    pub(super) has_new: bool,
    pub(super) has_old: bool,
    below: Below,
}

/// For values inside maps.
#[derive(Clone, Debug, Default)]
struct Below {
    transcoder: Transcoder,
    plain: Vec<u8>,
}

impl ChangeRecord<'_> {
    /// The item of an export.
    pub(super) fn item(&self) -> &[u8] {
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
    pub(super) fn new(column: &PlanColumn, is_key: impl Fn(&[String]) -> bool) -> Self {
        let part = |image, path: &[String]| match path.split_first() {
            None => Content::Whole(image),
            Some((name, below)) => Content::Attribute {
                image,
                name: AttributeName::new(name),
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

    /// The image it reads, if any.
    pub(super) fn image(&self) -> Option<Image> {
        match &self.content {
            Content::Whole(image) | Content::Attribute { image, .. } => Some(*image),
            _ => None,
        }
    }

    /// Appends one value, or fails with the column half written.
    pub(super) fn append(
        &self,
        change: &ChangeRecord<'_>,
        images: &mut Images,
        keys: &[AttributeName],
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
        keys: &[AttributeName],
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
        name: &AttributeName,
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
fn write_keys(item: &Transcoder, keys: &[AttributeName], out: &mut Vec<u8>) {
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
        out.extend_from_slice(name.canonical());
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
