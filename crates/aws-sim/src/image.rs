//! Stored items as shared canonical bytes, and the shuffling that makes their attribute order as unreliable as AWS's.

use std::sync::Arc;

use memchr::memchr2;

use crate::attribute::{Map, item_size, map_bytes, parse_map};
use crate::rng::Rng;

/// An item at one moment. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Canonical DynamoDB JSON, `{"pk":{"S":"a"}}`.
    pub json: Arc<[u8]>,
    /// Size in bytes as DynamoDB counts it.
    pub size: u32,
}

impl Image {
    /// Serialises an item.
    pub fn of(item: &Map) -> Self {
        Self {
            json: map_bytes(item).into(),
            size: item_size(item) as u32,
        }
    }

    /// The item as a tree.
    pub fn map(&self) -> Map {
        parse_map(&self.json)
    }
}

/// Appends `json` with top-level attributes, map members and set members rotated by `rng`.
pub fn write_varied(json: &[u8], rng: &mut Rng, out: &mut Vec<u8>) {
    let mut at = 0;
    write_map(json, &mut at, rng, out);
}

fn write_map(json: &[u8], at: &mut usize, rng: &mut Rng, out: &mut Vec<u8>) {
    let members = split(json, at);
    out.push(b'{');
    let turn = rng.below(members.len() as u64) as usize;
    let (head, tail) = members.split_at(turn);
    for (count, &(start, end)) in tail.iter().chain(head).enumerate() {
        if count > 0 {
            out.push(b',');
        }
        write_member(&json[start..end], rng, out);
    }
    out.push(b'}');
}

/// Writes `"name":{"T":payload}`, varying the payload of maps and sets.
fn write_member(member: &[u8], rng: &mut Rng, out: &mut Vec<u8>) {
    let value = skip_string(member, 0) + 1;
    let rest = &member[value..];
    let (kind, payload) = match rest {
        [b'{', b'"', b'M', b'"', b':', ..] => (b'M', value + 5),
        [b'{', b'"', _, b'S', b'"', b':', ..] => (b'S', value + 6),
        _ => {
            out.extend_from_slice(member);
            return;
        }
    };
    out.extend_from_slice(&member[..payload]);
    let mut at = payload;
    if kind == b'M' {
        write_map(member, &mut at, rng, out);
    } else {
        let members = split(member, &mut at);
        out.push(b'[');
        let turn = rng.below(members.len() as u64) as usize;
        let (head, tail) = members.split_at(turn);
        for (count, &(start, end)) in tail.iter().chain(head).enumerate() {
            if count > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&member[start..end]);
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// Finds the members of the object or array that opens at `at`; leaves `at` behind its closing bracket.
fn split(json: &[u8], at: &mut usize) -> Vec<(usize, usize)> {
    let mut members = Vec::with_capacity(16);
    let mut depth = 0usize;
    let mut start = *at + 1;
    let mut here = *at;
    while here < json.len() {
        match json[here] {
            b'"' => {
                here = skip_string(json, here);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    if here > start {
                        members.push((start, here));
                    }
                    break;
                }
            }
            b',' if depth == 1 => {
                members.push((start, here));
                start = here + 1;
            }
            _ => {}
        }
        here += 1;
    }
    *at = here + 1;
    members
}

/// The position behind the string that opens at `at`.
fn skip_string(json: &[u8], at: usize) -> usize {
    let mut here = at + 1;
    while let Some(found) = json.get(here..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if json[here + found] == b'"' {
            return here + found + 1;
        }
        here += found + 2;
    }
    json.len()
}
