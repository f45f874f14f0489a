//! Access to the members of a JSON request.

use serde_json::{Map as JsonMap, Value};

use crate::api::ApiError;
use crate::expression::Scope;

/// The body of a JSON call.
#[derive(Debug, Clone, Default)]
pub struct Params(pub JsonMap<String, Value>);

impl Params {
    /// Parses a body; an empty one is an empty object.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(ApiError::new(
                "SerializationException",
                "Start of structure or map found where not expected.",
            )),
        }
    }

    /// A member, unless absent or null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Moves a member out, unless absent or null.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0
            .get_mut(name)
            .map(Value::take)
            .filter(|value| !value.is_null())
    }

    /// Moves a mandatory member out.
    pub fn need(&mut self, name: &str) -> Result<Value, ApiError> {
        self.take(name).ok_or_else(|| missing(name))
    }

    /// A string member.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type()),
        }
    }

    /// A mandatory string member.
    pub fn need_text(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .or_else(|| value.as_f64().map(|float| float as i64))
                .map(Some)
                .ok_or_else(wrong_type),
        }
    }

    /// A whole number within bounds, refused as AWS does outside them.
    pub fn int_within(&self, name: &str, low: i64, high: i64) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.int(name)? else {
            return Ok(None);
        };
        let bound = if value < low {
            format!("greater than or equal to {low}")
        } else if value > high {
            format!("less than or equal to {high}")
        } else {
            return Ok(Some(value));
        };
        Err(ApiError::validation(format!(
            "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: Member must have value {bound}",
            lower_first(name)
        )))
    }

    /// A time in epoch seconds with fraction, as milliseconds.
    pub fn millis(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(|seconds| Some((seconds * 1000.0).round() as i64))
                .ok_or_else(wrong_type),
        }
    }

    /// A boolean, false when absent.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(wrong_type),
        }
    }

    /// One of a fixed list of words.
    pub fn choice<'a>(&self, name: &str, choices: &[&'a str]) -> Result<Option<&'a str>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        choices.iter().find(|choice| **choice == text).map(|choice| Some(*choice)).ok_or_else(|| {
            ApiError::validation(format!(
                "1 validation error detected: Value '{text}' at '{}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
                lower_first(name),
                choices.join(", ")
            ))
        })
    }

    /// The placeholders of the request's expressions.
    pub fn scope(&mut self) -> Result<Scope, ApiError> {
        let values = self.take("ExpressionAttributeValues");
        Scope::new(self.get("ExpressionAttributeNames"), values)
    }
}

/// AWS's error for an absent mandatory member.
pub fn missing(name: &str) -> ApiError {
    ApiError::validation(format!(
        "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
        lower_first(name)
    ))
}

fn wrong_type() -> ApiError {
    ApiError::new("SerializationException", "Unexpected value type in payload")
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
