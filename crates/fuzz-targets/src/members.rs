//! The members of a manifest that count, read one by one.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object as text; what nobody asks for is not looked at closely, as in the manifests' parsers.
pub(crate) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Reads an object, or a list of as many values as there are names: serde takes a list for a struct too.
    pub(crate) fn read(text: &str, names: &[&str]) -> Option<Self> {
        let read = match serde_json::from_str::<Raw>(text).ok()? {
            Raw::Object(members) => members,
            Raw::List(values) if values.len() == names.len() => {
                let names = names.iter().map(|name| (*name).to_owned());
                names.zip(values).collect()
            }
            Raw::List(_) => return None,
        };
        let count = |name| read.iter().filter(|(other, _)| other == name).count();
        names
            .iter()
            .all(|name| count(*name) <= 1)
            .then_some(Self(read))
    }

    /// The value of that name; `None` if there is none, it is null, or of another type.
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        serde_json::from_str::<Option<T>>(value.get()).ok()?
    }
}

enum Raw {
    Object(Vec<(String, Box<RawValue>)>),
    List(Vec<Box<RawValue>>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Raw::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Raw::List(list))
    }
}
