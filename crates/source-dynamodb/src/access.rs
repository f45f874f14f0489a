//! Tries what the role may do, without changing anything.
//!
//! AWS checks permissions before it looks at what a call is about, so a call that is allowed and cannot succeed tells
//! the two apart: an export as of 1970, an index nobody has, a multipart upload nobody began. No probe would do harm if
//! somebody changed the table at that moment.

use std::error::Error as StdError;

use aws_sdk_dynamodb::types::{
    DeleteGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate, PointInTimeRecoverySpecification,
    PointInTimeRecoveryStatus, Select,
};
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ObjectCannedAcl;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use mirror::access::{Action, BUCKET_ACTIONS, GUIDE_ACTIONS, Trial, Tried};
use mirror::error::{Error, ErrorKind};

use crate::error::{Fault, Subject, from_sdk, shortened};
use crate::source::{AwsSource, with_fresh_session};

/// An object that is not there, an upload that nobody began, an index that no table has.
const NO_KEY: &str = "dynamirror-doctor/no-such-object";
const NO_UPLOAD: &str = "dynamirror-doctor-no-such-upload";
const NO_INDEX: &str = "dynamirror-doctor-no-such-index";
/// A shard and a stream as AWS would name them if they were as old as time.
const NO_SHARD: &str = "shardId-00000000000000000000-00000000";
const NO_STREAM: &str = "1970-01-01T00:00:00.000";
const NO_EXPORT: &str = "00000000000000-00000000";

const STREAM_IS_OFF: &str = "the stream is off, so there is nothing to read";
const PITR_IS_OFF: &str =
    "it would switch point-in-time recovery on, which is off; a build does that";

impl AwsSource {
    /// See [`mirror::source::Source::try_access`].
    pub(crate) async fn tried_access(&self) -> Vec<Tried> {
        let mut tried = Vec::new();
        let mut note = |action, trial| tried.push(Tried { action, trial });
        let stream = self.try_table(&mut note).await;
        self.try_stream(stream.as_deref(), &mut note).await;
        self.try_export(&mut note).await;
        self.try_bucket(&mut note).await;
        tried
    }

    /// DescribeTable, DescribeContinuousBackups, Scan and the two updates. The stream, if it is on.
    async fn try_table(&self, note: &mut (dyn FnMut(Action, Trial) + Send)) -> Option<String> {
        let dynamodb = &self.clients.dynamodb;
        let table = &self.table.ask;
        let send = || dynamodb.describe_table().table_name(table).send();
        let described = with_fresh_session(&self.session, send).await;
        note(Action::DescribeTable, judged(&described));
        let send = || {
            dynamodb
                .describe_continuous_backups()
                .table_name(table)
                .send()
        };
        let backups = with_fresh_session(&self.session, send).await;
        note(Action::DescribeContinuousBackups, judged(&backups));
        let send = || {
            let call = dynamodb.scan().table_name(table).limit(1);
            call.select(Select::Count).send()
        };
        let scanned = with_fresh_session(&self.session, send).await;
        note(Action::Scan, judged(&scanned));
        note(Action::UpdateTable, self.try_update_table().await);
        let recovery = backups
            .ok()
            .and_then(|answer| answer.continuous_backups_description)
            .and_then(|backups| backups.point_in_time_recovery_description)
            .filter(|recovery| {
                recovery.point_in_time_recovery_status == Some(PointInTimeRecoveryStatus::Enabled)
            });
        let trial = match recovery {
            Some(recovery) => {
                self.try_update_backups(recovery.recovery_period_in_days)
                    .await
            }
            None => Trial::Untried(PITR_IS_OFF.to_owned()),
        };
        note(Action::UpdateContinuousBackups, trial);
        let table = described.ok()?.table?;
        let on = table
            .stream_specification
            .is_some_and(|stream| stream.stream_enabled);
        table.latest_stream_arn.filter(|_| on)
    }

    /// Deletes an index that no table has.
    async fn try_update_table(&self) -> Trial {
        let deletion = DeleteGlobalSecondaryIndexAction::builder()
            .index_name(NO_INDEX)
            .build();
        let Ok(deletion) = deletion else {
            return Trial::Untried("the probe could not be built".to_owned());
        };
        let update = GlobalSecondaryIndexUpdate::builder()
            .delete(deletion)
            .build();
        let send = || {
            let call = self.clients.dynamodb.update_table();
            call.table_name(&self.table.ask)
                .global_secondary_index_updates(update.clone())
                .send()
        };
        judged(&with_fresh_session(&self.session, send).await)
    }

    /// Switches on what is on, with the period that it has.
    async fn try_update_backups(&self, days: Option<i32>) -> Trial {
        let specification = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .set_recovery_period_in_days(days)
            .build();
        let Ok(specification) = specification else {
            return Trial::Untried("the probe could not be built".to_owned());
        };
        let send = || {
            let call = self.clients.dynamodb.update_continuous_backups();
            call.table_name(&self.table.ask)
                .point_in_time_recovery_specification(specification.clone())
                .send()
        };
        judged(&with_fresh_session(&self.session, send).await)
    }

    /// DescribeStream, GetShardIterator, GetRecords; on a stream that never was if there is none.
    async fn try_stream(&self, stream: Option<&str>, note: &mut (dyn FnMut(Action, Trial) + Send)) {
        let streams = &self.clients.streams;
        let arn = match stream {
            Some(arn) => arn.to_owned(),
            None => format!("{}/stream/{NO_STREAM}", self.table.arn),
        };
        let send = || streams.describe_stream().stream_arn(&arn).limit(1).send();
        let described = with_fresh_session(&self.session, send).await;
        note(Action::DescribeStream, judged(&described));
        let shard = described
            .ok()
            .and_then(|answer| answer.stream_description)
            .and_then(|stream| stream.shards.into_iter().flatten().next())
            .and_then(|shard| shard.shard_id);
        let send = || {
            let call = streams.get_shard_iterator().stream_arn(&arn);
            call.shard_id(shard.as_deref().unwrap_or(NO_SHARD))
                .shard_iterator_type(ShardIteratorType::TrimHorizon)
                .send()
        };
        let iterator = with_fresh_session(&self.session, send).await;
        note(Action::GetShardIterator, judged(&iterator));
        let trial = match iterator.ok().and_then(|answer| answer.shard_iterator) {
            Some(iterator) => {
                let send = || {
                    let call = streams.get_records().shard_iterator(&iterator);
                    call.limit(1).send()
                };
                judged(&with_fresh_session(&self.session, send).await)
            }
            None if stream.is_none() => Trial::Untried(STREAM_IS_OFF.to_owned()),
            None => Trial::Untried(
                "it needs an iterator, which GetShardIterator and DescribeStream give".to_owned(),
            ),
        };
        note(Action::GetRecords, trial);
    }

    /// An export as of 1970, which no recovery window reaches, and an export that is not there.
    async fn try_export(&self, note: &mut (dyn FnMut(Action, Trial) + Send)) {
        let dynamodb = &self.clients.dynamodb;
        let bucket = match self.spec.export_bucket.as_str() {
            "" => "dynamirror-doctor",
            bucket => bucket,
        };
        let send = || {
            let call = dynamodb.export_table_to_point_in_time();
            call.table_arn(&self.table.arn)
                .s3_bucket(bucket)
                .export_time(DateTime::from_secs(1))
                .send()
        };
        let asked = with_fresh_session(&self.session, send).await;
        note(Action::ExportTableToPointInTime, judged(&asked));
        let arn = format!("{}/export/{NO_EXPORT}", self.table.arn);
        let send = || dynamodb.describe_export().export_arn(&arn).send();
        let described = with_fresh_session(&self.session, send).await;
        note(Action::DescribeExport, judged(&described));
    }

    /// A listing of nothing, an object that is not there, a part of an upload that nobody began.
    async fn try_bucket(&self, note: &mut (dyn FnMut(Action, Trial) + Send)) {
        let name = &self.spec.export_bucket;
        let s3 = match name.as_str() {
            "" => Err("no export bucket was named".to_owned()),
            _ => self.bucket.client().await.map_err(|error| error.report()),
        };
        let s3 = match s3 {
            Ok(client) => client,
            Err(why) => {
                for action in BUCKET_ACTIONS.into_iter().chain(GUIDE_ACTIONS) {
                    note(action, Trial::Untried(why.clone()));
                }
                return;
            }
        };
        let send = || {
            let call = s3.list_objects_v2().bucket(name).max_keys(1);
            call.prefix(NO_KEY).send()
        };
        let listed = with_fresh_session(&self.session, send).await;
        note(Action::ListBucket, judged(&listed));
        let send = || s3.get_object().bucket(name).key(NO_KEY).send();
        let read = with_fresh_session(&self.session, send).await;
        note(Action::GetObject, judged_object(&read));
        let send = || {
            let call = s3.upload_part().bucket(name).key(NO_KEY);
            call.upload_id(NO_UPLOAD)
                .part_number(1)
                .body(ByteStream::from_static(b""))
                .send()
        };
        let written = with_fresh_session(&self.session, send).await;
        note(Action::PutObject, judged(&written));
        let send = || {
            let call = s3.abort_multipart_upload().bucket(name).key(NO_KEY);
            call.upload_id(NO_UPLOAD).send()
        };
        let aborted = with_fresh_session(&self.session, send).await;
        note(Action::AbortMultipartUpload, judged(&aborted));
        let send = || {
            let call = s3.put_object_acl().bucket(name).key(NO_KEY);
            call.acl(ObjectCannedAcl::BucketOwnerFullControl).send()
        };
        let set = with_fresh_session(&self.session, send).await;
        note(Action::PutObjectAcl, judged_object(&set));
    }
}

/// What an answer says about the permission alone.
fn judged<T, E>(answer: &Result<T, SdkError<E, HttpResponse>>) -> Trial
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let Err(error) = answer else {
        return Trial::Allowed;
    };
    let failure: Error = from_sdk(Subject::Table, "try the call".to_owned(), error);
    match failure.kind {
        ErrorKind::AccessDenied => Trial::Denied(Fault::from_sdk(error).to_string()),
        ErrorKind::Throttled => {
            Trial::Untried(format!("AWS asks us to slow down: {}", said(error)))
        }
        // A table that is being updated is busy only for those who may update it.
        _ if says(error, "ResourceInUseException") => Trial::Allowed,
        ErrorKind::Unavailable | ErrorKind::RoleRefused | ErrorKind::CredentialsMissing => {
            Trial::Untried(failure.report())
        }
        _ if error.as_service_error().is_some() => Trial::Allowed,
        _ => Trial::Untried(failure.report()),
    }
}

/// [`judged`] for an object that is not there: to those who may read it but not list the bucket, S3 says that it is
/// the listing that is refused.
fn judged_object<T, E>(answer: &Result<T, SdkError<E, HttpResponse>>) -> Trial
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let trial = judged(answer);
    if let (Trial::Denied(text), Err(error)) = (&trial, answer) {
        let message = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::message)
            .unwrap_or_default();
        if message.contains("s3:ListBucket") {
            return Trial::Allowed;
        }
        if !message.contains("s3:") {
            return Trial::Untried(format!(
                "S3 does not say which permission is missing: {text}"
            ));
        }
    }
    trial
}

fn says<E>(error: &SdkError<E, HttpResponse>, code: &str) -> bool
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    error.as_service_error().and_then(|error| error.code()) == Some(code)
}

fn said<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    shortened(&Fault::from_sdk(error).to_string()).to_owned()
}
