//! The obvious way to the same result: a JSON parser's tree, walked; names sorted, two keys taken.

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

/// A tree that a parser has made.
pub(crate) trait Tree: Sized {
    /// Calls `take` for each member; nothing if it is no object.
    fn members<'a>(&'a self, take: impl FnMut(&'a str, &'a Self));
    /// Calls `take` for each element; nothing if it is no array.
    fn elements<'a>(&'a self, take: impl FnMut(&'a Self));
    fn text(&self) -> &str;
    fn is_true(&self) -> bool;
}

impl Tree for serde_json::Value {
    fn members<'a>(&'a self, mut take: impl FnMut(&'a str, &'a Self)) {
        if let Self::Object(map) = self {
            map.iter().for_each(|(name, value)| take(name, value));
        }
    }

    fn elements<'a>(&'a self, take: impl FnMut(&'a Self)) {
        if let Self::Array(list) = self {
            list.iter().for_each(take);
        }
    }

    fn text(&self) -> &str {
        self.as_str().unwrap_or_default()
    }

    fn is_true(&self) -> bool {
        self.as_bool() == Some(true)
    }
}

impl Tree for sonic_rs::Value {
    fn members<'a>(&'a self, mut take: impl FnMut(&'a str, &'a Self)) {
        if let Some(map) = self.as_object() {
            map.iter().for_each(|(name, value)| take(name, value));
        }
    }

    fn elements<'a>(&'a self, take: impl FnMut(&'a Self)) {
        if let Some(list) = self.as_array() {
            list.iter().for_each(take);
        }
    }

    fn text(&self) -> &str {
        self.as_str().unwrap_or_default()
    }

    fn is_true(&self) -> bool {
        self.as_bool() == Some(true)
    }
}

impl<'v> Tree for simd_json::BorrowedValue<'v> {
    fn members<'a>(&'a self, mut take: impl FnMut(&'a str, &'a Self)) {
        if let Self::Object(map) = self {
            map.iter().for_each(|(name, value)| take(name, value));
        }
    }

    fn elements<'a>(&'a self, take: impl FnMut(&'a Self)) {
        if let Self::Array(list) = self {
            list.iter().for_each(take);
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::String(text) => text,
            _ => "",
        }
    }

    fn is_true(&self) -> bool {
        matches!(self, Self::Static(simd_json::StaticNode::Bool(true)))
    }
}

/// Writes a line's item as plain JSON and its keys; false if it is no such line.
pub(crate) fn convert<T: Tree>(line: &T, out: &mut Vec<u8>, keys: &mut Vec<u8>) -> bool {
    let mut item = None;
    line.members(|_, value| item = Some(value));
    let Some(item) = item else {
        return false;
    };
    item.members(|name, value| {
        if name == "pk" || name == "sk" {
            value.members(|_, key| keys.extend_from_slice(key.text().as_bytes()));
        }
    });
    map(item, out);
    true
}

fn map<T: Tree>(value: &T, out: &mut Vec<u8>) {
    let mut members = Vec::new();
    value.members(|name, value| members.push((name, value)));
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        value.members(|descriptor, value| plain(descriptor, value, out));
    }
    out.push(b'}');
}

fn plain<T: Tree>(descriptor: &str, value: &T, out: &mut Vec<u8>) {
    match descriptor {
        "S" | "B" => string(value.text(), out),
        "N" => out.extend_from_slice(value.text().as_bytes()),
        "BOOL" if value.is_true() => out.extend_from_slice(b"true"),
        "BOOL" => out.extend_from_slice(b"false"),
        "NULL" => out.extend_from_slice(b"null"),
        "M" => map(value, out),
        _ => {
            let mut elements = Vec::new();
            value.elements(|element| elements.push(element));
            if descriptor != "L" {
                elements.sort_unstable_by_key(|element| element.text());
            }
            out.push(b'[');
            for (at, element) in elements.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                match descriptor {
                    "L" => element.members(|descriptor, value| plain(descriptor, value, out)),
                    "NS" => out.extend_from_slice(element.text().as_bytes()),
                    _ => string(element.text(), out),
                }
            }
            out.push(b']');
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    let special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
