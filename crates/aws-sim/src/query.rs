//! Query and Scan.

use std::ops::Bound;
use std::sync::Arc;

use crate::api::{ApiError, Reply};
use crate::attribute::{Attr, Map, read_map, write_map};
use crate::expression::parser::{Condition, Operand};
use crate::expression::{Path, Step, condition, projection};
use crate::image::Image;
use crate::key::{KeySchema, partition_prefix, plain_bytes, sortable_bytes};
use crate::params::Params;
use crate::table::Table;
use crate::world::World;

const PAGE_BYTES: u64 = 1024 * 1024;

type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What is done with every item of the range.
struct Reading {
    range: KeyRange,
    forward: bool,
    limit: usize,
    filter: Option<Condition>,
    paths: Option<Vec<Path>>,
    count_only: bool,
}

impl World {
    pub(crate) fn query(&mut self, mut params: Params) -> Reply {
        let start = params.take("ExclusiveStartKey");
        let scope = params.scope()?;
        let name = params.need_text("TableName")?.to_owned();
        let table = self.table(&name)?;
        refuse_index(&params)?;
        let text = params.text("KeyConditionExpression")?.ok_or_else(|| {
            ApiError::validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
        })?;
        let keys = condition::parse("KeyConditionExpression", text, &scope)?;
        let forward = params
            .get("ScanIndexForward")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(true);
        let mut range = key_range(&keys, &table.schema)?;
        if let Some(start) = start {
            let at = Bound::Excluded(table.schema.of_key(&read_map(start)?)?.bytes.to_vec());
            if forward {
                range.0 = at;
            } else {
                range.1 = at;
            }
        }
        let reading = reading(&params, &scope, range, forward)?;
        scope.check_unused()?;
        self.read(&params, &name, &reading)
    }

    pub(crate) fn scan(&mut self, mut params: Params) -> Reply {
        let start = params.take("ExclusiveStartKey");
        let scope = params.scope()?;
        let name = params.need_text("TableName")?.to_owned();
        let table = self.table(&name)?;
        refuse_index(&params)?;
        let segments = params.int_within("TotalSegments", 1, 1_000_000)?;
        let segment = params.int("Segment")?;
        let mut range: KeyRange = match (segment, segments) {
            (None, None) => (Bound::Unbounded, Bound::Unbounded),
            (Some(segment), Some(total)) if (0..total).contains(&segment) => {
                segment_range(segment as u64, total as u64)
            }
            (Some(segment), Some(total)) => {
                return Err(ApiError::validation(format!(
                    "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is not less than TotalSegments: {total}"
                )));
            }
            (None, _) => {
                return Err(ApiError::validation(
                    "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
                ));
            }
            (Some(_), None) => {
                return Err(ApiError::validation(
                    "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
                ));
            }
        };
        if let Some(start) = start {
            range.0 = Bound::Excluded(table.schema.of_key(&read_map(start)?)?.bytes.to_vec());
        }
        let reading = reading(&params, &scope, range, true)?;
        scope.check_unused()?;
        self.read(&params, &name, &reading)
    }

    fn read(&mut self, params: &Params, name: &str, reading: &Reading) -> Reply {
        let table = self.table(name)?;
        let mut found: Vec<Image> = Vec::new();
        let mut scanned = 0;
        let mut bytes = 0;
        let mut count = 0;
        let mut last: Option<Image> = None;
        for image in images(table, reading) {
            scanned += 1;
            bytes += u64::from(image.size);
            if let Some(image) = select(image, reading) {
                count += 1;
                if !reading.count_only {
                    found.push(image);
                }
            }
            if scanned >= reading.limit || bytes >= PAGE_BYTES {
                last = Some(image.clone());
                break;
            }
        }
        let last = last.map(|image| table.schema.key_map(&image.map()));
        let mut out = format!("{{\"Count\":{count},\"ScannedCount\":{scanned}").into_bytes();
        if !reading.count_only {
            out.extend_from_slice(b",\"Items\":[");
            for (at, image) in found.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                self.write_image(&image.json, &mut out);
            }
            out.push(b']');
        }
        if let Some(key) = last {
            out.extend_from_slice(b",\"LastEvaluatedKey\":");
            write_map(&key, &mut out);
        }
        self.close_answer(params, name, &mut out);
        Ok(out)
    }
}

fn refuse_index(params: &Params) -> Result<(), ApiError> {
    match params.text("IndexName")? {
        Some(index) => Err(ApiError::validation(format!(
            "The table does not have the specified index: {index}"
        ))),
        None => Ok(()),
    }
}

fn reading(
    params: &Params,
    scope: &crate::expression::Scope,
    range: KeyRange,
    forward: bool,
) -> Result<Reading, ApiError> {
    let filter = match params.text("FilterExpression")? {
        Some(text) => Some(condition::parse("FilterExpression", text, scope)?),
        None => None,
    };
    let paths = match params.text("ProjectionExpression")? {
        Some(text) => Some(projection::parse(text, scope)?),
        None => None,
    };
    let limit = params
        .int_within("Limit", 1, i64::from(i32::MAX))?
        .map_or(usize::MAX, |limit| limit as usize);
    let count_only = params.text("Select")? == Some("COUNT");
    Ok(Reading {
        range,
        forward,
        limit,
        filter,
        paths,
        count_only,
    })
}

fn select(image: &Image, reading: &Reading) -> Option<Image> {
    if reading.filter.is_none() && reading.paths.is_none() {
        return Some(image.clone());
    }
    let item: Map = image.map();
    if reading
        .filter
        .as_ref()
        .is_some_and(|filter| !filter.holds(&item))
    {
        return None;
    }
    Some(match &reading.paths {
        Some(paths) => Image::of(&projection::project(&item, paths)),
        None => image.clone(),
    })
}

fn images<'a>(table: &'a Table, reading: &Reading) -> Box<dyn Iterator<Item = &'a Image> + 'a> {
    let borrow = |bound: &Bound<Vec<u8>>| -> Bound<Arc<[u8]>> {
        match bound {
            Bound::Included(key) => Bound::Included(key.as_slice().into()),
            Bound::Excluded(key) => Bound::Excluded(key.as_slice().into()),
            Bound::Unbounded => Bound::Unbounded,
        }
    };
    if empty(&reading.range) {
        return Box::new(std::iter::empty());
    }
    let range = table
        .items
        .range((borrow(&reading.range.0), borrow(&reading.range.1)));
    if reading.forward {
        Box::new(range.map(|(_, image)| image))
    } else {
        Box::new(range.rev().map(|(_, image)| image))
    }
}

/// True where `BTreeMap::range` would panic or find nothing.
fn empty((low, high): &KeyRange) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low >= high,
        _ => false,
    }
}

fn segment_range(segment: u64, total: u64) -> KeyRange {
    let edge = |at: u64| ((u128::from(at) << 64) / u128::from(total)) as u64;
    let low = Bound::Included(edge(segment).to_be_bytes().to_vec());
    let high = if segment + 1 == total {
        Bound::Unbounded
    } else {
        Bound::Excluded(edge(segment + 1).to_be_bytes().to_vec())
    };
    (low, high)
}

/// Turns a key condition into a range of stored keys.
fn key_range(condition: &Condition, schema: &KeySchema) -> Result<KeyRange, ApiError> {
    let mut parts = Vec::new();
    conjuncts(condition, &mut parts);
    let hash = parts.iter().find_map(|part| match part {
        Condition::Compare("=", left, right) => named(left, right, &schema.hash.name),
        _ => None,
    });
    let Some(hash) = hash else {
        return Err(ApiError::validation(format!(
            "Query condition missed key schema element: {}",
            schema.hash.name
        )));
    };
    check_type(&hash, &schema.hash.kind)?;
    let prefix = partition_prefix(&plain_bytes(&hash));
    let whole = (Bound::Included(prefix.clone()), upper(&prefix));
    let is_hash = |part: &&Condition| matches!(part, Condition::Compare("=", left, right) if named(left, right, &schema.hash.name).is_some());
    let rest: Vec<_> = parts
        .iter()
        .copied()
        .filter(|part| !is_hash(part))
        .collect();
    match (rest.as_slice(), &schema.range) {
        ([], _) => Ok(whole),
        ([part], Some(range)) => sort_range(part, &range.name, &range.kind, &prefix, whole),
        _ => Err(ApiError::validation("Query key condition not supported")),
    }
}

fn sort_range(
    part: &Condition,
    name: &str,
    kind: &str,
    prefix: &[u8],
    whole: KeyRange,
) -> Result<KeyRange, ApiError> {
    let unsupported = || ApiError::validation("Query key condition not supported");
    let key = |value: &Attr| [prefix, &sortable_bytes(value)].concat();
    let value_of = |operand: &Operand| match operand {
        Operand::Value(value) => check_type(value, kind).map(|()| value.clone()),
        _ => Err(unsupported()),
    };
    let is_sort_key = |operand: &Operand| matches!(operand, Operand::Path(path) if path == &[Step::Name(name.to_owned())]);
    match part {
        Condition::Compare(symbol, left, right) if is_sort_key(left) => {
            let at = key(&value_of(right)?);
            Ok(match *symbol {
                "=" => (Bound::Included(at.clone()), Bound::Included(at)),
                "<" => (whole.0, Bound::Excluded(at)),
                "<=" => (whole.0, Bound::Included(at)),
                ">" => (Bound::Excluded(at), whole.1),
                ">=" => (Bound::Included(at), whole.1),
                _ => return Err(unsupported()),
            })
        }
        Condition::Between(left, low, high) if is_sort_key(left) => {
            let (low, high) = (key(&value_of(low)?), key(&value_of(high)?));
            if low > high {
                return Err(ApiError::validation(
                    "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound",
                ));
            }
            Ok((Bound::Included(low), Bound::Included(high)))
        }
        Condition::BeginsWith(left, value) if is_sort_key(left) && kind != "N" => {
            let at = key(&value_of(value)?);
            let end = upper(&at);
            Ok((Bound::Included(at), end))
        }
        _ => Err(unsupported()),
    }
}

fn conjuncts<'a>(condition: &'a Condition, out: &mut Vec<&'a Condition>) {
    if let Condition::And(left, right) = condition {
        conjuncts(left, out);
        conjuncts(right, out);
    } else {
        out.push(condition);
    }
}

fn named(left: &Operand, right: &Operand, name: &str) -> Option<Attr> {
    match (left, right) {
        (Operand::Path(path), Operand::Value(value)) if path == &[Step::Name(name.to_owned())] => {
            Some(value.clone())
        }
        _ => None,
    }
}

fn check_type(value: &Attr, kind: &str) -> Result<(), ApiError> {
    if value.type_name() == kind {
        return Ok(());
    }
    Err(ApiError::validation(
        "One or more parameter values were invalid: Condition parameter type does not match schema type",
    ))
}

/// The first key behind all keys that start with `prefix`.
fn upper(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}
