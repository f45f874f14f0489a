//! ProjectionExpression.

use super::parser::Parser;
use super::{Path, Scope, Step, lookup};
use crate::api::ApiError;
use crate::attribute::{Attr, Map};

/// Parses `a, b.c[1]`.
pub fn parse(text: &str, scope: &Scope) -> Result<Vec<Path>, ApiError> {
    let read = || {
        let mut parser = Parser::new(text, scope)?;
        let mut paths = vec![parser.path()?];
        while parser.symbol(",") {
            paths.push(parser.path()?);
        }
        parser.finish()?;
        Ok(paths)
    };
    read().map_err(|error: String| {
        ApiError::validation(format!("Invalid ProjectionExpression: {error}"))
    })
}

/// Only the attributes the paths name; list elements are packed together.
pub fn project(item: &Map, paths: &[Path]) -> Map {
    let mut out = Map::new();
    for path in paths {
        let (Some(Step::Name(first)), Some(value)) = (path.first(), lookup(item, path)) else {
            continue;
        };
        let fresh = wrap(&path[1..], value.clone());
        match out.remove(first) {
            Some(existing) => out.insert(first.clone(), merge(existing, fresh)),
            None => out.insert(first.clone(), fresh),
        };
    }
    out
}

fn wrap(path: &[Step], value: Attr) -> Attr {
    match path.split_first() {
        None => value,
        Some((Step::Name(name), rest)) => Attr::M(Map::from([(name.clone(), wrap(rest, value))])),
        Some((Step::Index(_), rest)) => Attr::L(vec![wrap(rest, value)]),
    }
}

fn merge(left: Attr, right: Attr) -> Attr {
    match (left, right) {
        (Attr::M(mut left), Attr::M(right)) => {
            for (name, value) in right {
                let value = match left.remove(&name) {
                    Some(existing) => merge(existing, value),
                    None => value,
                };
                left.insert(name, value);
            }
            Attr::M(left)
        }
        (Attr::L(mut left), Attr::L(right)) => {
            left.extend(right);
            Attr::L(left)
        }
        (_, right) => right,
    }
}
