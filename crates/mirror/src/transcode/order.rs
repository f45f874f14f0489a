//! Sorting the members of maps and sets, so that one item always gives the same bytes.

use std::cmp::Ordering;
use std::ops::Range;

use super::Descriptor;
use super::error::{TranscodeError, TranscodeErrorKind};
use super::text::{compare_canonical, decoded_prefix};
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

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// First eight bytes of what a name says, zeros behind a shorter one.
#[inline]
fn prefix(plain: &[u8], name: &Range<usize>, escaped: bool) -> u64 {
    if escaped {
        return decoded_prefix(&plain[name.clone()]);
    }
    let len = name.end - name.start;
    let head = match plain.get(name.start..).and_then(<[u8]>::first_chunk) {
        Some(head) => u64::from_be_bytes(*head),
        None => return decoded_prefix(&plain[name.clone()]),
    };
    match len {
        0 => 0,
        1..8 => head & (u64::MAX << (64 - 8 * len)),
        _ => head,
    }
}

impl Member {
    /// A member of a map; `name` runs from the opening quote to the closing one (excluded).
    #[inline]
    pub(super) fn named(
        plain: &[u8],
        name: Range<usize>,
        end: usize,
        escaped: bool,
        name_at: usize,
        typed: Range<usize>,
        descriptor: Descriptor,
    ) -> Self {
        Self {
            prefix: prefix(plain, &(name.start + 1..name.end), escaped),
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

/// Sorts the members of a map without allocating. Two equal names are an error, at the later one.
pub(super) fn sort_names(members: &mut [Member], plain: &[u8]) -> Result<(), TranscodeError> {
    members.sort_unstable_by(|a, b| a.compare_names(b, plain));
    for pair in members.windows(2) {
        if pair[0].compare_names(&pair[1], plain).is_eq() {
            let at = pair[0].name_at.max(pair[1].name_at) as usize;
            return Err(TranscodeError::new(TranscodeErrorKind::DuplicateName, at));
        }
    }
    Ok(())
}
