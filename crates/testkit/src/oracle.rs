//! Whether the mirror equals the table.

use std::collections::BTreeMap;

use aws_sim::attribute::parse_map;
use aws_sim::{Attr, Map, World};
use mirror::checkpoint::ExportPhase;
use mirror::store::MirrorProgress;

use crate::items::is_plain;
use crate::model_table::{Row, RowKey, Table};
use crate::table_plan::TABLE;

/// FINAL rows against the table's items: every key, every value.
pub fn equal(world: &World, table: &Table, composite: bool) -> Result<(), String> {
    let items: BTreeMap<RowKey, Map> = world
        .table_items(TABLE)
        .iter()
        .map(|item| parse_map(item))
        .map(|item| (row_key(&item, composite), item))
        .collect();
    let poisoned: Vec<RowKey> = crate::items::POISONED
        .map(|number| row_key(&crate::items::key(composite, number), composite))
        .collect();
    let mut found = 0;
    for (key, row) in table.final_rows() {
        // Planted in the stream only.
        if poisoned.contains(key) {
            continue;
        }
        found += 1;
        let Some(item) = items.get(key) else {
            return Err(format!("a deleted item is alive: {}", story(table, key)));
        };
        let same = serde_json::from_slice(&row.record).is_ok_and(|plain| is_plain(item, &plain));
        if !same {
            let expected = item.get("rev");
            return Err(format!(
                "an item is not what the table has ({expected:?}): {}",
                story(table, key)
            ));
        }
    }
    if found != items.len() {
        let shown: Vec<&RowKey> = table.final_rows().map(|(key, _)| key).collect();
        let missing = items.keys().find(|key| !shown.contains(key));
        let story = missing.map(|key| story(table, key)).unwrap_or_default();
        return Err(format!(
            "{found} rows for {} items, missing for one: {story}",
            items.len()
        ));
    }
    Ok(())
}

/// Nothing is left undone, lost or set aside.
pub fn tidy(progress: &MirrorProgress, table: &Table) -> Result<(), String> {
    let Some(export) = &progress.export else {
        return Err("no export was ever asked for".to_owned());
    };
    if export.phase != ExportPhase::Loaded || export.items_loaded != export.items_total {
        return Err(format!("the export is not loaded: {export:?}"));
    }
    if table.merges_held {
        return Err("the export is loaded, and merges still wait".to_owned());
    }
    if let Some(gap) = &progress.gap {
        return Err(format!("everything is there, but a gap is shown: {gap:?}"));
    }
    // Who dies between setting a record aside and storing the position, and is away until the record has left the
    // stream, never counts it; a gap was healed then.
    let set_aside = table.quarantine.len() as u64;
    let uncounted = progress.coverage.until_ms.is_some() && progress.quarantined < set_aside;
    if progress.quarantined != set_aside && !uncounted {
        return Err(format!(
            "{} records are in quarantine, {} were counted",
            table.quarantine.len(),
            progress.quarantined
        ));
    }
    Ok(())
}

/// What every item was, and when: the truth that a watermark is held against.
#[derive(Debug, Default)]
pub struct History {
    /// By item: when it was written, AWS's milliseconds, and its revision, `None` if it was deleted.
    writes: BTreeMap<u32, Vec<(i64, Option<u64>)>>,
}

impl History {
    /// Notes a write.
    pub fn write(&mut self, number: u32, at_ms: i64, rev: Option<u64>) {
        self.writes.entry(number).or_default().push((at_ms, rev));
    }

    /// Notes that all items are gone.
    pub fn clear(&mut self, at_ms: i64) {
        for writes in self.writes.values_mut() {
            writes.push((at_ms, None));
        }
    }

    /// Whether the table shows every write from before `watermark_ms`, or a later one of the same item.
    pub fn holds(&self, table: &Table, watermark_ms: i64, composite: bool) -> Result<(), String> {
        let shown: BTreeMap<&RowKey, &Row> = table.final_rows().collect();
        for (number, writes) in &self.writes {
            let before = writes.partition_point(|(at_ms, _)| *at_ms < watermark_ms);
            let Some(first) = before.checked_sub(1) else {
                continue;
            };
            let key = row_key(&crate::items::key(composite, *number), composite);
            let rev = shown.get(&key).map(|row| row.rev);
            if !writes[first..].iter().any(|(_, written)| *written == rev) {
                return Err(format!(
                    "the watermark {watermark_ms} is not true: item {number} was {:?} before it and is {rev:?}: {}",
                    writes[first],
                    story(table, &key)
                ));
            }
        }
        Ok(())
    }
}

fn row_key(item: &Map, composite: bool) -> RowKey {
    let names = if composite {
        &["pk", "sk"][..]
    } else {
        &["pk"]
    };
    let text = |name: &&str| match item.get(*name) {
        Some(Attr::S(text) | Attr::N(text)) => text.as_bytes().to_vec(),
        _ => Vec::new(),
    };
    names.iter().map(text).collect()
}

/// A key's rows, oldest version first.
fn story(table: &Table, key: &RowKey) -> String {
    let row = |row: &&Row| {
        let record: serde_json::Value = serde_json::from_slice(&row.record).unwrap_or_default();
        format!(
            "\n    {} {} rev {} {}",
            row.version_ms, row.event_name, record["rev"], row.event_id
        )
    };
    let rows = table.versions_of(key);
    let key: Vec<_> = key
        .iter()
        .map(|part| String::from_utf8_lossy(part))
        .collect();
    format!("key {key:?}{}", rows.iter().map(row).collect::<String>())
}
