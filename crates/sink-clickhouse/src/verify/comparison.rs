//! The query that finds what differs between a mirror and a table of what it should be.

use mirror::plan::MirrorPlan;

use super::{ALIVE, EXPECTED, KeyColumn, fingerprint, free_prefix, key_texts};
use crate::sql;
use crate::tombstones::version_ms;

/// Of a key: it changed lately. A bit beside those of a lookup.
const RECENT: u8 = 4;

/// The keys that differ, as parts of a query.
pub(super) struct Comparison {
    /// What tells how they differ, the version of the mirror's row, and the keys' texts.
    texts: String,
    /// The keys' values.
    names: String,
    /// A subquery with a row for each.
    differing: String,
}

impl Comparison {
    /// Brings the rows of both tables, and the keys that changed lately, together by key. A group is a few numbers beside
    /// its key, and goes to the disk when there are too many: a join would hold one table in memory. All three reads must
    /// see the same moment, as they do by default (`enable_shared_storage_snapshot_in_query`); in older servers a deletion
    /// just now may look like a missing row.
    pub(super) fn new(
        plan: &MirrorPlan,
        keys: &[KeyColumn<'_>],
        expected_table: &str,
        unchanged_since_ms: i64,
        both_ways: bool,
    ) -> Self {
        let live = sql::table(&plan.database, &plan.table);
        let expected = sql::table(&plan.database, expected_table);
        let free = free_prefix(plan);
        let alias = |name: &str| sql::identifier(&format!("{free}{name}"));
        let (side, version, print) = (alias("side"), alias("version"), alias("print"));
        let (found, prints, live_version) = (alias("found"), alias("prints"), alias("live"));
        let key = |at: usize| alias(&format!("key{at}"));
        let names = (0..keys.len()).map(key).collect::<Vec<_>>().join(", ");
        let named = keys
            .iter()
            .enumerate()
            .map(|(at, (_, column))| format!("{} AS {}", sql::identifier(&column.name), key(at)))
            .collect::<Vec<_>>()
            .join(", ");
        let rows_of = |bit: u8, row_version: &str, row_print: &str, from: &str| {
            format!(
                "SELECT {named}, toUInt8({bit}) AS {side}, {row_version} AS {version}, {row_print} AS {print} FROM {from}"
            )
        };
        let (row_version, row_print) = (version_ms(plan), fingerprint(plan));
        let rows = [
            rows_of(
                EXPECTED,
                "toInt64(0)",
                &row_print,
                &format!("{expected} FINAL"),
            ),
            rows_of(ALIVE, &row_version, &row_print, &format!("{live} FINAL")),
            // Tombstones, which FINAL hides.
            rows_of(
                RECENT,
                "toInt64(0)",
                "toUInt64(0)",
                &format!("{live} WHERE {row_version} > {unchanged_since_ms}"),
            ),
        ]
        .join(" UNION ALL ");
        // Equal prints cancel out. A living row that is too young has a recent row in its group.
        let mut differs = format!(
            "{found} = {EXPECTED} OR ({found} = {} AND {prints} != 0)",
            EXPECTED | ALIVE
        );
        if both_ways {
            differs.push_str(&format!(" OR {found} = {ALIVE}"));
        }
        let differing = format!(
            "(SELECT {names}, groupBitOr({side}) AS {found}, groupBitXor({print}) AS {prints}, \
             maxIf({version}, {side} = {ALIVE}) AS {live_version} FROM ({rows}) GROUP BY {names} HAVING {differs})"
        );
        Self {
            texts: format!("{found}, {live_version}, {}", key_texts(keys, key)),
            names,
            differing,
        }
    }

    pub(super) fn differences(&self, limit: usize) -> String {
        self.select(&self.texts, limit)
    }

    pub(super) fn keys(&self, limit: usize) -> String {
        self.select(&self.names, limit)
    }

    /// Always the same keys if there are more than `limit`.
    fn select(&self, what: &str, limit: usize) -> String {
        let Self {
            names, differing, ..
        } = self;
        format!("SELECT {what} FROM {differing} ORDER BY {names} LIMIT {limit}")
    }
}
