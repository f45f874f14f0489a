//! Sorts the rows of a batch by the table's sorting key, as ClickHouse would have to do otherwise.
//!
//! The order is advice: a block in any other order is only slower. Rows that are equal keep their order.

use std::cmp::Ordering;

use mirror::batch::{Batch, BatchColumn, ColumnData};
use mirror::column_type::ScalarType;
use mirror::plan::MirrorPlan;

/// Row numbers in the order of the sorting columns; `None` if that is the given order.
pub(crate) fn sorted_rows(plan: &MirrorPlan, batch: &Batch) -> Option<Vec<u32>> {
    let keys: Vec<(&BatchColumn, &ScalarType)> = plan
        .sorting_columns
        .iter()
        .filter_map(|&at| {
            Some((
                batch.columns.get(at)?,
                &plan.columns.get(at)?.column_type.scalar,
            ))
        })
        .collect();
    let &(first, scalar) = keys.first()?;
    let shared = shared_prefix(first, batch.rows);
    // Most comparisons end at eight bytes that lie beside the row number instead of anywhere in memory.
    let mut rows: Vec<(u64, u32)> = (0..batch.rows)
        .map(|row| (leading(first, scalar, shared, row), row as u32))
        .collect();
    let order = |a: &(u64, u32), b: &(u64, u32)| {
        a.0.cmp(&b.0)
            .then_with(|| compare(&keys, a.1 as usize, b.1 as usize))
            .then(a.1.cmp(&b.1))
    };
    if rows.is_sorted_by(|a, b| order(a, b) != Ordering::Greater) {
        return None;
    }
    rows.sort_unstable_by(order);
    Some(rows.into_iter().map(|(_, row)| row).collect())
}

fn compare(keys: &[(&BatchColumn, &ScalarType)], a: usize, b: usize) -> Ordering {
    for (column, scalar) in keys {
        let order = match &column.data {
            ColumnData::Strings { .. } => column.text(a).cmp(column.text(b)),
            ColumnData::Fixed { width, bytes } => ordinal(scalar, value(bytes, *width, a))
                .cmp(&ordinal(scalar, value(bytes, *width, b))),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn value(bytes: &[u8], width: usize, row: usize) -> &[u8] {
    &bytes[row * width..(row + 1) * width]
}

/// How many leading bytes all texts of a column share; such bytes do not tell rows apart.
fn shared_prefix(column: &BatchColumn, rows: usize) -> usize {
    let ColumnData::Strings { .. } = column.data else {
        return 0;
    };
    if rows == 0 {
        return 0;
    }
    let first = column.text(0);
    (1..rows).fold(first.len(), |shared, row| {
        let text = column.text(row);
        first[..shared]
            .iter()
            .zip(text)
            .take_while(|(a, b)| a == b)
            .count()
    })
}

/// A number that orders rows as the column does, as far as eight bytes can tell.
fn leading(column: &BatchColumn, scalar: &ScalarType, shared: usize, row: usize) -> u64 {
    match &column.data {
        ColumnData::Strings { .. } => {
            let text = &column.text(row)[shared..];
            let mut bytes = [0_u8; 8];
            let length = text.len().min(8);
            bytes[..length].copy_from_slice(&text[..length]);
            u64::from_be_bytes(bytes)
        }
        ColumnData::Fixed { width, bytes } => {
            (ordinal(scalar, value(bytes, *width, row)) >> 64) as u64
        }
    }
}

/// Maps a value to an integer with the same order. Little-endian bytes are moved to the high end, signs
/// are flipped so that negative values come first.
fn ordinal(scalar: &ScalarType, value: &[u8]) -> u128 {
    let mut bytes = [0_u8; 16];
    let width = value.len().min(16);
    bytes[16 - width..].copy_from_slice(&value[..width]);
    let high = u128::from_le_bytes(bytes);
    const SIGN: u128 = 1 << 127;
    match scalar {
        ScalarType::Int(_) | ScalarType::Decimal { .. } | ScalarType::DateTime64 { .. } => {
            high ^ SIGN
        }
        ScalarType::Float(_) if high & SIGN != 0 => !high,
        ScalarType::Float(_) => high ^ SIGN,
        ScalarType::Bool | ScalarType::UInt(_) | ScalarType::DateTime | ScalarType::String => high,
    }
}
