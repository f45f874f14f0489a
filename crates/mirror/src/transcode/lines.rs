//! Blocks of lines of an export file, their encoding checked at once.

/// A block of whole lines. Reading lines out of a block is faster than reading each alone: UTF-8 is checked once
/// for all of them, and the end of a line can be looked at in words that reach into the next one.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    block: &'a [u8],
    is_utf8: bool,
}

/// A line of an export file, with or without its newline, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The line and whatever follows it in its block.
    pub(super) ahead: &'a [u8],
    pub(super) len: usize,
    /// Whether the line is known to be UTF-8. If not, it may or may not be.
    pub(super) is_utf8: bool,
}

impl<'a> Lines<'a> {
    /// Takes a block and checks its encoding. A block that is not UTF-8 is fine: then each line is checked.
    pub fn new(block: &'a [u8]) -> Self {
        Self {
            block,
            is_utf8: simdutf8::basic::from_utf8(block).is_ok(),
        }
    }

    /// The lines, without their newlines; empty ones are left out.
    pub fn iter(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let (block, is_utf8) = (self.block, self.is_utf8);
        let mut start = 0;
        memchr::memchr_iter(b'\n', block)
            .chain(std::iter::once(block.len()))
            .filter_map(move |end| {
                let line = Line {
                    ahead: block.get(start..)?,
                    len: end - start,
                    is_utf8,
                };
                start = end + 1;
                (line.len > 0).then_some(line)
            })
    }
}

impl<'a> Line<'a> {
    /// The bytes of the line.
    pub fn bytes(&self) -> &'a [u8] {
        &self.ahead[..self.len]
    }
}

impl<'a> From<&'a [u8]> for Line<'a> {
    fn from(line: &'a [u8]) -> Self {
        Self {
            ahead: line,
            len: line.len(),
            is_utf8: false,
        }
    }
}
