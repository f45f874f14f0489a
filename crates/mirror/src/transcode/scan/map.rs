//! Maps: names, descriptors, and the order of members.

use super::super::Descriptor;
use super::super::error::TranscodeErrorKind as Kind;
use super::super::order::{Member, sort_names};
use super::super::text::copy_plain_run;
use super::{Result, Scan};
use crate::limits::MAX_DEPTH;

impl Scan<'_> {
    pub(super) fn map(&mut self, depth: usize) -> Result<()> {
        let base = self.members.len();
        let (start, in_order) = self.map_members(depth)?;
        if !in_order {
            self.apply_order(base, start, b'}');
        }
        self.members.truncate(base);
        Ok(())
    }

    /// Scans a map after its brace. Returns where its members start in the output, and whether they are
    /// in order there; on the stack they are.
    pub(super) fn map_members(&mut self, depth: usize) -> Result<(usize, bool)> {
        if depth > MAX_DEPTH {
            return self.fail(Kind::TooDeep);
        }
        let base = self.members.len();
        self.put(b'{');
        let start = self.at;
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            self.put(b'}');
            return Ok((start, true));
        }
        let mut in_order = true;
        loop {
            let member = self.map_member(depth)?;
            if in_order && self.members.len() > base {
                let last = &self.members[self.members.len() - 1];
                in_order = last.compare_names(&member, self.plain).is_lt();
            }
            self.members.push(member);
            match self.input.get(self.pos..).and_then(<[u8]>::first_chunk) {
                Some(b",\"") => {
                    self.put(b',');
                    self.pos += 1;
                    continue;
                }
                Some([b'}', _]) => break,
                _ => {}
            }
            self.skip_whitespace();
            match self.peek() {
                Some(b',') => self.put(b','),
                Some(b'}') => break,
                _ => return self.unexpected(),
            }
            self.pos += 1;
            self.skip_whitespace();
        }
        self.pos += 1;
        self.put(b'}');
        if !in_order {
            sort_names(&mut self.members[base..], self.plain)?;
        }
        Ok((start, in_order))
    }

    #[inline]
    fn map_member(&mut self, depth: usize) -> Result<Member> {
        let name_at = self.pos;
        let start = self.at;
        let (name_end, escaped, descriptor, typed_start) = match self.name_and_descriptor() {
            Some((name_end, descriptor)) => {
                (name_end, false, descriptor, name_at + name_end - start + 2)
            }
            None => self.name_slowly(name_at, start)?,
        };
        self.value_body(descriptor, depth)?;
        Ok(Member::named(
            &*self.plain,
            start..name_end,
            self.at,
            escaped,
            name_at,
            typed_start..self.pos,
            descriptor,
        ))
    }

    /// Reads `"name":{"S":` if it is written as AWS does, without escapes and white space. Gives the end of
    /// the name in the output, and the descriptor. Otherwise nothing has happened.
    #[inline]
    fn name_and_descriptor(&mut self) -> Option<(usize, Descriptor)> {
        if self.peek() != Some(b'"') {
            return None;
        }
        self.plain[self.at] = b'"';
        let (pos, at) = copy_plain_run(self.input, self.plain, self.pos + 1, self.at + 1);
        let head = self.input.get(pos..)?.first_chunk::<8>()?;
        let (descriptor, len) = match head {
            [b'"', b':', b'{', b'"', letter, b'"', b':', next] if *next > b' ' => {
                (Descriptor::of_letter(*letter)?, 7)
            }
            b"\":{\"SS\":" => (Descriptor::Ss, 8),
            b"\":{\"NS\":" => (Descriptor::Ns, 8),
            b"\":{\"BS\":" => (Descriptor::Bs, 8),
            b"\":{\"BOOL" | b"\":{\"NULL" if self.input[pos + 8..].starts_with(b"\":") => {
                let is_bool = head[4] == b'B';
                (
                    if is_bool {
                        Descriptor::Bool
                    } else {
                        Descriptor::Null
                    },
                    10,
                )
            }
            _ => return None,
        };
        self.plain[at] = b'"';
        self.plain[at + 1] = b':';
        self.pos = pos + len;
        self.at = at + 2;
        if len > 7 {
            self.skip_whitespace();
        }
        Some((at, descriptor))
    }

    /// Reads `"name" : { "S" :` in any spelling.
    #[cold]
    fn name_slowly(
        &mut self,
        name_at: usize,
        start: usize,
    ) -> Result<(usize, bool, Descriptor, usize)> {
        (self.pos, self.at) = (name_at, start);
        self.expect(b'"')?;
        self.put(b'"');
        let escaped = self.copy_string()?;
        let name_end = self.at;
        self.put(b'"');
        self.put(b':');
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        let typed_start = self.pos;
        let descriptor = self.open_value()?;
        Ok((name_end, escaped, descriptor, typed_start))
    }

    /// Rewrites the members written since `start` in the order they have on the stack from `base` on.
    pub(super) fn apply_order(&mut self, base: usize, start: usize, close: u8) {
        self.reorder.clear();
        for member in &self.members[base..] {
            self.reorder.extend_from_slice(&self.plain[member.text()]);
            self.reorder.push(b',');
        }
        self.plain[start..self.at].copy_from_slice(self.reorder);
        self.plain[self.at - 1] = close;
    }
}
