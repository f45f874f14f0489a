//! Whether the mirror equals the table.

use std::collections::BTreeMap;

use aws_sim::attribute::parse_map;
use aws_sim::{Attr, Map, World};
use mirror::checkpoint::ExportPhase;
use mirror::store::MirrorProgress;

use crate::items::is_plain;
use crate::model_sink::{Row, RowKey, Table};
use crate::table_plan::TABLE;

/// FINAL rows against the table's items: every key, every value.
pub fn equal(world: &World, table: &Table, composite: bool) -> Result<(), String> {
    let items: BTreeMap<RowKey, Map> = world
        .table_items(TABLE)
        .iter()
        .map(|item| parse_map(item))
        .map(|item| (row_key(&item, composite), item))
        .collect();
    let mut found = 0;
    for (key, row) in table.final_rows() {
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

/// One export for every attempt, and nothing lost or set aside.
pub fn tidy(world: &World, progress: &MirrorProgress) -> Result<(), String> {
    let Some(export) = &progress.export else {
        return Err("no export was ever asked for".to_owned());
    };
    let exports = world.export_states().count();
    if exports != export.attempt as usize {
        return Err(format!("{exports} exports for {} attempts", export.attempt));
    }
    if export.phase != ExportPhase::Loaded || export.items_loaded != export.items_total {
        return Err(format!("the export is not loaded: {export:?}"));
    }
    if let Some(gap) = &progress.gap {
        return Err(format!("nothing was lost, but a gap is shown: {gap}"));
    }
    if progress.quarantined > 0 {
        return Err(format!(
            "{} records are in quarantine",
            progress.quarantined
        ));
    }
    Ok(())
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
