//! UpdateExpression: SET, REMOVE, ADD and DELETE.

use super::parser::{Operand, Parser};
use super::{Path, Scope, Step, lookup, show_path};
use crate::api::ApiError;
use crate::attribute::{Attr, Map};

/// One action of an update.
#[derive(Debug, Clone)]
pub enum Action {
    Set(Path, Operand),
    Remove(Path),
    Add(Path, Attr),
    Delete(Path, Attr),
}

impl Action {
    /// The path the action writes.
    pub fn path(&self) -> &Path {
        match self {
            Self::Set(path, _)
            | Self::Remove(path)
            | Self::Add(path, _)
            | Self::Delete(path, _) => path,
        }
    }
}

const INVALID_PATH: &str =
    "The document path provided in the update expression is invalid for update";
const MISSING: &str =
    "The provided expression refers to an attribute that does not exist in the item";
const WRONG_TYPE: &str = "An operand in the update expression has an incorrect data type";

/// Parses a whole update expression.
pub fn parse(text: &str, scope: &Scope) -> Result<Vec<Action>, ApiError> {
    let invalid =
        |error: String| ApiError::validation(format!("Invalid UpdateExpression: {error}"));
    let actions = read(text, scope).map_err(invalid)?;
    for (at, left) in actions.iter().enumerate() {
        for right in &actions[at + 1..] {
            let (left, right) = (left.path(), right.path());
            let common = left.len().min(right.len());
            if left[..common] == right[..common] {
                return Err(invalid(format!(
                    "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {}, path two: {}",
                    show_path(left),
                    show_path(right)
                )));
            }
        }
    }
    Ok(actions)
}

fn read(text: &str, scope: &Scope) -> Result<Vec<Action>, String> {
    let mut parser = Parser::new(text, scope)?;
    let mut actions = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    while !parser.at_end() {
        let Some(section) = ["SET", "REMOVE", "ADD", "DELETE"]
            .into_iter()
            .find(|word| parser.keyword(word))
        else {
            return Err(parser.unexpected());
        };
        if seen.contains(&section) {
            return Err(format!(
                "The \"{section}\" section can only be used once in an update expression;"
            ));
        }
        seen.push(section);
        loop {
            let path = parser.path()?;
            actions.push(match section {
                "SET" => {
                    if !parser.symbol("=") {
                        return Err(parser.unexpected());
                    }
                    Action::Set(path, parser.set_value()?)
                }
                "REMOVE" => Action::Remove(path),
                _ => {
                    let Operand::Value(value) = parser.operand()? else {
                        return Err(parser.unexpected());
                    };
                    add_or_delete(section, path, value)?
                }
            });
            if !parser.symbol(",") {
                break;
            }
        }
    }
    Ok(actions)
}

fn add_or_delete(section: &str, path: Path, value: Attr) -> Result<Action, String> {
    let set = matches!(value, Attr::Ss(_) | Attr::Ns(_) | Attr::Bs(_));
    let fits = set || (section == "ADD" && matches!(value, Attr::N(_)));
    if !fits {
        return Err(format!(
            "Incorrect operand type for operator or function; operator: {section}, operand type: {}, typeSet: ALLOWED_FOR_{section}_OPERAND",
            value.type_name()
        ));
    }
    Ok(if section == "ADD" {
        Action::Add(path, value)
    } else {
        Action::Delete(path, value)
    })
}

/// Applies the actions; every operand sees the item as it was before.
pub fn apply(actions: &[Action], before: &Map) -> Result<Map, ApiError> {
    let mut item = before.clone();
    let mut removals: Vec<&Path> = Vec::new();
    for action in actions {
        match action {
            Action::Set(path, operand) => {
                let value = evaluate(operand, before)?;
                put(&mut item, path, value)?;
            }
            Action::Remove(path) => removals.push(path),
            Action::Add(path, value) => {
                let value = added(lookup(before, path), value)?;
                put(&mut item, path, value)?;
            }
            Action::Delete(path, value) => delete(&mut item, path, lookup(before, path), value)?,
        }
    }
    // From the back, so that removing list elements does not move those still to be removed.
    removals.sort_by_key(|path| match path.last() {
        Some(Step::Index(at)) => std::cmp::Reverse(*at),
        _ => std::cmp::Reverse(0),
    });
    for path in removals {
        remove(&mut item, path)?;
    }
    Ok(item)
}

fn evaluate(operand: &Operand, item: &Map) -> Result<Attr, ApiError> {
    match operand {
        Operand::Value(value) => Ok(value.clone()),
        Operand::Path(path) => lookup(item, path)
            .cloned()
            .ok_or_else(|| ApiError::validation(MISSING)),
        Operand::Size(_) => Err(ApiError::validation(
            "Invalid UpdateExpression: The function is not allowed in an update expression; function: size",
        )),
        Operand::IfNotExists(path, other) => match lookup(item, path) {
            Some(value) => Ok(value.clone()),
            None => evaluate(other, item),
        },
        Operand::ListAppend(left, right) => match (evaluate(left, item)?, evaluate(right, item)?) {
            (Attr::L(mut left), Attr::L(right)) => {
                left.extend(right);
                Ok(Attr::L(left))
            }
            _ => Err(ApiError::validation(WRONG_TYPE)),
        },
        Operand::Plus(left, right) => {
            arithmetic(&evaluate(left, item)?, &evaluate(right, item)?, false)
        }
        Operand::Minus(left, right) => {
            arithmetic(&evaluate(left, item)?, &evaluate(right, item)?, true)
        }
    }
}

fn arithmetic(left: &Attr, right: &Attr, subtract: bool) -> Result<Attr, ApiError> {
    let (Some(left), Some(right)) = (left.decimal(), right.decimal()) else {
        return Err(ApiError::validation(WRONG_TYPE));
    };
    let right = if subtract { right.negated() } else { right };
    left.add(&right)
        .map(|sum| Attr::N(sum.render()))
        .map_err(|error| ApiError::validation(error.to_string()))
}

fn added(existing: Option<&Attr>, value: &Attr) -> Result<Attr, ApiError> {
    fn union<T: Ord + Clone>(left: &[T], right: &[T]) -> Vec<T> {
        let mut all = [left, right].concat();
        all.sort();
        all.dedup();
        all
    }
    match (existing, value) {
        (None, value) => Ok(value.clone()),
        (Some(Attr::N(_)), Attr::N(_)) => arithmetic(existing.unwrap_or(value), value, false),
        (Some(Attr::Ss(left)), Attr::Ss(right)) => Ok(Attr::Ss(union(left, right))),
        (Some(Attr::Ns(left)), Attr::Ns(right)) => Ok(Attr::Ns(union(left, right))),
        (Some(Attr::Bs(left)), Attr::Bs(right)) => Ok(Attr::Bs(union(left, right))),
        _ => Err(ApiError::validation(WRONG_TYPE)),
    }
}

fn delete(
    item: &mut Map,
    path: &Path,
    existing: Option<&Attr>,
    value: &Attr,
) -> Result<(), ApiError> {
    fn rest<T: PartialEq + Clone>(left: &[T], right: &[T]) -> Vec<T> {
        left.iter()
            .filter(|member| !right.contains(member))
            .cloned()
            .collect()
    }
    let (left, empty) = match (existing, value) {
        (None, _) => return Ok(()),
        (Some(Attr::Ss(left)), Attr::Ss(right)) => {
            let left = rest(left, right);
            let empty = left.is_empty();
            (Attr::Ss(left), empty)
        }
        (Some(Attr::Ns(left)), Attr::Ns(right)) => {
            let left = rest(left, right);
            let empty = left.is_empty();
            (Attr::Ns(left), empty)
        }
        (Some(Attr::Bs(left)), Attr::Bs(right)) => {
            let left = rest(left, right);
            let empty = left.is_empty();
            (Attr::Bs(left), empty)
        }
        _ => return Err(ApiError::validation(WRONG_TYPE)),
    };
    if empty {
        remove(item, path)
    } else {
        put(item, path, left)
    }
}

fn put(item: &mut Map, path: &[Step], value: Attr) -> Result<(), ApiError> {
    let invalid = || ApiError::validation(INVALID_PATH);
    let (Some(Step::Name(first)), rest) = (path.first(), path.get(1..).unwrap_or_default()) else {
        return Err(invalid());
    };
    let Some((last, middle)) = rest.split_last() else {
        item.insert(first.clone(), value);
        return Ok(());
    };
    let parent = descend(item.get_mut(first), middle).ok_or_else(invalid)?;
    match (last, parent) {
        (Step::Name(name), Attr::M(map)) => {
            map.insert(name.clone(), value);
        }
        (Step::Index(at), Attr::L(list)) => {
            if *at < list.len() {
                list[*at] = value;
            } else {
                list.push(value);
            }
        }
        _ => return Err(invalid()),
    }
    Ok(())
}

fn remove(item: &mut Map, path: &[Step]) -> Result<(), ApiError> {
    let invalid = || ApiError::validation(INVALID_PATH);
    let (Some(Step::Name(first)), rest) = (path.first(), path.get(1..).unwrap_or_default()) else {
        return Err(invalid());
    };
    let Some((last, middle)) = rest.split_last() else {
        item.remove(first);
        return Ok(());
    };
    let parent = descend(item.get_mut(first), middle).ok_or_else(invalid)?;
    match (last, parent) {
        (Step::Name(name), Attr::M(map)) => {
            map.remove(name);
        }
        (Step::Index(at), Attr::L(list)) => {
            if *at < list.len() {
                list.remove(*at);
            }
        }
        _ => return Err(invalid()),
    }
    Ok(())
}

fn descend<'a>(start: Option<&'a mut Attr>, path: &[Step]) -> Option<&'a mut Attr> {
    let mut value = start?;
    for step in path {
        value = match (step, value) {
            (Step::Name(name), Attr::M(map)) => map.get_mut(name)?,
            (Step::Index(at), Attr::L(list)) => list.get_mut(*at)?,
            _ => return None,
        };
    }
    Some(value)
}
