//! Queries of a mirrored table, against a plain table that holds the final state and nothing else.

use std::time::Instant;

use crate::backfill;
use crate::engine::Engine;
use crate::plan::{Bench, say};
use crate::results::Better::Lower;
use crate::statistics::median;
use crate::{Result, machine};

/// Where the tables of this measurement are.
const TABLE: &str = "queries.mirrored";
const PLAIN: &str = "queries.plain";

/// What people ask, of `{from}`. `{pk}` and `{sk}` are a key.
const QUERIES: [(&str, &str); 4] = [
    (
        "page",
        "SELECT JSONExtractString(_record, 'id') AS id, JSONExtractString(_record, 'status') AS status, _timestamp, \
         _event_name FROM {from} ORDER BY id LIMIT 10",
    ),
    (
        "lookup",
        "SELECT _record, _timestamp FROM {from} WHERE pk = '{pk}' AND sk = '{sk}'",
    ),
    (
        "aggregate",
        "SELECT JSONExtractString(_record, 'status') AS status, count(), sum(toInt64(JSONExtractFloat(_record, 'amount') * 100)) \
         FROM {from} GROUP BY status ORDER BY status",
    ),
    ("count", "SELECT count() FROM {from}"),
];

/// The state without FINAL. Deletions are dropped after the newest version is chosen.
const ARG_MAX: &str = "(SELECT pk, sk, record AS _record, event AS _event_name, newest AS _timestamp FROM (\
     SELECT pk, sk, argMax(_record, _timestamp) AS record, argMax(_event_name, _timestamp) AS event, \
     max(_timestamp) AS newest, argMax(_is_deleted, _timestamp) AS deleted FROM {table} {where} \
     GROUP BY pk, sk HAVING deleted = 0))";

/// Rounds of what takes many seconds with five million items and decides nothing.
const FEW_ROUNDS: usize = 3;

/// Settings that were said to make FINAL faster; measured on the aggregate of the merged and the unmerged table.
const EXPERIMENTS: [(&str, &str); 3] = [
    (
        "no_merge_across_partitions",
        "do_not_merge_across_partitions_select_final = 1",
    ),
    ("no_vertical_final", "enable_vertical_final = 0"),
    (
        "prewhere_if_final",
        "optimize_move_to_prewhere_if_final = 1",
    ),
];

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    backfill::store(bench)?;
    let store = bench.store.as_ref().ok_or("no store")?;
    let (rows, source) = (store.rows, store.table.clone());
    let create = store.create_table(TABLE);
    let engine = store.engine(&bench.programs)?;
    let measured = fill(&engine, &create, &source).and_then(|()| {
        let unmerged = measure(bench, &engine, "unmerged")?;
        engine.sql(&format!("SYSTEM START MERGES {TABLE}"))?;
        engine.sql(&format!("OPTIMIZE TABLE {TABLE} FINAL"))?;
        let merged = measure(bench, &engine, "merged")?;
        Ok((unmerged, merged))
    });
    // The store stays as it was for whoever is next.
    engine.sql("DROP DATABASE IF EXISTS queries SYNC")?;
    engine.stop()?;
    let (unmerged, merged) = measured?;
    let data = format!("{rows} typical items, 20 % changed, 5 % deleted");
    for (key, state, ratios) in [
        ("final_vs_plain", "merged to one part", merged),
        ("final_vs_plain_unmerged", "unmerged", unmerged),
    ] {
        let how = format!(
            "{data}; the aggregate FINAL on our table {state} by the same on a plain MergeTree of the final state, pairs of one round; page cache warm"
        );
        bench.results.add(key, "x", Lower, &how, &ratios);
    }
    say("queries: done");
    Ok(())
}

/// A table like ours with the items, then 20 % of them changed and 5 % deleted in 20 inserts; and the plain one.
fn fill(engine: &Engine, create: &str, source: &str) -> Result<()> {
    engine.sql("CREATE DATABASE queries")?;
    engine.sql(create)?;
    engine.sql(&format!("SYSTEM STOP MERGES {TABLE}"))?;
    let fast = format!(
        "SETTINGS optimize_on_insert = 0, max_threads = {0}, max_insert_threads = {0}",
        machine::cores()
    );
    engine.sql(&format!(
        "INSERT INTO {TABLE} SELECT * FROM {source} {fast}"
    ))?;
    let columns = "pk, sk, _record, _old_record, _timestamp, _event_name, _is_deleted";
    for portion in 0..16 {
        engine.sql(&format!(
            "INSERT INTO {TABLE} ({columns}) SELECT pk, sk, replaceOne(_record, '\"status\":\"', '\"status\":\"re'), _record, \
             _timestamp + toIntervalMinute(10), 'MODIFY', 0 FROM {source} \
             WHERE cityHash64(pk, sk) % 80 = {portion} {fast}"
        ))?;
    }
    for portion in 16..20 {
        engine.sql(&format!(
            "INSERT INTO {TABLE} ({columns}) SELECT pk, sk, '', _record, _timestamp + toIntervalMinute(10), 'REMOVE', 1 \
             FROM {source} WHERE cityHash64(pk, sk) % 80 = {portion} {fast}"
        ))?;
    }
    engine.sql(&format!(
        "CREATE TABLE {PLAIN} ENGINE = MergeTree ORDER BY (pk, sk) AS SELECT * FROM {TABLE} FINAL"
    ))?;
    engine.sql(&format!("OPTIMIZE TABLE {PLAIN} FINAL"))?;
    Ok(())
}

/// All queries in one state of the table, in interleaved rounds; the ratios of the aggregate.
fn measure(bench: &mut Bench, engine: &Engine, state: &str) -> Result<Vec<f64>> {
    let key = engine.sql(&format!(
        "SELECT pk, sk FROM {PLAIN} ORDER BY cityHash64(pk, sk) LIMIT 1"
    ))?;
    let (pk, sk) = key.split_once('\t').ok_or("the table is empty")?;
    let parts = engine.number(
        "SELECT count() FROM system.parts WHERE active AND database = 'queries' AND table = 'mirrored'",
    )?;
    let mut ratios = Vec::new();
    for (name, query) in QUERIES {
        let filter = if name == "lookup" {
            format!("WHERE pk = '{pk}' AND sk = '{sk}'")
        } else {
            String::new()
        };
        let arg_max = ARG_MAX
            .replace("{table}", TABLE)
            .replace("{where}", &filter);
        let ways = [
            ("final", format!("{TABLE} FINAL")),
            ("argmax", arg_max),
            ("plain", PLAIN.to_owned()),
        ]
        .map(|(way, from)| {
            let query = query.replace("{from}", &from);
            (way, query.replace("{pk}", pk).replace("{sk}", sk))
        });
        let answers: Vec<String> = ways
            .iter()
            .map(|(_, query)| engine.sql(query))
            .collect::<Result<_>>()?;
        if answers[0] != answers[1] || answers[0] != answers[2] {
            return Err(format!("{name}, {state}: the answers differ: {answers:?}").into());
        }
        let repeats = bench.repeats();
        let times = rounds(
            engine,
            &ways.each_ref().map(|(way, query)| {
                let rounds = match *way {
                    "argmax" => repeats.min(FEW_ROUNDS),
                    _ => repeats,
                };
                (query.as_str(), rounds)
            }),
        )?;
        for ((way, _), times) in ways.iter().zip(&times) {
            let how = format!("{parts} parts; over HTTP on loopback, page cache warm: {query}");
            let key = format!("query_{name}_{way}_ms.{state}");
            bench.results.add(&key, "ms", Lower, &how, times);
        }
        if name == "aggregate" {
            ratios = times[0]
                .iter()
                .zip(&times[2])
                .map(|(ours, plain)| ours / plain)
                .collect();
            if !bench.quick() {
                experiments(bench, engine, state, &ways[0].1)?;
            }
        }
    }
    Ok(ratios)
}

/// Milliseconds of each query in each of its rounds.
fn rounds(engine: &Engine, queries: &[(&str, usize)]) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::new(); queries.len()];
    let most = queries.iter().map(|(_, rounds)| *rounds).max().unwrap_or(0);
    for round in 0..most {
        for turn in 0..queries.len() {
            let which = (round + turn) % queries.len();
            let (query, rounds) = queries[which];
            if round >= rounds {
                continue;
            }
            let begun = Instant::now();
            engine.sql(query)?;
            times[which].push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(times)
}

fn experiments(bench: &mut Bench, engine: &Engine, state: &str, query: &str) -> Result<()> {
    for (name, settings) in EXPERIMENTS {
        let other = format!("{query} SETTINGS {settings}");
        engine.sql(&other)?;
        let times = rounds(engine, &[(query, FEW_ROUNDS), (&other, FEW_ROUNDS)])?;
        let ratios: Vec<f64> = times[1]
            .iter()
            .zip(&times[0])
            .map(|(with, without)| with / without)
            .collect();
        let how = format!("the aggregate FINAL with {settings} by the same without, {state}");
        let key = format!("final_with_{name}.{state}");
        bench
            .results
            .put(&key, median(&ratios), "x", Lower, &how, &ratios);
    }
    Ok(())
}
