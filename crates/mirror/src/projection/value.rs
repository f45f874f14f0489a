//! One DynamoDB value as one value of a column.

use crate::batch::BatchColumn;
use crate::column_type::ScalarType;
use crate::number::{self, Decimal};
use crate::transcode::{Descriptor, PlainValue, unescape_into};

use super::time::{nanos_of_seconds, parse_iso, ticks};

/// Why a value does not go into its column. Becomes a text without the value in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The column's type has no place for values of this DynamoDB type.
    Type(Descriptor),
    /// Out of range, or digits would be lost.
    Number,
    /// A key that the float would not keep apart from other keys.
    InexactKey,
    /// A time out of range or in another unit.
    Time,
    /// A text that is no time.
    TimeText,
    /// A key whose text is not the one form that can be told apart by its time.
    TimeKeyText,
}

impl Misfit {
    /// The reason for people: cause, and what to do.
    pub(super) fn reason(self, declared_type: &str) -> String {
        match self {
            Self::Type(descriptor) => format!(
                "a value of DynamoDB type {} does not go into a column of type {declared_type}; declare the column as String",
                descriptor.name()
            ),
            Self::Number => format!(
                "the number does not fit {declared_type} exactly; declare a wider type, or String"
            ),
            Self::InexactKey => format!(
                "the key has more digits than {declared_type} keeps, and two keys must not become one row; declare the column as String"
            ),
            Self::Time => format!(
                "the number is not a time in seconds since 1970 that {declared_type} can hold; milliseconds belong into an Int64 column"
            ),
            Self::TimeText => format!(
                "the text is not an ISO 8601 time that {declared_type} can hold; declare the column as String"
            ),
            Self::TimeKeyText => format!(
                "the key is not written as 2026-01-02T03:04:05Z with exactly the digits that {declared_type} keeps, and two keys must not become one row; declare the column as String"
            ),
        }
    }
}

/// Appends `value` to `out`, a column of type `scalar`. With `exact`, for keys, a value that could become
/// equal to another one is a misfit. The caller has dealt with NULL.
pub(super) fn push_value(
    value: PlainValue<'_>,
    scalar: &ScalarType,
    exact: bool,
    out: &mut BatchColumn,
) -> Result<(), Misfit> {
    let misfit = Misfit::Type(value.descriptor);
    match (scalar, value.descriptor) {
        (ScalarType::String, _) => {
            push_as_text(value, out);
            Ok(())
        }
        (ScalarType::Bool, Descriptor::Bool) => {
            out.push_fixed(&[u8::from(value.json == b"true")]);
            Ok(())
        }
        (ScalarType::DateTime | ScalarType::DateTime64 { .. }, Descriptor::S) => {
            push_time_text(value, scalar, exact, out)
        }
        (ScalarType::Bool, _) => Err(misfit),
        (_, Descriptor::N) => push_number(value.json, scalar, exact, out),
        _ => Err(misfit),
    }
}

/// S as it is, everything else as its plain JSON; a number that JSON does not know loses its quotes again.
fn push_as_text(value: PlainValue<'_>, out: &mut BatchColumn) {
    let quoted = value
        .json
        .strip_prefix(b"\"")
        .and_then(|json| json.strip_suffix(b"\""));
    match quoted {
        None => out.push_text(value.json),
        Some(text) if value.descriptor == Descriptor::B => out.push_text(text),
        Some(text) => {
            let pushed: Result<(), std::convert::Infallible> = out.push_text_with(|bytes| {
                unescape_into(text, bytes);
                Ok(())
            });
            match pushed {
                Ok(()) => {}
            }
        }
    }
}

fn push_number(
    text: &[u8],
    scalar: &ScalarType,
    exact: bool,
    out: &mut BatchColumn,
) -> Result<(), Misfit> {
    let number = Decimal::parse(text).ok_or(Misfit::Number)?;
    match scalar {
        ScalarType::UInt(width) => {
            let value = number.integer().ok_or(Misfit::Number)?;
            let value = u64::try_from(value).map_err(|_| Misfit::Number)?;
            if value.checked_shr(u32::from(*width) * 8).unwrap_or(0) != 0 {
                return Err(Misfit::Number);
            }
            out.push_fixed(&value.to_le_bytes()[..usize::from(*width)]);
        }
        ScalarType::Int(width) => {
            let value = number.integer().ok_or(Misfit::Number)?;
            push_signed(value, *width, out)?;
        }
        ScalarType::Decimal { precision, scale } => {
            let value = number.scaled(*scale).ok_or(Misfit::Number)?;
            if value.unsigned_abs() >= 10_u128.pow(u32::from(*precision)) {
                return Err(Misfit::Number);
            }
            let width = scalar.width().unwrap_or(16);
            out.push_fixed(&value.to_le_bytes()[..width]);
        }
        ScalarType::Float(width) => push_float(text, *width, exact, out)?,
        ScalarType::DateTime | ScalarType::DateTime64 { .. } => {
            let precision = precision(scalar);
            let (nanos, whole) = nanos_of_seconds(&number, precision).ok_or(Misfit::Time)?;
            if exact && !whole {
                return Err(Misfit::Number);
            }
            push_time(nanos, scalar, out, Misfit::Time)?;
        }
        ScalarType::String | ScalarType::Bool => return Err(Misfit::Type(Descriptor::N)),
    }
    Ok(())
}

fn push_signed(value: i128, width: u8, out: &mut BatchColumn) -> Result<(), Misfit> {
    let spare = 128 - u32::from(width.clamp(1, 16)) * 8;
    // Shifting up and back only changes values that do not fit.
    if (value << spare) >> spare != value {
        return Err(Misfit::Number);
    }
    out.push_fixed(&value.to_le_bytes()[..usize::from(width)]);
    Ok(())
}

fn push_float(text: &[u8], width: u8, exact: bool, out: &mut BatchColumn) -> Result<(), Misfit> {
    if exact {
        if width == 4 {
            let value = number::survives_f32(text).ok_or(Misfit::InexactKey)?;
            out.push_fixed(&value.to_le_bytes());
        } else {
            let value = number::survives_f64(text).ok_or(Misfit::InexactKey)?;
            out.push_fixed(&value.to_le_bytes());
        }
    } else if width == 4 {
        let value = number::nearest_f32(text).ok_or(Misfit::Number)?;
        out.push_fixed(&value.to_le_bytes());
    } else {
        let value = number::nearest_f64(text).ok_or(Misfit::Number)?;
        out.push_fixed(&value.to_le_bytes());
    }
    Ok(())
}

fn push_time_text(
    value: PlainValue<'_>,
    scalar: &ScalarType,
    exact: bool,
    out: &mut BatchColumn,
) -> Result<(), Misfit> {
    // A time has no characters that JSON escapes, so the quotes are all there is to take off.
    let text = &value.json[1..value.json.len() - 1];
    let instant = parse_iso(text).ok_or(Misfit::TimeText)?;
    if exact && instant.strict_digits != Some(precision(scalar)) {
        return Err(Misfit::TimeKeyText);
    }
    push_time(instant.nanos, scalar, out, Misfit::TimeText)
}

fn precision(scalar: &ScalarType) -> u8 {
    match scalar {
        ScalarType::DateTime64 { precision } => *precision,
        _ => 0,
    }
}

/// Appends a time, rounded down to what the column keeps.
fn push_time(
    nanos: i128,
    scalar: &ScalarType,
    out: &mut BatchColumn,
    misfit: Misfit,
) -> Result<(), Misfit> {
    let ticks = ticks(nanos, precision(scalar)).ok_or(misfit)?;
    if *scalar == ScalarType::DateTime {
        let seconds = u32::try_from(ticks).map_err(|_| misfit)?;
        out.push_fixed(&seconds.to_le_bytes());
    } else {
        out.push_fixed(&ticks.to_le_bytes());
    }
    Ok(())
}

/// Appends the version of a row, milliseconds since 1970.
pub(super) fn push_version(
    version_ms: i64,
    scalar: &ScalarType,
    out: &mut BatchColumn,
) -> Result<(), Misfit> {
    match scalar {
        ScalarType::DateTime | ScalarType::DateTime64 { .. } => push_time(
            i128::from(version_ms) * 1_000_000,
            scalar,
            out,
            Misfit::Time,
        ),
        ScalarType::UInt(8) => {
            let version = u64::try_from(version_ms).map_err(|_| Misfit::Number)?;
            out.push_fixed(&version.to_le_bytes());
            Ok(())
        }
        ScalarType::Int(width) => push_signed(i128::from(version_ms), *width, out),
        _ => Err(Misfit::Type(Descriptor::N)),
    }
}

/// Appends the deletion mark.
pub(super) fn push_mark(
    mark: bool,
    scalar: &ScalarType,
    out: &mut BatchColumn,
) -> Result<(), Misfit> {
    let mut bytes = [0; 16];
    bytes[0] = u8::from(mark);
    match scalar {
        ScalarType::Bool | ScalarType::UInt(_) | ScalarType::Int(_) => {
            out.push_fixed(&bytes[..scalar.width().unwrap_or(1)]);
            Ok(())
        }
        _ => Err(Misfit::Type(Descriptor::Bool)),
    }
}
