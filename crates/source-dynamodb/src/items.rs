//! Consistent reads of items: BatchGetItem by key and Scan, items as the bytes AWS wrote.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItem, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::scan::{Scan, ScanOutput};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use aws_smithy_runtime_api::client::interceptors::context::Output;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mirror::error::{Error, ErrorKind, Result};
use mirror::number;
use mirror::source::{ScanPage, ScanRequest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Subject;
use crate::raw::RawBodies;
use crate::source::AwsSource;

/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const MAX_KEYS: usize = 100;

/// So many answers without any item, and the keys that are left are given up as throttled.
const MAX_FRUITLESS: u32 = 4;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchRequest<'a> {
    request_items: BTreeMap<&'a str, Asked<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Asked<'a> {
    consistent_read: bool,
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    responses: Option<HashMap<String, Vec<&'a RawValue>>>,
    #[serde(borrow)]
    unprocessed_keys: Option<HashMap<String, Left<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Left<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ScanCall<'a> {
    table_name: &'a str,
    consistent_read: bool,
    segment: u32,
    total_segments: u32,
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_start_key: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScanAnswer<'a> {
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    last_evaluated_key: Option<&'a RawValue>,
}

/// What makes two keys the same item, however they are written: name, type and canonical value of each attribute.
type Identity = Vec<(String, char, Vec<u8>)>;

/// A key to be read, and the questions that its item answers.
struct Wanted<'a> {
    key: &'a RawValue,
    indexes: Vec<usize>,
}

impl AwsSource {
    pub(crate) async fn items_by_key(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut found = vec![None; keys.len()];
        // AWS refuses a call that names a key twice.
        let mut names: Vec<String> = Vec::new();
        let mut wanted: BTreeMap<Identity, Wanted<'_>> = BTreeMap::new();
        for (index, key) in keys.iter().enumerate() {
            let read = || {
                let key: &RawValue = serde_json::from_slice(key).ok()?;
                let parts: BTreeMap<String, &RawValue> = serde_json::from_str(key.get()).ok()?;
                let names: Vec<String> = parts.keys().cloned().collect();
                Some((key, identity(&parts, &names)?, names))
            };
            let (key, id, own_names) = read()
                .ok_or_else(|| self.failed(ErrorKind::Permanent, "a key is not DynamoDB JSON"))?;
            names = own_names;
            let indexes = Vec::new();
            let entry = wanted.entry(id).or_insert(Wanted { key, indexes });
            entry.indexes.push(index);
        }
        let all: Vec<_> = wanted.into_iter().collect();
        for part in all.chunks(MAX_KEYS) {
            self.read_part(part, &names, &mut found).await?;
        }
        Ok(found)
    }

    /// Asks until every key of one call was looked at.
    async fn read_part(
        &self,
        part: &[(Identity, Wanted<'_>)],
        names: &[String],
        found: &mut [Option<Vec<u8>>],
    ) -> Result<()> {
        let wanted: BTreeMap<&Identity, &Wanted<'_>> =
            part.iter().map(|(id, wanted)| (id, wanted)).collect();
        let mut open: Vec<&RawValue> = part.iter().map(|(_, wanted)| wanted.key).collect();
        let mut fruitless = 0;
        loop {
            let body = self.batch(std::mem::take(&mut open)).await?;
            let answer: BatchAnswer<'_> = serde_json::from_slice(&body).map_err(|_| {
                self.failed(
                    ErrorKind::Unavailable,
                    "the answer is not the JSON it should be",
                )
            })?;
            let strange =
                || self.failed(ErrorKind::Corrupt, "the answer has what was not asked for");
            let look_up = |object: &RawValue| {
                let parts: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
                wanted.get(&identity(&parts, names)?).copied()
            };
            let items: Vec<_> = answer
                .responses
                .into_iter()
                .flatten()
                .flat_map(|(_, items)| items)
                .collect();
            let progress = !items.is_empty();
            for item in items {
                let Wanted { indexes, .. } = look_up(item).ok_or_else(strange)?;
                for index in indexes {
                    found[*index] = Some(item.get().as_bytes().to_vec());
                }
            }
            for left in answer
                .unprocessed_keys
                .into_iter()
                .flatten()
                .flat_map(|(_, left)| left.keys)
            {
                open.push(look_up(left).ok_or_else(strange)?.key);
            }
            if open.is_empty() {
                return Ok(());
            }
            // AWS stops at 16 MB an answer, which is progress, or because the table is read too fast.
            if !progress {
                fruitless += 1;
                if fruitless == MAX_FRUITLESS {
                    return Err(self.failed(
                        ErrorKind::Throttled,
                        "AWS left keys unprocessed again and again",
                    ));
                }
                tokio::time::sleep(self.options.initial_backoff * 2_u32.pow(fruitless)).await;
            }
        }
    }

    async fn batch(&self, keys: Vec<&RawValue>) -> Result<Vec<u8>> {
        let context = || format!("read {} items of table {}", keys.len(), self.table.name);
        let request = BatchRequest {
            request_items: BTreeMap::from([(
                self.table.ask.as_str(),
                Asked {
                    consistent_read: true,
                    keys: keys.clone(),
                },
            )]),
        };
        let write = |error| Error::with_source(ErrorKind::Permanent, context(), error);
        let body = serde_json::to_vec(&request).map_err(write)?;
        let empty = || Output::erase(BatchGetItemOutput::builder().build());
        let raw = RawBodies::new(&BatchGetItem::new(), empty).sending(body);
        // The SDK finds the endpoint by the table; the keys it sends are in `body`.
        let table = KeysAndAttributes::builder().keys(HashMap::new()).build();
        let table =
            table.map_err(|error| Error::with_source(ErrorKind::Permanent, context(), error))?;
        let send = || {
            self.clients
                .dynamodb
                .batch_get_item()
                .request_items(&self.table.ask, table.clone())
                .customize()
                .interceptor(raw.clone())
                .send()
        };
        self.call(Subject::Table, context, send).await?;
        Ok(raw.take_answer())
    }

    pub(crate) async fn scan_page(&self, request: &ScanRequest) -> Result<ScanPage> {
        let context = || format!("scan table {}", self.table.name);
        let fail = |kind, what: &str| Error::new(kind, format!("{}: {what}", context()));
        let after = request.after.as_deref().map(serde_json::from_slice);
        let call = ScanCall {
            table_name: &self.table.ask,
            consistent_read: true,
            segment: request.segment,
            total_segments: request.total_segments,
            limit: request.limit,
            exclusive_start_key: after
                .transpose()
                .map_err(|_| fail(ErrorKind::Permanent, "the key to go on after is no JSON"))?,
        };
        let body = serde_json::to_vec(&call)
            .map_err(|error| Error::with_source(ErrorKind::Permanent, context(), error))?;
        let empty = || Output::erase(ScanOutput::builder().build());
        let raw = RawBodies::new(&Scan::new(), empty).sending(body);
        let send = || {
            self.clients
                .dynamodb
                .scan()
                .table_name(&self.table.ask)
                .customize()
                .interceptor(raw.clone())
                .send()
        };
        self.call(Subject::Table, context, send).await?;
        let body = raw.take_answer();
        let answer: ScanAnswer<'_> = serde_json::from_slice(&body).map_err(|_| {
            fail(
                ErrorKind::Unavailable,
                "the answer is not the JSON it should be",
            )
        })?;
        let bytes = |raw: &RawValue| raw.get().as_bytes().to_vec();
        Ok(ScanPage {
            items: answer.items.into_iter().flatten().map(bytes).collect(),
            next: answer.last_evaluated_key.map(bytes),
        })
    }

    fn failed(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(
            kind,
            format!("read items of table {}: {what}", self.table.name),
        )
    }
}

/// `None` if one of the attributes is absent or cannot be part of a key.
fn identity(parts: &BTreeMap<String, &RawValue>, names: &[String]) -> Option<Identity> {
    let mut id = Vec::with_capacity(names.len());
    for name in names {
        let value: BTreeMap<String, String> = serde_json::from_str(parts.get(name)?.get()).ok()?;
        let (descriptor, text) = value.iter().next().filter(|_| value.len() == 1)?;
        let (kind, bytes) = match descriptor.as_str() {
            "S" => ('S', text.clone().into_bytes()),
            "N" => ('N', number::canonical(text.as_bytes())?.into_bytes()),
            "B" => ('B', STANDARD.decode(text).ok()?),
            _ => return None,
        };
        id.push((name.clone(), kind, bytes));
    }
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: &str, names: &[&str]) -> Option<Identity> {
        let parts: BTreeMap<String, &RawValue> = serde_json::from_str(key).ok()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        identity(&parts, &names)
    }

    #[test]
    fn one_key_written_in_two_ways_is_one_item() {
        let names = ["n", "s"];
        let one = id(r#"{"s":{"S":"\u00e9"},"n":{"N":"1.50"}}"#, &names);
        assert!(one.is_some());
        let two = id(
            r#"{"n": {"N":"15E-1"}, "more":{"M":{}}, "s":{"S":"é"}}"#,
            &names,
        );
        assert_eq!(one, two);
        assert_ne!(one, id(r#"{"n":{"N":"1.51"},"s":{"S":"é"}}"#, &names));
        assert_ne!(
            id(r#"{"k":{"S":"1"}}"#, &["k"]),
            id(r#"{"k":{"N":"1"}}"#, &["k"])
        );
    }

    #[test]
    fn what_cannot_be_a_key_is_none() {
        for key in [
            "{}",
            r#"{"k":{"BOOL":true}}"#,
            r#"{"k":{"S":"a","N":"1"}}"#,
            r#"{"k":{"N":"one"}}"#,
            r#"{"k":{"B":"%"}}"#,
            r#"{"k":"a"}"#,
        ] {
            assert_eq!(id(key, &["k"]), None, "{key}");
        }
        assert_eq!(id("{}", &[]), None);
    }
}
