//! Describe calls and the two switches, with the gaps AWS and emulators leave in their answers filled in.

use aws_sdk_dynamodb::operation::update_table::UpdateTableError;
use aws_sdk_dynamodb::types::{
    BillingMode, ContinuousBackupsDescription, PointInTimeRecoverySpecification,
    PointInTimeRecoveryStatus, ScalarAttributeType, StreamSpecification,
    StreamViewType as SdkViewType, TableDescription as SdkTable,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use mirror::error::{Error, ErrorKind, Result};
use mirror::table::{KeyAttribute, KeyType, StreamInfo, StreamViewType, TableDescription};

use crate::clock::epoch_ms;
use crate::error::{Subject, from_sdk, quoted};
use crate::source::{AwsSource, TableName, with_fresh_session};

impl AwsSource {
    pub(crate) async fn table_description(&self) -> Result<TableDescription> {
        let name = &self.table.name;
        let table = self.call(
            Subject::Table,
            || format!("describe table {name}"),
            || {
                self.clients
                    .dynamodb
                    .describe_table()
                    .table_name(&self.table.ask)
                    .send()
            },
        );
        let backups = self.call(
            Subject::Table,
            || format!("describe the point-in-time recovery of table {name}"),
            || {
                self.clients
                    .dynamodb
                    .describe_continuous_backups()
                    .table_name(&self.table.ask)
                    .send()
            },
        );
        let (table, backups) = tokio::try_join!(table, backups)?;
        let Some(table) = table.table else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("describe table {name}: the answer has no table"),
            ));
        };
        description(
            &self.table,
            &table,
            backups.continuous_backups_description.as_ref(),
        )
    }

    pub(crate) async fn switch_pitr_on(&self) -> Result<()> {
        let specification = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .build();
        let context = || {
            format!(
                "switch on point-in-time recovery of table {}",
                self.table.name
            )
        };
        let specification = specification
            .map_err(|error| Error::with_source(ErrorKind::Permanent, context(), error))?;
        let send = || {
            let call = self
                .clients
                .dynamodb
                .update_continuous_backups()
                .table_name(&self.table.ask);
            call.point_in_time_recovery_specification(specification.clone())
                .send()
        };
        self.call(Subject::Table, context, send).await.map(drop)
    }

    pub(crate) async fn switch_stream_on(&self) -> Result<()> {
        let context = || format!("switch on the stream of table {}", self.table.name);
        let specification = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(SdkViewType::NewAndOldImages)
            .build();
        let specification = specification
            .map_err(|error| Error::with_source(ErrorKind::Permanent, context(), error))?;
        let send = || {
            let call = self
                .clients
                .dynamodb
                .update_table()
                .table_name(&self.table.ask);
            call.stream_specification(specification.clone()).send()
        };
        match with_fresh_session(&self.session, send).await {
            Err(error) if !says_already_enabled(&error) => {
                Err(from_sdk(Subject::Table, context(), &error))
            }
            _ => Ok(()),
        }
    }
}

/// "Table already has an enabled stream": a ValidationException by the API's text, a ResourceInUseException by
/// the developer guide's. A ResourceInUseException without these words means that the table is being updated.
fn says_already_enabled(error: &SdkError<UpdateTableError, HttpResponse>) -> bool {
    let Some(answer) = error.as_service_error() else {
        return false;
    };
    let message = answer.message().unwrap_or_default().to_ascii_lowercase();
    matches!(
        answer.code(),
        Some("ValidationException" | "ResourceInUseException")
    ) && message.contains("already")
        && message.contains("enabled")
}

fn description(
    asked: &TableName,
    table: &SdkTable,
    backups: Option<&ContinuousBackupsDescription>,
) -> Result<TableDescription> {
    let arn = table.table_arn().unwrap_or(&asked.arn);
    if arn != asked.arn {
        let context = format!(
            "describe table {}: AWS knows it as {}, not as {}",
            asked.name,
            quoted(arn),
            asked.arn
        );
        return Err(Error::new(ErrorKind::TableNotFound, context));
    }
    // Some emulators have no TableId; a table that was created again at least has another creation time.
    let created = table
        .creation_date_time()
        .and_then(epoch_ms)
        .unwrap_or_default();
    let table_id = table
        .table_id()
        .map_or_else(|| format!("{arn}@{created}"), str::to_owned);
    let pitr = backups.and_then(|backups| backups.point_in_time_recovery_description());
    Ok(TableDescription {
        arn: arn.to_owned(),
        name: table.table_name().unwrap_or(&asked.name).to_owned(),
        table_id,
        status: table
            .table_status()
            .map_or("UNKNOWN", |status| status.as_str())
            .to_owned(),
        keys: keys(asked, table)?,
        size_bytes: unsigned(table.table_size_bytes()),
        item_count: unsigned(table.item_count()),
        write_capacity_units: write_capacity(table),
        stream: stream(table)?,
        pitr_enabled: pitr.and_then(|pitr| pitr.point_in_time_recovery_status())
            == Some(&PointInTimeRecoveryStatus::Enabled),
        restorable_from_ms: pitr
            .and_then(|pitr| pitr.earliest_restorable_date_time())
            .and_then(epoch_ms),
    })
}

fn unsigned(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

/// Provisioned units, or the cap of an on-demand table. Tables that never were on-demand have no
/// BillingModeSummary; an absent cap or -1 is none.
fn write_capacity(table: &SdkTable) -> Option<u64> {
    let mode = table
        .billing_mode_summary()
        .and_then(|summary| summary.billing_mode());
    if mode == Some(&BillingMode::PayPerRequest) {
        let cap = table
            .on_demand_throughput()
            .and_then(|throughput| throughput.max_write_request_units());
        return cap.and_then(|cap| u64::try_from(cap).ok());
    }
    table
        .provisioned_throughput()
        .map(|throughput| unsigned(throughput.write_capacity_units()))
}

/// The stream if it is on: LatestStreamArn stays set after it was switched off.
fn stream(table: &SdkTable) -> Result<Option<StreamInfo>> {
    let Some(specification) = table
        .stream_specification()
        .filter(|stream| stream.stream_enabled())
    else {
        return Ok(None);
    };
    // Enabled moments ago, and the ARN not there yet: not usable yet either.
    let Some(arn) = table.latest_stream_arn() else {
        return Ok(None);
    };
    let view_type = view_type(specification.stream_view_type().map(|view| view.as_str()))?;
    Ok(Some(StreamInfo {
        arn: arn.to_owned(),
        view_type,
    }))
}

pub(crate) fn view_type(name: Option<&str>) -> Result<StreamViewType> {
    match name {
        Some("KEYS_ONLY") => Ok(StreamViewType::KeysOnly),
        Some("NEW_IMAGE") => Ok(StreamViewType::NewImage),
        Some("OLD_IMAGE") => Ok(StreamViewType::OldImage),
        Some("NEW_AND_OLD_IMAGES") => Ok(StreamViewType::NewAndOldImages),
        other => {
            let context = format!(
                "read the view type of the stream: {:?} is not one this version knows",
                quoted(other.unwrap_or("none"))
            );
            Err(Error::new(ErrorKind::Permanent, context))
        }
    }
}

fn keys(asked: &TableName, table: &SdkTable) -> Result<Vec<KeyAttribute>> {
    let broken = |what: &str| {
        Error::new(
            ErrorKind::Permanent,
            format!("read the keys of table {}: {what}", asked.name),
        )
    };
    let mut schema: Vec<_> = table.key_schema().iter().collect();
    schema.sort_by_key(|element| element.key_type().as_str() != "HASH");
    if schema.is_empty() {
        return Err(broken("the answer has no key schema"));
    }
    let mut keys = Vec::with_capacity(schema.len());
    for element in schema {
        let name = element.attribute_name();
        let definition = table
            .attribute_definitions()
            .iter()
            .find(|definition| definition.attribute_name() == name);
        let key_type = match definition.map(|definition| definition.attribute_type()) {
            Some(ScalarAttributeType::S) => KeyType::S,
            Some(ScalarAttributeType::N) => KeyType::N,
            Some(ScalarAttributeType::B) => KeyType::B,
            _ => return Err(broken(&format!("key {} has no known type", quoted(name)))),
        };
        keys.push(KeyAttribute {
            name: name.to_owned(),
            key_type,
        });
    }
    Ok(keys)
}
