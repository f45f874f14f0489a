//! The two ports, each method one line to the room that does it.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use mirror::access::Tried;
use mirror::change::StreamPage;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::{
    CallerIdentity, ExportDescription, ExportFile, ExportFileReader, ExportManifest, ExportRequest,
    ScanPage, ScanRequest, ShardPosition, Source, SourceSpec, Sources, StreamDescription,
};
use mirror::table::TableDescription;
use tracing::debug;

use crate::bucket::Bucket;
use crate::clients::{Clients, Connector, role_config};
use crate::clock::AwsClock;
use crate::credentials::{self, AccessKeys};
use crate::error::{Subject, from_sdk, is_expired_session};
use crate::options::AwsOptions;
use crate::role_session::{RoleSession, SessionCredentials};

/// DynamoDB on AWS, or on anything that speaks its protocol. One per process: all sources share its connections.
#[derive(Debug)]
pub struct AwsSources {
    connector: Connector,
}

impl AwsSources {
    /// Nothing is contacted yet.
    pub fn new(options: AwsOptions) -> Self {
        Self {
            connector: Connector::new(options),
        }
    }

    /// What the default chain finds, to be handed to a server that is started with the caller's credentials.
    ///
    /// # Errors
    /// `CredentialsMissing` if there are none, `Unavailable` if their provider (IMDS, SSO) does not answer.
    pub async fn resolve_credentials(&self) -> Result<AccessKeys> {
        credentials::resolve(&self.connector).await
    }

    async fn assume(&self, session: &RoleSession) -> Result<()> {
        let options = &self.connector.options;
        let mut retries = options.role_retries;
        loop {
            match session.credentials().await {
                Err(error) if error.kind == ErrorKind::RoleRefused && retries > 0 => {
                    debug!(
                        error = error.report(),
                        "role refused, trying again: IAM may not know it everywhere yet"
                    );
                    retries -= 1;
                    tokio::time::sleep(options.role_retry_wait).await;
                }
                outcome => return outcome.map(drop),
            }
        }
    }
}

#[async_trait]
impl Sources for AwsSources {
    async fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        let table = TableName::of(spec)?;
        let base = self.connector.base_config(Some(&spec.region)).await?;
        let session = Arc::new(RoleSession::new(&base, spec, &self.connector.options).await);
        self.assume(&session).await?;
        let config = role_config(base, SessionCredentials(session.clone()));
        let clock = AwsClock::default();
        Ok(Arc::new(AwsSource {
            clients: Clients::new(&config, &clock),
            clock,
            bucket: Bucket::new(
                config,
                spec.export_bucket.clone(),
                spec.region.clone(),
                session.clone(),
            ),
            session,
            table,
            spec: spec.clone(),
            options: self.connector.options.clone(),
        }))
    }

    async fn caller_identity(&self) -> Result<CallerIdentity> {
        credentials::caller_identity(&self.connector).await
    }
}

/// One table through one role session.
#[derive(Debug)]
pub(crate) struct AwsSource {
    pub(crate) clients: Clients,
    clock: AwsClock,
    pub(crate) bucket: Bucket,
    pub(crate) session: Arc<RoleSession>,
    pub(crate) table: TableName,
    pub(crate) spec: SourceSpec,
    pub(crate) options: AwsOptions,
}

impl AwsSource {
    /// Makes a call; a session that AWS calls expired is replaced, and the call made once more.
    pub(crate) async fn call<T, E, F>(
        &self,
        subject: Subject,
        context: impl FnOnce() -> String,
        send: impl Fn() -> F,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        with_fresh_session(&self.session, send)
            .await
            .map_err(|error| from_sdk(subject, context(), &error))
    }
}

/// See [`AwsSource::call`].
pub(crate) async fn with_fresh_session<T, E, F>(
    session: &RoleSession,
    send: impl Fn() -> F,
) -> std::result::Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
{
    let generation = session.generation();
    match Box::pin(send()).await {
        Err(error) if is_expired_session(&error) => {
            debug!("role session is over, assuming the role again");
            session.discard(generation);
            Box::pin(send()).await
        }
        outcome => outcome,
    }
}

/// A table by ARN and by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) arn: String,
    pub(crate) name: String,
    /// What calls are given: the name, or the ARN when the role lives in another account than the table, where
    /// a bare name would mean the role's own table.
    pub(crate) ask: String,
}

impl TableName {
    fn of(spec: &SourceSpec) -> Result<Self> {
        let arn = &spec.table_arn;
        let name = arn
            .split_once(":table/")
            .map(|(_, rest)| rest)
            .filter(|name| !name.is_empty() && !name.contains('/'));
        let Some(name) = name else {
            let context = format!(
                "read the table ARN {arn:?}: it must look like arn:aws:dynamodb:<region>:<account>:table/<name>"
            );
            return Err(Error::new(ErrorKind::Permanent, context));
        };
        let account = |arn: &str| arn.split(':').nth(4).unwrap_or_default().to_owned();
        let ask = if account(arn) == account(&spec.role_arn) {
            name
        } else {
            arn
        };
        Ok(Self {
            arn: arn.clone(),
            name: name.to_owned(),
            ask: ask.to_owned(),
        })
    }
}

#[async_trait]
impl Source for AwsSource {
    fn clock_ahead_ms(&self) -> i64 {
        self.clock.ahead_ms()
    }

    async fn describe_table(&self) -> Result<TableDescription> {
        self.table_description().await
    }

    async fn enable_pitr(&self) -> Result<()> {
        self.switch_pitr_on().await
    }

    async fn enable_stream(&self) -> Result<()> {
        self.switch_stream_on().await
    }

    async fn check_bucket(&self) -> Result<()> {
        self.bucket.check().await
    }

    async fn describe_stream(&self, stream_arn: &str) -> Result<StreamDescription> {
        self.all_shards(stream_arn).await
    }

    async fn shard_iterator(
        &self,
        stream_arn: &str,
        shard_id: &str,
        position: &ShardPosition,
    ) -> Result<String> {
        self.iterator_at(stream_arn, shard_id, position).await
    }

    async fn get_records(&self, iterator: &str) -> Result<StreamPage> {
        self.records_page(iterator).await
    }

    async fn start_export(&self, request: &ExportRequest) -> Result<ExportDescription> {
        self.request_export(request).await
    }

    async fn describe_export(&self, export_arn: &str) -> Result<ExportDescription> {
        self.export_state(export_arn).await
    }

    async fn read_manifest(&self, export: &ExportDescription) -> Result<ExportManifest> {
        self.whole_manifest(export).await
    }

    async fn open_file(&self, file: &ExportFile) -> Result<Box<dyn ExportFileReader>> {
        self.verified_file(file).await
    }

    async fn read_items(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.items_by_key(keys).await
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.scan_page(request).await
    }

    async fn try_access(&self) -> Vec<Tried> {
        self.tried_access().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(role_account: &str, table_arn: &str) -> SourceSpec {
        SourceSpec {
            role_arn: format!("arn:aws:iam::{role_account}:role/r"),
            external_id: "id".to_owned(),
            region: "us-east-1".to_owned(),
            table_arn: table_arn.to_owned(),
            export_bucket: "b".to_owned(),
        }
    }

    #[test]
    fn a_table_of_the_roles_account_is_asked_for_by_name_and_any_other_by_arn() {
        let arn = "arn:aws:dynamodb:us-east-1:111111111111:table/Orders";
        let same = TableName::of(&spec("111111111111", arn)).expect("valid");
        assert_eq!(
            (same.name.as_str(), same.ask.as_str()),
            ("Orders", "Orders")
        );
        let other = TableName::of(&spec("222222222222", arn)).expect("valid");
        assert_eq!((other.name.as_str(), other.ask.as_str()), ("Orders", arn));
    }

    #[test]
    fn an_arn_that_names_no_table_is_refused() {
        for arn in [
            "",
            "Orders",
            "arn:aws:dynamodb:us-east-1:1:table/",
            "arn:aws:dynamodb:us-east-1:1:table/T/stream/x",
        ] {
            let error = TableName::of(&spec("1", arn)).expect_err(arn);
            assert_eq!(error.kind, ErrorKind::Permanent);
        }
    }
}
