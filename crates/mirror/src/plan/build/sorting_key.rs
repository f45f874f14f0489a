//! Which columns a sorting key names by themselves.

use crate::plan::PlanColumn;

/// Indexes of the columns that are whole members of the key, in its order, each once. A function of a column
/// does not count: two values may have the same hash.
pub(super) fn columns(sorting_key: &str, columns: &[PlanColumn]) -> Vec<usize> {
    let mut found = Vec::new();
    for member in members(unwrapped(sorting_key)) {
        let name = identifier(member);
        let index = columns
            .iter()
            .position(|column| Some(&column.name) == name.as_ref());
        if let Some(index) = index.filter(|index| !found.contains(index)) {
            found.push(index);
        }
    }
    found
}

/// The key without the parentheses or the `tuple(...)` around all of it.
pub(super) fn unwrapped(sorting_key: &str) -> &str {
    let key = sorting_key.trim();
    let inner = key.strip_prefix("tuple").unwrap_or(key).trim_start();
    let inner = inner
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'));
    match inner {
        // `(a), (b)` starts and ends with parentheses that do not belong together.
        Some(inner) if is_balanced(inner) => unwrapped(inner),
        _ => key,
    }
}

fn is_balanced(text: &str) -> bool {
    let mut scan = Nesting::default();
    text.chars().all(|c| {
        scan.step(c);
        scan.depth >= 0
    }) && scan.depth == 0
}

/// The members between commas that are outside of parentheses and quotes.
fn members(key: &str) -> Vec<&str> {
    let mut scan = Nesting::default();
    key.split(|c| {
        scan.step(c);
        c == ',' && scan.depth == 0 && scan.quote.is_none()
    })
    .map(str::trim)
    .collect()
}

/// The name that a member is, if it is nothing but a name: `pk`, `` `my key` ``, `"pk"`.
fn identifier(member: &str) -> Option<String> {
    for quote in ['`', '"'] {
        let quoted = member
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(name) = quoted {
            return (!name.contains([quote, '\\'])).then(|| name.to_owned());
        }
    }
    let bare = !member.is_empty() && member.chars().all(|c| c.is_alphanumeric() || c == '_');
    bare.then(|| member.to_owned())
}

/// Parentheses and quotes while walking over an expression.
#[derive(Default)]
struct Nesting {
    depth: i32,
    quote: Option<char>,
    escaped: bool,
}

impl Nesting {
    fn step(&mut self, c: char) {
        match self.quote {
            Some(_) if self.escaped => self.escaped = false,
            Some(_) if c == '\\' => self.escaped = true,
            Some(quote) if c == quote => self.quote = None,
            Some(_) => {}
            None => match c {
                '`' | '"' | '\'' => self.quote = Some(c),
                '(' | '[' => self.depth += 1,
                ')' | ']' => self.depth -= 1,
                _ => {}
            },
        }
    }
}
