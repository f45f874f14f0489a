//! Tables by name, as ClickHouse keeps them: they live longer than any process, and check whatever comes in.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror::sink::QuarantinedRecord;
use tokio::sync::Notify;

use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::model_table::{Row, Table};

#[derive(Debug, Default)]
struct Tables {
    by_name: BTreeMap<String, Table>,
    /// Inserts that were given up and will work all the same: when, into the table of which mark, and what.
    late: Vec<(i64, String, Vec<Row>)>,
    /// Names exchanged so far.
    exchanges: u32,
}

impl Tables {
    fn marked(&mut self, mark: &str) -> Option<&mut Table> {
        self.by_name.values_mut().find(|table| table.mark == mark)
    }
}

/// The tables with their checks; lives longer than any process.
#[derive(Debug)]
pub struct ModelWarehouse {
    tables: Mutex<Tables>,
    ledger: Arc<Mutex<Ledger>>,
    journal: Arc<Journal>,
    /// Rings when tables were exchanged.
    bell: Notify,
}

impl ModelWarehouse {
    /// A warehouse with one table that carries no mark.
    pub fn new(table: &str, ledger: Arc<Mutex<Ledger>>, journal: Arc<Journal>) -> Self {
        let tables = Tables {
            by_name: BTreeMap::from([(table.to_owned(), Table::default())]),
            ..Tables::default()
        };
        Self {
            tables: Mutex::new(tables),
            ledger,
            journal,
            bell: Notify::new(),
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a table by name.
    pub fn with_table<T>(&self, name: &str, look: impl FnOnce(&Table) -> T) -> T {
        let mut tables = self.tables();
        look(tables.by_name.entry(name.to_owned()).or_default())
    }

    /// Holds the merges of a table back, or lets them go on.
    pub fn hold_merges(&self, name: &str, hold: bool) {
        if let Some(table) = self.tables().by_name.get_mut(name) {
            table.merges_held = hold;
        }
    }

    /// Looks at a table by mark.
    pub fn with_marked<T>(&self, mark: &str, look: impl FnOnce(&Table) -> T) -> Option<T> {
        self.tables().marked(mark).map(|table| look(table))
    }

    /// Rows taken by all tables, replays included.
    pub fn taken(&self) -> u64 {
        self.tables()
            .by_name
            .values()
            .map(|table| table.taken)
            .sum()
    }

    /// How often tables were exchanged.
    pub fn exchanges(&self) -> u32 {
        self.tables().exchanges
    }

    /// Returns when tables were exchanged since there had been `seen` exchanges.
    pub async fn when_exchanged(&self, seen: u32) {
        let heard = self.bell.notified();
        if self.exchanges() == seen {
            heard.await;
        }
    }

    /// Lets late inserts land that are due; one into a table that is gone does not matter to anybody.
    pub fn land(&self, now_ms: i64) {
        let mut tables = self.tables();
        let (due, left) = std::mem::take(&mut tables.late)
            .into_iter()
            .partition(|(at, _, _)| *at <= now_ms);
        tables.late = left;
        drop(tables);
        let due: Vec<(i64, String, Vec<Row>)> = due;
        for (_, mark, rows) in due {
            self.take(&mark, &rows);
        }
    }

    pub(crate) fn mark_of(&self, table: &str) -> Option<String> {
        self.tables()
            .by_name
            .get(table)
            .map(|table| table.mark.clone())
    }

    pub(crate) fn take(&self, mark: &str, rows: &[Row]) {
        let mut tables = self.tables();
        let Some(table) = tables.marked(mark) else {
            return;
        };
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            // Only the stream's rows have an event.
            let order = if row.event_id.is_empty() {
                Ok(())
            } else {
                ledger.insert(mark, &row.event_id)
            };
            if let Err(rule) = order.and_then(|()| table.take(row)) {
                self.journal.broken(rule);
            }
        }
    }

    pub(crate) fn take_later(&self, at_ms: i64, mark: &str, rows: &[Row]) {
        self.tables()
            .late
            .push((at_ms, mark.to_owned(), rows.to_vec()));
    }

    pub(crate) fn bury(
        &self,
        name: &str,
        versions_ms: &RangeInclusive<i64>,
        tombstone_ms: i64,
    ) -> u64 {
        let mut tables = self.tables();
        let table = tables.by_name.entry(name.to_owned()).or_default();
        let ghosts: Vec<Row> = table
            .final_rows()
            .filter(|(_, row)| versions_ms.contains(&row.version_ms))
            .map(|(_, row)| Row {
                version_ms: tombstone_ms,
                deleted: true,
                event_name: "REMOVE".to_owned(),
                event_id: String::new(),
                rev: 0,
                record: Vec::new(),
                whole: tombstone_ms.to_le_bytes().to_vec(),
                key: row.key.clone(),
            })
            .collect();
        for ghost in &ghosts {
            if let Err(rule) = table.take(ghost) {
                self.journal.broken(rule);
            }
        }
        ghosts.len() as u64
    }

    pub(crate) fn quarantine(&self, name: &str, records: &[QuarantinedRecord]) {
        let mut tables = self.tables();
        let table = tables.by_name.entry(name.to_owned()).or_default();
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            ledger.set_aside(&table.mark, &record.origin, &record.position);
            table
                .quarantine
                .insert(quarantine_key(record), record.clone());
        }
    }

    pub(crate) fn discharge(&self, name: &str, records: &[QuarantinedRecord]) {
        let mut tables = self.tables();
        if let Some(table) = tables.by_name.get_mut(name) {
            for record in records {
                table.quarantine.remove(&quarantine_key(record));
            }
        }
    }

    pub(crate) fn create_shadow(&self, name: &str, mark: &str) {
        let mut tables = self.tables();
        if tables
            .by_name
            .get(name)
            .is_none_or(|table| table.mark != mark)
        {
            tables.by_name.insert(name.to_owned(), Table::marked(mark));
        }
    }

    pub(crate) fn exchange(&self, live: &str, shadow: &str, mark: &str) {
        let mut tables = self.tables();
        if tables
            .by_name
            .get(live)
            .is_some_and(|table| table.mark == mark)
        {
            return;
        }
        let (Some(former), Some(next)) =
            (tables.by_name.remove(live), tables.by_name.remove(shadow))
        else {
            drop(tables);
            self.journal.broken(format!(
                "{live} and {shadow} were to be exchanged, one is missing"
            ));
            return;
        };
        tables.by_name.insert(live.to_owned(), next);
        tables.by_name.insert(shadow.to_owned(), former);
        tables.exchanges += 1;
        self.bell.notify_waiters();
    }

    pub(crate) fn drop_table(&self, name: &str) {
        self.tables().by_name.remove(name);
    }
}

pub(crate) fn quarantine_key(record: &QuarantinedRecord) -> (String, String, String) {
    (
        record.origin.clone(),
        record.position.clone(),
        record.column.clone(),
    )
}
