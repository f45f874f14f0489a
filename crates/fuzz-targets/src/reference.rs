//! DynamoDB JSON to plain JSON, slowly and obviously: a tree from `serde_json`, sorted copies, one text.
//!
//! What `mirror::transcode` says in one pass over bytes is said here a second time, without sharing code with it.

use std::cmp::Ordering;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// DynamoDB's own limit is 32; the mirror promises to stop at this one.
const MAX_DEPTH: usize = 40;

/// Any JSON text. Unlike `serde_json::Value` it keeps the order of members, and members of the same name.
///
/// `serde_json` shows a number that no machine type holds as an object with one member of a name of its own; no rule
/// below takes one for anything else, since DynamoDB JSON has no numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number,
    /// What a text says.
    Text(String),
    /// `[...]`.
    List(Vec<Json>),
    /// `{...}`.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole text; `None` if it is not JSON.
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    fn only_member(&self) -> Option<(&str, &Json)> {
        match self {
            Self::Object(members) => match members.as_slice() {
                [(name, value)] => Some((name, value)),
                _ => None,
            },
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn list(&self) -> Option<&[Json]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

/// A DynamoDB value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// String.
    S(String),
    /// Number, as written.
    N(String),
    /// Binary, in base64.
    B(String),
    /// Boolean.
    Bool(bool),
    /// NULL.
    Null,
    /// Map.
    M(Item),
    /// List.
    L(Vec<Attribute>),
    /// String set.
    Ss(Vec<String>),
    /// Number set.
    Ns(Vec<String>),
    /// Binary set.
    Bs(Vec<String>),
}

/// A map of attributes, sorted by the bytes of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item(pub Vec<(String, Attribute)>);

impl Item {
    /// Reads `{"pk":{"S":"a"}}`; `None` if it is no item.
    pub fn parse(typed: &[u8]) -> Option<Self> {
        Self::of(&Json::parse(typed)?, 1)
    }

    /// The item of a line of an export file, `{"Item":{...}}`; `None` if the line is not JSON or has none.
    pub fn of_line(line: &[u8]) -> Option<Self> {
        let Json::Object(members) = Json::parse(line)? else {
            return None;
        };
        let mut items = members.iter().filter(|(name, _)| name == "Item");
        match (items.next(), items.next()) {
            (Some((_, item)), None) => Self::of(item, 1),
            _ => None,
        }
    }

    fn of(json: &Json, depth: usize) -> Option<Self> {
        let Json::Object(members) = json else {
            return None;
        };
        if depth > MAX_DEPTH {
            return None;
        }
        let mut item = Vec::new();
        for (name, value) in members {
            item.push((name.clone(), Attribute::of(value, depth)?));
        }
        item.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        let twice = item.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!twice).then_some(Self(item))
    }

    /// The attribute of that name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        Some(value)
    }

    /// The attribute at a path through maps.
    pub fn at(&self, path: &[String]) -> Option<&Attribute> {
        let (name, below) = path.split_first()?;
        let mut found = self.get(name)?;
        for name in below {
            let Attribute::M(map) = found else {
                return None;
            };
            found = map.get(name)?;
        }
        Some(found)
    }

    /// The attributes of these names.
    pub fn only(&self, names: &[String]) -> Self {
        let members = self.0.iter().filter(|(name, _)| names.contains(name));
        Self(members.cloned().collect())
    }

    /// Plain JSON.
    pub fn plain(&self) -> String {
        let members: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{}:{}", quoted(name), value.plain()))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

impl Attribute {
    fn of(json: &Json, depth: usize) -> Option<Self> {
        let (descriptor, value) = json.only_member()?;
        let texts = || -> Option<Vec<String>> {
            let texts = value.list()?.iter();
            texts.map(|text| text.text().map(str::to_owned)).collect()
        };
        Some(match descriptor {
            "S" => Self::S(value.text()?.to_owned()),
            "N" => Self::N(value.text()?.to_owned()),
            "B" => Self::B(binary(value.text()?)?),
            "BOOL" => match value {
                Json::Bool(value) => Self::Bool(*value),
                _ => return None,
            },
            "NULL" => match value {
                Json::Bool(_) => Self::Null,
                _ => return None,
            },
            "M" => Self::M(Item::of(value, depth + 1)?),
            "L" => {
                if depth + 1 > MAX_DEPTH {
                    return None;
                }
                let values = value.list()?.iter();
                Self::L(
                    values
                        .map(|value| Self::of(value, depth + 1))
                        .collect::<Option<_>>()?,
                )
            }
            "SS" => Self::Ss(texts()?),
            "NS" => Self::Ns(texts()?),
            "BS" => Self::Bs(
                texts()?
                    .iter()
                    .map(|text| binary(text))
                    .collect::<Option<_>>()?,
            ),
            _ => return None,
        })
    }

    /// Plain JSON.
    pub fn plain(&self) -> String {
        match self {
            Self::S(text) | Self::B(text) => quoted(text),
            Self::N(text) => plain_number(text),
            Self::Bool(value) => value.to_string(),
            Self::Null => "null".to_owned(),
            Self::M(item) => item.plain(),
            Self::L(values) => list(values.iter().map(Self::plain).collect()),
            Self::Ss(texts) | Self::Bs(texts) => {
                let mut texts = texts.clone();
                texts.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
                list(texts.iter().map(|text| quoted(text)).collect())
            }
            Self::Ns(numbers) => {
                let mut numbers: Vec<String> = numbers.iter().map(|n| plain_number(n)).collect();
                numbers.sort_by(|a, b| by_value(a, b).then_with(|| a.as_bytes().cmp(b.as_bytes())));
                list(numbers)
            }
        }
    }

    /// The text of a String column: what S says, everything else as plain JSON without quotes around it.
    pub fn column_text(&self) -> String {
        match self {
            Self::S(text) | Self::B(text) | Self::N(text) => text.clone(),
            other => other.plain(),
        }
    }
}

/// Standard base64, padded, no bits left over.
fn binary(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text).ok()?;
    (STANDARD.encode(bytes) == text).then(|| text.to_owned())
}

fn list(values: Vec<String>) -> String {
    format!("[{}]", values.join(","))
}

/// A JSON string: `serde_json` escapes what must be, as short as possible, which is the canonical form.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A number as its own text if JSON knows such a number, else as a string.
fn plain_number(text: &str) -> String {
    if is_json_number(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn is_json_number(text: &str) -> bool {
    text.trim() == text && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// By value; what is no number comes last, by its bytes.
fn by_value(a: &str, b: &str) -> Ordering {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a.compare(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.as_bytes().cmp(b.as_bytes()),
    }
}

/// A number as `0.digits × 10^point`; zero has no digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: String,
    point: i128,
}

impl Decimal {
    /// Reads a JSON number. Exponents beyond 18 digits all count as the same, too large one.
    pub fn parse(text: &str) -> Option<Self> {
        if !is_json_number(text) {
            return None;
        }
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let lower = text.to_lowercase();
        let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let leading = digits.len() - digits.trim_start_matches('0').len();
        let most = i128::from(i64::MAX / 4);
        let size: i128 = match exponent
            .trim_start_matches(['+', '-'])
            .trim_start_matches('0')
        {
            "" => 0,
            digits if digits.len() > 30 => most,
            digits => digits.parse::<i128>().ok()?.min(most),
        };
        let exponent = if exponent.starts_with('-') {
            -size
        } else {
            size
        };
        let digits = digits.trim_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits,
                point: 0,
            });
        }
        let point = exponent + whole.len() as i128 - leading as i128;
        Some(Self {
            negative,
            digits,
            point,
        })
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn compare(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let size = || {
            let by_point = self.point.cmp(&other.point);
            by_point.then_with(|| self.digits.cmp(&other.digits))
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => size(),
            _ => size().reverse(),
        })
    }

    /// The value times `10^scale`, rounded down, and whether nothing was cut off; `None` beyond 39 digits.
    pub fn times_power_of_ten(&self, scale: u8) -> Option<(i128, bool)> {
        if self.digits.is_empty() {
            return Some((0, true));
        }
        let point = self.point + i128::from(scale);
        let whole = match usize::try_from(point) {
            Err(_) => String::new(),
            Ok(point) if point > 39 => return None,
            Ok(point) => {
                let padded = format!("{:0<point$}", self.digits);
                padded[..point].to_owned()
            }
        };
        let exact = i128::try_from(self.digits.len()).ok()? <= point;
        let sign = if self.negative { "-" } else { "" };
        let cut: i128 = format!("{sign}0{whole}").parse().ok()?;
        Some((
            if self.negative && !exact {
                cut - 1
            } else {
                cut
            },
            exact,
        ))
    }
}
