//! A model of `ReplacingMergeTree(version, is_deleted)` read with FINAL, behind a door that fails.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sim::rng::hash_bytes;
use mirror::batch::{Batch, BatchColumn, ColumnData};
use mirror::error::Result;
use mirror::plan::{MirrorPlan, RecordPath};
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};

use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::port::Port;
use crate::process::Call;
use crate::weather::Fate;

/// Sorting key: the bytes of its columns.
pub type RowKey = Vec<Vec<u8>>;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: RowKey,
    pub version_ms: i64,
    pub deleted: bool,
    pub event_name: String,
    pub event_id: String,
    pub record: Vec<u8>,
    /// All columns, to tell a replay from another row.
    pub whole: Vec<u8>,
}

/// The table as ClickHouse holds it.
#[derive(Debug, Default)]
pub struct Table {
    /// The winner of each key.
    rows: BTreeMap<RowKey, Row>,
    /// Every version of each key.
    versions: BTreeMap<(RowKey, i64), Row>,
    /// Inserts that were given up and will work all the same: when, and what.
    late: Vec<(i64, Vec<Row>)>,
    /// Rows taken, replays included.
    pub taken: u64,
    /// Records in quarantine, replays included.
    pub quarantined: u64,
}

impl Table {
    /// What FINAL shows: live rows by key.
    pub fn final_rows(&self) -> impl Iterator<Item = (&RowKey, &Row)> {
        self.rows.iter().filter(|(_, row)| !row.deleted)
    }

    /// Every version of a key, oldest first.
    pub fn versions_of(&self, key: &RowKey) -> Vec<&Row> {
        self.versions
            .range((key.clone(), i64::MIN)..=(key.clone(), i64::MAX))
            .map(|(_, row)| row)
            .collect()
    }

    /// Keys that have a row of an export with this version.
    pub fn exported(&self, version_ms: i64) -> u64 {
        let rows = self.versions.values();
        rows.filter(|row| row.version_ms == version_ms && row.event_name == "EXPORT")
            .count() as u64
    }

    fn take(&mut self, row: &Row) -> std::result::Result<(), String> {
        self.taken += 1;
        match self.versions.entry((row.key.clone(), row.version_ms)) {
            Entry::Vacant(entry) => {
                entry.insert(row.clone());
            }
            Entry::Occupied(entry) => {
                let known = entry.get();
                let same_origin = (known.event_name == "EXPORT") == (row.event_name == "EXPORT");
                if same_origin && known.whole != row.whole {
                    return Err(format!(
                        "two rows of one key tie at version {}: {} {} and {} {}",
                        row.version_ms,
                        known.event_name,
                        known.event_id,
                        row.event_name,
                        row.event_id
                    ));
                }
            }
        }
        // The highest version wins; of equal ones the row inserted last.
        if self
            .rows
            .get(&row.key)
            .is_none_or(|known| row.version_ms >= known.version_ms)
        {
            self.rows.insert(row.key.clone(), row.clone());
        }
        Ok(())
    }
}

/// The table with its checks; lives longer than any process.
#[derive(Debug)]
pub struct Warehouse {
    table: Mutex<Table>,
    ledger: Arc<Mutex<Ledger>>,
    journal: Arc<Journal>,
}

impl Warehouse {
    pub fn new(ledger: Arc<Mutex<Ledger>>, journal: Arc<Journal>) -> Self {
        Self {
            table: Mutex::default(),
            ledger,
            journal,
        }
    }

    /// The table.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets late inserts land that are due.
    pub fn land(&self, now_ms: i64) {
        let mut table = self.table();
        let (due, left) = std::mem::take(&mut table.late)
            .into_iter()
            .partition(|(at, _)| *at <= now_ms);
        table.late = left;
        drop(table);
        let due: Vec<(i64, Vec<Row>)> = due;
        for (_, rows) in due {
            self.take(&rows);
        }
    }

    fn take(&self, rows: &[Row]) {
        let mut table = self.table();
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let order = if row.event_name == "EXPORT" {
                Ok(())
            } else {
                ledger.insert(&row.event_id)
            };
            if let Err(rule) = order.and_then(|()| table.take(row)) {
                self.journal.broken(rule);
            }
        }
    }

    fn take_later(&self, at_ms: i64, rows: &[Row]) {
        self.table().late.push((at_ms, rows.to_vec()));
    }
}

/// [`Warehouse`] as one life of the process reaches it.
#[derive(Debug)]
pub struct ModelSink {
    pub port: Port,
    pub warehouse: Arc<Warehouse>,
}

#[async_trait]
impl Sink for ModelSink {
    async fn insert(&self, plan: &MirrorPlan, batch: &Batch, _order: RowOrder) -> Result<()> {
        if batch.rows == 0 {
            return Ok(());
        }
        let rows = rows_of(plan, batch);
        let what = rows
            .first()
            .map(|row| row.whole.clone())
            .unwrap_or_default();
        // Half of the inserts that are under way when the process dies still arrive, some of them late.
        let coin = hash_bytes(&what) ^ rows.len() as u64;
        let now_ms = self.port.clock.aws_ms();
        let left_behind = || {
            if coin.is_multiple_of(2) {
                self.warehouse
                    .take_later(now_ms + (coin >> 8) as i64 % 120_000, &rows);
            }
        };
        let prospect = self.port.ask_or(Call::Insert, &what, left_behind).await?;
        match prospect.fate {
            Fate::Late(delay_ms) => self
                .warehouse
                .take_later(self.port.clock.aws_ms() + delay_ms, &rows),
            _ => self.warehouse.take(&rows),
        }
        self.port.note(
            Call::Insert,
            &format!(
                "{} rows from {} {}",
                rows.len(),
                rows[0].event_name,
                rows[0].event_id
            ),
        );
        self.port.answer(Call::Insert, &prospect, Ok(())).await
    }

    async fn quarantine(&self, _plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()> {
        let effect = || {
            self.warehouse.table().quarantined += records.len() as u64;
            Ok(())
        };
        self.port.perform(Call::Quarantine, b"", effect).await
    }

    async fn hold_merges(&self, _plan: &MirrorPlan, _hold: bool) -> Result<()> {
        self.port.perform(Call::HoldMerges, b"", || Ok(())).await
    }
}

fn rows_of(plan: &MirrorPlan, batch: &Batch) -> Vec<Row> {
    let column = |wanted: &RecordPath| {
        let at = plan
            .columns
            .iter()
            .position(|column| column.path == *wanted);
        &batch.columns[at.expect("the plan under test has the column")]
    };
    let version = column(&RecordPath::Version);
    let deleted = column(&RecordPath::IsDeleted);
    let event_name = column(&RecordPath::EventName);
    let event_id = column(&RecordPath::EventId);
    let record = column(&RecordPath::NewImage(Vec::new()));
    let text = |column: &BatchColumn, row| String::from_utf8_lossy(column.text(row)).into_owned();
    let row = |row| Row {
        key: plan
            .sorting_columns
            .iter()
            .map(|at| value(&batch.columns[*at], row).to_vec())
            .collect(),
        version_ms: i64::from_le_bytes(
            value(version, row)
                .try_into()
                .expect("DateTime64 has eight bytes"),
        ),
        deleted: value(deleted, row) != [0],
        event_name: text(event_name, row),
        event_id: text(event_id, row),
        record: record.text(row).to_vec(),
        whole: whole(batch, row),
    };
    (0..batch.rows).map(row).collect()
}

fn value(column: &BatchColumn, row: usize) -> &[u8] {
    match &column.data {
        ColumnData::Strings { .. } => column.text(row),
        ColumnData::Fixed { width, bytes } => &bytes[row * width..(row + 1) * width],
    }
}

fn whole(batch: &Batch, row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in &batch.columns {
        let value = value(column, row);
        bytes.push(column.nulls[row]);
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}
