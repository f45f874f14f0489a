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
    rows_in_order(&keys, batch.rows)
}

fn rows_in_order(keys: &[(&BatchColumn, &ScalarType)], rows: usize) -> Option<Vec<u32>> {
    let &(first, scalar) = keys.first()?;
    let shared = shared_prefix(first, rows);
    // Most comparisons end at eight bytes that lie beside the row number instead of anywhere in memory.
    let mut rows: Vec<(u64, u32)> = (0..rows)
        .map(|row| (leading(first, scalar, shared, row), row as u32))
        .collect();
    let order = |a: &(u64, u32), b: &(u64, u32)| {
        a.0.cmp(&b.0)
            .then_with(|| compare(keys, a.1 as usize, b.1 as usize))
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

#[cfg(test)]
mod tests {
    use super::*;
    use mirror::column_type::ColumnType;

    fn order_of(scalar: ScalarType, values: &[Vec<u8>]) -> Vec<usize> {
        let kind = ColumnType {
            scalar,
            nullable: false,
        };
        let mut batch = Batch::new([&kind]);
        for value in values {
            match kind.scalar.width() {
                None => batch.columns[0].push_text(value),
                Some(_) => batch.columns[0].push_fixed(value),
            }
            batch.rows += 1;
        }
        let keys = [(&batch.columns[0], &kind.scalar)];
        rows_in_order(&keys, batch.rows).map_or_else(
            || (0..batch.rows).collect(),
            |rows| rows.into_iter().map(|row| row as usize).collect(),
        )
    }

    #[test]
    fn numbers_sort_by_value_and_not_by_their_bytes() {
        let floats = [0.5_f64, -1.0, f64::INFINITY, -0.25, 256.0].map(|v| v.to_le_bytes().to_vec());
        assert_eq!(order_of(ScalarType::Float(8), &floats), [1, 3, 0, 4, 2]);
        let ints = [1_i16, -1, 256, -256, 0].map(|v| v.to_le_bytes().to_vec());
        assert_eq!(order_of(ScalarType::Int(2), &ints), [3, 1, 4, 0, 2]);
        let wide = [1_i128 << 100, -1, 5, i128::MIN].map(|v| v.to_le_bytes().to_vec());
        assert_eq!(
            order_of(
                ScalarType::Decimal {
                    precision: 38,
                    scale: 3
                },
                &wide
            ),
            [3, 1, 2, 0]
        );
        let unsigned = [u64::MAX, 0, 256, 1].map(|v| v.to_le_bytes().to_vec());
        assert_eq!(order_of(ScalarType::UInt(8), &unsigned), [1, 3, 2, 0]);
    }

    #[test]
    fn texts_sort_by_bytes_and_equal_rows_keep_their_order() {
        let texts = [
            "prefix-b",
            "prefix-a",
            "prefix-",
            "prefix-b",
            "prefix-a\u{0}",
            "prefix-abcdefghij",
            "prefix-abcdefghia",
        ]
        .map(|text| text.as_bytes().to_vec());
        assert_eq!(order_of(ScalarType::String, &texts), [2, 1, 4, 6, 5, 0, 3]);
        assert_eq!(
            order_of(ScalarType::String, &[vec![], vec![0], vec![]]),
            [0, 2, 1]
        );
        assert_eq!(order_of(ScalarType::String, &[]), [0_usize; 0]);
    }
}
