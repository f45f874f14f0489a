//! Databases, statistics, merges: the port [`Warehouse`].

use std::time::Duration;

use async_trait::async_trait;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::MirrorPlan;
use mirror::sink::QuarantinedRecord;
use mirror::warehouse::{QueryAnswer, QueryLimits, TableStats, Warehouse};
use serde::Deserialize;

use crate::client::{Call, ClickHouse, send, statement};
use crate::shadow::is_shadow;
use crate::sql;
use crate::users::Users;

const PING_TIMEOUT: Duration = Duration::from_secs(3);

#[async_trait]
impl Warehouse for ClickHouse {
    async fn ping(&self) -> Result<String> {
        let failed = |error: crate::error::CallError| error.of("ask ClickHouse for its version");
        let address = self.endpoint.get().map_err(failed)?;
        let call = Call {
            parameters: &[("default_format", "TSVRaw")],
            body: "SELECT version()".into(),
            timeout: PING_TIMEOUT,
            max_answer_bytes: 1000,
        };
        let answer = send(&address, &address.admin, call).await.map_err(failed)?;
        Ok(String::from_utf8_lossy(&answer.body).trim().to_owned())
    }

    async fn create_database(&self, database: &str) -> Result<()> {
        let context = format!("create database {database}");
        if matches!(self.users, Users::Slots(_)) {
            // Before the database, so that a name without users leaves nothing behind.
            self.reader(database, &context).await?;
        }
        let create = format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            sql::identifier(database)
        );
        self.admin_statement(create)
            .await
            .map_err(|error| error.of(&context))?;
        self.reader(database, &context).await.map(drop)
    }

    async fn drop_database(&self, database: &str) -> Result<()> {
        if ["system", "information_schema", "default"]
            .contains(&database.to_ascii_lowercase().as_str())
        {
            return Err(Error::new(
                ErrorKind::Permanent,
                format!("drop database {database}: it is ClickHouse's own"),
            ));
        }
        let drop = format!("DROP DATABASE IF EXISTS {} SYNC", sql::identifier(database));
        self.admin_statement(drop)
            .await
            .map_err(|error| error.of(format!("drop database {database}")))?;
        self.forget_reader(database).await;
        Ok(())
    }

    async fn create_table(&self, plan: &MirrorPlan) -> Result<()> {
        self.make_table(plan).await
    }

    async fn add_columns(&self, plan: &MirrorPlan, columns: &[String]) -> Result<()> {
        self.append_columns(plan, columns).await
    }

    async fn drop_table(&self, database: &str, table: &str) -> Result<()> {
        self.remove_table(database, table).await
    }

    async fn create_shadow(&self, plan: &MirrorPlan, mark: &str) -> Result<()> {
        self.make_shadow(plan, mark).await
    }

    async fn exchange(&self, database: &str, live: &str, shadow: &str, mark: &str) -> Result<()> {
        self.exchange_names(database, live, shadow, mark).await
    }

    async fn quarantined(
        &self,
        plan: &MirrorPlan,
        after: Option<&QuarantinedRecord>,
        limit: usize,
    ) -> Result<Vec<QuarantinedRecord>> {
        self.read_quarantine(plan, after, limit).await
    }

    async fn discharge(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()> {
        self.delete_from_quarantine(plan, records).await
    }

    async fn stats(&self, database: &str) -> Result<Vec<TableStats>> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
            rows: u64,
            bytes: u64,
            parts: u64,
        }
        let name = sql::literal(database);
        let query = format!(
            "SELECT t.name AS name, p.rows AS rows, p.bytes AS bytes, p.parts AS parts \
             FROM (SELECT name FROM system.tables WHERE database = {name}) AS t \
             LEFT JOIN (SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts \
                        FROM system.parts WHERE database = {name} AND active GROUP BY table) AS p \
             ON p.table = t.name ORDER BY name SETTINGS join_use_nulls = 0"
        );
        let rows: Vec<Row> = self
            .admin_rows(query, &format!("read statistics of database {database}"))
            .await?;
        let shown = rows.into_iter().filter(|row| !is_shadow(&row.name));
        let stats = shown.map(
            |Row {
                 name,
                 rows,
                 bytes,
                 parts,
             }| TableStats {
                table: name,
                rows,
                bytes,
                parts,
            },
        );
        Ok(stats.collect())
    }

    async fn user_query(
        &self,
        database: &str,
        sql: &str,
        default_format: &str,
        limits: &QueryLimits,
    ) -> Result<QueryAnswer> {
        self.run_user_query(database, sql, default_format, limits)
            .await
    }
}

impl ClickHouse {
    /// Stops or starts merges of the mirror's table. A restart of the engine starts them too.
    pub(crate) async fn switch_merges(&self, plan: &MirrorPlan, hold: bool) -> Result<()> {
        let verb = if hold { "STOP" } else { "START" };
        let context = format!("hold or release merges of {}.{}", plan.database, plan.table);
        let (address, owner) = self.owner(&plan.database, &context).await?;
        let sql = format!(
            "SYSTEM {verb} MERGES {}",
            sql::table(&plan.database, &plan.table)
        );
        statement(&address, &owner, sql)
            .await
            .map_err(|error| error.of(context))
            .map(drop)
    }
}
