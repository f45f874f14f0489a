//! The mirror against a fresh export, and random keys to look up: the port [`Verifier`].

use async_trait::async_trait;
use mirror::column_type::ScalarType;
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::table::{KeyAttribute, KeyType};
use mirror::warehouse::{Difference, DifferenceKind, KeyState, LiveKey, Verifier};
use serde::Deserialize;

use crate::client::{Call, ClickHouse, send};
use crate::row_binary::RowBinary;
use crate::sql;
use crate::tombstones::{SCAN_TIMEOUT, version_ms, version_value};

mod comparison;

use comparison::Comparison;

/// Groups go to the disk when they need more memory than this.
const GROUPS_IN_MEMORY: &str = "200000000";
/// Rows in a block while tables are read: with items of 10 kB that is 80 MB.
const ROWS_PER_BLOCK: &str = "8192";

/// Keys of DynamoDB have up to 2 kB and 1 kB.
const MAX_KEYS_BYTES: u64 = 8 << 10;

/// Where a row of the comparison comes from: bits, because a group collects them.
const EXPECTED: u8 = 1;
const ALIVE: u8 = 2;
/// Of a lookup: any row of the mirror, and a key that is asked about.
const ANY: u8 = 4;
const ASKED: u8 = 8;

/// Keys of a lookup, at most; more are a mistake of the caller.
const MAX_CANDIDATES: usize = 100_000;

/// Tries to find enough living keys, each among eight times as many rows as the one before.
const SAMPLES: u32 = 5;

#[async_trait]
impl Verifier for ClickHouse {
    async fn compare(
        &self,
        plan: &MirrorPlan,
        expected_table: &str,
        unchanged_since_ms: i64,
        both_ways: bool,
        limit: usize,
    ) -> Result<Vec<Difference>> {
        let context = format!(
            "compare {}.{} with {expected_table}",
            plan.database, plan.table
        );
        let keys = key_columns(plan, &context)?;
        let compared = Comparison::new(plan, &keys, expected_table, unchanged_since_ms, both_ways);
        let query = compared.differences(limit);
        let parameters = [
            ("max_threads", "2"),
            ("max_block_size", ROWS_PER_BLOCK),
            ("max_bytes_before_external_group_by", GROUPS_IN_MEMORY),
        ];
        let answer = self.rows(plan, query, &parameters, limit, &context).await?;
        let mut values = RowBinary::new(&answer, &context);
        let mut differences = Vec::new();
        while values.has_more() {
            let found = values.byte()?;
            let version_ms = values.int64()?;
            let kind = match (found & EXPECTED != 0, found & ALIVE != 0) {
                (true, true) => DifferenceKind::Different,
                (true, false) => DifferenceKind::Missing,
                _ => DifferenceKind::Extra,
            };
            differences.push(Difference {
                kind,
                keys: read_keys(&mut values, keys.len())?,
                version_ms: (kind != DifferenceKind::Missing).then_some(version_ms),
            });
        }
        Ok(differences)
    }

    async fn adopt(
        &self,
        plan: &MirrorPlan,
        expected_table: &str,
        unchanged_since_ms: i64,
        limit: usize,
        version_ms: i64,
    ) -> Result<()> {
        let context = format!(
            "put rows of {expected_table} into {}.{}",
            plan.database, plan.table
        );
        let keys = key_columns(plan, &context)?;
        let which = Comparison::new(plan, &keys, expected_table, unchanged_since_ms, true);
        let (names, values): (Vec<_>, Vec<_>) = plan
            .columns
            .iter()
            .map(|column| {
                let name = sql::identifier(&column.name);
                let value = match column.path {
                    RecordPath::Version => version_value(column, version_ms),
                    _ => name.clone(),
                };
                (name, value)
            })
            .unzip();
        let columns: Vec<_> = keys
            .iter()
            .map(|(_, column)| sql::identifier(&column.name))
            .collect();
        let insert = format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} FINAL WHERE ({}) IN ({})",
            sql::table(&plan.database, &plan.table),
            names.join(", "),
            values.join(", "),
            sql::table(&plan.database, expected_table),
            columns.join(", "),
            which.keys(limit),
        );
        let parameters = [
            ("max_block_size", ROWS_PER_BLOCK),
            ("max_bytes_before_external_group_by", GROUPS_IN_MEMORY),
        ];
        self.insert_select(plan, insert, &parameters, &context)
            .await
    }

    async fn look_up(&self, plan: &MirrorPlan, candidates: &str) -> Result<Vec<KeyState>> {
        let context = format!("look up keys in {}.{}", plan.database, plan.table);
        let keys = key_columns(plan, &context)?;
        let query = lookup(plan, &keys, candidates);
        let parameters = [("max_threads", "2"), ("max_block_size", ROWS_PER_BLOCK)];
        let answer = self
            .rows(plan, query, &parameters, MAX_CANDIDATES, &context)
            .await?;
        let mut values = RowBinary::new(&answer, &context);
        let mut states = Vec::new();
        while values.has_more() {
            let found = values.byte()?;
            let differs = values.byte()? != 0;
            let version_ms = values.int64()?;
            let (expected, alive) = (found & EXPECTED != 0, found & ALIVE != 0);
            states.push(KeyState {
                expected,
                alive,
                equal: expected == alive && !(alive && differs),
                version_ms: (found & ANY != 0).then_some(version_ms),
                keys: read_keys(&mut values, keys.len())?,
            });
        }
        Ok(states)
    }

    async fn sample_keys(&self, plan: &MirrorPlan, count: usize) -> Result<Vec<LiveKey>> {
        #[derive(Deserialize)]
        struct Parts {
            total: u64,
            longest: u64,
        }
        let context = format!("pick keys of {}.{}", plan.database, plan.table);
        let keys = key_columns(plan, &context)?;
        let query = format!(
            "SELECT sum(rows) AS total, max(rows) AS longest FROM system.parts WHERE active AND database = {} AND table = {}",
            sql::literal(&plan.database),
            sql::literal(&plan.table),
        );
        let parts: Vec<Parts> = self.admin_rows(query, &context).await?;
        let Some(Parts { total, longest }) =
            parts.into_iter().next().filter(|parts| parts.total > 0)
        else {
            return Ok(Vec::new());
        };
        // An offset hits a row in every part that is long enough, so all rows are equally likely.
        let wanted = 2 * count as u64 + 8;
        let mut offsets = wanted.saturating_mul(longest).div_ceil(total);
        let mut found = Vec::new();
        for _ in 0..SAMPLES {
            let everything = offsets >= longest / 2;
            let query = sample(
                plan,
                &keys,
                count,
                (!everything).then_some((offsets, longest)),
            );
            let parameters = [("max_threads", "2"), ("max_block_size", ROWS_PER_BLOCK)];
            let answer = self.rows(plan, query, &parameters, count, &context).await?;
            let mut values = RowBinary::new(&answer, &context);
            found.clear();
            while values.has_more() {
                found.push(LiveKey {
                    version_ms: values.int64()?,
                    keys: read_keys(&mut values, keys.len())?,
                });
            }
            if everything || found.len() >= count {
                break;
            }
            offsets = offsets.saturating_mul(8);
        }
        Ok(found)
    }
}

impl ClickHouse {
    async fn rows(
        &self,
        plan: &MirrorPlan,
        query: String,
        parameters: &[(&str, &str)],
        limit: usize,
        context: &str,
    ) -> Result<Vec<u8>> {
        let (address, owner) = self.owner(&plan.database, context).await?;
        let mut all = vec![("wait_end_of_query", "1"), ("default_format", "RowBinary")];
        all.extend_from_slice(parameters);
        let call = Call {
            parameters: &all,
            body: query.into(),
            timeout: SCAN_TIMEOUT,
            max_answer_bytes: MAX_KEYS_BYTES.saturating_mul(limit as u64),
        };
        let answer = send(&address, &owner, call)
            .await
            .map_err(|error| error.of_insert(context))?;
        Ok(answer.body)
    }
}

/// A key attribute and the column that holds it.
type KeyColumn<'a> = (&'a KeyAttribute, &'a PlanColumn);

fn key_columns<'a>(plan: &'a MirrorPlan, context: &str) -> Result<Vec<KeyColumn<'a>>> {
    let holds = |column: &&PlanColumn, key: &KeyAttribute| {
        column.is_key
            && matches!(&column.path, RecordPath::Item(path) | RecordPath::Keys(path)
                if matches!(path.as_slice(), [name] if *name == key.name))
    };
    let columns: Option<Vec<_>> = plan
        .keys
        .iter()
        .map(|key| Some((key, plan.columns.iter().find(|column| holds(column, key))?)))
        .collect();
    columns
        .filter(|columns| !columns.is_empty())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Permanent,
                format!("{context}: no column holds the keys of the DynamoDB table"),
            )
        })
}

fn read_keys(values: &mut RowBinary<'_>, count: usize) -> Result<Vec<String>> {
    (0..count).map(|_| values.text()).collect()
}

/// What both tables have of the keys in `candidates`.
fn lookup(plan: &MirrorPlan, keys: &[KeyColumn<'_>], candidates: &str) -> String {
    let live = sql::table(&plan.database, &plan.table);
    let candidates = sql::table(&plan.database, candidates);
    let free = free_prefix(plan);
    let alias = |name: &str| sql::identifier(&format!("{free}{name}"));
    let (side, version, print) = (alias("side"), alias("version"), alias("print"));
    let key = |at: usize| alias(&format!("key{at}"));
    let names = (0..keys.len()).map(key).collect::<Vec<_>>().join(", ");
    let columns: Vec<_> = keys
        .iter()
        .map(|(_, column)| sql::identifier(&column.name))
        .collect();
    let named = columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("{column} AS {}", key(at)))
        .collect::<Vec<_>>()
        .join(", ");
    let columns = columns.join(", ");
    let (row_version, row_print) = (version_ms(plan), fingerprint(plan));
    let asked = format!("WHERE ({columns}) IN (SELECT {columns} FROM {candidates})");
    let rows = [
        (ASKED, "toInt64(0)", "toUInt64(0)", candidates.clone()),
        (EXPECTED, "toInt64(0)", row_print.as_str(), format!("{candidates} FINAL")),
        (ALIVE, "toInt64(0)", row_print.as_str(), format!("{live} FINAL {asked}")),
        (ANY, row_version.as_str(), "toUInt64(0)", format!("{live} {asked}")),
    ]
    .map(|(bit, version_value, print_value, from)| {
        format!(
            "SELECT {named}, toUInt8({bit}) AS {side}, {version_value} AS {version}, {print_value} AS {print} FROM {from}"
        )
    })
    .join(" UNION ALL ");
    format!(
        "SELECT groupBitOr({side}), toUInt8(groupBitXor({print}) != 0), maxIf({version}, {side} = {ANY}), {} \
         FROM ({rows}) GROUP BY {names} ORDER BY {names}",
        key_texts(keys, key)
    )
}

/// What no column's name starts with: an alias must not hide a column.
fn free_prefix(plan: &MirrorPlan) -> String {
    let mut prefix = "=".to_owned();
    while plan
        .columns
        .iter()
        .any(|column| column.name.starts_with(&prefix))
    {
        prefix.push('=');
    }
    prefix
}

/// A hash of everything in a row that is the item's.
fn fingerprint(plan: &MirrorPlan) -> String {
    let mut arguments = vec!["0".to_owned()];
    for column in plan.columns.iter().filter(|column| is_of_the_item(column)) {
        let name = sql::identifier(&column.name);
        if column.column_type.nullable {
            arguments.push(format!("isNull({name}), ifNull(toString({name}), '')"));
        } else {
            arguments.push(name);
        }
    }
    format!("sipHash64({})", arguments.join(", "))
}

fn is_of_the_item(column: &PlanColumn) -> bool {
    match column.path {
        RecordPath::Item(_) | RecordPath::Keys(_) | RecordPath::NewImage(_) => true,
        RecordPath::AwsRegion | RecordPath::IsDeleted => true,
        RecordPath::Version
        | RecordPath::EventName
        | RecordPath::EventId
        | RecordPath::SequenceNumber
        | RecordPath::OldImage(_)
        | RecordPath::UserIdentityType
        | RecordPath::UserIdentityPrincipal => false,
    }
}

/// Living keys at random: of the rows at random offsets, or of all rows.
fn sample(
    plan: &MirrorPlan,
    keys: &[KeyColumn<'_>],
    count: usize,
    offsets: Option<(u64, u64)>,
) -> String {
    let table = sql::table(&plan.database, &plan.table);
    let name = |at: usize| sql::identifier(&keys[at].1.name);
    let names = (0..keys.len()).map(name).collect::<Vec<_>>().join(", ");
    let texts = key_texts(keys, name);
    let among = offsets.map_or_else(String::new, |(offsets, longest)| {
        format!(
            " WHERE ({names}) IN (SELECT {names} FROM {table} WHERE _part_offset IN \
             (SELECT rand64() % {longest} FROM numbers({offsets})))"
        )
    });
    format!(
        "SELECT {}, {texts} FROM {table} FINAL{among} ORDER BY rand64() LIMIT {count}",
        version_ms(plan)
    )
}

/// The keys as DynamoDB's texts.
fn key_texts(keys: &[KeyColumn<'_>], name: impl Fn(usize) -> String) -> String {
    let texts: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(at, (key, column))| key_text(key.key_type, &column.column_type.scalar, &name(at)))
        .collect();
    texts.join(", ")
}

/// The way back from a column's value to the attribute's: see `is_key` of [`PlanColumn`], nothing was lost.
fn key_text(key_type: KeyType, scalar: &ScalarType, name: &str) -> String {
    match (key_type, scalar) {
        (KeyType::N, ScalarType::DateTime) => format!("toString(toUnixTimestamp({name}))"),
        (KeyType::N, ScalarType::DateTime64 { precision }) => {
            format!("toString(toDecimal128({name}, {precision}))")
        }
        (_, ScalarType::DateTime | ScalarType::DateTime64 { .. }) => {
            format!("concat(replaceOne(toString({name}, 'UTC'), ' ', 'T'), 'Z')")
        }
        _ => format!("toString({name})"),
    }
}
