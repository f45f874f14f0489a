//! Attribute values: reading DynamoDB JSON with AWS's checks, and writing the one canonical form the tables store.
//!
//! Canonical means map keys and set members sorted and numbers normalised, so two items are equal exactly when their
//! bytes are.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::api::ApiError;
use crate::number::{Decimal, normalise};

/// An item or a map attribute.
pub type Map = BTreeMap<String, Attr>;

const MAX_DEPTH: usize = 32;

/// A typed attribute value. Numbers hold AWS's text, binaries their bytes, sets are sorted.
#[derive(Debug, Clone, PartialEq)]
pub enum Attr {
    S(String),
    N(String),
    B(Vec<u8>),
    Bool(bool),
    Null,
    Ss(Vec<String>),
    Ns(Vec<String>),
    Bs(Vec<Vec<u8>>),
    L(Vec<Attr>),
    M(Map),
}

impl Attr {
    /// AWS's type descriptor.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::Ss(_) => "SS",
            Self::Ns(_) => "NS",
            Self::Bs(_) => "BS",
            Self::L(_) => "L",
            Self::M(_) => "M",
        }
    }

    /// A number in AWS's form, from any spelling.
    pub fn number(text: &str) -> Result<Self, ApiError> {
        number(text).map(Self::N)
    }

    /// Reads `{"S": "…"}` and its siblings.
    pub fn from_json(value: Value) -> Result<Self, ApiError> {
        Self::read(value, 0)
    }

    fn read(value: Value, depth: usize) -> Result<Self, ApiError> {
        if depth > MAX_DEPTH {
            return Err(ApiError::validation(
                "Nesting Levels have exceeded supported limits",
            ));
        }
        let Value::Object(members) = value else {
            return Err(ApiError::new(
                "SerializationException",
                "Unexpected value type in payload",
            ));
        };
        let mut members = members.into_iter().filter(|(_, value)| !value.is_null());
        let Some((kind, payload)) = members.next() else {
            return Err(ApiError::validation(
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ));
        };
        if members.next().is_some() {
            return Err(ApiError::validation(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
            ));
        }
        Self::read_typed(&kind, payload, depth)
    }

    fn read_typed(kind: &str, payload: Value, depth: usize) -> Result<Self, ApiError> {
        Ok(match (kind, payload) {
            ("S", Value::String(text)) => Self::S(text),
            ("N", Value::String(text)) => Self::N(number(&text)?),
            ("B", Value::String(text)) => Self::B(binary(&text)?),
            ("BOOL", Value::Bool(flag)) => Self::Bool(flag),
            ("NULL", Value::Bool(true)) => Self::Null,
            ("NULL", Value::Bool(false)) => {
                return Err(ApiError::validation(
                    "One or more parameter values were invalid: Null attribute value types must have the value of true",
                ));
            }
            ("SS", Value::Array(list)) => {
                Self::Ss(set("string", list, |text| Ok(text.to_owned()))?)
            }
            ("NS", Value::Array(list)) => Self::Ns(set("number", list, number)?),
            ("BS", Value::Array(list)) => Self::Bs(set("binary", list, binary)?),
            ("L", Value::Array(list)) => Self::L(
                list.into_iter()
                    .map(|value| Self::read(value, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            ("M", Value::Object(members)) => {
                let mut map = Map::new();
                for (name, value) in members {
                    map.insert(name, Self::read(value, depth + 1)?);
                }
                Self::M(map)
            }
            ("S" | "N" | "B" | "BOOL" | "NULL" | "SS" | "NS" | "BS" | "L" | "M", _) => {
                return Err(ApiError::new(
                    "SerializationException",
                    "Unexpected value type in payload",
                ));
            }
            _ => {
                return Err(ApiError::validation(
                    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                ));
            }
        })
    }

    /// Appends the canonical JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::S(text) => {
                out.extend_from_slice(b"{\"S\":");
                write_text(text, out);
            }
            Self::N(text) => {
                out.extend_from_slice(b"{\"N\":\"");
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            Self::B(bytes) => {
                out.extend_from_slice(b"{\"B\":\"");
                out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                out.push(b'"');
            }
            Self::Bool(flag) => {
                out.extend_from_slice(if *flag {
                    b"{\"BOOL\":true"
                } else {
                    b"{\"BOOL\":false"
                });
            }
            Self::Null => out.extend_from_slice(b"{\"NULL\":true"),
            Self::Ss(list) => {
                write_list(b"{\"SS\":[", list, out, |text, out| write_text(text, out))
            }
            Self::Ns(list) => {
                write_list(b"{\"NS\":[", list, out, |text, out| write_text(text, out))
            }
            Self::Bs(list) => write_list(b"{\"BS\":[", list, out, |bytes, out| {
                write_text(&STANDARD.encode(bytes), out)
            }),
            Self::L(list) => write_list(b"{\"L\":[", list, out, Self::write),
            Self::M(map) => {
                out.extend_from_slice(b"{\"M\":");
                write_map(map, out);
            }
        }
        out.push(b'}');
    }

    /// Size in bytes as DynamoDB counts it.
    pub fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(text) => number_size(text),
            Self::B(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::Ss(list) => list.iter().map(String::len).sum(),
            Self::Ns(list) => list.iter().map(|text| number_size(text)).sum(),
            Self::Bs(list) => list.iter().map(Vec::len).sum(),
            Self::L(list) => 3 + list.iter().map(|value| value.size() + 1).sum::<usize>(),
            Self::M(map) => {
                3 + map
                    .iter()
                    .map(|(name, value)| name.len() + value.size() + 1)
                    .sum::<usize>()
            }
        }
    }

    /// The decimal behind an `N`.
    pub fn decimal(&self) -> Option<Decimal> {
        match self {
            Self::N(text) => Decimal::parse(text).ok(),
            _ => None,
        }
    }
}

/// Size of an item: names and values.
pub fn item_size(item: &Map) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value.size())
        .sum()
}

/// Reads an item or key object.
pub fn read_map(value: Value) -> Result<Map, ApiError> {
    let Value::Object(members) = value else {
        return Err(ApiError::new(
            "SerializationException",
            "Unexpected value type in payload",
        ));
    };
    let mut map = Map::new();
    for (name, value) in members {
        map.insert(name, Attr::from_json(value)?);
    }
    Ok(map)
}

/// Reads a stored image back into a tree.
pub fn parse_map(bytes: &[u8]) -> Map {
    serde_json::from_slice(bytes)
        .ok()
        .and_then(|value| read_map(value).ok())
        .expect("stored images are canonical items")
}

/// Appends `{"name":{"S":"…"},…}` with sorted names.
pub fn write_map(map: &Map, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        value.write(out);
    }
    out.push(b'}');
}

/// The canonical bytes of an item.
pub fn map_bytes(map: &Map) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_map(map, &mut out);
    out
}

/// Appends a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let plain = text
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a string always serialises");
    }
}

fn write_list<T>(
    open: &[u8],
    list: &[T],
    out: &mut Vec<u8>,
    mut each: impl FnMut(&T, &mut Vec<u8>),
) {
    out.extend_from_slice(open);
    for (at, member) in list.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(member, out);
    }
    out.push(b']');
}

fn number(text: &str) -> Result<String, ApiError> {
    normalise(text).map_err(|error| ApiError::validation(error.to_string()))
}

fn binary(text: &str) -> Result<Vec<u8>, ApiError> {
    STANDARD
        .decode(text)
        .map_err(|_| ApiError::new("SerializationException", "Base64 encoded data is invalid"))
}

fn number_size(text: &str) -> usize {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits.div_ceil(2) + 1 + usize::from(text.starts_with('-'))
}

fn set<T: Ord>(
    name: &str,
    list: Vec<Value>,
    read: impl Fn(&str) -> Result<T, ApiError>,
) -> Result<Vec<T>, ApiError> {
    if list.is_empty() {
        return Err(ApiError::validation(format!(
            "One or more parameter values were invalid: An {name} set  may not be empty"
        )));
    }
    let mut members = Vec::with_capacity(list.len());
    for value in &list {
        let Value::String(text) = value else {
            return Err(ApiError::new(
                "SerializationException",
                "Unexpected value type in payload",
            ));
        };
        members.push(read(text)?);
    }
    let count = members.len();
    members.sort();
    members.dedup();
    if members.len() < count {
        let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
        return Err(ApiError::validation(format!(
            "One or more parameter values were invalid: Input collection [{}] contains duplicates.",
            texts.join(", ")
        )));
    }
    Ok(members)
}
