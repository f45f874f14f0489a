//! ClickHouse as far as the API sees it: databases, tables with columns, and a log of what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use mirror::batch::Batch;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::MirrorPlan;
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use mirror::warehouse::{QueryAnswer, QueryLimits, TableStats, Warehouse};

#[derive(Default)]
pub(crate) struct World {
    pub(crate) databases: BTreeSet<String>,
    /// `database.table` and its columns.
    pub(crate) tables: BTreeMap<String, Vec<String>>,
    pub(crate) rows: BTreeMap<String, u64>,
    pub(crate) log: Vec<String>,
    /// The operation that fails, once.
    pub(crate) fails: Option<&'static str>,
    pub(crate) down: bool,
    /// The operation that is never answered, and whether it was reached.
    pub(crate) hangs: Option<&'static str>,
    pub(crate) hung: bool,
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
        world.tables.remove(&name);
        world.rows.remove(&name);
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
        let mut world = self.world();
        *world.rows.entry(full_name(plan)).or_default() += batch.rows as u64;
        Ok(())
    }

    async fn quarantine(&self, _plan: &MirrorPlan, _records: &[QuarantinedRecord]) -> Result<()> {
        Ok(())
    }

    async fn hold_merges(&self, _plan: &MirrorPlan, _hold: bool) -> Result<()> {
        Ok(())
    }
}
