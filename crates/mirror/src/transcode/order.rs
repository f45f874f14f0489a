//! Sorting the members of maps and sets, so that one item always gives the same bytes.

use std::cmp::Ordering;
use std::ops::Range;

use super::Descriptor;
use super::block::copy_blocks;
use super::error::{TranscodeError, TranscodeErrorKind};
use super::text::{compare_canonical, decoded_prefix, escape_into};
use crate::number::compare_texts;

/// What the elements of a set are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Strings or base64 texts.
    Texts,
    /// Numbers by value, then by text.
    Numbers,
}

/// A member of a map or set: where it lies in output and input. Items are shorter than 1 GiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// First bytes of the name, big endian: decides most comparisons.
    prefix: u64,
    /// In the output: opening quote of the name, or first byte of an element.
    start: u32,
    /// In the output: closing quote of the name.
    name_end: u32,
    /// In the output: after the value.
    end: u32,
    /// In the input: the name.
    name_at: u32,
    /// In the input: the value with its descriptor.
    typed_start: u32,
    typed_end: u32,
    /// The name holds an escape sequence in the output.
    escaped: bool,
    pub(super) descriptor: Descriptor,
}

#[inline(always)]
fn index(at: usize) -> u32 {
    debug_assert!(at <= super::MAX_INPUT + super::scan::SLACK);
    at as u32
}

/// What most comparisons of names are decided by: the first eight bytes, big endian, zeros behind a shorter one.
#[inline(always)]
pub(super) fn short_prefix(name: &[u8; 16], len: usize) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&name[..8]);
    let spare = 8_usize.saturating_sub(len) as u32 * 8;
    // In two steps, for an empty name.
    u64::from_be_bytes(head) >> (spare / 2) >> (spare - spare / 2)
        << (spare / 2)
        << (spare - spare / 2)
}

/// [`short_prefix`] of what a canonical name says.
pub(super) fn prefix(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(head) if !head.contains(&b'\\') => u64::from_be_bytes(*head),
        _ => decoded_prefix(name),
    }
}

/// A name to look for among the members of a map.
#[derive(Clone, Debug)]
pub(crate) struct AttributeName {
    prefix: u64,
    canonical: Vec<u8>,
}

impl AttributeName {
    /// Takes the name as it is, not escaped.
    pub(crate) fn new(name: &str) -> Self {
        let mut canonical = Vec::new();
        escape_into(name, &mut canonical);
        Self {
            prefix: prefix(&canonical),
            canonical,
        }
    }

    /// The name with canonical escapes.
    pub(crate) fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    #[inline]
    pub(super) fn is_of(&self, member: &Member, plain: &[u8]) -> bool {
        self.prefix == member.prefix && plain[member.name()] == self.canonical
    }
}

impl Member {
    /// A member of a map; `name` runs from the opening quote to the closing one (excluded).
    #[inline]
    pub(super) fn named(
        prefix: u64,
        name: Range<usize>,
        end: usize,
        escaped: bool,
        name_at: usize,
        typed: Range<usize>,
        descriptor: Descriptor,
    ) -> Self {
        Self {
            prefix,
            start: index(name.start),
            name_end: index(name.end),
            end: index(end),
            name_at: index(name_at),
            typed_start: index(typed.start),
            typed_end: index(typed.end),
            escaped,
            descriptor,
        }
    }

    /// An element of a set.
    pub(super) fn element(text: Range<usize>) -> Self {
        Self {
            prefix: 0,
            start: index(text.start),
            name_end: index(text.start),
            end: index(text.end),
            name_at: 0,
            typed_start: 0,
            typed_end: 0,
            escaped: false,
            descriptor: Descriptor::S,
        }
    }

    /// First eight bytes of the name, big endian, zeros behind a shorter one.
    pub(super) fn prefix(&self) -> u64 {
        self.prefix
    }

    /// The whole member in the output, without the comma.
    pub(super) fn text(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The name in the output, without quotes.
    pub(super) fn name(&self) -> Range<usize> {
        self.start as usize + 1..self.name_end as usize
    }

    /// The value in the output.
    pub(super) fn value(&self) -> Range<usize> {
        self.name_end as usize + 2..self.end as usize
    }

    /// The value with its descriptor in the input.
    pub(super) fn typed(&self) -> Range<usize> {
        self.typed_start as usize..self.typed_end as usize
    }

    /// Compares names by the bytes of what they say.
    #[inline]
    pub(super) fn compare_names(&self, other: &Self, plain: &[u8]) -> Ordering {
        match self.prefix.cmp(&other.prefix) {
            Ordering::Equal => self.compare_long_names(other, plain),
            decided => decided,
        }
    }

    fn compare_long_names(&self, other: &Self, plain: &[u8]) -> Ordering {
        let (a, b) = (&plain[self.name()], &plain[other.name()]);
        if self.escaped || other.escaped {
            compare_canonical(a, b)
        } else {
            a.cmp(b)
        }
    }

    pub(super) fn compare(&self, other: &Self, plain: &[u8], order: Order) -> Ordering {
        match order {
            Order::Texts => compare_canonical(
                unquoted(&plain[self.text()]),
                unquoted(&plain[other.text()]),
            ),
            Order::Numbers => {
                let (a, b) = (&plain[self.text()], &plain[other.text()]);
                compare_texts(a, b).then_with(|| a.cmp(b))
            }
        }
    }
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""))
        .unwrap_or(text)
}

/// Maps up to this size are sorted by counting.
const FEW: usize = 32;

/// Sorts by prefixes: counts for each member how many are below it, without a branch that could be guessed
/// wrong. Does nothing, and says false, if two prefixes are equal.
///
/// Prefixes are compared as floats, whose order is that of their bits: the one comparison of eight bytes that
/// every x86-64 has for vectors. No UTF-8 starts with a byte that would make an infinity.
fn sort_prefixes(members: &mut [Member], scratch: &mut Vec<Member>) -> bool {
    // Nothing is above the filling.
    let mut keys = [f64::INFINITY; FEW];
    for (key, member) in keys.iter_mut().zip(&*members) {
        *key = f64::from_bits(member.prefix >> 1);
    }
    let count = members.len();
    let (chunks, _) = keys.as_chunks::<4>();
    let chunks = &chunks[..count.div_ceil(4)];
    let mut places = [0_u8; FEW];
    let mut sum = 0;
    for (place, key) in places.iter_mut().zip(&keys[..count]) {
        let mut below = [0_u64; 4];
        for chunk in chunks {
            for (below, other) in below.iter_mut().zip(chunk) {
                *below += u64::from(other < key);
            }
        }
        let below = below.iter().sum::<u64>() as usize;
        sum += below;
        *place = below as u8;
    }
    if sum != count * (count - 1) / 2 {
        return false;
    }
    scratch.clear();
    scratch.extend_from_slice(members);
    for (member, place) in scratch.iter().zip(places) {
        members[usize::from(place)] = *member;
    }
    true
}

/// Writes the members, which lie in `plain` with the byte behind each, one after the other with commas between.
/// Gives their length without the last comma. Both slices have a block to spare.
pub(super) fn write_members(
    members: &[Member],
    plain: &[u8],
    to: &mut [u8],
    start: usize,
) -> usize {
    let mut at = start;
    for member in members {
        let len = (member.end - member.start) as usize;
        copy_blocks(plain, member.start as usize, to, at, len);
        at += len;
        to[at] = b',';
        at += 1;
    }
    at - start - 1
}

/// Sorts the members of a map without allocating. Two equal names are an error, at the later one.
pub(super) fn sort_names(
    members: &mut [Member],
    scratch: &mut Vec<Member>,
    plain: &[u8],
) -> Result<(), TranscodeError> {
    if members.len() > FEW {
        members.sort_unstable_by(|a, b| a.compare_names(b, plain));
    } else if members.len() > 4 && sort_prefixes(members, scratch) {
        return Ok(());
    }
    // Not much is left to do: equal prefixes, short maps.
    let mut has_equal = false;
    for at in 1..members.len() {
        let mut place = at;
        while place > 0 {
            match members[place - 1].compare_names(&members[place], plain) {
                Ordering::Less => break,
                Ordering::Greater => members.swap(place - 1, place),
                Ordering::Equal => {
                    has_equal = true;
                    break;
                }
            }
            place -= 1;
        }
    }
    if has_equal {
        for pair in members.windows(2) {
            if pair[0].compare_names(&pair[1], plain).is_eq() {
                let at = pair[0].name_at.max(pair[1].name_at) as usize;
                return Err(TranscodeError::new(TranscodeErrorKind::DuplicateName, at));
            }
        }
    }
    Ok(())
}
