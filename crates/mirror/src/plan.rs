//! What a mirror's table looks like and where each column comes from.

mod build;

use crate::column_type::ColumnType;
use crate::table::KeyAttribute;

pub use build::build_plan;

/// Where a column's value comes from: the `json:` path of the datafile, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordPath {
    /// `$.Item.<path>`: a key attribute from `Keys` (or the exported item); any other attribute from the item
    /// after the change, missing when the item was removed. An empty path is the whole item.
    Item(Vec<String>),
    /// `$.Keys[.<path>]`.
    Keys(Vec<String>),
    /// `$.NewImage[.<path>]`: the exported item counts as a new image.
    NewImage(Vec<String>),
    /// `$.OldImage[.<path>]`.
    OldImage(Vec<String>),
    /// `$.ApproximateCreationDateTime`: the version.
    Version,
    /// `$.eventName`.
    EventName,
    /// `$._is_deleted`.
    IsDeleted,
    /// `$.eventID`.
    EventId,
    /// `$.SequenceNumber`.
    SequenceNumber,
    /// `$.awsRegion`.
    AwsRegion,
    /// `$.userIdentity.type`.
    UserIdentityType,
    /// `$.userIdentity.principalId`.
    UserIdentityPrincipal,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanColumn {
    /// Column name.
    pub name: String,
    /// The type as the datafile wrote it, for DDL.
    pub declared_type: String,
    /// The type as far as filling it goes.
    pub column_type: ColumnType,
    /// Where the value comes from.
    pub path: RecordPath,
    /// DEFAULT expression.
    pub default: Option<String>,
    /// Inside of CODEC(...).
    pub codec: Option<String>,
    /// Whether this column holds a whole key attribute of the table and is in the sorting key: then a value
    /// must survive the column's type exactly or go to quarantine.
    pub is_key: bool,
}

/// A skip index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanIndex {
    /// Index name.
    pub name: String,
    /// Expression.
    pub expression: String,
    /// `TYPE` text.
    pub kind: String,
    /// `GRANULARITY`.
    pub granularity: Option<u64>,
}

/// One data source as a ClickHouse table that is filled from one DynamoDB table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorPlan {
    /// ClickHouse database (one per workspace).
    pub database: String,
    /// ClickHouse table.
    pub table: String,
    /// Columns in order.
    pub columns: Vec<PlanColumn>,
    /// Sorting key expressions as written, without surrounding parentheses: `pk, sk`.
    pub sorting_key: String,
    /// Indexes into `columns` of the columns named in the sorting key, in its order.
    pub sorting_columns: Vec<usize>,
    /// Name of the version column.
    pub version_column: String,
    /// Name of the deletion mark.
    pub is_deleted_column: String,
    /// Partition key expression.
    pub partition_key: Option<String>,
    /// Primary key expressions.
    pub primary_key: Option<String>,
    /// Sampling key expression.
    pub sampling_key: Option<String>,
    /// TTL expression.
    pub ttl: Option<String>,
    /// Extra table settings, `a = 1, b = 2`.
    pub settings: Option<String>,
    /// Skip indexes.
    pub indexes: Vec<PlanIndex>,
    /// Key attributes of the DynamoDB table; empty for a table made without a connection.
    pub keys: Vec<KeyAttribute>,
}

/// How the name of the table ends that a resync fills beside a mirror's. No data source may be called so.
pub const SHADOW_SUFFIX: &str = "__resync";

/// ... and of the one that a verification fills.
pub const VERIFY_SUFFIX: &str = "__verify";

impl MirrorPlan {
    /// Name of the table for records that could not be converted.
    pub fn quarantine_table(&self) -> String {
        format!("{}_quarantine", self.table)
    }

    /// Name of the table that a resync fills beside this one.
    pub fn shadow_table(&self) -> String {
        format!("{}{SHADOW_SUFFIX}", self.table)
    }

    /// Name of the table that a verification fills beside this one.
    pub fn verify_table(&self) -> String {
        format!("{}{VERIFY_SUFFIX}", self.table)
    }

    /// An empty batch with this plan's columns.
    pub fn new_batch(&self) -> crate::batch::Batch {
        crate::batch::Batch::new(self.columns.iter().map(|column| &column.column_type))
    }
}
