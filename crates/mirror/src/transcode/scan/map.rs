//! Maps: names, descriptors, and the order of members.

use super::super::Descriptor;
use super::super::block::{BLOCK, copy_blocks};
use super::super::error::TranscodeErrorKind as Kind;
use super::super::order::{Member, prefix, sort_names, write_members};
use super::leaves::{Head, NameOrder, Stop};
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
        let mut order = NameOrder::default();
        loop {
            match self.leaves(&mut order) {
                Stop::Behind => {}
                Stop::Value(head) => {
                    self.value_body(head.descriptor, depth)?;
                    self.push_named(&mut order, &head);
                }
                Stop::Inside(head) => {
                    self.copy_string()?;
                    self.put(b'"');
                    self.close_value()?;
                    self.push_named(&mut order, &head);
                }
                Stop::Unusual => {
                    let member = self.member_slowly(depth)?;
                    order.follow(member.prefix());
                    self.members.push(member);
                }
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
        if !order.in_order {
            sort_names(&mut self.members[base..], self.sorting, self.plain)?;
        }
        Ok((start, order.in_order))
    }

    fn push_named(&mut self, order: &mut NameOrder, head: &Head) {
        order.follow(head.prefix);
        self.members.push(Member::named(
            head.prefix,
            head.start..head.name_end,
            self.at,
            false,
            head.name_at,
            head.typed_start..self.pos,
            head.descriptor,
        ));
    }

    /// Reads a member in any spelling.
    #[inline(never)]
    fn member_slowly(&mut self, depth: usize) -> Result<Member> {
        self.skip_whitespace();
        let (name_at, start) = (self.pos, self.at);
        let (name_end, escaped, descriptor, typed_start) = self.name_slowly()?;
        self.value_body(descriptor, depth)?;
        let name = &self.plain[start + 1..name_end];
        Ok(Member::named(
            prefix(name),
            start..name_end,
            self.at,
            escaped,
            name_at,
            typed_start..self.pos,
            descriptor,
        ))
    }

    /// Reads `"name" : { "S" :` in any spelling.
    fn name_slowly(&mut self) -> Result<(usize, bool, Descriptor, usize)> {
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
        let room = self.at - start + 2 * BLOCK;
        if self.reorder.len() < room {
            self.reorder.resize(self.plain.len().max(room), 0);
        }
        let len = write_members(&self.members[base..], self.plain, self.reorder, 0);
        self.reorder[len] = close;
        copy_blocks(self.reorder, 0, self.plain, start, len + 1);
    }
}
