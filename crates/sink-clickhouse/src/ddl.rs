//! Plan -> tables; what exists against what is wanted.

use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::{MirrorPlan, PlanColumn};
use serde::Deserialize;

use crate::client::{ClickHouse, statement};
use crate::sql;

/// Settings of every table, unless its ENGINE_SETTINGS say otherwise. An acknowledged insert is on the disk;
/// parts that were synced stay until their merged successor is safe; no block is dropped because it
/// looks like an earlier one. Batches become parts of one data file instead of two files a column: creating and
/// syncing those took an eighth of a backfill. Merged parts are soon larger than that and have a file per column.
const SETTINGS: &[(&str, &str)] = &[
    ("non_replicated_deduplication_window", "0"),
    ("fsync_after_insert", "1"),
    ("fsync_part_directory", "1"),
    ("min_bytes_for_wide_part", "67108864"),
    ("old_parts_lifetime", "480"),
    ("min_rows_to_fsync_after_merge", "1"),
];

/// Columns of a quarantine table, name and type. `insertion_date` fills itself.
const QUARANTINE: &[(&str, &str)] = &[
    ("insertion_date", "DateTime64(3) DEFAULT now64(3)"),
    ("origin", "String"),
    ("position", "String"),
    ("column_name", "String"),
    ("reason", "String"),
    ("raw_record", "String"),
    ("version", "DateTime64(3)"),
];

impl ClickHouse {
    pub(crate) async fn make_table(&self, plan: &MirrorPlan) -> Result<()> {
        let context = format!("create table {}.{}", plan.database, plan.table);
        let (address, owner) = self.owner(&plan.database, &context).await?;
        // Not even `IF NOT EXISTS` is sent for a table that is there: ClickHouse would judge the new
        // definition first and never come to what is different.
        let mut statements = vec![create_quarantine(plan)];
        if self.columns(plan, &context).await?.is_empty() {
            statements.insert(0, create_table(plan)?);
        }
        for sql in statements {
            statement(&address, &owner, sql)
                .await
                .map_err(|error| error.of(&context))?;
        }
        self.check_table(plan, &context).await
    }

    /// An error that says what the table in ClickHouse has otherwise than the plan.
    pub(crate) async fn check_table(&self, plan: &MirrorPlan, context: &str) -> Result<()> {
        let differences = self.differences(plan, context).await?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Permanent,
            format!(
                "{context}: it exists and is different: {}",
                differences.join("; ")
            ),
        ))
    }

    pub(crate) async fn append_columns(&self, plan: &MirrorPlan, columns: &[String]) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let context = format!("add columns to table {}.{}", plan.database, plan.table);
        let (address, owner) = self.owner(&plan.database, &context).await?;
        let sql = add_columns(plan, columns)?;
        statement(&address, &owner, sql)
            .await
            .map_err(|error| error.of(context))
            .map(drop)
    }

    pub(crate) async fn remove_table(&self, database: &str, table: &str) -> Result<()> {
        let context = format!("drop table {database}.{table}");
        let (address, owner) = self.owner(database, &context).await?;
        for name in [table, &format!("{table}_quarantine")] {
            let sql = format!("DROP TABLE IF EXISTS {} SYNC", sql::table(database, name));
            statement(&address, &owner, sql)
                .await
                .map_err(|error| error.of(&context))?;
        }
        Ok(())
    }

    /// What the table in ClickHouse has otherwise than the plan; empty if nothing.
    async fn differences(&self, plan: &MirrorPlan, context: &str) -> Result<Vec<String>> {
        let present = self.columns(plan, context).await?;
        let mut found = Vec::new();
        for column in &plan.columns {
            match present.iter().find(|other| other.name == column.name) {
                None => found.push(format!("column {} is missing", column.name)),
                Some(other) if compact(&other.r#type) == compact(&column.declared_type) => {}
                Some(other) => {
                    let wanted = self.canonical_type(&column.declared_type, context).await?;
                    if wanted != other.r#type {
                        found.push(format!(
                            "column {} is {} instead of {wanted}",
                            column.name, other.r#type
                        ));
                    }
                }
            }
        }
        for other in &present {
            if !plan.columns.iter().any(|column| column.name == other.name) {
                found.push(format!(
                    "column {} of type {} is not in the data source",
                    other.name, other.r#type
                ));
            }
        }
        self.engine_differences(plan, &mut found, context).await?;
        Ok(found)
    }

    /// The columns of the plan's table in ClickHouse; none if it does not exist.
    async fn columns(&self, plan: &MirrorPlan, context: &str) -> Result<Vec<Column>> {
        let query = format!(
            "SELECT name, type FROM system.columns WHERE database = {} AND table = {} ORDER BY position",
            sql::literal(&plan.database),
            sql::literal(&plan.table),
        );
        self.admin_rows(query, context).await
    }

    async fn engine_differences(
        &self,
        plan: &MirrorPlan,
        found: &mut Vec<String>,
        context: &str,
    ) -> Result<()> {
        #[derive(Deserialize)]
        struct Engine {
            engine: String,
            sorting_key: String,
        }
        let query = format!(
            "SELECT engine, sorting_key FROM system.tables WHERE database = {} AND name = {}",
            sql::literal(&plan.database),
            sql::literal(&plan.table),
        );
        for Engine {
            engine,
            sorting_key,
        } in self.admin_rows(query, context).await?
        {
            let (present, wanted) = (unwrapped(&sorting_key), unwrapped(&plan.sorting_key));
            if !engine.ends_with("ReplacingMergeTree") {
                found.push(format!(
                    "its engine is {engine} instead of ReplacingMergeTree"
                ));
            } else if compact(present) != compact(wanted)
                && !self.same_key(present, wanted, context).await?
            {
                found.push(format!(
                    "its sorting key is ({present}) instead of ({wanted})"
                ));
            }
        }
        Ok(())
    }

    /// Whether two keys are the same to ClickHouse, which writes expressions in its own way.
    async fn same_key(&self, a: &str, b: &str, context: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Row {
            same: u8,
        }
        let form = |key: &str| {
            format!(
                "formatQuerySingleLine({})",
                sql::literal(&format!("SELECT tuple({key})"))
            )
        };
        let query = format!("SELECT {} = {} AS same", form(a), form(b));
        let rows: Vec<Row> = self.admin_rows(query, context).await?;
        Ok(rows.iter().any(|row| row.same == 1))
    }

    /// A type as ClickHouse writes it: `Decimal64(3)` is `Decimal(18, 3)`.
    async fn canonical_type(&self, declared: &str, context: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Row {
            r#type: String,
        }
        let query = format!(
            "SELECT toTypeName(defaultValueOfTypeName({})) AS type",
            sql::literal(declared)
        );
        let rows: Vec<Row> = self.admin_rows(query, context).await?;
        Ok(rows
            .into_iter()
            .next()
            .map_or_else(|| declared.to_owned(), |row| row.r#type))
    }
}

#[derive(Deserialize)]
struct Column {
    name: String,
    r#type: String,
}

fn compact(declared: &str) -> String {
    declared.chars().filter(|c| !c.is_whitespace()).collect()
}

/// A key without brackets around all of it.
fn unwrapped(key: &str) -> &str {
    let mut key = key.trim();
    while let Some(inner) = key
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        // `(a), (b)` is no key in brackets: its inside is not whole.
        if sql::fragment("ENGINE_SORTING_KEY", inner).is_err() {
            break;
        }
        key = inner.trim();
    }
    key
}

pub(crate) fn create_table(plan: &MirrorPlan) -> Result<String> {
    let mut items = Vec::new();
    for column in &plan.columns {
        items.push(column_definition(column)?);
    }
    for index in &plan.indexes {
        let mut item = format!(
            "INDEX {} ({}) TYPE {}",
            sql::identifier(&index.name),
            sql::fragment("the index expression", &index.expression)?,
            sql::fragment("the index type", &index.kind)?,
        );
        if let Some(granularity) = index.granularity {
            item.push_str(&format!(" GRANULARITY {granularity}"));
        }
        items.push(item);
    }
    let mut sql = format!(
        "CREATE TABLE IF NOT EXISTS {} (\n  {}\n) ENGINE = ReplacingMergeTree({}, {})",
        sql::table(&plan.database, &plan.table),
        items.join(",\n  "),
        sql::identifier(&plan.version_column),
        sql::identifier(&plan.is_deleted_column),
    );
    if let Some(key) = &plan.partition_key {
        sql.push_str(&format!(
            "\nPARTITION BY ({})",
            sql::fragment("ENGINE_PARTITION_KEY", key)?
        ));
    }
    if let Some(key) = &plan.primary_key {
        sql.push_str(&format!(
            "\nPRIMARY KEY ({})",
            sql::fragment("ENGINE_PRIMARY_KEY", key)?
        ));
    }
    sql.push_str(&format!(
        "\nORDER BY ({})",
        sql::fragment("ENGINE_SORTING_KEY", &plan.sorting_key)?
    ));
    if let Some(key) = &plan.sampling_key {
        sql.push_str(&format!(
            "\nSAMPLE BY ({})",
            sql::fragment("ENGINE_SAMPLING_KEY", key)?
        ));
    }
    if let Some(ttl) = &plan.ttl {
        sql.push_str(&format!("\nTTL {}", sql::fragment("ENGINE_TTL", ttl)?));
    }
    sql.push_str(&format!(
        "\nSETTINGS {}",
        settings(plan.settings.as_deref())?
    ));
    Ok(sql)
}

fn column_definition(column: &PlanColumn) -> Result<String> {
    let mut text = format!(
        "{} {}",
        sql::identifier(&column.name),
        sql::fragment("the column type", &column.declared_type)?
    );
    if let Some(default) = &column.default {
        text.push_str(&format!(" DEFAULT {}", sql::fragment("DEFAULT", default)?));
    }
    if let Some(codec) = &column.codec {
        text.push_str(&format!(" CODEC({})", sql::fragment("CODEC", codec)?));
    }
    Ok(text)
}

fn settings(own: Option<&str>) -> Result<String> {
    let own = match own.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => sql::settings(text)?,
        None => Vec::new(),
    };
    let ours = SETTINGS
        .iter()
        .filter(|(name, _)| !own.iter().any(|(other, _)| other == name))
        .map(|(name, value)| format!("{name} = {value}"));
    Ok(ours
        .chain(own.iter().map(|(_, text)| text.clone()))
        .collect::<Vec<_>>()
        .join(", "))
}

pub(crate) fn create_quarantine(plan: &MirrorPlan) -> String {
    let columns: Vec<_> = QUARANTINE
        .iter()
        .map(|(name, kind)| format!("`{name}` {kind}"))
        .collect();
    let settings: Vec<_> = SETTINGS
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n  {}\n) ENGINE = ReplacingMergeTree(insertion_date)\n\
         ORDER BY (origin, position, column_name)\nSETTINGS {}",
        sql::table(&plan.database, &plan.quarantine_table()),
        columns.join(",\n  "),
        settings.join(", "),
    )
}

fn add_columns(plan: &MirrorPlan, names: &[String]) -> Result<String> {
    let mut actions = Vec::new();
    for name in names {
        let column = plan
            .columns
            .iter()
            .find(|column| column.name == *name)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Permanent,
                    format!("add column {name}: the data source does not have it"),
                )
            })?;
        actions.push(format!(
            "ADD COLUMN IF NOT EXISTS {}",
            column_definition(column)?
        ));
    }
    Ok(format!(
        "ALTER TABLE {} {}",
        sql::table(&plan.database, &plan.table),
        actions.join(", ")
    ))
}
