//! The model of ClickHouse as the ports that a worker writes through.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sim::rng::hash_bytes;
use mirror::batch::Batch;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::MirrorPlan;
use mirror::sink::{QuarantinedRecord, RowOrder, Sink};
use mirror::warehouse::{QueryAnswer, QueryLimits, TableStats, Warehouse};

use crate::model_table::{Table, rows_of};
use crate::model_warehouse::{ModelWarehouse, quarantine_key};
use crate::port::Port;
use crate::process::Call;
use crate::weather::Fate;

/// [`ModelWarehouse`] as one life of the process reaches it.
#[derive(Debug)]
pub struct ModelSink {
    pub port: Port,
    pub warehouse: Arc<ModelWarehouse>,
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
        // ClickHouse knows which table is meant when it reads the beginning of the insert.
        let Some(mark) = self.warehouse.mark_of(&plan.table) else {
            let rule = format!("an insert into {}, which is not there", plan.table);
            self.port.journal.broken(rule);
            return Ok(());
        };
        // Half of the inserts that are under way when the process dies still arrive, some of them late.
        let coin = hash_bytes(&what) ^ rows.len() as u64;
        let now_ms = self.port.clock.aws_ms();
        let left_behind = || {
            if coin.is_multiple_of(2) {
                let at_ms = now_ms + (coin >> 8) as i64 % 120_000;
                self.warehouse.take_later(at_ms, &mark, &rows);
            }
        };
        let prospect = self.port.ask_or(Call::Insert, &what, left_behind).await?;
        match prospect.fate {
            Fate::Late(delay_ms) => {
                let at_ms = self.port.clock.aws_ms() + delay_ms;
                self.warehouse.take_later(at_ms, &mark, &rows);
            }
            _ => self.warehouse.take(&mark, &rows),
        }
        self.port.note(
            Call::Insert,
            &format!(
                "{} rows from {} {} into {}",
                rows.len(),
                rows[0].event_name,
                rows[0].event_id,
                plan.table
            ),
        );
        self.port.answer(Call::Insert, &prospect, Ok(())).await
    }

    async fn highest_version(&self, plan: &MirrorPlan) -> Result<Option<i64>> {
        let effect = || {
            Ok(self
                .warehouse
                .with_table(&plan.table, Table::highest_version))
        };
        self.port.perform(Call::HighestVersion, b"", effect).await
    }

    async fn bury(
        &self,
        plan: &MirrorPlan,
        _aws_region: &str,
        versions_ms: RangeInclusive<i64>,
        tombstone_ms: i64,
    ) -> Result<u64> {
        let effect = || {
            let buried = self.warehouse.bury(&plan.table, &versions_ms, tombstone_ms);
            self.port.note(Call::Bury, &format!("{buried} rows"));
            Ok(buried)
        };
        self.port.perform(Call::Bury, b"", effect).await
    }

    async fn quarantine(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()> {
        let effect = || {
            for record in records {
                let line = format!("{} {}: {}", record.origin, record.position, record.reason);
                self.port.note(Call::Quarantine, &line);
            }
            self.warehouse.quarantine(&plan.table, records);
            Ok(())
        };
        self.port.perform(Call::Quarantine, b"", effect).await
    }

    async fn hold_merges(&self, plan: &MirrorPlan, hold: bool) -> Result<()> {
        let effect = || {
            self.warehouse.hold_merges(&plan.table, hold);
            Ok(())
        };
        self.port.perform(Call::HoldMerges, b"", effect).await
    }
}

#[async_trait]
impl Warehouse for ModelSink {
    async fn ping(&self) -> Result<String> {
        Ok("model".to_owned())
    }

    async fn create_database(&self, _database: &str) -> Result<()> {
        Ok(())
    }

    async fn drop_database(&self, _database: &str) -> Result<()> {
        Ok(())
    }

    async fn create_table(&self, _plan: &MirrorPlan) -> Result<()> {
        Ok(())
    }

    async fn add_columns(&self, _plan: &MirrorPlan, _columns: &[String]) -> Result<()> {
        Ok(())
    }

    async fn drop_table(&self, _database: &str, table: &str) -> Result<()> {
        let effect = || {
            self.warehouse.drop_table(table);
            Ok(())
        };
        self.port.perform(Call::DropTable, b"", effect).await
    }

    async fn create_shadow(&self, plan: &MirrorPlan, mark: &str) -> Result<()> {
        let effect = || {
            self.warehouse.create_shadow(&plan.table, mark);
            Ok(())
        };
        self.port.perform(Call::CreateShadow, b"", effect).await
    }

    async fn exchange(&self, _database: &str, live: &str, shadow: &str, mark: &str) -> Result<()> {
        let effect = || {
            self.warehouse.exchange(live, shadow, mark);
            Ok(())
        };
        self.port.perform(Call::Exchange, b"", effect).await
    }

    async fn quarantined(
        &self,
        plan: &MirrorPlan,
        after: Option<&QuarantinedRecord>,
        limit: usize,
    ) -> Result<Vec<QuarantinedRecord>> {
        let after = after.map(quarantine_key);
        let found = self.warehouse.with_table(&plan.table, |table| {
            let records = table.quarantine.iter();
            records
                .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
                .map(|(_, record)| record.clone())
                .take(limit)
                .collect()
        });
        Ok(found)
    }

    async fn discharge(&self, plan: &MirrorPlan, records: &[QuarantinedRecord]) -> Result<()> {
        self.warehouse.discharge(&plan.table, records);
        Ok(())
    }

    async fn stats(&self, _database: &str) -> Result<Vec<TableStats>> {
        Ok(Vec::new())
    }

    async fn user_query(
        &self,
        _database: &str,
        _sql: &str,
        _default_format: &str,
        _limits: &QueryLimits,
    ) -> Result<QueryAnswer> {
        Err(Error::new(
            ErrorKind::Permanent,
            "ask a model of ClickHouse in SQL",
        ))
    }
}
