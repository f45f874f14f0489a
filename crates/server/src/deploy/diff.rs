//! What changes between the live project and the wanted one, and what that would lose.

use datafile::{Column, Datasource};

use crate::store::{ResourceKind, ResourceRow};

use super::changes::ChangeLists;

/// A resource of the wanted project.
#[derive(Clone, Debug)]
pub(super) struct WantedResource {
    pub(super) kind: ResourceKind,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) text: String,
}

/// What must happen to the table of a data source that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableChange {
    /// Nothing.
    Keep,
    /// These columns are added at the end.
    Add(Vec<String>),
    /// The table cannot stay, for these reasons.
    Recreate(Vec<String>),
}

/// Compares texts, resource by resource.
pub(super) fn lists(live: &[ResourceRow], wanted: &[WantedResource]) -> ChangeLists {
    let mut lists = ChangeLists::default();
    for resource in wanted {
        let known = live
            .iter()
            .find(|row| row.kind == resource.kind.extension() && row.name == resource.name);
        let (new, changed, _) = of_kind(&mut lists, resource.kind);
        match known {
            None => new.push(resource.name.clone()),
            Some(row) if row.text != resource.text => changed.push(resource.name.clone()),
            Some(_) => {}
        }
    }
    for kind in [
        ResourceKind::Connection,
        ResourceKind::Datasource,
        ResourceKind::Pipe,
    ] {
        let gone = live.iter().filter(|row| {
            row.kind == kind.extension()
                && !wanted.iter().any(|w| w.kind == kind && w.name == row.name)
        });
        let names = gone.map(|row| row.name.clone());
        of_kind(&mut lists, kind).2.extend(names);
    }
    lists
}

fn of_kind(
    lists: &mut ChangeLists,
    kind: ResourceKind,
) -> (&mut Vec<String>, &mut Vec<String>, &mut Vec<String>) {
    match kind {
        ResourceKind::Connection => (
            &mut lists.new_data_connector_names,
            &mut lists.changed_data_connector_names,
            &mut lists.deleted_data_connector_names,
        ),
        ResourceKind::Datasource => (
            &mut lists.new_datasource_names,
            &mut lists.changed_datasource_names,
            &mut lists.deleted_datasource_names,
        ),
        ResourceKind::Pipe => (
            &mut lists.new_pipe_names,
            &mut lists.changed_pipe_names,
            &mut lists.deleted_pipe_names,
        ),
    }
}

/// What the change from `live` to `wanted` means for the table. Both mirror a table; `*_arn` say which.
pub(super) fn table_change(
    live: &Datasource,
    live_arn: &str,
    wanted: &Datasource,
    wanted_arn: &str,
) -> TableChange {
    let mut reasons = Vec::new();
    if live_arn != wanted_arn {
        reasons.push(format!(
            "IMPORT_TABLE_ARN changes from {live_arn} to {wanted_arn}"
        ));
    }
    engine_reasons(live, wanted, &mut reasons);
    for column in &live.columns {
        let name = &column.name;
        let now = wanted.columns.iter().find(|other| other.name == *name);
        match now {
            None => reasons.push(format!("the column {name} is dropped")),
            Some(now) => column_reasons(column, now, &mut reasons),
        }
    }
    if !reasons.is_empty() {
        return TableChange::Recreate(reasons);
    }
    let added: Vec<String> = wanted
        .columns
        .iter()
        .filter(|column| !live.columns.iter().any(|other| other.name == column.name))
        .map(|column| column.name.clone())
        .collect();
    if added.is_empty() {
        TableChange::Keep
    } else {
        TableChange::Add(added)
    }
}

fn column_reasons(live: &Column, wanted: &Column, reasons: &mut Vec<String>) {
    let name = &live.name;
    if squeezed(&live.ty) != squeezed(&wanted.ty) {
        reasons.push(format!(
            "the type of {name} changes from {} to {}",
            live.ty, wanted.ty
        ));
    }
    if live.json_path != wanted.json_path {
        reasons.push(format!("the json path of {name} changes"));
    }
    if live.default != wanted.default {
        reasons.push(format!("the DEFAULT of {name} changes"));
    }
    if live.codec != wanted.codec {
        reasons.push(format!("the CODEC of {name} changes"));
    }
}

fn engine_reasons(live: &Datasource, wanted: &Datasource, reasons: &mut Vec<String>) {
    let (old, new) = (&live.engine, &wanted.engine);
    let text = |value: &Option<datafile::Spanned<String>>| {
        value
            .as_ref()
            .map(|text| squeezed(text))
            .unwrap_or_default()
    };
    let fields = [
        (
            "ENGINE_SORTING_KEY",
            text(&old.sorting_key),
            text(&new.sorting_key),
        ),
        (
            "ENGINE_PARTITION_KEY",
            text(&old.partition_key),
            text(&new.partition_key),
        ),
        (
            "ENGINE_PRIMARY_KEY",
            text(&old.primary_key),
            text(&new.primary_key),
        ),
        (
            "ENGINE_SAMPLING_KEY",
            text(&old.sampling_key),
            text(&new.sampling_key),
        ),
        ("ENGINE_TTL", text(&old.ttl), text(&new.ttl)),
        ("ENGINE_SETTINGS", text(&old.settings), text(&new.settings)),
        ("ENGINE_VER", text(&old.ver), text(&new.ver)),
        (
            "ENGINE_IS_DELETED",
            text(&old.is_deleted),
            text(&new.is_deleted),
        ),
        ("ENGINE", squeezed(&old.name), squeezed(&new.name)),
    ];
    for (field, before, after) in fields {
        if before != after {
            reasons.push(format!("{field} changes"));
        }
    }
    if live.indexes != wanted.indexes {
        reasons.push("INDEXES change".to_owned());
    }
}

/// Text without white space and backticks outside of quotes, to compare what means the same.
fn squeezed(text: &str) -> String {
    let mut quoted = false;
    text.chars()
        .filter(|c| {
            quoted ^= *c == '\'';
            quoted || !(c.is_whitespace() || *c == '`')
        })
        .collect()
}
