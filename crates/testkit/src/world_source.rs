//! DynamoDB as the worker's port, straight on a simulated world: no HTTP, no SDK.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sim::{ApiError, RecordsPage, World};
use mirror::change::{EventKind, StreamPage, StreamRecord};
use mirror::clock::Clock;
use mirror::error::{Error, ErrorKind, Result};
use mirror::sequence_number::SequenceNumber;
use mirror::source::{
    CallerIdentity, ExportDescription, ExportFile, ExportFileReader, ExportManifest, ExportRequest,
    ScanPage, ScanRequest, ShardPosition, Source, SourceSpec, Sources, StreamDescription,
};
use mirror::table::{KeyAttribute, KeyType, StreamInfo, StreamViewType, TableDescription};
use serde_json::{Value, json};

use crate::exports::{self, Doctor};
use crate::ledger::Ledger;
use crate::port::Port;
use crate::process::Call;

mod listing;

/// What outlives a process on AWS's side.
#[derive(Debug)]
pub struct Cloud {
    world: Mutex<World>,
    pub ledger: Arc<Mutex<Ledger>>,
    /// How often each data file was opened.
    pub opened: Mutex<BTreeMap<String, u32>>,
    doctor: Doctor,
    /// Pages of DescribeStream.
    pub described: AtomicUsize,
}

impl Cloud {
    pub fn new(world: World, ledger: Arc<Mutex<Ledger>>, doctor: Doctor) -> Self {
        Self {
            world: Mutex::new(world),
            ledger,
            opened: Mutex::default(),
            doctor,
            described: AtomicUsize::new(0),
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the ledger what the streams hold now.
    pub fn sync(&self, world: &World) {
        self.ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sync(world);
    }
}

/// Makes [`WorldSource`]s of one table.
#[derive(Clone, Debug)]
pub struct WorldSources {
    pub cloud: Arc<Cloud>,
    pub port: Port,
}

#[async_trait]
impl Sources for WorldSources {
    async fn connect(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        let connected = || {
            Ok(Arc::new(WorldSource {
                sources: self.clone(),
                spec: spec.clone(),
                clock_ahead_ms: AtomicI64::new(0),
            }) as Arc<dyn Source>)
        };
        self.port.perform(Call::Connect, b"", connected).await
    }

    async fn caller_identity(&self) -> Result<CallerIdentity> {
        Ok(CallerIdentity {
            account: "123456789012".to_owned(),
            arn: "arn:aws:iam::123456789012:root".to_owned(),
        })
    }
}

/// One table of a world.
#[derive(Debug)]
pub struct WorldSource {
    sources: WorldSources,
    spec: SourceSpec,
    /// As the `Date` of the latest answer says.
    clock_ahead_ms: AtomicI64,
}

impl WorldSource {
    async fn call<T>(
        &self,
        call: Call,
        what: &str,
        effect: impl FnOnce(&mut World) -> std::result::Result<T, ApiError> + Send,
    ) -> Result<T> {
        let port = &self.sources.port;
        let in_the_world = || {
            let mut world = self.sources.cloud.world();
            let aws_ms = port.clock.aws_ms();
            world.set_now(aws_ms);
            let date_ms = aws_ms.div_euclid(1000) * 1000;
            self.clock_ahead_ms
                .store(date_ms - port.clock.now_ms(), Ordering::SeqCst);
            effect(&mut world).map_err(|error| failure(call, &error))
        };
        port.perform(call, what.as_bytes(), in_the_world).await
    }
}

/// The kind that the AWS adapter gives to these codes.
fn failure(call: Call, error: &ApiError) -> Error {
    let of_stream = matches!(
        call,
        Call::DescribeStream | Call::ShardIterator | Call::GetRecords
    );
    let kind = match error.code.as_str() {
        "LimitExceededException" | "ThrottlingException" => ErrorKind::Throttled,
        "ExpiredIteratorException" => ErrorKind::IteratorExpired,
        "TrimmedDataAccessException" => ErrorKind::TrimmedData,
        "ResourceNotFoundException" if of_stream => ErrorKind::ShardNotFound,
        "ResourceNotFoundException" | "TableNotFoundException" => ErrorKind::TableNotFound,
        "PointInTimeRecoveryUnavailableException" | "ContinuousBackupsUnavailableException" => {
            ErrorKind::PitrUnavailable
        }
        "ExportConflictException" => ErrorKind::ExportConflict,
        "InvalidExportTimeException" => ErrorKind::ExportTime,
        "ResourceInUseException" | "InternalServerError" => ErrorKind::Unavailable,
        _ => ErrorKind::Permanent,
    };
    Error::new(kind, format!("{call:?}: {error}"))
}

#[async_trait]
impl Source for WorldSource {
    async fn try_access(&self) -> Vec<mirror::access::Tried> {
        Vec::new()
    }

    fn clock_ahead_ms(&self) -> i64 {
        self.clock_ahead_ms.load(Ordering::SeqCst)
    }

    async fn describe_table(&self) -> Result<TableDescription> {
        let arn = &self.spec.table_arn;
        let describe = |world: &mut World| {
            let table = world.dynamodb("DescribeTable", json!({ "TableName": arn }))?;
            let backups =
                world.dynamodb("DescribeContinuousBackups", json!({ "TableName": arn }))?;
            Ok(description(arn, &table["Table"], &backups))
        };
        self.call(Call::DescribeTable, "", describe).await
    }

    async fn enable_pitr(&self) -> Result<()> {
        let body = json!({ "TableName": self.spec.table_arn, "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true } });
        self.call(Call::EnablePitr, "", |world| {
            world.dynamodb("UpdateContinuousBackups", body).map(drop)
        })
        .await
    }

    async fn enable_stream(&self) -> Result<()> {
        let specification =
            json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
        let body =
            json!({ "TableName": self.spec.table_arn, "StreamSpecification": specification });
        let enable = |world: &mut World| match world.dynamodb("UpdateTable", body) {
            Err(error) if error.message.contains("already has an enabled stream") => Ok(()),
            outcome => outcome.map(drop),
        };
        self.call(Call::EnableStream, "", enable).await
    }

    async fn check_bucket(&self) -> Result<()> {
        let bucket = &self.spec.export_bucket;
        let check = |world: &mut World| match world.s3.buckets.contains_key(bucket) {
            true => Ok(()),
            false => Err(ApiError::new("NoSuchBucket", "no such bucket")),
        };
        self.call(Call::CheckBucket, "", check).await
    }

    async fn describe_stream(&self, stream_arn: &str) -> Result<StreamDescription> {
        let cloud = &self.sources.cloud;
        let describe = |world: &mut World| {
            cloud.sync(world);
            let (all, pages) = listing::all_shards(world, stream_arn)?;
            cloud.described.fetch_add(pages, Ordering::SeqCst);
            Ok(all)
        };
        self.call(Call::DescribeStream, stream_arn, describe).await
    }

    async fn shard_iterator(
        &self,
        stream_arn: &str,
        shard_id: &str,
        position: &ShardPosition,
    ) -> Result<String> {
        let (kind, number) = match position {
            ShardPosition::TrimHorizon => ("TRIM_HORIZON", None),
            ShardPosition::After(number) => ("AFTER_SEQUENCE_NUMBER", Some(number.as_str())),
        };
        let get =
            |world: &mut World| world.get_shard_iterator(stream_arn, shard_id, kind, number, None);
        self.call(Call::ShardIterator, shard_id, get).await
    }

    async fn get_records(&self, iterator: &str) -> Result<StreamPage> {
        let cloud = &self.sources.cloud;
        let get = |world: &mut World| {
            let page = world.get_records(iterator, None);
            // The end of a shard is news for the ledger too.
            if !matches!(&page, Ok(RecordsPage { next: Some(_), .. })) {
                cloud.sync(world);
            }
            page.map(|page| stream_page(&page))
        };
        self.call(Call::GetRecords, iterator, get).await
    }

    async fn start_export(&self, request: &ExportRequest) -> Result<ExportDescription> {
        let mut body = json!({
            "TableArn": self.spec.table_arn,
            "S3Bucket": self.spec.export_bucket,
            "S3Prefix": request.s3_prefix,
            "ClientToken": request.client_token,
            "ExportFormat": "DYNAMODB_JSON",
        });
        if let Some(window) = request.window {
            body["ExportType"] = json!("INCREMENTAL_EXPORT");
            body["IncrementalExportSpecification"] = json!({
                "ExportFromTime": window.from_ms / 1000,
                "ExportToTime": window.to_ms / 1000,
                "ExportViewType": "NEW_AND_OLD_IMAGES",
            });
        }
        let start = |world: &mut World| {
            world
                .dynamodb("ExportTableToPointInTime", body)
                .map(|answer| exports::description(&answer))
        };
        let token = &request.client_token;
        self.call(Call::StartExport, token, start).await
    }

    async fn describe_export(&self, export_arn: &str) -> Result<ExportDescription> {
        let body = json!({ "ExportArn": export_arn });
        let describe = |world: &mut World| {
            world
                .dynamodb("DescribeExport", body)
                .map(|answer| exports::description(&answer))
        };
        self.call(Call::DescribeExport, export_arn, describe).await
    }

    async fn read_manifest(&self, export: &ExportDescription) -> Result<ExportManifest> {
        let (bucket, doctor) = (&self.spec.export_bucket, &self.sources.cloud.doctor);
        let read = |world: &mut World| Ok(doctor.manifest(world, bucket, export));
        self.call(Call::ReadManifest, &export.arn, read).await?
    }

    async fn open_file(&self, file: &ExportFile) -> Result<Box<dyn ExportFileReader>> {
        let (bucket, cloud) = (&self.spec.export_bucket, &self.sources.cloud);
        let open = |world: &mut World| {
            *cloud
                .opened
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(file.key.clone())
                .or_default() += 1;
            Ok(cloud.doctor.open(world, bucket, file))
        };
        self.call(Call::OpenFile, &file.key, open).await?
    }

    async fn read_items(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let arn = &self.spec.table_arn;
        let read = |world: &mut World| {
            let mut items = Vec::new();
            for key in keys {
                let key: Value = serde_json::from_slice(key).unwrap_or_default();
                let body = json!({ "TableName": arn, "Key": key, "ConsistentRead": true });
                let answer = world.dynamodb("GetItem", body)?;
                let item = answer.get("Item");
                items.push(item.map(|item| item.to_string().into_bytes()));
            }
            Ok(items)
        };
        self.call(Call::ReadItems, "", read).await
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        let mut body = json!({
            "TableName": self.spec.table_arn,
            "ConsistentRead": true,
            "Segment": request.segment,
            "TotalSegments": request.total_segments,
            "Limit": request.limit,
        });
        if let Some(after) = &request.after {
            body["ExclusiveStartKey"] = serde_json::from_slice(after).unwrap_or_default();
        }
        let scan = |world: &mut World| {
            let answer = world.dynamodb("Scan", body)?;
            let items = answer["Items"].as_array().into_iter().flatten();
            Ok(ScanPage {
                items: items.map(|item| item.to_string().into_bytes()).collect(),
                next: answer
                    .get("LastEvaluatedKey")
                    .map(|key| key.to_string().into_bytes()),
            })
        };
        self.call(Call::Scan, "", scan).await
    }
}

fn stream_page(page: &RecordsPage) -> StreamPage {
    let mut buffer = Vec::new();
    let mut image = |json: &[u8]| {
        let start = buffer.len();
        buffer.extend_from_slice(json);
        start..buffer.len()
    };
    let mut records = Vec::new();
    for record in &page.records {
        records.push(StreamRecord {
            kind: match record.event_name {
                "INSERT" => EventKind::Insert,
                "REMOVE" => EventKind::Remove,
                _ => EventKind::Modify,
            },
            keys: image(&record.keys),
            new_image: record.new.as_deref().map(&mut image),
            old_image: record.old.as_deref().map(&mut image),
            event_id: record.event_id.clone(),
            sequence_number: SequenceNumber::parse(&record.sequence_number)
                .expect("the world's numbers are digits"),
            creation_ms: record.created_s * 1000,
            user_identity: record
                .expired
                .then(|| ("Service".to_owned(), "dynamodb.amazonaws.com".to_owned())),
        });
    }
    StreamPage {
        buffer,
        records,
        next_iterator: page.next.clone(),
    }
}

fn description(arn: &str, table: &Value, backups: &Value) -> TableDescription {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key_type = |name: &str| {
        let definitions = table["AttributeDefinitions"]
            .as_array()
            .into_iter()
            .flatten();
        let kind = definitions
            .filter(|definition| definition["AttributeName"] == name)
            .find_map(|definition| definition["AttributeType"].as_str());
        match kind {
            Some("N") => KeyType::N,
            Some("B") => KeyType::B,
            _ => KeyType::S,
        }
    };
    let names = table["KeySchema"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|key| text(&key["AttributeName"]));
    let stream_on = table["StreamSpecification"]["StreamEnabled"] == true;
    let recovery = &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    let restorable_from = recovery["EarliestRestorableDateTime"].as_f64();
    TableDescription {
        arn: arn.to_owned(),
        name: text(&table["TableName"]),
        table_id: text(&table["TableId"]),
        status: text(&table["TableStatus"]),
        keys: names
            .map(|name| KeyAttribute {
                key_type: key_type(&name),
                name,
            })
            .collect(),
        size_bytes: table["TableSizeBytes"].as_u64().unwrap_or(0),
        item_count: table["ItemCount"].as_u64().unwrap_or(0),
        write_capacity_units: None,
        stream: stream_on.then(|| StreamInfo {
            arn: text(&table["LatestStreamArn"]),
            view_type: StreamViewType::NewAndOldImages,
        }),
        pitr_enabled: recovery["PointInTimeRecoveryStatus"] == "ENABLED",
        restorable_from_ms: restorable_from.map(|seconds| (seconds * 1000.0).round() as i64),
    }
}
