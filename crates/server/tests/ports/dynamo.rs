//! DynamoDB as far as a deployment sees it: tables by ARN, one role that may be assumed, exports that never end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mirror::access::{Action, BUCKET_ACTIONS, DYNAMODB_ACTIONS, GUIDE_ACTIONS, Trial, Tried};
use mirror::change::StreamPage;
use mirror::error::{Error, ErrorKind, Result};
use mirror::sequence_number::SequenceNumber;
use mirror::source::*;
use mirror::table::{KeyAttribute, KeyType, StreamInfo, StreamViewType, TableDescription};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/reader";
pub(crate) const ORDERS: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";
pub(crate) const USERS: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/users";

#[derive(Default)]
pub(crate) struct Account {
    pub(crate) tables: BTreeMap<String, TableDescription>,
    /// Client tokens of exports, each once.
    pub(crate) exports: Vec<String>,
    pub(crate) connects: usize,
    /// Items as DynamoDB JSON by `pk` and `sk`, the same in every table.
    pub(crate) items: BTreeMap<(String, String), String>,
    /// Exports are complete at once, and of two minutes ago.
    pub(crate) exports_complete: bool,
    /// Whether the role may read single items.
    pub(crate) no_item_reads: bool,
    /// What comes of trying actions that the role may not do, by their names.
    pub(crate) trials: BTreeMap<&'static str, Trial>,
    /// GetRecords is never answered.
    pub(crate) silent: bool,
    /// Items of each export as it was asked for, and its time.
    pub(crate) taken: Vec<(i64, Vec<String>)>,
}

impl Account {
    /// Writes an item whose attribute `note` says `note`, unseen by any stream.
    pub(crate) fn put(&mut self, pk: &str, sk: &str, note: &str) {
        let item = item(pk, sk, note);
        self.items.insert((pk.to_owned(), sk.to_owned()), item);
    }

    /// Writes an item that no table can hold: it lacks a key.
    pub(crate) fn put_unreadable(&mut self, pk: &str, sk: &str) {
        let item = format!(r#"{{"pk":{{"S":"{pk}"}}}}"#);
        self.items.insert((pk.to_owned(), sk.to_owned()), item);
    }
}

/// DynamoDB JSON of an item.
pub(crate) fn item(pk: &str, sk: &str, note: &str) -> String {
    format!(r#"{{"pk":{{"S":"{pk}"}},"sk":{{"S":"{sk}"}},"note":{{"S":"{note}"}}}}"#)
}

fn now_ms() -> i64 {
    use mirror::clock::Clock;
    server::system_clock::SystemClock.now_ms()
}

pub(crate) struct MemoryDynamo(pub(crate) Arc<Mutex<Account>>);

struct MemoryTable {
    account: Arc<Mutex<Account>>,
    arn: String,
}

impl MemoryDynamo {
    pub(crate) fn new() -> Self {
        let mut account = Account::default();
        for arn in [ORDERS, USERS] {
            account.tables.insert(arn.to_owned(), table(arn));
        }
        Self(Arc::new(Mutex::new(account)))
    }
}

/// A table that can be mirrored at once.
pub(crate) fn table(arn: &str) -> TableDescription {
    let key = |name: &str| KeyAttribute {
        name: name.to_owned(),
        key_type: KeyType::S,
    };
    TableDescription {
        arn: arn.to_owned(),
        name: arn.rsplit('/').next().unwrap().to_owned(),
        table_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        status: "ACTIVE".to_owned(),
        keys: vec![key("pk"), key("sk")],
        size_bytes: 1000,
        item_count: 3,
        write_capacity_units: Some(5),
        stream: Some(StreamInfo {
            arn: format!("{arn}/stream/2025-01-01T00:00:00.000"),
            view_type: StreamViewType::NewAndOldImages,
        }),
        pitr_enabled: true,
        restorable_from_ms: None,
    }
}

#[async_trait]
impl Sources for MemoryDynamo {
    async fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        self.0.lock().unwrap().connects += 1;
        if spec.role_arn != ROLE {
            let refused = format!(
                "assume role {}: its trust policy must include the following external ID: {}",
                spec.role_arn, spec.external_id
            );
            return Err(Error::new(ErrorKind::RoleRefused, refused));
        }
        Ok(Arc::new(MemoryTable {
            account: Arc::clone(&self.0),
            arn: spec.table_arn.clone(),
        }))
    }

    async fn caller_identity(&self) -> Result<CallerIdentity> {
        Ok(CallerIdentity {
            account: "123456789012".to_owned(),
            arn: "arn:aws:iam::123456789012:user/me".to_owned(),
        })
    }
}

#[async_trait]
impl Source for MemoryTable {
    async fn try_access(&self) -> Vec<Tried> {
        let account = self.account.lock().unwrap();
        let tried = |action: Action| Tried {
            action,
            trial: account
                .trials
                .get(action.name())
                .cloned()
                .unwrap_or(Trial::Allowed),
        };
        let bucket = BUCKET_ACTIONS.into_iter().chain(GUIDE_ACTIONS);
        DYNAMODB_ACTIONS
            .into_iter()
            .chain(bucket)
            .map(tried)
            .collect()
    }

    fn clock_ahead_ms(&self) -> i64 {
        0
    }

    async fn describe_table(&self) -> Result<TableDescription> {
        let account = self.account.lock().unwrap();
        account
            .tables
            .get(&self.arn)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::TableNotFound, "describe table"))
    }

    async fn enable_pitr(&self) -> Result<()> {
        let mut account = self.account.lock().unwrap();
        account.tables.get_mut(&self.arn).unwrap().pitr_enabled = true;
        Ok(())
    }

    async fn enable_stream(&self) -> Result<()> {
        let mut account = self.account.lock().unwrap();
        let stream = table(&self.arn).stream;
        account.tables.get_mut(&self.arn).unwrap().stream = stream;
        Ok(())
    }

    async fn check_bucket(&self) -> Result<()> {
        Ok(())
    }

    async fn describe_stream(&self, _stream_arn: &str) -> Result<StreamDescription> {
        Ok(StreamDescription {
            status: "ENABLED".to_owned(),
            view_type: StreamViewType::NewAndOldImages,
            shards: vec![Shard {
                // When it began is in its name.
                id: "shardId-00000001735689600000-0123abcd".to_owned(),
                parent: None,
                starting: SequenceNumber::parse("100"),
                ending: None,
            }],
        })
    }

    async fn shard_iterator(&self, _: &str, shard_id: &str, _: &ShardPosition) -> Result<String> {
        Ok(shard_id.to_owned())
    }

    async fn get_records(&self, iterator: &str) -> Result<StreamPage> {
        if self.account.lock().unwrap().silent {
            std::future::pending::<()>().await;
        }
        Ok(StreamPage {
            next_iterator: Some(iterator.to_owned()),
            ..StreamPage::default()
        })
    }

    async fn start_export(&self, request: &ExportRequest) -> Result<ExportDescription> {
        let number = {
            let mut account = self.account.lock().unwrap();
            let known = account
                .exports
                .iter()
                .position(|token| *token == request.client_token);
            known.unwrap_or_else(|| {
                account.exports.push(request.client_token.clone());
                let lines = account
                    .items
                    .values()
                    .map(|item| format!("{{\"Item\":{item}}}\n"));
                let lines = lines.collect();
                account.taken.push((now_ms() - 120_000, lines));
                account.exports.len() - 1
            })
        };
        self.describe_export(&format!("{}/export/{number:02}", self.arn))
            .await
    }

    async fn describe_export(&self, export_arn: &str) -> Result<ExportDescription> {
        let account = self.account.lock().unwrap();
        let (time_ms, lines) = &account.taken[number_of(export_arn)];
        let complete = account.exports_complete;
        Ok(ExportDescription {
            arn: export_arn.to_owned(),
            status: match complete {
                true => ExportStatus::Completed,
                false => ExportStatus::InProgress,
            },
            export_time_ms: complete.then_some(*time_ms),
            manifest_key: complete.then(|| "manifest-summary.json".to_owned()),
            item_count: complete.then_some(lines.len() as u64),
            billed_bytes: None,
        })
    }

    async fn read_manifest(&self, export: &ExportDescription) -> Result<ExportManifest> {
        let account = self.account.lock().unwrap();
        let (export_time_ms, lines) = &account.taken[number_of(&export.arn)];
        let item_count = lines.len() as u64;
        Ok(ExportManifest {
            export_time_ms: *export_time_ms,
            item_count,
            files: vec![ExportFile {
                key: format!("{}/data", export.arn),
                item_count,
                md5: String::new(),
            }],
        })
    }

    async fn open_file(&self, file: &ExportFile) -> Result<Box<dyn ExportFileReader>> {
        let account = self.account.lock().unwrap();
        let export = file.key.trim_end_matches("/data");
        let lines = account.taken[number_of(export)].1.concat();
        Ok(Box::new(Lines(Some(lines.into_bytes()))))
    }

    async fn read_items(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let account = self.account.lock().unwrap();
        if account.no_item_reads {
            return Err(Error::new(ErrorKind::AccessDenied, "BatchGetItem"));
        }
        let read = |key: &Vec<u8>| {
            let key: serde_json::Value = serde_json::from_slice(key).unwrap();
            let text = |name: &str| key[name]["S"].as_str().unwrap().to_owned();
            let item = account.items.get(&(text("pk"), text("sk")));
            item.map(|item| item.clone().into_bytes())
        };
        Ok(keys.iter().map(read).collect())
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        let account = self.account.lock().unwrap();
        if account.no_item_reads {
            return Err(Error::new(ErrorKind::AccessDenied, "Scan"));
        }
        let items = account.items.values().enumerate();
        let items = items.filter(|(at, _)| *at as u32 % request.total_segments == request.segment);
        Ok(ScanPage {
            items: items.map(|(_, item)| item.clone().into_bytes()).collect(),
            next: None,
        })
    }
}

fn number_of(export_arn: &str) -> usize {
    export_arn.rsplit('/').next().unwrap().parse().unwrap()
}

/// A data file that is read in one go.
struct Lines(Option<Vec<u8>>);

impl ExportFileReader for Lines {
    fn compressed_bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |lines| lines.len() as u64)
    }

    fn next_lines(&mut self, block: &mut Vec<u8>, _target_bytes: usize) -> Result<bool> {
        *block = self.0.take().unwrap_or_default();
        Ok(!block.is_empty())
    }
}
