//! ClickHouse as far as the API sees it: databases, tables with columns, and a log of what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use mirror::batch::{Batch, BatchColumn, ColumnData};
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::{MirrorPlan, RecordPath};
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use mirror::warehouse::{
    Difference, DifferenceKind, KeyState, LiveKey, QueryAnswer, QueryLimits, TableStats, Verifier,
    Warehouse,
};

/// Rows of one table by key, all versions of each.
pub(crate) type Rows = BTreeMap<Vec<String>, BTreeMap<i64, Row>>;

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) deleted: bool,
    pub(crate) record: String,
}

/// What happens to a mirror's rows meanwhile.
type BeforeAdopt = Box<dyn FnOnce(&mut Rows) + Send>;
type QuarantineKey = (String, String, String);

#[derive(Default)]
pub(crate) struct World {
    pub(crate) databases: BTreeSet<String>,
    /// `database.table` and its columns.
    pub(crate) tables: BTreeMap<String, Vec<String>>,
    pub(crate) rows: BTreeMap<String, u64>,
    /// What was inserted, by `database.table`.
    pub(crate) contents: BTreeMap<String, Rows>,
    pub(crate) quarantine: BTreeMap<String, BTreeMap<QuarantineKey, QuarantinedRecord>>,
    pub(crate) marks: BTreeMap<String, String>,
    pub(crate) log: Vec<String>,
    /// The operation that fails, once.
    pub(crate) fails: Option<&'static str>,
    pub(crate) down: bool,
    /// The operation that is never answered, and whether it was reached.
    pub(crate) hangs: Option<&'static str>,
    pub(crate) hung: bool,
    /// What happens to the mirror's rows just before some are adopted, once.
    pub(crate) before_adopt: Option<BeforeAdopt>,
}

#[derive(Default)]
pub(crate) struct MemoryWarehouse(Mutex<World>);

impl MemoryWarehouse {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn columns(&self, table: &str) -> Option<Vec<String>> {
        self.world().tables.get(table).cloned()
    }

    /// Takes what was done since the last call, reads left out.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.world().log)
    }

    async fn hang(&self, operation: &str) {
        {
            let mut world = self.world();
            if world.hangs != Some(operation) {
                return;
            }
            world.hung = true;
        }
        std::future::pending::<()>().await;
    }

    fn enter(&self, operation: &'static str, what: &str) -> Result<MutexGuard<'_, World>> {
        let mut world = self.world();
        if world.down {
            return Err(Error::new(ErrorKind::Unavailable, "reach ClickHouse"));
        }
        if world.fails == Some(operation) {
            world.fails = None;
            return Err(Error::new(ErrorKind::Unavailable, operation));
        }
        world.log.push(format!("{operation} {what}"));
        Ok(world)
    }
}

fn full_name(plan: &MirrorPlan) -> String {
    format!("{}.{}", plan.database, plan.table)
}

#[async_trait]
impl Warehouse for MemoryWarehouse {
    async fn ping(&self) -> Result<String> {
        match self.world().down {
            true => Err(Error::new(ErrorKind::Unavailable, "reach ClickHouse")),
            false => Ok("25.8".to_owned()),
        }
    }

    async fn create_database(&self, database: &str) -> Result<()> {
        self.hang("create_database").await;
        let mut world = self.enter("create_database", database)?;
        world.databases.insert(database.to_owned());
        Ok(())
    }

    async fn drop_database(&self, database: &str) -> Result<()> {
        self.hang("drop_database").await;
        let mut world = self.enter("drop_database", database)?;
        world.databases.remove(database);
        let prefix = format!("{database}.");
        world.tables.retain(|name, _| !name.starts_with(&prefix));
        Ok(())
    }

    async fn create_table(&self, plan: &MirrorPlan) -> Result<()> {
        self.hang("create_table").await;
        let mut world = self.enter("create_table", &full_name(plan))?;
        if !world.databases.contains(&plan.database) {
            return Err(Error::new(
                ErrorKind::Rejected { code: 81 },
                "no such database",
            ));
        }
        let columns = plan.columns.iter().map(|c| c.name.clone()).collect();
        world.tables.entry(full_name(plan)).or_insert(columns);
        Ok(())
    }

    async fn add_columns(&self, plan: &MirrorPlan, columns: &[String]) -> Result<()> {
        self.hang("add_columns").await;
        let mut world = self.enter("add_columns", &full_name(plan))?;
        let table = world.tables.get_mut(&full_name(plan)).unwrap();
        for column in columns {
            if !table.contains(column) {
                table.push(column.clone());
            }
        }
        Ok(())
    }

    async fn drop_table(&self, database: &str, table: &str) -> Result<()> {
        let name = format!("{database}.{table}");
        self.hang("drop_table").await;
        let mut world = self.enter("drop_table", &name)?;
        world.remove(&name);
        Ok(())
    }

    async fn create_shadow(&self, plan: &MirrorPlan, mark: &str) -> Result<()> {
        let name = full_name(plan);
        let mut world = self.enter("create_shadow", &name)?;
        if world.marks.get(&name).is_none_or(|known| known != mark) {
            world.remove(&name);
            let columns = plan.columns.iter().map(|c| c.name.clone()).collect();
            world.tables.insert(name.clone(), columns);
            world.marks.insert(name, mark.to_owned());
        }
        Ok(())
    }

    async fn exchange(&self, database: &str, live: &str, shadow: &str, mark: &str) -> Result<()> {
        let [live, shadow] = [live, shadow].map(|table| format!("{database}.{table}"));
        let mut world = self.enter("exchange", &live)?;
        if world.marks.get(&live).is_some_and(|known| known == mark) {
            return Ok(());
        }
        let world = &mut *world;
        swap(&mut world.tables, &live, &shadow);
        swap(&mut world.rows, &live, &shadow);
        swap(&mut world.contents, &live, &shadow);
        swap(&mut world.quarantine, &live, &shadow);
        swap(&mut world.marks, &live, &shadow);
        Ok(())
    }

    async fn quarantined(
        &self,
        plan: &MirrorPlan,
        after: Option<&QuarantinedRecord>,
        limit: usize,
    ) -> Result<Vec<QuarantinedRecord>> {
        let world = self.world();
        let records = world.quarantine.get(&full_name(plan));
        let after = after.map(quarantine_key);
        Ok(records
            .into_iter()
            .flatten()
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .map(|(_, record)| record.clone())
            .take(limit)
            .collect())
    }

    async fn discharge(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()> {
        let mut world = self.enter("discharge", &full_name(plan))?;
        let known = world.quarantine.entry(full_name(plan)).or_default();
        for record in records {
            known.remove(&quarantine_key(record));
        }
        Ok(())
    }

    async fn stats(&self, database: &str) -> Result<Vec<TableStats>> {
        let world = self.world();
        if world.down {
            return Err(Error::new(ErrorKind::Unavailable, "reach ClickHouse"));
        }
        let prefix = format!("{database}.");
        let stats = world.tables.keys().filter_map(|name| {
            let table = name.strip_prefix(&prefix)?.to_owned();
            let rows = world.rows.get(name).copied().unwrap_or(0);
            Some(TableStats {
                table,
                rows,
                bytes: rows * 10,
                parts: 1,
            })
        });
        Ok(stats.collect())
    }

    async fn user_query(
        &self,
        database: &str,
        sql: &str,
        default_format: &str,
        _limits: &QueryLimits,
    ) -> Result<QueryAnswer> {
        drop(self.enter(
            "user_query",
            &format!("{database}: {sql} as {default_format}"),
        )?);
        if !sql.starts_with("SELECT") {
            let refused = "Syntax error: failed at position 1";
            return Err(Error::new(ErrorKind::Rejected { code: 62 }, refused));
        }
        if sql.contains("tinybird.") {
            let refused = "Database tinybird does not exist. (UNKNOWN_DATABASE)";
            return Err(Error::new(ErrorKind::Rejected { code: 81 }, refused));
        }
        let body = match default_format {
            "JSON" => {
                r#"{"meta":[{"name":"1","type":"UInt8"}],"data":[{"1":1}],"rows":1,"statistics":{"elapsed":0.001,"rows_read":1,"bytes_read":1}}"#
            }
            "CSVWithNames" => "\"1\"\n1\n",
            _ => "{\"1\":1}\n",
        };
        let body = body.as_bytes().to_vec();
        Ok(QueryAnswer {
            format: default_format.to_owned(),
            body,
        })
    }
}

#[async_trait]
impl Sink for MemoryWarehouse {
    async fn insert(&self, plan: &MirrorPlan, batch: &Batch, _order: RowOrder) -> Result<()> {
        let mut world = self.enter("insert", &full_name(plan))?;
        *world.rows.entry(full_name(plan)).or_default() += batch.rows as u64;
        let table = world.contents.entry(full_name(plan)).or_default();
        for at in 0..batch.rows {
            let (key, version_ms, row) = read_row(plan, batch, at);
            table.entry(key).or_default().insert(version_ms, row);
        }
        Ok(())
    }

    async fn highest_version(&self, plan: &MirrorPlan) -> Result<Option<i64>> {
        let world = self.world();
        let table = world.contents.get(&full_name(plan));
        Ok(table.and_then(|rows| rows.values().flat_map(|row| row.keys()).max().copied()))
    }

    async fn bury(
        &self,
        plan: &MirrorPlan,
        _aws_region: &str,
        versions_ms: RangeInclusive<i64>,
        tombstone_ms: i64,
    ) -> Result<u64> {
        let mut world = self.world();
        let table = world.contents.entry(full_name(plan)).or_default();
        let mut buried = 0;
        for versions in table.values_mut() {
            let last = versions.last_key_value();
            if last.is_some_and(|(at, row)| !row.deleted && versions_ms.contains(at)) {
                versions.insert(tombstone_ms, tombstone());
                buried += 1;
            }
        }
        Ok(buried)
    }

    async fn quarantine(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()> {
        let mut world = self.enter("quarantine", &full_name(plan))?;
        let known = world.quarantine.entry(full_name(plan)).or_default();
        known.extend(
            records
                .iter()
                .map(|record| (quarantine_key(record), record.clone())),
        );
        Ok(())
    }

    async fn hold_merges(&self, _plan: &MirrorPlan, _hold: bool) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Verifier for MemoryWarehouse {
    async fn compare(
        &self,
        plan: &MirrorPlan,
        expected_table: &str,
        unchanged_since_ms: i64,
        both_ways: bool,
        limit: usize,
    ) -> Result<Vec<Difference>> {
        let world = self.world();
        let empty = Rows::new();
        let live = world.contents.get(&full_name(plan)).unwrap_or(&empty);
        let name = format!("{}.{expected_table}", plan.database);
        let expected = world.contents.get(&name).unwrap_or(&empty);
        let keys: BTreeSet<&Vec<String>> = live.keys().chain(expected.keys()).collect();
        let differences = keys.into_iter().filter_map(|keys| {
            let ours = live.get(keys).and_then(|row| row.last_key_value());
            if ours.is_some_and(|(version_ms, _)| *version_ms > unchanged_since_ms) {
                return None;
            }
            let ours = ours.filter(|(_, row)| !row.deleted);
            let wanted = alive(expected, keys);
            let kind = match (wanted, ours) {
                (Some(_), None) => DifferenceKind::Missing,
                (Some(wanted), Some((_, ours))) if wanted.1 != ours => DifferenceKind::Different,
                (None, Some(_)) if both_ways => DifferenceKind::Extra,
                _ => return None,
            };
            Some(Difference {
                kind,
                keys: keys.clone(),
                version_ms: ours.map(|(version_ms, _)| *version_ms),
            })
        });
        Ok(differences.take(limit).collect())
    }

    async fn adopt(
        &self,
        plan: &MirrorPlan,
        expected_table: &str,
        unchanged_since_ms: i64,
        limit: usize,
        version_ms: i64,
    ) -> Result<()> {
        let differences = self
            .compare(plan, expected_table, unchanged_since_ms, true, limit)
            .await?;
        let mut world = self.enter("adopt", &full_name(plan))?;
        let name = format!("{}.{expected_table}", plan.database);
        let expected = world.contents.get(&name).cloned().unwrap_or_default();
        let before = world.before_adopt.take();
        let live = world.contents.entry(full_name(plan)).or_default();
        if let Some(before) = before {
            before(live);
        }
        for keys in differences.into_iter().map(|one| one.keys) {
            if let Some((_, row)) = alive(&expected, &keys) {
                live.entry(keys)
                    .or_default()
                    .insert(version_ms, row.clone());
            }
        }
        Ok(())
    }

    async fn sample_keys(&self, plan: &MirrorPlan, count: usize) -> Result<Vec<LiveKey>> {
        let world = self.world();
        let Some(live) = world.contents.get(&full_name(plan)) else {
            return Ok(Vec::new());
        };
        let keys = live.keys().filter_map(|keys| {
            let (version_ms, _) = alive(live, keys)?;
            Some(LiveKey {
                keys: keys.clone(),
                version_ms: *version_ms,
            })
        });
        Ok(keys.take(count).collect())
    }

    async fn look_up(&self, plan: &MirrorPlan, candidates: &str) -> Result<Vec<KeyState>> {
        let world = self.world();
        let empty = Rows::new();
        let live = world.contents.get(&full_name(plan)).unwrap_or(&empty);
        let name = format!("{}.{candidates}", plan.database);
        let candidates = world.contents.get(&name).unwrap_or(&empty);
        let states = candidates.keys().map(|keys| {
            let ours = live.get(keys).and_then(|row| row.last_key_value());
            let wanted = alive(candidates, keys).map(|(_, row)| row);
            let ours_alive = ours.map(|(_, row)| row).filter(|row| !row.deleted);
            KeyState {
                keys: keys.clone(),
                expected: wanted.is_some(),
                alive: ours_alive.is_some(),
                equal: wanted == ours_alive,
                version_ms: ours.map(|(version_ms, _)| *version_ms),
            }
        });
        Ok(states.collect())
    }
}

impl World {
    fn remove(&mut self, name: &str) {
        self.tables.remove(name);
        self.rows.remove(name);
        self.contents.remove(name);
        self.quarantine.remove(name);
        self.marks.remove(name);
    }
}

fn swap<T>(map: &mut BTreeMap<String, T>, a: &str, b: &str) {
    let (first, second) = (map.remove(a), map.remove(b));
    map.extend(second.map(|value| (a.to_owned(), value)));
    map.extend(first.map(|value| (b.to_owned(), value)));
}

fn tombstone() -> Row {
    Row {
        deleted: true,
        record: String::new(),
    }
}

fn alive<'a>(rows: &'a Rows, key: &Vec<String>) -> Option<(&'a i64, &'a Row)> {
    rows.get(key)?
        .last_key_value()
        .filter(|(_, row)| !row.deleted)
}

fn quarantine_key(record: &QuarantinedRecord) -> QuarantineKey {
    let QuarantinedRecord {
        origin,
        position,
        column,
        ..
    } = record;
    (origin.clone(), position.clone(), column.clone())
}

/// Key, version and the rest of row `at`. Keys are the columns of the sorting key, all of them texts here.
fn read_row(plan: &MirrorPlan, batch: &Batch, at: usize) -> (Vec<String>, i64, Row) {
    let column = |wanted: &dyn Fn(&RecordPath) -> bool| {
        let found = plan.columns.iter().position(|column| wanted(&column.path));
        found.map(|index| &batch.columns[index])
    };
    let text = |column: &BatchColumn| String::from_utf8_lossy(column.text(at)).into_owned();
    let key = plan.sorting_columns.iter();
    let key = key.map(|index| text(&batch.columns[*index])).collect();
    let fixed = |column: &BatchColumn| match &column.data {
        ColumnData::Fixed { width, bytes } => {
            let mut value = [0; 8];
            value[..*width].copy_from_slice(&bytes[at * width..(at + 1) * width]);
            i64::from_le_bytes(value)
        }
        ColumnData::Strings { .. } => 0,
    };
    let version_ms = column(&|path| *path == RecordPath::Version).map_or(0, fixed);
    let deleted = column(&|path| *path == RecordPath::IsDeleted).map_or(0, fixed) == 1;
    let record = column(&|path| matches!(path, RecordPath::NewImage(path) if path.is_empty()));
    let record = record.map(text).unwrap_or_default();
    (key, version_ms, Row { deleted, record })
}
