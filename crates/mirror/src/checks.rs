//! Whether a table can be mirrored: the sentences users search for, followed by what to do.

use crate::reason::Reason;
use crate::table::{StreamViewType, TableDescription};

/// Limits of one server; both can be lifted in its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    /// Largest table, bytes; `None` for no limit.
    pub max_table_bytes: Option<u64>,
    /// Largest write capacity, units; `None` for no limit.
    pub max_write_capacity_units: Option<u64>,
}

impl Default for TableLimits {
    fn default() -> Self {
        Self {
            max_table_bytes: Some(crate::limits::MAX_TABLE_BYTES),
            max_write_capacity_units: Some(crate::limits::MAX_WRITE_CAPACITY_UNITS),
        }
    }
}

/// One reason why a table cannot be mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Word for programs.
    pub code: Reason,
    /// The connector's sentence, verbatim.
    pub sentence: &'static str,
    /// What to do.
    pub next_action: String,
}

impl Refusal {
    /// Sentence and next action.
    pub fn text(&self) -> String {
        format!("{} {}", self.sentence, self.next_action)
    }
}

/// The refusal for a table that does not exist.
pub fn table_not_found(table_arn: &str) -> Refusal {
    Refusal {
        code: Reason::TableNotFound,
        sentence: "The DynamoDB table was not found.",
        next_action: format!(
            "Check IMPORT_TABLE_ARN ({table_arn}): region, account and table name must be those of an existing table."
        ),
    }
}

/// What to do when a connection's region is not the one in the table's ARN; `None` if it is.
pub fn region_differs(region: &str, table_arn: &str) -> Option<String> {
    let of_table = table_arn.split(':').nth(3).unwrap_or_default();
    (of_table != region).then(|| {
        format!(
            "The connection's region is {region}, and the table {table_arn} is in {of_table}: write DYNAMODB_REGION {of_table}, or name a table in {region}."
        )
    })
}

/// What stands in the way of mirroring `table`, all of it. Streams and PITR that are off are reported here too;
/// a caller that may switch them on does so first.
pub fn check_table(table: &TableDescription, limits: TableLimits) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let name = &table.name;
    if !table.pitr_enabled {
        refusals.push(Refusal {
            code: Reason::PitrDisabled,
            sentence: "Point-in-Time Recovery (PITR) must be enabled.",
            next_action: format!(
                "Run: aws dynamodb update-continuous-backups --table-name {name} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
            ),
        });
    }
    match &table.stream {
        None => refusals.push(Refusal {
            code: Reason::StreamDisabled,
            sentence: "DynamoDB Streams must be enabled.",
            next_action: format!(
                "Run: aws dynamodb update-table --table-name {name} --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
            ),
        }),
        Some(stream) if matches!(stream.view_type, StreamViewType::KeysOnly | StreamViewType::OldImage) => refusals.push(Refusal {
            code: Reason::StreamViewInvalid,
            sentence: "DynamoDB Streams must use NEW_IMAGE or NEW_AND_OLD_IMAGES.",
            next_action: format!(
                "The view type of a stream cannot be changed: switch the stream of {name} off, then on again with StreamViewType=NEW_AND_OLD_IMAGES."
            ),
        }),
        Some(_) => {}
    }
    if let Some(max) = limits.max_table_bytes.filter(|max| table.size_bytes > *max) {
        refusals.push(Refusal {
            code: Reason::TableTooLarge,
            sentence: "The DynamoDB table exceeds the current size limit.",
            next_action: format!(
                "{name} has {} GB, the limit is {} GB. Raise or lift max_table_gb in the server's settings.",
                table.size_bytes / 1_000_000_000,
                max / 1_000_000_000
            ),
        });
    }
    let capacity = table.write_capacity_units.unwrap_or(0);
    if let Some(max) = limits
        .max_write_capacity_units
        .filter(|max| capacity > *max)
    {
        refusals.push(Refusal {
            code: Reason::TableWcuExceedsLimit,
            sentence: "The DynamoDB table exceeds the current write-capacity limit.",
            next_action: format!(
                "{name} may take {capacity} write capacity units, the limit is {max}. Raise or lift max_write_capacity_units in the server's settings."
            ),
        });
    }
    refusals
}
