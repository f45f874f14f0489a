//! A second table beside the live one, and the exchange of their names.
//!
//! A table's COMMENT says which one it is: it is written with CREATE, in one step, and travels with the table when
//! names are exchanged. So a process that died anywhere can look what has been done.

use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::{MirrorPlan, SHADOW_SUFFIX, VERIFY_SUFFIX};
use serde::Deserialize;

use crate::client::{ClickHouse, statement};
use crate::ddl::{create_quarantine, create_table};
use crate::sql;

/// Database engines that can exchange tables. `Shared` is ClickHouse Cloud's.
const EXCHANGING: &[&str] = &["Atomic", "Replicated", "Shared"];

/// Whether a table is a shadow, a verification's, or the quarantine of one: nothing to show to users.
pub(crate) fn is_shadow(table: &str) -> bool {
    let table = table.strip_suffix("_quarantine").unwrap_or(table);
    table.ends_with(SHADOW_SUFFIX) || table.ends_with(VERIFY_SUFFIX)
}

impl ClickHouse {
    pub(crate) async fn make_shadow(&self, plan: &MirrorPlan, mark: &str) -> Result<()> {
        let context = format!("create table {}.{}", plan.database, plan.table);
        check_mark(mark, &context)?;
        // Better said before hours of loading than after.
        self.check_database(&plan.database, &context).await?;
        let (address, owner) = self.owner(&plan.database, &context).await?;
        let quarantine = plan.quarantine_table();
        let creates = [
            (plan.table.as_str(), create_table(plan)?),
            (quarantine.as_str(), create_quarantine(plan)),
        ];
        let present = self
            .comments(
                &plan.database,
                &creates.each_ref().map(|(name, _)| *name),
                &context,
            )
            .await?;
        for (name, create) in creates {
            let comment = comment_of(&present, name);
            if comment == Some(mark) {
                continue;
            }
            let drop = comment
                .is_some()
                .then(|| format!("DROP TABLE {} SYNC", sql::table(&plan.database, name)));
            let create = format!("{create}\nCOMMENT {}", sql::literal(mark));
            for sql in drop.into_iter().chain([create]) {
                statement(&address, &owner, sql)
                    .await
                    .map_err(|error| error.of(&context))?;
            }
        }
        self.check_table(plan, &context).await
    }

    pub(crate) async fn exchange_names(
        &self,
        database: &str,
        live: &str,
        shadow: &str,
        mark: &str,
    ) -> Result<()> {
        let context = format!("exchange tables {live} and {shadow} of {database}");
        check_mark(mark, &context)?;
        let quarantines = [live, shadow].map(|table| format!("{table}_quarantine"));
        let pairs = [
            (live, shadow),
            (quarantines[0].as_str(), quarantines[1].as_str()),
        ];
        let present = self
            .comments(
                database,
                &[pairs[0].0, pairs[0].1, pairs[1].0, pairs[1].1],
                &context,
            )
            .await?;
        // Each pair may have been exchanged without the other. All is looked at before anything is done.
        let mut exchanges = Vec::new();
        for (live, shadow) in pairs {
            let problem = match (comment_of(&present, live), comment_of(&present, shadow)) {
                (Some(comment), _) if comment == mark => continue,
                (None, None) => format!("there is no table {live}"),
                (Some(_), None) => format!("there is no table {shadow}"),
                (_, Some(comment)) if comment != mark => {
                    format!("{shadow} was made for something else")
                }
                (live_one, Some(_)) => {
                    let (live, shadow) = (sql::table(database, live), sql::table(database, shadow));
                    exchanges.push(match live_one {
                        Some(_) => format!("EXCHANGE TABLES {live} AND {shadow}"),
                        // Somebody dropped it, or its disk is gone: what is missing only needs its name.
                        None => format!("RENAME TABLE {shadow} TO {live}"),
                    });
                    continue;
                }
            };
            return Err(Error::new(
                ErrorKind::Permanent,
                format!("{context}: {problem}"),
            ));
        }
        if exchanges.is_empty() {
            return Ok(());
        }
        self.check_database(database, &context).await?;
        let (address, owner) = self.owner(database, &context).await?;
        for exchange in exchanges {
            statement(&address, &owner, exchange)
                .await
                .map_err(|error| error.of(&context))?;
        }
        Ok(())
    }

    /// The comments of those tables that exist.
    async fn comments(&self, database: &str, tables: &[&str], context: &str) -> Result<Vec<Table>> {
        let names: Vec<_> = tables.iter().map(|name| sql::literal(name)).collect();
        let query = format!(
            "SELECT name, comment FROM system.tables WHERE database = {} AND name IN ({})",
            sql::literal(database),
            names.join(", "),
        );
        self.admin_rows(query, context).await
    }

    async fn check_database(&self, database: &str, context: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Row {
            engine: String,
        }
        let query = format!(
            "SELECT engine FROM system.databases WHERE name = {}",
            sql::literal(database)
        );
        let rows: Vec<Row> = self.admin_rows(query, context).await?;
        let Some(Row { engine }) = rows.into_iter().next() else {
            return Err(Error::new(
                ErrorKind::Permanent,
                format!("{context}: there is no database {database}"),
            ));
        };
        if EXCHANGING.contains(&engine.as_str()) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Permanent,
            format!(
                "{context}: the database has the engine {engine}, which cannot exchange tables in one step; move its tables into a database with the engine Atomic"
            ),
        ))
    }
}

#[derive(Deserialize)]
struct Table {
    name: String,
    comment: String,
}

fn comment_of<'a>(tables: &'a [Table], name: &str) -> Option<&'a str> {
    tables
        .iter()
        .find(|table| table.name == name)
        .map(|table| table.comment.as_str())
}

/// An empty comment is what every table has that nobody marked.
fn check_mark(mark: &str, context: &str) -> Result<()> {
    if mark.is_empty() {
        return Err(Error::new(
            ErrorKind::Permanent,
            format!("{context}: the mark is empty"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shadows_are_known_by_their_names() {
        for (table, expected) in [
            ("orders__resync", true),
            ("orders__resync_quarantine", true),
            ("orders__verify", true),
            ("orders", false),
            ("orders_quarantine", false),
            ("orders__resync_2", false),
        ] {
            assert_eq!(is_shadow(table), expected, "{table}");
        }
    }
}
