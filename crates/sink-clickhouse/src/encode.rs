//! Batch -> one block of ClickHouse's Native format.
//!
//! A block is: number of columns, number of rows, and per column its name, its type and its values.
//! Lengths are varints; a text is its length and its bytes; numbers are little endian; a Nullable column
//! starts with a byte per row that is 1 for NULL. See <https://clickhouse.com/docs/interfaces/formats/Native>.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mirror::batch::{Batch, BatchColumn, ColumnData};
use mirror::error::{Error, ErrorKind, Result};
use mirror::plan::MirrorPlan;
use mirror::sink::RowOrder;

use crate::row_order::sorted_rows;

/// A longer block would be cut into several parts, which are not written as one.
pub const MAX_ROWS_PER_INSERT: usize = 1_048_449;

/// Size of a piece of a block, bytes: small enough to be still in the processor's cache when the kernel takes it.
const PIECE_BYTES: usize = 256 * 1024;

/// Encodes a batch in one piece; see [`Pieces`].
pub fn native_block(plan: &MirrorPlan, batch: &Batch, order: RowOrder) -> Result<Vec<u8>> {
    let mut pieces = Pieces::new(plan, batch, order)?;
    let mut block = Vec::with_capacity(batch.bytes() + batch.bytes() / 16);
    while pieces.write(&mut block, usize::MAX) {}
    Ok(block)
}

/// A batch as the pieces of one block, encoded while they are sent: there is never a second copy of the whole.
/// With [`RowOrder::Free`] rows are sorted by the table's sorting key.
///
/// `LowCardinality` is sent as the plain type. A value that is missing in a column that is not Nullable is sent
/// as NULL, which ClickHouse replaces by the column's DEFAULT (`input_format_null_as_default=1`).
pub(crate) struct Pieces<'a> {
    plan: &'a MirrorPlan,
    batch: &'a Batch,
    permutation: Option<Vec<u32>>,
    at: Place,
    spare: SparePieces,
}

/// Memory of pieces that were sent, to be filled again: fresh memory has to be cleared by the kernel first.
type SparePieces = Arc<Mutex<Vec<Vec<u8>>>>;

/// A piece on its way.
struct Piece {
    bytes: Vec<u8>,
    home: SparePieces,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        home.push(bytes);
    }
}

/// Where the next piece begins.
#[derive(Clone, Copy)]
enum Place {
    Start,
    Header { column: usize },
    Nulls { column: usize, row: usize },
    Values { column: usize, row: usize },
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(plan: &'a MirrorPlan, batch: &'a Batch, order: RowOrder) -> Result<Self> {
        check(plan, batch)?;
        let permutation = match order {
            RowOrder::AsGiven => None,
            RowOrder::Free => sorted_rows(plan, batch),
        };
        Ok(Self {
            plan,
            batch,
            permutation,
            at: Place::Start,
            spare: SparePieces::default(),
        })
    }

    /// Appends to `piece` until it has `enough` bytes. False if there was nothing more to append.
    fn write(&mut self, piece: &mut Vec<u8>, enough: usize) -> bool {
        let before = piece.len();
        while piece.len() < enough && self.step(piece, enough) {}
        piece.len() > before
    }

    /// Goes on with one part of one column. False at the end.
    fn step(&mut self, piece: &mut Vec<u8>, enough: usize) -> bool {
        let (batch, permutation) = (self.batch, self.permutation.as_deref());
        self.at = match self.at {
            Place::Start => {
                varint(piece, batch.columns.len());
                varint(piece, batch.rows);
                Place::Header { column: 0 }
            }
            Place::Header { column } => {
                let (Some(described), Some(values)) =
                    (self.plan.columns.get(column), batch.columns.get(column))
                else {
                    return false;
                };
                let scalar = described.column_type.scalar.wire_name();
                let nullable = described.column_type.nullable || values.has_nulls;
                text(piece, described.name.as_bytes());
                if nullable {
                    text(piece, format!("Nullable({scalar})").as_bytes());
                    Place::Nulls { column, row: 0 }
                } else {
                    text(piece, scalar.as_bytes());
                    Place::Values { column, row: 0 }
                }
            }
            Place::Nulls { column, row } => {
                let end = batch.rows.min(row + room(piece, enough));
                let nulls = &batch.columns[column].nulls;
                match permutation {
                    None => piece.extend_from_slice(&nulls[row..end]),
                    Some(rows) => piece.extend(rows[row..end].iter().map(|&at| nulls[at as usize])),
                }
                if end < batch.rows {
                    Place::Nulls { column, row: end }
                } else {
                    Place::Values { column, row: 0 }
                }
            }
            Place::Values { column, row } => {
                let row = write_values(piece, enough, &batch.columns[column], permutation, row);
                if row < batch.rows {
                    Place::Values { column, row }
                } else {
                    Place::Header { column: column + 1 }
                }
            }
        };
        true
    }
}

impl Iterator for Pieces<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let home = Arc::clone(&self.spare);
        let spare = home.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = spare.unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 16));
        let any = self.write(&mut bytes, PIECE_BYTES);
        any.then(|| Bytes::from_owner(Piece { bytes, home }))
    }
}

/// Rows of one byte that still fit; one at least.
fn room(piece: &[u8], enough: usize) -> usize {
    // Without overflow when it is added to a row number.
    enough.saturating_sub(piece.len()).clamp(1, 1 << 30)
}

/// Appends values from row `row` on; returns the row to go on with.
fn write_values(
    piece: &mut Vec<u8>,
    enough: usize,
    column: &BatchColumn,
    permutation: Option<&[u32]>,
    mut row: usize,
) -> usize {
    let rows = column.nulls.len();
    match &column.data {
        ColumnData::Strings { bytes, ends } => {
            while row < rows && piece.len() < enough {
                let at = permutation.map_or(row, |rows| rows[row] as usize);
                let start = if at == 0 { 0 } else { ends[at - 1] };
                text(piece, &bytes[start..ends[at]]);
                row += 1;
            }
            row
        }
        ColumnData::Fixed { width, bytes } => {
            let end = rows.min(row + room(piece, enough).div_ceil((*width).max(1)));
            match permutation {
                None => piece.extend_from_slice(&bytes[row * width..end * width]),
                Some(rows) => {
                    for &at in &rows[row..end] {
                        let start = at as usize * width;
                        piece.extend_from_slice(&bytes[start..start + width]);
                    }
                }
            }
            end
        }
    }
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    varint(out, text.len());
    out.extend_from_slice(text);
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
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
        varint(&mut block.bytes, columns);
        varint(&mut block.bytes, rows);
        block
    }

    pub(crate) fn header(&mut self, name: &str, type_name: &str) {
        self.text(name.as_bytes());
        self.text(type_name.as_bytes());
    }

    pub(crate) fn text(&mut self, value: &[u8]) {
        text(&mut self.bytes, value);
    }
}
