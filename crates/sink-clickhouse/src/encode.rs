//! Batch -> one block of ClickHouse's Native format.
//!
//! A block is: number of columns, number of rows, and per column its name, its type and its values.
//! Lengths are varints; a text is its length and its bytes; numbers are little endian; a Nullable column
//! starts with a byte per row that is 1 for NULL. See <https://clickhouse.com/docs/interfaces/formats/Native>.

use mirror::batch::{Batch, BatchColumn, ColumnData};
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::MirrorPlan;
use mirror::sink::RowOrder;

use crate::row_order::sorted_rows;

/// A longer block would be cut into several parts, which are not written as one.
pub const MAX_ROWS_PER_INSERT: usize = 1_048_449;

/// Encodes a batch. With [`RowOrder::Free`] rows are sorted by the table's sorting key.
///
/// `LowCardinality` is sent as the plain type. A value that is missing in a column that is not Nullable is sent
/// as NULL, which ClickHouse replaces by the column's DEFAULT (`input_format_null_as_default=1`).
pub fn native_block(plan: &MirrorPlan, batch: &Batch, order: RowOrder) -> Result<Vec<u8>> {
    check(plan, batch)?;
    let permutation = match order {
        RowOrder::AsGiven => None,
        RowOrder::Free => sorted_rows(plan, batch),
    };
    let mut block = Block::new(
        batch.columns.len(),
        batch.rows,
        batch.bytes() + batch.bytes() / 16,
    );
    for (described, column) in plan.columns.iter().zip(&batch.columns) {
        let nullable = described.column_type.nullable || column.has_nulls;
        let scalar = described.column_type.scalar.wire_name();
        let type_name = if nullable {
            format!("Nullable({scalar})")
        } else {
            scalar
        };
        block.column(
            &described.name,
            &type_name,
            column,
            nullable,
            permutation.as_deref(),
        );
    }
    Ok(block.bytes)
}

/// A batch that does not fit its plan would become garbage in ClickHouse.
fn check(plan: &MirrorPlan, batch: &Batch) -> Result<()> {
    let broken = |what: String| {
        Error::new(
            ErrorKind::Corrupt,
            format!("encode rows for {}.{}: {what}", plan.database, plan.table),
        )
    };
    if batch.rows > MAX_ROWS_PER_INSERT {
        return Err(broken(format!(
            "{} rows are more than the {MAX_ROWS_PER_INSERT} of one insert",
            batch.rows
        )));
    }
    if batch.columns.len() != plan.columns.len() {
        return Err(broken(format!(
            "{} columns instead of {}",
            batch.columns.len(),
            plan.columns.len()
        )));
    }
    for (described, column) in plan.columns.iter().zip(&batch.columns) {
        let wanted = described.column_type.scalar.width();
        let fits = column.nulls.len() == batch.rows
            && match (&column.data, wanted) {
                (ColumnData::Strings { bytes, ends }, None) => {
                    ends.len() == batch.rows && ends.last().copied().unwrap_or(0) == bytes.len()
                }
                (ColumnData::Fixed { width, bytes }, Some(wanted)) => {
                    *width == wanted && bytes.len() == batch.rows * wanted
                }
                _ => false,
            };
        if !fits {
            return Err(broken(format!(
                "column {} is not filled as its type says",
                described.name
            )));
        }
    }
    Ok(())
}

/// A block being written.
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
}

impl Block {
    pub(crate) fn new(columns: usize, rows: usize, capacity: usize) -> Self {
        let mut block = Self {
            bytes: Vec::with_capacity(capacity + 64 * columns + 32),
        };
        block.varint(columns);
        block.varint(rows);
        block
    }

    pub(crate) fn header(&mut self, name: &str, type_name: &str) {
        self.text(name.as_bytes());
        self.text(type_name.as_bytes());
    }

    pub(crate) fn text(&mut self, text: &[u8]) {
        self.varint(text.len());
        self.bytes.extend_from_slice(text);
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn column(
        &mut self,
        name: &str,
        type_name: &str,
        column: &BatchColumn,
        nullable: bool,
        permutation: Option<&[u32]>,
    ) {
        self.header(name, type_name);
        if nullable {
            match permutation {
                None => self.bytes.extend_from_slice(&column.nulls),
                Some(rows) => self
                    .bytes
                    .extend(rows.iter().map(|&row| column.nulls[row as usize])),
            }
        }
        match (&column.data, permutation) {
            (ColumnData::Strings { bytes, ends }, None) => {
                let mut start = 0;
                for &end in ends {
                    self.text(&bytes[start..end]);
                    start = end;
                }
            }
            (ColumnData::Strings { .. }, Some(rows)) => {
                for &row in rows {
                    self.text(column.text(row as usize));
                }
            }
            (ColumnData::Fixed { bytes, .. }, None) => self.bytes.extend_from_slice(bytes),
            (ColumnData::Fixed { width, bytes }, Some(rows)) => {
                for &row in rows {
                    let start = row as usize * width;
                    self.bytes.extend_from_slice(&bytes[start..start + width]);
                }
            }
        }
    }
}
