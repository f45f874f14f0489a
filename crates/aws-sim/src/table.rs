//! A table's data and settings. The items are in partition-hash order, which is also the order of scans and exports.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::image::Image;
use crate::key::{KeyAttr, KeySchema};
use crate::stream::ViewType;

/// A table to be created by a test, without waiting states.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub name: String,
    /// Partition key name and type (`S`, `N`, `B`).
    pub hash: (String, String),
    /// Sort key name and type.
    pub range: Option<(String, String)>,
    /// Stream switched on with this view.
    pub view: Option<ViewType>,
    /// Point-in-time recovery switched on.
    pub pitr: bool,
}

impl TableSpec {
    /// A table with partition key `pk` of type S, stream with both images and point-in-time recovery.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            hash: ("pk".to_owned(), "S".to_owned()),
            range: None,
            view: Some(ViewType::NewAndOldImages),
            pitr: true,
        }
    }

    /// Adds a sort key.
    pub fn range(mut self, name: &str, kind: &str) -> Self {
        self.range = Some((name.to_owned(), kind.to_owned()));
        self
    }

    /// Chooses the partition key.
    pub fn hash(mut self, name: &str, kind: &str) -> Self {
        self.hash = (name.to_owned(), kind.to_owned());
        self
    }

    pub(crate) fn schema(&self) -> KeySchema {
        let attr = |(name, kind): &(String, String)| KeyAttr {
            name: name.clone(),
            kind: kind.clone(),
        };
        KeySchema {
            hash: attr(&self.hash),
            range: self.range.as_ref().map(attr),
        }
    }
}

/// A write remembered for point-in-time recovery.
#[derive(Debug, Clone)]
pub struct Write {
    /// DynamoDB's own time, epoch microseconds, strictly growing.
    pub micros: i64,
    /// Store key.
    pub key: Arc<[u8]>,
    /// Canonical JSON of the key.
    pub keys: Arc<[u8]>,
    pub old: Option<Image>,
    pub new: Option<Image>,
}

/// Point-in-time recovery of a table.
#[derive(Debug, Clone, Default)]
pub struct Pitr {
    /// Window start, epoch milliseconds; `None` is off.
    pub since_ms: Option<i64>,
    /// Reported ENABLED from here on.
    pub ready_ms: i64,
    pub period_days: i64,
    pub history: VecDeque<Write>,
}

/// One table.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub arn: String,
    pub id: String,
    pub created_ms: i64,
    /// CREATING before this time.
    pub active_ms: i64,
    /// UPDATING before this time.
    pub updated_ms: i64,
    pub schema: KeySchema,
    pub items: BTreeMap<Arc<[u8]>, Image>,
    /// Sum of item sizes in bytes.
    pub bytes: u64,
    /// Reported instead of `bytes`, for size checks.
    pub reported_bytes: Option<u64>,
    /// Read and write units; zero when on demand.
    pub throughput: (i64, i64),
    pub on_demand: bool,
    /// BillingModeSummary is absent until the table was on demand once.
    pub was_on_demand: bool,
    /// OnDemandThroughput as given.
    pub on_demand_throughput: Option<Value>,
    pub deletion_protection: bool,
    /// ARN of the newest stream, also after disabling.
    pub stream: Option<String>,
    pub stream_on: bool,
    pub pitr: Pitr,
    /// Attribute of time to live, if on.
    pub ttl: Option<String>,
}

impl Table {
    /// DescribeTable's TableStatus.
    pub fn status(&self, now_ms: i64) -> &'static str {
        if now_ms < self.active_ms {
            "CREATING"
        } else if now_ms < self.updated_ms {
            "UPDATING"
        } else {
            "ACTIVE"
        }
    }

    /// Puts or removes an item and keeps the size. Returns what was there.
    pub fn replace(&mut self, key: &Arc<[u8]>, new: Option<Image>) -> Option<Image> {
        let old = match new {
            Some(new) => {
                self.bytes += u64::from(new.size);
                match self.items.get_mut(key) {
                    Some(slot) => Some(std::mem::replace(slot, new)),
                    None => self.items.insert(key.clone(), new),
                }
            }
            None => self.items.remove(key),
        };
        if let Some(old) = &old {
            self.bytes -= u64::from(old.size);
        }
        old
    }
}
