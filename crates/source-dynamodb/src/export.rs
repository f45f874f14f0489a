//! Asking for a point-in-time export and following it.

use aws_sdk_dynamodb::types::{
    ExportDescription as SdkExport, ExportFormat, ExportStatus as SdkStatus, ExportType,
    ExportViewType, IncrementalExportSpecification,
};
use aws_smithy_types::DateTime;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::{ExportDescription, ExportRequest, ExportStatus, ExportWindow};

use crate::clock::epoch_ms;
use crate::error::{Subject, quoted, shortened};
use crate::source::AwsSource;

/// What AWS's guide asks for beyond the connector's policy, if writing to the bucket was denied.
const DENIED_HINT: &str = " (hint: the role needs s3:PutObject on the bucket's objects, and AWS's guide also lists \
     s3:AbortMultipartUpload and s3:PutObjectAcl)";

impl AwsSource {
    pub(crate) async fn request_export(
        &self,
        request: &ExportRequest,
    ) -> Result<ExportDescription> {
        let context = || {
            format!(
                "export table {} to bucket {}",
                self.table.name, self.spec.export_bucket
            )
        };
        let window = request.window.map(incremental);
        let export_type = window.is_some().then_some(ExportType::IncrementalExport);
        // An empty prefix is a ValidationException. ExportTime stays out: AWS refuses times close to now, and
        // tells in its answer which one it chose.
        let prefix = Some(request.s3_prefix.clone()).filter(|prefix| !prefix.is_empty());
        let send = || {
            let call = self.clients.dynamodb.export_table_to_point_in_time();
            let call = call
                .table_arn(&self.table.arn)
                .s3_bucket(&self.spec.export_bucket)
                .set_s3_prefix(prefix.clone());
            call.client_token(&request.client_token)
                .export_format(ExportFormat::DynamodbJson)
                .set_export_type(export_type.clone())
                .set_incremental_export_specification(window.clone())
                .send()
        };
        let answer = self.call(Subject::Export, context, send).await?;
        read(answer.export_description.as_ref()).ok_or_else(|| no_description(context()))
    }

    pub(crate) async fn export_state(&self, export_arn: &str) -> Result<ExportDescription> {
        let found = self.raw_export(export_arn).await?;
        read(found.as_ref()).ok_or_else(|| no_description(format!("describe export {export_arn}")))
    }

    /// The prefix the export was asked for, which the port's description does not carry.
    pub(crate) async fn export_prefix(&self, export_arn: &str) -> Result<Option<String>> {
        let found = self.raw_export(export_arn).await?;
        Ok(found
            .and_then(|export| export.s3_prefix)
            .filter(|prefix| !prefix.is_empty()))
    }

    async fn raw_export(&self, export_arn: &str) -> Result<Option<SdkExport>> {
        let context = || format!("describe export {export_arn}");
        let send = || {
            self.clients
                .dynamodb
                .describe_export()
                .export_arn(export_arn)
                .send()
        };
        Ok(self
            .call(Subject::Export, context, send)
            .await?
            .export_description)
    }
}

/// Both images, whatever the stream has: what a change replaced is part of the record.
fn incremental(window: ExportWindow) -> IncrementalExportSpecification {
    IncrementalExportSpecification::builder()
        .export_from_time(DateTime::from_millis(window.from_ms))
        .export_to_time(DateTime::from_millis(window.to_ms))
        .export_view_type(ExportViewType::NewAndOldImages)
        .build()
}

fn no_description(context: String) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("{context}: the answer has no description"),
    )
}

fn read(export: Option<&SdkExport>) -> Option<ExportDescription> {
    let export = export?;
    let status = match export.export_status()? {
        SdkStatus::Completed => ExportStatus::Completed,
        SdkStatus::Failed => failed(export),
        // IN_PROGRESS, and whatever AWS adds: neither there nor given up.
        _ => ExportStatus::InProgress,
    };
    let window_end = export
        .incremental_export_specification()
        .and_then(|window| window.export_to_time());
    let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    Some(ExportDescription {
        arn: export.export_arn()?.to_owned(),
        status,
        export_time_ms: export.export_time().or(window_end).and_then(epoch_ms),
        manifest_key: export.export_manifest().map(str::to_owned),
        item_count: count(export.item_count()),
        billed_bytes: count(export.billed_size_bytes()),
    })
}

fn failed(export: &SdkExport) -> ExportStatus {
    let mut message =
        shortened(export.failure_message().unwrap_or("AWS gave no message")).to_owned();
    if message.contains("Access Denied") || message.contains("AccessDenied") {
        message.push_str(DENIED_HINT);
    }
    ExportStatus::Failed {
        code: quoted(export.failure_code().unwrap_or("Unknown")).into_owned(),
        message,
    }
}
