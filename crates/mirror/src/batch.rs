//! Rows on their way to ClickHouse, column by column, in the byte form of its Native format.

use crate::column_type::ColumnType;

/// Values of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnData {
    /// Texts: all bytes in a row, and where each value ends.
    Strings {
        /// The texts, one after the other.
        bytes: Vec<u8>,
        /// End of value `i` in `bytes`.
        ends: Vec<usize>,
    },
    /// Values of one width, little endian.
    Fixed {
        /// Bytes per value.
        width: usize,
        /// The values, one after the other.
        bytes: Vec<u8>,
    },
}

/// One column of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchColumn {
    /// Values; a NULL or missing value holds a placeholder (empty text or zero).
    pub data: ColumnData,
    /// 1 where the value is NULL, or missing and to be filled by the column's default; one byte per row.
    pub nulls: Vec<u8>,
    /// Whether `nulls` holds any 1.
    pub has_nulls: bool,
}

/// Rows of one table, all with the columns of one plan, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Columns in the order of the plan.
    pub columns: Vec<BatchColumn>,
    /// Rows.
    pub rows: usize,
}

impl BatchColumn {
    fn new(column_type: &ColumnType) -> Self {
        let data = match column_type.scalar.width() {
            None => ColumnData::Strings {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
            Some(width) => ColumnData::Fixed {
                width,
                bytes: Vec::new(),
            },
        };
        Self {
            data,
            nulls: Vec::new(),
            has_nulls: false,
        }
    }

    /// Appends NULL, or "missing" for a column that is not nullable.
    pub fn push_null(&mut self) {
        match &mut self.data {
            ColumnData::Strings { bytes, ends } => ends.push(bytes.len()),
            ColumnData::Fixed { width, bytes } => bytes.resize(bytes.len() + *width, 0),
        }
        self.nulls.push(1);
        self.has_nulls = true;
    }

    /// Appends a value of fixed width, little endian. The caller passes exactly the column's width.
    pub fn push_fixed(&mut self, value: &[u8]) {
        if let ColumnData::Fixed { bytes, .. } = &mut self.data {
            bytes.extend_from_slice(value);
            self.nulls.push(0);
        }
    }

    /// Appends a text.
    pub fn push_text(&mut self, text: &[u8]) {
        if let ColumnData::Strings { bytes, ends } = &mut self.data {
            bytes.extend_from_slice(text);
            ends.push(bytes.len());
            self.nulls.push(0);
        }
    }

    /// Appends a text that `write` appends to the bytes it is given. If it fails half-way the column is left
    /// uneven, and [`Batch::truncate`] makes it even again.
    pub fn push_text_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let ColumnData::Strings { bytes, ends } = &mut self.data {
            write(bytes)?;
            ends.push(bytes.len());
            self.nulls.push(0);
        }
        Ok(())
    }

    /// The text of row `row`; empty for a column of fixed width.
    pub fn text(&self, row: usize) -> &[u8] {
        match &self.data {
            ColumnData::Strings { bytes, ends } => {
                let start = if row == 0 { 0 } else { ends[row - 1] };
                &bytes[start..ends[row]]
            }
            ColumnData::Fixed { .. } => &[],
        }
    }

    fn truncate(&mut self, rows: usize) {
        match &mut self.data {
            ColumnData::Strings { bytes, ends } => {
                ends.truncate(rows);
                bytes.truncate(ends.last().copied().unwrap_or(0));
            }
            ColumnData::Fixed { width, bytes } => bytes.truncate(rows * *width),
        }
        if self.has_nulls && self.nulls[rows.min(self.nulls.len())..].contains(&1) {
            self.has_nulls = self.nulls[..rows].contains(&1);
        }
        self.nulls.truncate(rows);
    }

    fn bytes(&self) -> usize {
        match &self.data {
            ColumnData::Strings { bytes, ends } => bytes.len() + ends.len() * 2,
            ColumnData::Fixed { bytes, .. } => bytes.len(),
        }
    }
}

impl Batch {
    /// An empty batch for columns of these types.
    pub fn new<'a>(types: impl IntoIterator<Item = &'a ColumnType>) -> Self {
        Self {
            columns: types.into_iter().map(BatchColumn::new).collect(),
            rows: 0,
        }
    }

    /// Drops everything after row `rows`, half-written columns included. Memory is kept.
    pub fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
        self.rows = rows;
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Approximate bytes on the wire.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(BatchColumn::bytes).sum()
    }
}
