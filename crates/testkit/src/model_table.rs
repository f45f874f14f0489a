//! A model of `ReplacingMergeTree(version, is_deleted)` read with FINAL: rows, and which of them win.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use mirror::batch::{Batch, BatchColumn, ColumnData};
use mirror::plan::{MirrorPlan, RecordPath};
use mirror::sink::QuarantinedRecord;

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
    /// Revision of the item, 0 if there is none.
    pub rev: u64,
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
    /// What tells this table from others of the same name; empty for the first.
    pub mark: String,
    /// Rows taken, replays included.
    pub taken: u64,
    /// Merges wait until somebody lets them go on.
    pub merges_held: bool,
    /// Records in quarantine.
    pub quarantine: BTreeMap<(String, String, String), QuarantinedRecord>,
}

impl Table {
    /// What FINAL shows: live rows by key.
    pub fn final_rows(&self) -> impl Iterator<Item = (&RowKey, &Row)> {
        self.rows.iter().filter(|(_, row)| !row.deleted)
    }

    /// An empty table that carries a mark.
    pub fn marked(mark: &str) -> Self {
        Self {
            mark: mark.to_owned(),
            ..Self::default()
        }
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

    /// The highest version of any row.
    pub fn highest_version(&self) -> Option<i64> {
        self.versions
            .keys()
            .map(|(_, version_ms)| *version_ms)
            .max()
    }

    pub(crate) fn take(&mut self, row: &Row) -> std::result::Result<(), String> {
        self.taken += 1;
        match self.versions.entry((row.key.clone(), row.version_ms)) {
            Entry::Vacant(entry) => {
                entry.insert(row.clone());
            }
            Entry::Occupied(entry) => {
                let known = entry.get();
                let origin = |row: &Row| (row.event_name == "EXPORT", row.event_id.is_empty());
                let same_origin = origin(known) == origin(row);
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

/// Rows of a batch.
pub(crate) fn rows_of(plan: &MirrorPlan, batch: &Batch) -> Vec<Row> {
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
    let rev = column(&RecordPath::Item(vec!["rev".to_owned()]));
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
        rev: value(rev, row).try_into().map_or(0, u64::from_le_bytes),
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
