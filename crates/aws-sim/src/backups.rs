//! DescribeContinuousBackups and UpdateContinuousBackups (point-in-time recovery).

use serde_json::{Value, json};

use crate::api::{ApiError, Reply};
use crate::params::Params;
use crate::table::Table;
use crate::timestamp;
use crate::world::{World, table_name};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// AWS: LatestRestorableDateTime is typically five minutes before the current time.
const RESTORABLE_LAG_MS: i64 = 5 * 60 * 1000;

impl World {
    pub(crate) fn describe_backups(&mut self, params: &Params) -> Reply {
        let name = table_name(params.need_text("TableName")?);
        let table = self.backed_up(name)?;
        Ok(
            json!({ "ContinuousBackupsDescription": description(table, self.now_ms) })
                .to_string()
                .into_bytes(),
        )
    }

    pub(crate) fn update_backups(&mut self, params: &Params) -> Reply {
        let name = table_name(params.need_text("TableName")?).to_owned();
        let table = self.backed_up(&name)?;
        if self.now_ms < table.created_ms + self.config.backups_unavailable_ms {
            return Err(ApiError::new(
                "ContinuousBackupsUnavailableException",
                format!("Backups are being enabled for the table: {name}. Please retry later"),
            ));
        }
        let spec = params
            .get("PointInTimeRecoverySpecification")
            .cloned()
            .unwrap_or_default();
        let Some(on) = spec["PointInTimeRecoveryEnabled"].as_bool() else {
            return Err(crate::params::missing(
                "pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled",
            ));
        };
        if !on {
            self.settle_exports(&name);
        }
        let (now_ms, delay_ms) = (self.now_ms, self.config.pitr_ms);
        let Some(table) = self.tables.get_mut(&name) else {
            return Err(unknown(&name));
        };
        if let Some(days) = spec["RecoveryPeriodInDays"].as_i64() {
            table.pitr.period_days = days.clamp(1, 35);
        }
        if on && table.pitr.since_ms.is_none() {
            table.pitr.since_ms = Some(now_ms);
            table.pitr.ready_ms = now_ms + delay_ms;
        } else if !on {
            table.pitr.since_ms = None;
            table.pitr.history.clear();
        }
        Ok(
            json!({ "ContinuousBackupsDescription": description(table, now_ms) })
                .to_string()
                .into_bytes(),
        )
    }

    fn backed_up(&self, name: &str) -> Result<&Table, ApiError> {
        self.tables.get(name).ok_or_else(|| unknown(name))
    }
}

/// Backups and exports name an absent table differently from DescribeTable.
pub(crate) fn unknown(name: &str) -> ApiError {
    ApiError::new("TableNotFoundException", format!("Table not found: {name}"))
}

impl Table {
    /// True once point-in-time recovery is reported ENABLED.
    pub fn pitr_on(&self, now_ms: i64) -> bool {
        self.pitr.since_ms.is_some() && now_ms >= self.pitr.ready_ms
    }

    /// Start of the recovery window, epoch milliseconds: a whole second from which on every write is known.
    pub fn earliest_restorable_ms(&self, now_ms: i64) -> Option<i64> {
        let since = self.pitr.since_ms?;
        let earliest = since.max(now_ms - self.pitr.period_days * DAY_MS);
        Some((earliest + 999).div_euclid(1000) * 1000)
    }
}

fn description(table: &Table, now_ms: i64) -> Value {
    let mut out = json!({
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": "DISABLED" },
    });
    if table.pitr_on(now_ms)
        && let Some(earliest) = table.earliest_restorable_ms(now_ms)
    {
        out["PointInTimeRecoveryDescription"] = json!({
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": table.pitr.period_days,
            "EarliestRestorableDateTime": timestamp::seconds(earliest),
            "LatestRestorableDateTime": timestamp::seconds((now_ms - RESTORABLE_LAG_MS).max(earliest)),
        });
    }
    out
}
