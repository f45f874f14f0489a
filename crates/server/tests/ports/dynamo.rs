//! DynamoDB as far as a deployment sees it: tables by ARN, one role that may be assumed, exports that never end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mirror::change::StreamPage;
use mirror::error::{Error, ErrorKind, Result};
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
            shards: Vec::new(),
        })
    }

    async fn shard_iterator(&self, _: &str, shard_id: &str, _: &ShardPosition) -> Result<String> {
        Ok(shard_id.to_owned())
    }

    async fn get_records(&self, iterator: &str) -> Result<StreamPage> {
        Ok(StreamPage {
            next_iterator: Some(iterator.to_owned()),
            ..StreamPage::default()
        })
    }

    async fn start_export(&self, request: &ExportRequest) -> Result<ExportDescription> {
        let number = {
            let mut account = self.account.lock().unwrap();
            let tokens = &mut account.exports;
            if !tokens.contains(&request.client_token) {
                tokens.push(request.client_token.clone());
            }
            tokens
                .iter()
                .position(|token| *token == request.client_token)
                .unwrap()
        };
        self.describe_export(&format!("{}/export/{number:02}", self.arn))
            .await
    }

    async fn describe_export(&self, export_arn: &str) -> Result<ExportDescription> {
        Ok(ExportDescription {
            arn: export_arn.to_owned(),
            status: ExportStatus::InProgress,
            export_time_ms: None,
            manifest_key: None,
            item_count: None,
            billed_bytes: None,
        })
    }

    async fn read_manifest(&self, _: &ExportDescription) -> Result<ExportManifest> {
        Err(Error::new(
            ErrorKind::Permanent,
            "read the manifest of an export that never ends",
        ))
    }

    async fn open_file(&self, _: &ExportFile) -> Result<Box<dyn ExportFileReader>> {
        Err(Error::new(
            ErrorKind::Permanent,
            "open a file of an export that never ends",
        ))
    }
}
