//! The hot loop: members written as AWS writes them, `"name":{"S":"text"},` one after the other.
//!
//! A name and a value of usual length lie in one window of the input and become one window of the output, so that
//! bounds are checked once and nothing is looped over. Whatever is unusual is left to the rest of [`super`].

use super::super::Descriptor;
use super::super::block::{BLOCK, half_specials, not_digits, specials};
use super::super::order::{Member, short_prefix};
use super::Scan;

/// Bytes of a window: a quote, a name of up to 31, `":{"S":"`, a block of text, `"},` and some to spare.
pub(in super::super) const WINDOW: usize = 96;

/// Why the loop has stopped.
pub(super) enum Stop {
    /// Behind the value of a member.
    Behind,
    /// Before a value, behind its descriptor.
    Value(Head),
    /// Inside a string, of which some is copied.
    Inside(Head),
    /// Before a member.
    Unusual,
}

/// What stands before a value in a map.
pub(super) struct Head {
    /// Of the name.
    pub(super) prefix: u64,
    /// In the input: the name, the value with its descriptor.
    pub(super) name_at: usize,
    pub(super) typed_start: usize,
    /// In the output: opening and closing quote of the name.
    pub(super) start: usize,
    pub(super) name_end: usize,
    pub(super) descriptor: Descriptor,
}

/// Whether names come sorted, as far as their prefixes tell.
pub(super) struct NameOrder {
    pub(super) in_order: bool,
    /// What the next prefix must be above, or equal to if it is the first.
    last: u64,
    first: bool,
}

impl Default for NameOrder {
    fn default() -> Self {
        Self {
            in_order: true,
            last: 0,
            first: true,
        }
    }
}

impl NameOrder {
    #[inline(always)]
    pub(super) fn follow(&mut self, prefix: u64) {
        self.in_order &= self.first | (prefix > self.last);
        self.last = prefix;
        self.first = false;
    }
}

const fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

#[inline(always)]
fn word_at(window: &[u8; WINDOW], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&window[at..at + 8]);
    word(&bytes)
}

/// All but the letter of a descriptor.
const BUT_LETTER: u64 = !(0xFF << 32);
const TEXT: u64 = word(b"\":{\"\0\":\"");
const MAP: u64 = word(b"\":{\"M\":{");
const LIST: u64 = word(b"\":{\"L\":[");
const STRING_SET: u64 = word(b"\":{\"SS\":");
const NUMBER_SET: u64 = word(b"\":{\"NS\":");
const BINARY_SET: u64 = word(b"\":{\"BS\":");
const BOOL: u64 = word(b"\":{\"BOOL");
const NULL: u64 = word(b"\":{\"NULL");
/// Behind BOOL and NULL.
const BUT_LAST: u64 = !(0xFF << 56);
const IS_TRUE: u64 = word(b"\":true}\0");
const IS_FALSE: u64 = word(b"\":false}");

impl Scan<'_> {
    /// Reads members up to one that takes more than this.
    pub(super) fn leaves(&mut self, order: &mut NameOrder) -> Stop {
        let (ahead, limit) = (self.ahead, self.input.len());
        let (mut pos, mut at) = (self.pos, self.at);
        let stop = loop {
            let Some(window) = ahead.get(pos..).and_then(<[u8]>::first_chunk::<WINDOW>) else {
                break Stop::Unusual;
            };
            let Some(out) = self
                .plain
                .get_mut(at..)
                .and_then(<[u8]>::first_chunk_mut::<WINDOW>)
            else {
                break Stop::Unusual;
            };
            let mut name = [0; 16];
            name.copy_from_slice(&window[1..17]);
            let mut found = half_specials(&name);
            out[..16].copy_from_slice(&window[..16]);
            if found == 0 {
                let mut rest = [0; 16];
                rest.copy_from_slice(&window[17..33]);
                found = half_specials(&rest) << 16;
                out[16..32].copy_from_slice(&window[16..32]);
            }
            if window[0] != b'"' || found == 0 {
                break Stop::Unusual;
            }
            let len = (found.trailing_zeros() & 31) as usize;
            out[len + 1..len + 5].copy_from_slice(b"\":\"\"");
            let opening = word_at(window, len + 1);
            let head = |descriptor| Head {
                prefix: short_prefix(&name, len),
                name_at: pos,
                typed_start: pos + len + 3,
                start: at,
                name_end: at + len + 1,
                descriptor,
            };
            // Ends of the value in the windows, the braces included and excluded.
            let (descriptor, typed_end, end) = if opening & BUT_LETTER == TEXT {
                let mut block = [0; BLOCK];
                block.copy_from_slice(&window[len + 9..len + 9 + BLOCK]);
                let (descriptor, typed_len, plain_end) = match window[len + 5] {
                    b'S' => {
                        out[len + 4..len + 4 + BLOCK].copy_from_slice(&block);
                        let found = specials(&block);
                        let run = (found.trailing_zeros() & 31) as usize;
                        if found == 0 || window[len + 9 + run] != b'"' {
                            let run = if found == 0 { BLOCK } else { run };
                            if pos + len + 9 + run > limit {
                                break Stop::Unusual;
                            }
                            let head = head(Descriptor::S);
                            (pos, at) = (pos + len + 9 + run, at + len + 4 + run);
                            break Stop::Inside(head);
                        }
                        out[len + 4 + run] = b'"';
                        (Descriptor::S, run, len + 5 + run)
                    }
                    b'N' => {
                        out[len + 3..len + 3 + BLOCK].copy_from_slice(&block);
                        let Some(digits) = number_len(&block) else {
                            if pos + len + 8 >= limit {
                                break Stop::Unusual;
                            }
                            let head = head(Descriptor::N);
                            (pos, at) = (pos + len + 8, at + len + 3);
                            break Stop::Value(head);
                        };
                        (Descriptor::N, digits, len + 3 + digits)
                    }
                    b'B' if pos + len + 8 < limit => {
                        let head = head(Descriptor::B);
                        (pos, at) = (pos + len + 8, at + len + 3);
                        break Stop::Value(head);
                    }
                    _ => break Stop::Unusual,
                };
                if window[len + 9 + typed_len + 1] != b'}' {
                    break Stop::Unusual;
                }
                (descriptor, len + 9 + typed_len + 2, plain_end)
            } else {
                let (descriptor, taken) = match opening {
                    MAP => (Descriptor::M, 7),
                    LIST => (Descriptor::L, 7),
                    STRING_SET => (Descriptor::Ss, 8),
                    NUMBER_SET => (Descriptor::Ns, 8),
                    BINARY_SET => (Descriptor::Bs, 8),
                    BOOL => (Descriptor::Bool, 0),
                    NULL => (Descriptor::Null, 0),
                    _ => break Stop::Unusual,
                };
                if taken == 0 {
                    let value = word_at(window, len + 9);
                    let is_true = value & BUT_LAST == IS_TRUE;
                    let text = match descriptor {
                        Descriptor::Null if is_true => *b"null\0",
                        Descriptor::Bool if is_true => *b"true\0",
                        Descriptor::Bool if value == IS_FALSE => *b"false",
                        _ => break Stop::Unusual,
                    };
                    out[len + 3..len + 8].copy_from_slice(&text);
                    let longer = usize::from(!is_true);
                    (descriptor, len + 16 + longer, len + 7 + longer)
                } else {
                    if pos + len + 1 + taken >= limit || window[len + 1 + taken] <= b' ' {
                        break Stop::Unusual;
                    }
                    let head = head(descriptor);
                    (pos, at) = (pos + len + 1 + taken, at + len + 3);
                    break Stop::Value(head);
                }
            };
            // A map goes on behind its last value, so a value that ends with the input is none.
            if pos + typed_end >= limit {
                break Stop::Unusual;
            }
            let prefix = short_prefix(&name, len);
            order.follow(prefix);
            self.members.push(Member::named(
                prefix,
                at..at + len + 1,
                at + end,
                false,
                pos,
                pos + len + 3..pos + typed_end,
                descriptor,
            ));
            let more = window[typed_end] == b',';
            out[end] = b',';
            pos += typed_end + usize::from(more);
            at += end + usize::from(more);
            if !more {
                break Stop::Behind;
            }
        };
        (self.pos, self.at) = (pos, at);
        stop
    }
}

/// Length of the number without exponent that a quote follows; `None` if it is anything else, or longer.
#[inline(always)]
pub(super) fn number_len(block: &[u8; BLOCK]) -> Option<usize> {
    let sign = usize::from(block[0] == b'-');
    let others = not_digits(block) >> sign;
    let whole = others.trailing_zeros() as usize;
    let mut end = whole + sign;
    if *block.get(end)? == b'.' {
        let point = end;
        end = (others & (others - 1)).trailing_zeros() as usize + sign;
        if end == point + 1 {
            return None;
        }
    }
    let leading_zero = whole > 1 && block[sign] == b'0';
    (*block.get(end)? == b'"' && whole > 0 && !leading_zero).then_some(end)
}
