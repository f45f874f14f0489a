//! ExportTableToPointInTime, DescribeExport, ListExports.

use serde_json::{Value, json};

use crate::api::{ApiError, Reply};
use crate::backups::unknown;
use crate::dispatch::Context;
use crate::export::{Export, Scope, Status};
use crate::iam::{Caller, account_of};
use crate::params::Params;
use crate::table::Table;
use crate::timestamp;
use crate::world::{World, table_name};

/// AWS: a client token is valid for 8 hours after the request that used it is completed.
const TOKEN_LIFE_MS: i64 = 8 * 3600 * 1000;
const MIN_PERIOD_MS: i64 = 15 * 60 * 1000;
const MAX_PERIOD_MS: i64 = 24 * 3600 * 1000;

impl World {
    pub(crate) fn start_export(&mut self, context: &Context, mut params: Params) -> Reply {
        let token = params
            .take("ClientToken")
            .and_then(|token| token.as_str().map(str::to_owned));
        let table_arn = params.need_text("TableArn")?.to_owned();
        let bucket = params.need_text("S3Bucket")?.to_owned();
        self.check_home(
            &context.caller,
            &table_arn,
            "dynamodb:ExportTableToPointInTime",
        )?;
        let prefix = params.text("S3Prefix")?.map(str::to_owned);
        if prefix
            .as_deref()
            .is_some_and(|prefix| prefix.is_empty() || prefix.len() > 1024)
        {
            return Err(ApiError::validation(
                "1 validation error detected: Value at 's3Prefix' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ));
        }
        params.choice("ExportFormat", &["DYNAMODB_JSON", "ION"])?;
        params.choice("S3SseAlgorithm", &["AES256", "KMS"])?;
        let kind = params.choice("ExportType", &["FULL_EXPORT", "INCREMENTAL_EXPORT"])?;
        params.0.retain(|_, value| !value.is_null());
        let request = Value::Object(params.0.clone());
        if let Some(token) = &token
            && let Some(earlier) = self.export_with_token(token)
        {
            if earlier.request == request {
                return Ok(json!({ "ExportDescription": earlier.description() })
                    .to_string()
                    .into_bytes());
            }
            return Err(ApiError::new(
                "ExportConflictException",
                "There was a conflict when writing to the specified S3 bucket: Duplicate request detected with the same ClientToken and different parameters",
            ));
        }
        let name = table_name(&table_arn).to_owned();
        let table = self.tables.get(&name).ok_or_else(|| unknown(&name))?;
        if !table.pitr_on(self.now_ms) {
            return Err(ApiError::new(
                "PointInTimeRecoveryUnavailableException",
                format!("Point in time recovery is not enabled for table '{name}'"),
            ));
        }
        let scope = if kind == Some("INCREMENTAL_EXPORT") {
            self.incremental_scope(&params, table)?
        } else {
            self.full_scope(&params, table)?
        };
        let arn = self.open_export(
            context,
            &name,
            &table_arn,
            (bucket, prefix, token),
            scope,
            request,
        );
        // The answer shows the export in progress even if it takes no time.
        let description = self.exports.get(&arn).map(Export::description);
        self.step_exports();
        Ok(json!({ "ExportDescription": description })
            .to_string()
            .into_bytes())
    }

    fn open_export(
        &mut self,
        context: &Context,
        name: &str,
        table_arn: &str,
        (bucket, prefix, token): (String, Option<String>, Option<String>),
        scope: Scope,
        request: Value,
    ) -> String {
        let id = format!("{:014}-{}", self.now_ms, self.rng.hex(8));
        let arn = format!("{table_arn}/export/{id}");
        let mut due_ms = self.now_ms + self.config.export.duration_ms;
        let snapshot_ms = match scope {
            Scope::Full { at_ms } => {
                (at_ms + self.config.export.fuzz_ms).clamp(self.now_ms, due_ms)
            }
            Scope::Incremental { to_ms, .. } => {
                // An end that the fuzz moved into the future has to be waited for.
                let end_ms = self.window_edge(to_ms).max(self.now_ms);
                due_ms = due_ms.max(end_ms);
                end_ms
            }
        };
        let export = Export {
            arn: arn.clone(),
            id,
            table: name.to_owned(),
            table_arn: table_arn.to_owned(),
            table_id: self
                .tables
                .get(name)
                .map(|table| table.id.clone())
                .unwrap_or_default(),
            started_ms: self.now_ms,
            due_ms,
            ended_ms: None,
            status: Status::InProgress,
            scope,
            bucket,
            prefix,
            token,
            hidden: false,
            item_count: 0,
            billed_bytes: 0,
            caller: context.caller.clone(),
            request,
            faults: context.faults.clone(),
            snapshot_ms,
            plan: None,
            written: Vec::new(),
            broken: None,
        };
        self.exports.insert(arn.clone(), export);
        self.active_exports.push(arn.clone());
        arn
    }

    fn export_with_token(&self, token: &str) -> Option<&Export> {
        self.exports.values().find(|export| {
            export.token.as_deref() == Some(token)
                && export
                    .ended_ms
                    .is_none_or(|ended| self.now_ms < ended + TOKEN_LIFE_MS)
        })
    }

    fn full_scope(&self, params: &Params, table: &Table) -> Result<Scope, ApiError> {
        let Some(at_ms) = params.millis("ExportTime")? else {
            return Ok(Scope::Full { at_ms: self.now_ms });
        };
        let at_ms = at_ms.div_euclid(1000) * 1000;
        let earliest = table
            .earliest_restorable_ms(self.now_ms)
            .unwrap_or(self.now_ms);
        if at_ms > self.now_ms - self.config.export.latest_restorable_lag_ms || at_ms < earliest {
            return Err(ApiError::new(
                "InvalidExportTimeException",
                format!(
                    "ExportTime {} is not within the allowed time range",
                    timestamp::iso(at_ms)
                ),
            ));
        }
        Ok(Scope::Full { at_ms })
    }

    fn incremental_scope(&self, params: &Params, table: &Table) -> Result<Scope, ApiError> {
        let invalid = |message: &str| ApiError::new("InvalidExportTimeException", message);
        let spec = match params.get("IncrementalExportSpecification") {
            Some(Value::Object(spec)) => Params(spec.clone()),
            _ => return Err(crate::params::missing("IncrementalExportSpecification")),
        };
        let from = spec
            .millis("ExportFromTime")?
            .ok_or_else(|| crate::params::missing("ExportFromTime"))?;
        let to = spec.millis("ExportToTime")?.unwrap_or(self.now_ms);
        let view = spec.choice("ExportViewType", &["NEW_IMAGE", "NEW_AND_OLD_IMAGES"])?;
        let (from_ms, to_ms) = (from.div_euclid(1000) * 1000, to.div_euclid(1000) * 1000);
        if to_ms - from_ms < MIN_PERIOD_MS {
            return Err(invalid(
                "Difference between export period from time and export period to time is less than 15 minutes",
            ));
        }
        if to_ms - from_ms > MAX_PERIOD_MS {
            return Err(invalid(
                "Difference between export period from time and export period to time is greater than 24 hours",
            ));
        }
        if to_ms > self.now_ms {
            return Err(invalid("Export period to time must not be in the future"));
        }
        let earliest = table
            .earliest_restorable_ms(self.now_ms)
            .unwrap_or(self.now_ms);
        if from_ms < earliest {
            return Err(invalid(
                "Export period from time is before the earliest restorable time of the table",
            ));
        }
        Ok(Scope::Incremental {
            from_ms,
            to_ms,
            old_images: view != Some("NEW_IMAGE"),
        })
    }

    /// Refuses ARNs of other accounts and regions.
    fn check_home(&self, caller: &Caller, arn: &str, action: &str) -> Result<(), ApiError> {
        let region = arn.split(':').nth(3).unwrap_or_default();
        if !arn.starts_with("arn:aws:dynamodb:") || !arn.contains(":table/") {
            return Err(ApiError::validation(format!("Invalid ARN: {arn}")));
        }
        if account_of(arn) != self.config.account || region != self.config.region {
            return Err(ApiError::new(
                "AccessDeniedException",
                format!(
                    "User: {} is not authorized to perform: {action} on resource: {arn}",
                    caller.arn
                ),
            ));
        }
        Ok(())
    }

    pub(crate) fn describe_export(&mut self, params: &Params) -> Reply {
        let arn = params.need_text("ExportArn")?;
        if !arn.starts_with("arn:aws:dynamodb:") || !arn.contains("/export/") {
            return Err(ApiError::validation(format!("Invalid Export ARN: {arn}")));
        }
        self.check_home(&self.root(), arn, "dynamodb:DescribeExport")?;
        self.step_exports();
        let export = self.exports.get(arn).ok_or_else(|| {
            ApiError::new(
                "ExportNotFoundException",
                format!("Export not found: {arn}"),
            )
        })?;
        Ok(json!({ "ExportDescription": export.description() })
            .to_string()
            .into_bytes())
    }

    pub(crate) fn list_exports(&mut self, params: &Params) -> Reply {
        let table = params.text("TableArn")?;
        let limit = params.int_within("MaxResults", 1, 25)?.unwrap_or(25) as usize;
        let start = params.text("NextToken")?.unwrap_or_default();
        let mut found: Vec<_> = self
            .exports
            .values()
            .filter(|export| {
                !export.hidden
                    && table.is_none_or(|arn| arn == export.table_arn)
                    && export.arn.as_str() > start
            })
            .take(limit + 1)
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let list: Vec<_> = found
            .iter()
            .map(|export| {
                let mut summary = json!({ "ExportArn": export.arn, "ExportStatus": export.description()["ExportStatus"] });
                if let Some(kind) = export.request.get("ExportType") {
                    summary["ExportType"] = kind.clone();
                }
                summary
            })
            .collect();
        let mut answer = json!({ "ExportSummaries": list });
        if more {
            answer["NextToken"] = json!(found.last().map(|export| &export.arn));
        }
        Ok(answer.to_string().into_bytes())
    }
}
