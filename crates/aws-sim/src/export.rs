//! An export from its request to its end. The calls are in `export_api`, the files in `export_files`.

use serde_json::{Value, json};

use crate::export_files::{Plan, WrittenFile};
use crate::faults::FaultKind;
use crate::iam::Caller;
use crate::timestamp;
use crate::world::World;

/// What an export holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// The table as of this time, epoch milliseconds.
    Full { at_ms: i64 },
    /// The changes of a window, epoch milliseconds, end exclusive.
    Incremental {
        from_ms: i64,
        to_ms: i64,
        old_images: bool,
    },
}

/// How far an export is.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    InProgress,
    Completed,
    Failed { code: String, message: String },
}

/// One export.
#[derive(Debug, Clone)]
pub struct Export {
    pub arn: String,
    pub id: String,
    pub table: String,
    pub table_arn: String,
    pub table_id: String,
    pub started_ms: i64,
    pub due_ms: i64,
    pub ended_ms: Option<i64>,
    pub status: Status,
    pub scope: Scope,
    pub bucket: String,
    pub prefix: Option<String>,
    pub token: Option<String>,
    /// The table was deleted: DescribeExport still knows the export, ListExports does not.
    pub hidden: bool,
    pub item_count: u64,
    pub billed_bytes: u64,
    pub(crate) caller: Caller,
    /// The request without its token, for the comparison that idempotence needs.
    pub(crate) request: Value,
    pub(crate) faults: Vec<FaultKind>,
    /// When snapshot or changes are taken; later than the start only with time fuzz.
    pub(crate) snapshot_ms: i64,
    pub(crate) plan: Option<Plan>,
    pub(crate) written: Vec<WrittenFile>,
    pub(crate) broken: Option<(String, String)>,
}

impl Export {
    /// The key of everything this export writes, without a slash at the end.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.root(), self.id)
    }

    /// `<prefix>/AWSDynamoDB`.
    pub fn root(&self) -> String {
        match &self.prefix {
            Some(prefix) => format!("{}/AWSDynamoDB", prefix.trim_end_matches('/')),
            None => "AWSDynamoDB".to_owned(),
        }
    }

    pub(crate) fn description(&self) -> Value {
        let status = match self.status {
            Status::InProgress => "IN_PROGRESS",
            Status::Completed => "COMPLETED",
            Status::Failed { .. } => "FAILED",
        };
        let mut out = json!({
            "ExportArn": self.arn,
            "ExportStatus": status,
            "StartTime": timestamp::seconds(self.started_ms),
            "TableArn": self.table_arn,
            "TableId": self.table_id,
            "S3Bucket": self.bucket,
            "S3SseAlgorithm": self.request.get("S3SseAlgorithm").cloned().unwrap_or(json!("AES256")),
            "ExportFormat": "DYNAMODB_JSON",
        });
        for name in [
            "S3BucketOwner",
            "S3Prefix",
            "S3SseKmsKeyId",
            "ExportType",
            "IncrementalExportSpecification",
        ] {
            if let Some(value) = self.request.get(name) {
                out[name] = value.clone();
            }
        }
        if let Some(token) = &self.token {
            out["ClientToken"] = json!(token);
        }
        if let Scope::Full { at_ms } = self.scope {
            out["ExportTime"] = json!(timestamp::seconds(at_ms));
        }
        if let Some(ended) = self.ended_ms {
            out["EndTime"] = json!(timestamp::seconds(ended));
        }
        match &self.status {
            Status::Completed => {
                out["ExportManifest"] = json!(format!("{}/manifest-summary.json", self.folder()));
                out["ItemCount"] = json!(self.item_count);
                out["BilledSizeBytes"] = json!(self.billed_bytes);
            }
            Status::Failed { code, message } => {
                out["FailureCode"] = json!(code);
                out["FailureMessage"] = json!(message);
            }
            Status::InProgress => {}
        }
        out
    }
}

impl World {
    /// All exports.
    pub fn export_states(&self) -> impl Iterator<Item = &Export> {
        self.exports.values()
    }

    /// An export's state, by ARN.
    pub fn export_state(&self, arn: &str) -> Option<&Export> {
        self.exports.get(arn)
    }

    /// Ends an export that is in progress as FAILED.
    pub fn fail_export(&mut self, arn: &str, code: &str, message: &str) {
        let now_ms = self.now_ms;
        if let Some(export) = self
            .exports
            .get_mut(arn)
            .filter(|export| export.status == Status::InProgress)
        {
            export.broken = Some((code.to_owned(), message.to_owned()));
            export.due_ms = now_ms;
        }
        self.step_exports();
    }

    /// Does what exports have become due for: snapshots, files, manifests.
    pub(crate) fn step_exports(&mut self) {
        if self.active_exports.is_empty() {
            return;
        }
        for arn in std::mem::take(&mut self.active_exports) {
            let Some(mut export) = self.exports.remove(&arn) else {
                continue;
            };
            self.step_export(&mut export);
            if export.status == Status::InProgress {
                self.active_exports.push(arn.clone());
            }
            self.exports.insert(arn, export);
        }
    }

    /// Takes the snapshots that exports of a table still wait for, before its history goes.
    pub(crate) fn settle_exports(&mut self, table: &str) {
        for arn in self.active_exports.clone() {
            if let Some(mut export) = self.exports.remove(&arn) {
                if export.table == table && export.plan.is_none() {
                    export.plan = self.plan_export(&export);
                }
                self.exports.insert(arn, export);
            }
        }
    }

    /// Hides a deleted table's exports from ListExports.
    pub(crate) fn hide_exports(&mut self, table: &str) {
        for export in self
            .exports
            .values_mut()
            .filter(|export| export.table == table)
        {
            export.hidden = true;
        }
    }
}
