//! What a mirror costs on AWS, and how long its first rows take: exact arithmetic over prices that may change.
//!
//! Every price is a number of millionths of a dollar, as a whole number, so that sums do not depend on the order of
//! their parts. Each has its date, and a setting of the server (`[prices]`) to put another in its place.

use mirror::table::TableDescription;
use serde::Serialize;

use crate::worker::{LEAST_IDLE_MS, WorkerSettings};

/// The list that the prices below are of: us-east-1, on-demand, without tax. They were the same in the years around.
pub const PRICES_OF: &str = "us-east-1, 2024-11-01";

/// Millionths of a dollar.
pub type MicroDollars = u64;

/// AWS bills storage by this GB, bytes.
const GB: u128 = 1 << 30;

/// Hours that a month of polling has here: 30 days.
const HOURS_OF_MONTH: u64 = 720;

/// An export of even a small table takes so long, minutes: reports say 2 for an empty one and 12 for three items.
const EXPORT_MINUTES: u64 = 12;

/// Assumed speed of an export beyond that, GB (2^30 bytes) a minute. AWS promises none.
const EXPORT_GB_PER_MINUTE: u64 = 5;

/// Speed of loading, bytes of items a second: `backfill_mb_per_s` of docs/performance.md, on two cores.
const LOAD_BYTES_PER_SECOND: u64 = 138_000_000;

/// A stream that has to be switched on takes this long, minutes, and the export is asked for two minutes later.
const SWITCH_ON_MINUTES: u64 = 3;

/// A partition holds at most this much, bytes; each has an open shard in the stream.
const PARTITION_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// A new on-demand table has so many partitions.
const LEAST_PARTITIONS: u64 = 4;

/// Prices of AWS, each as of [`PRICES_OF`] unless a setting says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prices {
    /// A full export, for each GB of the table. `[prices] export_per_gb`, 2024-11-01: $0.10.
    pub export_per_gb: MicroDollars,
    /// Point-in-time recovery, for each GB of the table and month. `[prices] pitr_per_gb_month`, 2024-11-01: $0.20.
    pub pitr_per_gb_month: MicroDollars,
    /// A million GetRecords calls. `[prices] stream_reads_per_million`, 2024-11-01: $0.20.
    pub stream_reads_per_million: MicroDollars,
    /// GetRecords calls of a month that cost nothing, shared by all readers of the account in the region.
    /// `[prices] stream_reads_free_per_month`, 2024-11-01: 2,500,000.
    pub stream_reads_free_per_month: u64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            export_per_gb: 100_000,
            pitr_per_gb_month: 200_000,
            stream_reads_per_million: 200_000,
            stream_reads_free_per_month: 2_500_000,
        }
    }
}

impl Prices {
    /// One full export of a table of `bytes`.
    pub fn export(&self, bytes: u64) -> MicroDollars {
        per(self.export_per_gb, bytes.into(), GB)
    }

    /// A month of point-in-time recovery of a table of `bytes`.
    pub fn pitr_month(&self, bytes: u64) -> MicroDollars {
        per(self.pitr_per_gb_month, bytes.into(), GB)
    }

    /// A month of `calls_per_hour`. The free calls are taken off once, as if nobody else used them.
    pub fn polling_month(&self, calls_per_hour: u64) -> MicroDollars {
        let calls = calls_per_hour.saturating_mul(HOURS_OF_MONTH);
        let billed = calls.saturating_sub(self.stream_reads_free_per_month);
        per(self.stream_reads_per_million, billed.into(), 1_000_000)
    }
}

/// `price` for each `unit` of `amount`, rounded to the nearest millionth of a dollar, halves up.
fn per(price: MicroDollars, amount: u128, unit: u128) -> MicroDollars {
    let exact = u128::from(price) * amount;
    u64::try_from((exact + unit / 2) / unit).unwrap_or(u64::MAX)
}

/// What a new mirror of a table is expected to take. Money in millionths of a dollar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Size of the table as AWS last counted it, which is up to six hours ago.
    pub table_bytes: u64,
    /// Items in the table, counted with its size.
    pub table_items: u64,
    /// The full export that fills the mirror, once.
    pub export_micro_dollars: MicroDollars,
    /// Point-in-time recovery of the table each month.
    pub pitr_micro_dollars_per_month: MicroDollars,
    /// Whether that is paid for already, mirror or not.
    pub pitr_is_on: bool,
    /// Open shards of the stream.
    pub shards: u64,
    /// Whether the stream was looked at, or its shards were guessed from the size of the table.
    pub shards_are_known: bool,
    /// Polling in a month in which nobody writes.
    pub idle_polling_micro_dollars_per_month: MicroDollars,
    /// Polling in a month in which every shard is written to all the time.
    pub busy_polling_micro_dollars_per_month: MicroDollars,
    /// Until the first row can be queried: a change that the stream still holds, or the next one.
    pub minutes_to_first_row: u64,
    /// Until every item is there.
    pub minutes_to_complete: u64,
}

/// Estimates a mirror of `table`; `shards` are the open ones if somebody has counted them.
pub fn estimate(
    table: &TableDescription,
    shards: Option<u64>,
    prices: &Prices,
    worker: &WorkerSettings,
) -> Estimate {
    let bytes = table.size_bytes;
    let guessed = bytes.div_ceil(PARTITION_BYTES).max(LEAST_PARTITIONS);
    let counted = shards.filter(|shards| *shards > 0);
    let shards = counted.unwrap_or(guessed);
    let stream_is_on = table.stream.is_some();
    let switching = if stream_is_on && table.pitr_enabled {
        0
    } else {
        SWITCH_ON_MINUTES
    };
    let gigabytes = u64::try_from(u128::from(bytes) / GB).unwrap_or(u64::MAX);
    let exporting = switching + EXPORT_MINUTES + gigabytes / EXPORT_GB_PER_MINUTE;
    let loading = bytes.div_ceil(LOAD_BYTES_PER_SECOND).div_ceil(60);
    Estimate {
        table_bytes: bytes,
        table_items: table.item_count,
        export_micro_dollars: prices.export(bytes),
        pitr_micro_dollars_per_month: prices.pitr_month(bytes),
        pitr_is_on: table.pitr_enabled,
        shards,
        shards_are_known: counted.is_some(),
        idle_polling_micro_dollars_per_month: prices.polling_month(idle_calls(shards, worker)),
        busy_polling_micro_dollars_per_month: prices
            .polling_month(shards.saturating_mul(calls_per_hour(worker.poll_min_ms))),
        minutes_to_first_row: switching.max(1),
        minutes_to_complete: exporting + loading,
    }
}

/// GetRecords calls an hour on shards that nobody writes to: the budget, or as often as a shard is ever looked at, or
/// as seldom as it may be.
fn idle_calls(shards: u64, worker: &WorkerSettings) -> u64 {
    let most = shards.saturating_mul(calls_per_hour(LEAST_IDLE_MS));
    let least = shards.saturating_mul(calls_per_hour(worker.poll_idle_max_ms));
    worker.idle_calls_per_hour.min(most).max(least)
}

fn calls_per_hour(pause_ms: u64) -> u64 {
    3_600_000 / pause_ms.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror::table::{StreamInfo, StreamViewType};

    const GIGABYTE: u64 = 1 << 30;

    #[test]
    fn exports_and_recovery_cost_by_the_gigabyte() {
        let prices = Prices::default();
        let cases = [
            // bytes, export, recovery of a month
            (0, 0, 0),
            (1, 0, 0),
            // Half a millionth of a dollar, rounded up: 2^30 / 200,000 = 5,368.7 bytes.
            (5_368, 0, 1),
            (5_369, 1, 1),
            (GIGABYTE, 100_000, 200_000),
            (GIGABYTE + GIGABYTE / 2, 150_000, 300_000),
            (100 * GIGABYTE, 10_000_000, 20_000_000),
            (500 * GIGABYTE, 50_000_000, 100_000_000),
            (1_000_000_000_000, 93_132_257, 186_264_515),
        ];
        for (bytes, export, pitr) in cases {
            assert_eq!(
                (prices.export(bytes), prices.pitr_month(bytes)),
                (export, pitr),
                "{bytes} bytes"
            );
        }
    }

    #[test]
    fn polling_costs_beyond_what_is_free() {
        let prices = Prices::default();
        let cases = [
            // calls an hour, a month
            (0, 0),
            // 2,500,000 / 720 = 3,472.2
            (3_472, 0),
            (3_473, 112),
            (10_000, 940_000),
            (84_000, 11_596_000),
            (44 * 3_600, 22_309_600),
        ];
        for (calls, month) in cases {
            assert_eq!(prices.polling_month(calls), month, "{calls} calls an hour");
        }
    }

    #[test]
    fn another_price_list_changes_every_sum() {
        let prices = Prices {
            export_per_gb: 114_000,
            pitr_per_gb_month: 224_000,
            stream_reads_per_million: 224_000,
            stream_reads_free_per_month: 0,
        };
        assert_eq!(prices.export(10 * GIGABYTE), 1_140_000);
        assert_eq!(prices.pitr_month(10 * GIGABYTE), 2_240_000);
        assert_eq!(prices.polling_month(10_000), 1_612_800);
    }

    #[test]
    fn nothing_overflows() {
        let prices = Prices {
            export_per_gb: u64::MAX,
            ..Prices::default()
        };
        assert_eq!(prices.export(u64::MAX), u64::MAX);
        assert_eq!(
            prices.polling_month(u64::MAX),
            per(200_000, u128::from(u64::MAX - 2_500_000), 1_000_000)
        );
    }

    fn table(bytes: u64, stream: bool, pitr: bool) -> TableDescription {
        TableDescription {
            arn: String::new(),
            name: "orders".to_owned(),
            table_id: String::new(),
            status: "ACTIVE".to_owned(),
            keys: Vec::new(),
            size_bytes: bytes,
            item_count: 7,
            write_capacity_units: None,
            stream: stream.then(|| StreamInfo {
                arn: String::new(),
                view_type: StreamViewType::NewImage,
            }),
            pitr_enabled: pitr,
            restorable_from_ms: None,
        }
    }

    #[test]
    fn an_estimate_knows_what_has_to_be_switched_on() {
        let worker = WorkerSettings::default();
        let cases = [
            // bytes, stream, recovery, shards; first row, complete, shards of the estimate
            (1_000, true, true, Some(1), (1, 13, 1)),
            (1_000, false, true, None, (3, 16, 4)),
            (1_000, true, false, Some(0), (3, 16, 4)),
            // 20 minutes of export and 12.97 of loading beyond the 12.
            (100 * GIGABYTE, true, true, None, (1, 45, 10)),
        ];
        for (bytes, stream, pitr, shards, expected) in cases {
            let found = estimate(
                &table(bytes, stream, pitr),
                shards,
                &Prices::default(),
                &worker,
            );
            assert_eq!(
                (
                    found.minutes_to_first_row,
                    found.minutes_to_complete,
                    found.shards
                ),
                expected,
                "{bytes} bytes, stream {stream}, recovery {pitr}"
            );
        }
    }

    #[test]
    fn idle_shards_are_polled_within_the_budget_until_it_gives_way() {
        let worker = WorkerSettings::default();
        for (shards, calls) in [
            (1, 3_600),
            (2, 7_200),
            (4, 10_000),
            (75, 10_000),
            (700, 84_000),
        ] {
            assert_eq!(idle_calls(shards, &worker), calls, "{shards} shards");
        }
    }
}
