//! Evaluation of conditions and filters.

use std::cmp::Ordering;

use super::parser::{Condition, Operand, Parser};
use super::{Scope, lookup};
use crate::api::ApiError;
use crate::attribute::{Attr, Map};

/// Parses a whole condition; `kind` is `ConditionExpression`, `FilterExpression` or `KeyConditionExpression`.
pub fn parse(kind: &str, text: &str, scope: &Scope) -> Result<Condition, ApiError> {
    let read = || {
        let mut parser = Parser::new(text, scope)?;
        let condition = parser.condition()?;
        parser.finish()?;
        Ok(condition)
    };
    read().map_err(|error: String| ApiError::validation(format!("Invalid {kind}: {error}")))
}

impl Condition {
    /// True if the item (empty when there is none) fulfils the condition.
    pub fn holds(&self, item: &Map) -> bool {
        match self {
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
            Self::Not(inner) => !inner.holds(item),
            Self::Compare(symbol, left, right) => {
                compare(symbol, left.value(item), right.value(item))
            }
            Self::Between(value, low, high) => {
                let (value, low, high) = (value.value(item), low.value(item), high.value(item));
                compare(">=", value.clone(), low) && compare("<=", value, high)
            }
            Self::In(value, list) => {
                let value = value.value(item);
                value.is_some() && list.iter().any(|member| member.value(item) == value)
            }
            Self::Exists(path, wanted) => lookup(item, path).is_some() == *wanted,
            Self::AttributeType(path, kind) => {
                matches!((lookup(item, path), kind.value(item)), (Some(value), Some(Attr::S(kind))) if value.type_name() == kind)
            }
            Self::BeginsWith(value, prefix) => match (value.value(item), prefix.value(item)) {
                (Some(Attr::S(text)), Some(Attr::S(prefix))) => text.starts_with(&prefix),
                (Some(Attr::B(bytes)), Some(Attr::B(prefix))) => bytes.starts_with(&prefix),
                _ => false,
            },
            Self::Contains(value, member) => contains(value.value(item), member.value(item)),
        }
    }
}

impl Operand {
    /// The operand's value for an item; only the forms that conditions know.
    pub fn value(&self, item: &Map) -> Option<Attr> {
        match self {
            Self::Path(path) => lookup(item, path).cloned(),
            Self::Value(value) => Some(value.clone()),
            Self::Size(path) => lookup(item, path)
                .and_then(length)
                .map(|size| Attr::N(size.to_string())),
            _ => None,
        }
    }
}

fn length(value: &Attr) -> Option<usize> {
    match value {
        Attr::S(text) => Some(text.len()),
        Attr::B(bytes) => Some(bytes.len()),
        Attr::Ss(list) | Attr::Ns(list) => Some(list.len()),
        Attr::Bs(list) => Some(list.len()),
        Attr::L(list) => Some(list.len()),
        Attr::M(map) => Some(map.len()),
        _ => None,
    }
}

fn contains(value: Option<Attr>, member: Option<Attr>) -> bool {
    match (value, member) {
        (Some(Attr::S(text)), Some(Attr::S(part))) => text.contains(&part),
        (Some(Attr::B(bytes)), Some(Attr::B(part))) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        (Some(Attr::Ss(list)), Some(Attr::S(member)))
        | (Some(Attr::Ns(list)), Some(Attr::N(member))) => list.contains(&member),
        (Some(Attr::Bs(list)), Some(Attr::B(member))) => list.contains(&member),
        (Some(Attr::L(list)), Some(member)) => list.contains(&member),
        _ => false,
    }
}

fn compare(symbol: &str, left: Option<Attr>, right: Option<Attr>) -> bool {
    match symbol {
        "=" => left.is_some() && left == right,
        "<>" => left != right,
        _ => {
            let (Some(left), Some(right)) = (left, right) else {
                return false;
            };
            let Some(order) = order(&left, &right) else {
                return false;
            };
            match symbol {
                "<" => order == Ordering::Less,
                "<=" => order != Ordering::Greater,
                ">" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
        }
    }
}

fn order(left: &Attr, right: &Attr) -> Option<Ordering> {
    match (left, right) {
        (Attr::S(left), Attr::S(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Attr::B(left), Attr::B(right)) => Some(left.cmp(right)),
        (Attr::N(_), Attr::N(_)) => Some(left.decimal()?.cmp(&right.decimal()?)),
        _ => None,
    }
}
