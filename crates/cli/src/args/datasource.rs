//! `tb datasource` on the command line.

use clap::{Args, Subcommand};

use super::WaitArgs;
use super::connection::DatasourceCreateArgs;

const CREATE_EXAMPLES: &str = "Examples:
  tb datasource create --dynamodb
  tb datasource create --dynamodb --yes --connection-name my_ddb --name users \\
    --dynamodb-table-arn arn:aws:dynamodb:us-east-1:123456789012:table/users \\
    --dynamodb-export-bucket my-orders-exports

The server looks at the table first. The role's access policy has to name it: tb connection policy NAME.";

/// `tb datasource`.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasourceCommand {
    /// Write the file of a data source that mirrors a table, its key columns typed
    #[command(after_help = CREATE_EXAMPLES)]
    Create(DatasourceCreateArgs),
    /// List data sources: state, rows, lag, headroom, quarantine, what to do next
    #[command(after_help = DATASOURCE_LS_EXAMPLES)]
    Ls,
    /// Show everything about one data source
    #[command(after_help = "Examples:\n  tb datasource show orders")]
    Show {
        /// Data source
        name: String,
    },
    /// Print rows of a data source, the latest version of each
    #[command(
        after_help = "Examples:\n  tb datasource data orders\n  tb datasource data orders --limit 1000 --output csv"
    )]
    Data {
        /// Data source
        name: String,
        /// At most this many rows
        #[arg(long, value_name = "ROWS", default_value_t = 5)]
        limit: u64,
    },
    /// Fill a branch's or a Local data source with some items of its DynamoDB table, by a Scan
    #[command(after_help = SAMPLE_EXAMPLES)]
    Sample {
        /// Data source
        name: String,
        /// At most this many items
        #[arg(long, value_name = "ROWS", default_value_t = 1000)]
        rows: u64,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Stop mirroring; rows stay and the stream keeps changes for 24 hours
    #[command(after_help = "Examples:\n  tb datasource stop orders")]
    Stop {
        /// Data source
        name: String,
    },
    /// Go on mirroring where it was stopped
    #[command(after_help = "Examples:\n  tb datasource start orders")]
    Start {
        /// Data source
        name: String,
    },
    /// Fill a new table from a new full export beside the present one, then put it in its place
    #[command(after_help = RESYNC_EXAMPLES)]
    Resync {
        /// Data source
        name: String,
        /// Why, for whoever looks at `tb datasource ls`
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Compare the rows with DynamoDB while both change; repair what is wrong
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Look at records that could not be converted, and put them back after a fix
    #[command(subcommand, arg_required_else_help = true)]
    Quarantine(QuarantineCommand),
}

const RESYNC_EXAMPLES: &str = "Examples:
  tb datasource resync orders
  tb datasource resync orders --yes --wait --output json

AWS bills a full export by the size of the table. Queries see the present table, kept up to date,
until the new one has caught up; nothing is empty or older in between.";

const VERIFY_EXAMPLES: &str = "Examples:
  tb datasource verify orders                    1,000 items of DynamoDB and 1,000 keys of the mirror
  tb datasource verify orders --sample 5000
  tb datasource verify orders --full             every key, by a new full export, which AWS bills
  tb datasource verify orders --full --repair --output json

Writes may go on: a key is called wrong only if no change explains it.
The role needs dynamodb:BatchGetItem, and dynamodb:Scan for a sample; without them --full still
finds what is wrong, and repairs it by what the export says.
Exits with 1 when differences remain.";

/// `tb datasource verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Data source
    pub(crate) name: String,
    /// So many items of DynamoDB and so many keys of the mirror, at random
    #[arg(long, value_name = "ITEMS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub(crate) sample: u32,
    /// Every key, by a new full export
    #[arg(long, conflicts_with = "sample")]
    pub(crate) full: bool,
    /// Write what DynamoDB says over rows that are wrong
    #[arg(long)]
    pub(crate) repair: bool,
}

/// `tb datasource quarantine`.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List records: where they came from, which column refused them, and why
    #[command(
        after_help = "Examples:\n  tb datasource quarantine ls orders\n  tb datasource quarantine ls orders --limit 1000 --output csv"
    )]
    Ls {
        /// Data source
        name: String,
        /// At most this many records
        #[arg(long, value_name = "RECORDS", default_value_t = 100)]
        limit: u64,
    },
    /// Print one record as it came: DynamoDB JSON
    #[command(
        after_help = "Examples:\n  tb datasource quarantine show orders shardId-00000001 111000000000001"
    )]
    Show {
        /// Data source
        name: String,
        /// Shard, or export file
        origin: String,
        /// Sequence number, or line in the file
        position: String,
    },
    /// Convert records again, and put those into the table that can be converted by now
    #[command(
        after_help = "Examples:\n  tb datasource quarantine replay orders --dry-run\n  tb datasource quarantine replay orders\n\nExits with 1 when records remain."
    )]
    Replay {
        /// Data source
        name: String,
        /// Only say what would happen
        #[arg(long)]
        dry_run: bool,
    },
}

const SAMPLE_EXAMPLES: &str = "Examples:
  tb datasource sample orders
  tb --branch=feature_x datasource sample orders --rows 5000

The table is emptied first. The rows stay as they are, and go when the data source is connected
with `tb build --with-connections`. A Scan uses read capacity of the DynamoDB table: half a unit
for each 4 KB if it is read eventually, one for each as here.";

const DATASOURCE_LS_EXAMPLES: &str = "Examples:
  tb datasource ls
  tb datasource ls --output json

LAG       how far the rows are behind the table
HEADROOM  time until the oldest unread change leaves the stream";
