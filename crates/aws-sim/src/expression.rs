//! DynamoDB's expression language: conditions, filters, key conditions, updates and projections.

pub mod condition;
pub mod lexer;
pub mod parser;
pub mod projection;
pub mod update;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::ApiError;
use crate::attribute::{Attr, Map};

/// One step of a document path.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Name(String),
    Index(usize),
}

/// A document path such as `a.b[3]`; the first step is a name.
pub type Path = Vec<Step>;

/// The placeholders of one request, and which of them were used.
#[derive(Debug, Default)]
pub struct Scope {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, Attr>,
    used: RefCell<BTreeSet<String>>,
}

impl Scope {
    /// Reads ExpressionAttributeNames and ExpressionAttributeValues.
    pub fn new(names: Option<&Value>, values: Option<Value>) -> Result<Self, ApiError> {
        let mut scope = Self::default();
        if let Some(Value::Object(members)) = names {
            for (name, target) in members {
                let Some(target) = target.as_str() else {
                    return Err(ApiError::new(
                        "SerializationException",
                        "Unexpected value type in payload",
                    ));
                };
                scope.names.insert(name.clone(), target.to_owned());
            }
        }
        if let Some(Value::Object(members)) = values {
            for (name, value) in members {
                let value = Attr::from_json(value).map_err(|error| {
                    ApiError::validation(format!(
                        "ExpressionAttributeValues contains invalid value: {} for key {name}",
                        error.message
                    ))
                })?;
                scope.values.insert(name, value);
            }
        }
        Ok(scope)
    }

    /// Resolves `#name`, or returns a plain name as it is.
    pub fn name(&self, token: &str) -> Result<String, String> {
        if !token.starts_with('#') {
            return Ok(token.to_owned());
        }
        self.used.borrow_mut().insert(token.to_owned());
        self.names.get(token).cloned().ok_or_else(|| {
            format!(
                "An expression attribute name used in the document path is not defined; attribute name: {token}"
            )
        })
    }

    /// Resolves `:value`.
    pub fn value(&self, token: &str) -> Result<Attr, String> {
        self.used.borrow_mut().insert(token.to_owned());
        self.values.get(token).cloned().ok_or_else(|| {
            format!("An expression attribute value used in expression is not defined; attribute value: {token}")
        })
    }

    /// Refuses placeholders that no expression used, as AWS does.
    pub fn check_unused(&self) -> Result<(), ApiError> {
        let used = self.used.borrow();
        for (what, keys) in [
            ("Names", self.names.keys().collect::<Vec<_>>()),
            ("Values", self.values.keys().collect()),
        ] {
            let unused: Vec<_> = keys
                .into_iter()
                .filter(|key| !used.contains(*key))
                .cloned()
                .collect();
            if !unused.is_empty() {
                return Err(ApiError::validation(format!(
                    "Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{}}}",
                    unused.join(", ")
                )));
            }
        }
        Ok(())
    }
}

/// The attribute a path names.
pub fn lookup<'a>(item: &'a Map, path: &[Step]) -> Option<&'a Attr> {
    let (Step::Name(first), rest) = path.split_first()? else {
        return None;
    };
    let mut value = item.get(first)?;
    for step in rest {
        value = match (step, value) {
            (Step::Name(name), Attr::M(map)) => map.get(name)?,
            (Step::Index(at), Attr::L(list)) => list.get(*at)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Prints a path as AWS does in errors: `[a, b, [3]]`.
pub fn show_path(path: &[Step]) -> String {
    let steps: Vec<_> = path
        .iter()
        .map(|step| match step {
            Step::Name(name) => name.clone(),
            Step::Index(at) => format!("[{at}]"),
        })
        .collect();
    format!("[{}]", steps.join(", "))
}
