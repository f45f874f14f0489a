//! The ClickHouse types a mirror can fill, and how wide their values are.

use std::fmt;

/// Type of a column as far as filling it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScalarType {
    /// `String`; `LowCardinality(String)` is sent as a String and converted by ClickHouse.
    String,
    /// `Bool`.
    Bool,
    /// `UInt8` ... `UInt64`: width in bytes.
    UInt(u8),
    /// `Int8` ... `Int128`: width in bytes.
    Int(u8),
    /// `Float32`, `Float64`: width in bytes.
    Float(u8),
    /// `Decimal(P, S)` with P up to 38.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// `DateTime`: seconds.
    DateTime,
    /// `DateTime64(p)`.
    DateTime64 {
        /// Digits after the second.
        precision: u8,
    },
}

/// A column type: scalar, nullable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// What a value is.
    pub scalar: ScalarType,
    /// Whether NULL is a value.
    pub nullable: bool,
}

/// A type that a mirror cannot fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedType(pub String);

impl fmt::Display for UnsupportedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a mirror cannot fill a column of type {}; use String, LowCardinality(String), Bool, an Int, UInt, Float or Decimal type, DateTime or DateTime64(p), each also as Nullable(...)",
            self.0
        )
    }
}

impl ScalarType {
    /// Bytes of a value in the Native format; `None` for String.
    pub fn width(&self) -> Option<usize> {
        Some(match self {
            Self::String => return None,
            Self::Bool => 1,
            Self::UInt(width) | Self::Int(width) | Self::Float(width) => usize::from(*width),
            Self::Decimal { precision, .. } => match precision {
                0..=9 => 4,
                10..=18 => 8,
                _ => 16,
            },
            Self::DateTime => 4,
            Self::DateTime64 { .. } => 8,
        })
    }

    /// The type's name on the wire.
    pub fn wire_name(&self) -> String {
        match self {
            Self::String => "String".to_owned(),
            Self::Bool => "Bool".to_owned(),
            Self::UInt(width) => format!("UInt{}", u32::from(*width) * 8),
            Self::Int(width) => format!("Int{}", u32::from(*width) * 8),
            Self::Float(width) => format!("Float{}", u32::from(*width) * 8),
            Self::Decimal { precision, scale } => format!("Decimal({precision}, {scale})"),
            Self::DateTime => "DateTime".to_owned(),
            Self::DateTime64 { precision } => format!("DateTime64({precision})"),
        }
    }
}

impl ColumnType {
    /// Reads a type as a datafile or ClickHouse writes it.
    pub fn parse(text: &str) -> Result<Self, UnsupportedType> {
        let unsupported = || UnsupportedType(text.to_owned());
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (rest, low) = strip(&compact, "LowCardinality");
        let (rest, nullable) = strip(rest, "Nullable");
        let scalar = scalar(rest).ok_or_else(unsupported)?;
        if low && scalar != ScalarType::String {
            return Err(unsupported());
        }
        Ok(Self { scalar, nullable })
    }
}

fn strip<'a>(text: &'a str, wrapper: &str) -> (&'a str, bool) {
    let inner = text
        .strip_prefix(wrapper)
        .and_then(|rest| rest.strip_prefix('('))
        .and_then(|rest| rest.strip_suffix(')'));
    match inner {
        Some(inner) => (inner, true),
        None => (text, false),
    }
}

fn scalar(text: &str) -> Option<ScalarType> {
    let (name, arguments) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')?.split(',').collect::<Vec<_>>()),
        None => (text, Vec::new()),
    };
    Some(match (name, arguments.as_slice()) {
        ("String", []) => ScalarType::String,
        ("Bool", []) => ScalarType::Bool,
        ("UInt8", []) => ScalarType::UInt(1),
        ("UInt16", []) => ScalarType::UInt(2),
        ("UInt32", []) => ScalarType::UInt(4),
        ("UInt64", []) => ScalarType::UInt(8),
        ("Int8", []) => ScalarType::Int(1),
        ("Int16", []) => ScalarType::Int(2),
        ("Int32", []) => ScalarType::Int(4),
        ("Int64", []) => ScalarType::Int(8),
        ("Int128", []) => ScalarType::Int(16),
        ("Float32", []) => ScalarType::Float(4),
        ("Float64", []) => ScalarType::Float(8),
        ("Decimal", [precision]) => decimal(precision, "0")?,
        ("Decimal", [precision, scale]) => decimal(precision, scale)?,
        ("Decimal32", [scale]) => decimal("9", scale)?,
        ("Decimal64", [scale]) => decimal("18", scale)?,
        ("Decimal128", [scale]) => decimal("38", scale)?,
        // A time zone changes how a time is shown, not how it is stored.
        ("DateTime", [] | [_]) => ScalarType::DateTime,
        ("DateTime64", [precision] | [precision, _]) => {
            let precision = precision.parse().ok().filter(|p| *p <= 9)?;
            ScalarType::DateTime64 { precision }
        }
        _ => return None,
    })
}

fn decimal(precision: &str, scale: &str) -> Option<ScalarType> {
    let precision = precision.parse().ok().filter(|p| (1..=38).contains(p))?;
    let scale = scale.parse().ok().filter(|s| *s <= precision)?;
    Some(ScalarType::Decimal { precision, scale })
}
