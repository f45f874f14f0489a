//! Primary keys: their checks, and the bytes that order items by partition hash, partition key and sort key.

use std::sync::Arc;

use crate::api::ApiError;
use crate::attribute::{Attr, Map, map_bytes};
use crate::number::Decimal;
use crate::rng::hash_bytes;

/// One key attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyAttr {
    pub name: String,
    /// `S`, `N` or `B`.
    pub kind: String,
}

/// Partition key and optional sort key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySchema {
    pub hash: KeyAttr,
    pub range: Option<KeyAttr>,
}

/// A key as the stores use it.
#[derive(Debug, Clone)]
pub struct ItemKey {
    /// Partition hash (8 bytes), partition key length and bytes, sortable sort key.
    pub bytes: Arc<[u8]>,
    /// Canonical JSON of the key attributes.
    pub json: Arc<[u8]>,
}

impl KeySchema {
    /// The key attributes, partition key first.
    pub fn attrs(&self) -> impl Iterator<Item = &KeyAttr> {
        std::iter::once(&self.hash).chain(self.range.as_ref())
    }

    /// True if `name` is a key attribute.
    pub fn has(&self, name: &str) -> bool {
        self.attrs().any(|attr| attr.name == name)
    }

    /// The key of a whole item.
    pub fn of_item(&self, item: &Map) -> Result<ItemKey, ApiError> {
        for attr in self.attrs() {
            let Some(value) = item.get(&attr.name) else {
                return Err(ApiError::validation(format!(
                    "One or more parameter values were invalid: Missing the key {} in the item",
                    attr.name
                )));
            };
            if value.type_name() != attr.kind {
                return Err(ApiError::validation(format!(
                    "One or more parameter values were invalid: Type mismatch for key {} expected: {} actual: {}",
                    attr.name,
                    attr.kind,
                    value.type_name()
                )));
            }
        }
        self.encode(item)
    }

    /// The key given as the `Key` parameter: exactly the key attributes.
    pub fn of_key(&self, key: &Map) -> Result<ItemKey, ApiError> {
        let fits = key.len() == self.attrs().count()
            && self.attrs().all(|attr| {
                key.get(&attr.name)
                    .is_some_and(|value| value.type_name() == attr.kind)
            });
        if !fits {
            return Err(ApiError::validation(
                "The provided key element does not match the schema",
            ));
        }
        self.encode(key)
    }

    /// Only the key attributes of an item.
    pub fn key_map(&self, item: &Map) -> Map {
        self.attrs()
            .filter_map(|attr| {
                item.get(&attr.name)
                    .map(|value| (attr.name.clone(), value.clone()))
            })
            .collect()
    }

    fn encode(&self, item: &Map) -> Result<ItemKey, ApiError> {
        for attr in self.attrs() {
            let value = item.get(&attr.name).map(plain_bytes).unwrap_or_default();
            check_size(attr, &value, attr == &self.hash)?;
        }
        let hash = item
            .get(&self.hash.name)
            .map(plain_bytes)
            .unwrap_or_default();
        let mut bytes = partition_prefix(&hash);
        if let Some(range) = &self.range
            && let Some(value) = item.get(&range.name)
        {
            bytes.extend(sortable_bytes(value));
        }
        Ok(ItemKey {
            bytes: bytes.into(),
            json: map_bytes(&self.key_map(item)).into(),
        })
    }
}

/// The bytes every key of one partition key value starts with.
pub fn partition_prefix(hash: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hash.len() + 24);
    bytes.extend_from_slice(&hash_bytes(hash).to_be_bytes());
    bytes.extend_from_slice(&(hash.len() as u16).to_be_bytes());
    bytes.extend_from_slice(hash);
    bytes
}

/// The partition hash inside a stored key.
pub fn partition_hash(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&key[..8]);
    u64::from_be_bytes(head)
}

/// A key value's own bytes.
pub fn plain_bytes(value: &Attr) -> Vec<u8> {
    match value {
        Attr::S(text) | Attr::N(text) => text.clone().into_bytes(),
        Attr::B(bytes) => bytes.clone(),
        _ => Vec::new(),
    }
}

/// Bytes whose order is DynamoDB's order of sort keys.
pub fn sortable_bytes(value: &Attr) -> Vec<u8> {
    match value {
        Attr::N(text) => Decimal::parse(text)
            .map(|number| number.sortable())
            .unwrap_or_default(),
        other => plain_bytes(other),
    }
}

fn check_size(attr: &KeyAttr, value: &[u8], is_hash: bool) -> Result<(), ApiError> {
    if value.is_empty() {
        let kind = if attr.kind == "B" { "binary" } else { "string" };
        return Err(ApiError::validation(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {kind} value. Key: {}",
            attr.name
        )));
    }
    if is_hash && value.len() > 2048 {
        return Err(ApiError::validation(
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ));
    }
    if !is_hash && value.len() > 1024 {
        return Err(ApiError::validation(
            "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        ));
    }
    Ok(())
}
