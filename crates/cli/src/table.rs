//! Rows and columns, for people and for programs.

use comfy_table::{CellAlignment, ContentArrangement, TableStyle};
use serde_json::{Map, Value};

use crate::text;

/// No column of a table gets narrower than this; below, each row is printed as a block of lines.
const NARROWEST_COLUMN: usize = 12;
/// Cells of people's tables are cut here, so that one document does not fill the screen.
const LONGEST_CELL: usize = 2000;

/// A table of JSON values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    right: bool,
}

impl Table {
    /// A table with these columns and no rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns = columns
            .into_iter()
            .map(|name| Column {
                name: name.into(),
                right: false,
            })
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Aligns these columns to the right.
    pub(crate) fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        for at in columns {
            if let Some(column) = self.columns.get_mut(at) {
                column.right = true;
            }
        }
        self
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One object per row.
    pub(crate) fn json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let pairs = self.columns.iter().zip(row);
            Value::Object(
                pairs
                    .map(|(column, value)| (column.name.clone(), value.clone()))
                    .collect::<Map<_, _>>(),
            )
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// A header and a line per row.
    pub(crate) fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = self.columns.iter().map(|column| column.name.clone());
        // Writing to memory cannot fail, and every row has as many cells as there are columns.
        let _ = writer.write_record(header);
        for row in &self.rows {
            let _ = writer.write_record(row.iter().map(plain));
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// For people: columns if they fit into `width`, else a block of lines per row.
    pub(crate) fn human(&self, width: Option<usize>, colour: bool) -> String {
        let cells: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(shown).collect())
            .collect();
        match width {
            Some(width)
                if self.columns.len() * (NARROWEST_COLUMN + 2) > width
                    && self.natural_width(&cells) > width =>
            {
                self.blocks(&cells, width, colour)
            }
            _ => self.grid(&cells, width, colour),
        }
    }

    fn natural_width(&self, cells: &[Vec<String>]) -> usize {
        let longest = |at: usize, header: &str| {
            let rows = cells
                .iter()
                .filter_map(|row| row.get(at))
                .flat_map(|cell| cell.lines());
            rows.chain([header])
                .map(|line| line.chars().count())
                .max()
                .unwrap_or(0)
        };
        self.columns
            .iter()
            .enumerate()
            .map(|(at, column)| longest(at, &column.name) + 2)
            .sum()
    }

    fn grid(&self, cells: &[Vec<String>], width: Option<usize>, colour: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new());
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            // One column less: terminals wrap a line that fills them.
            table.set_width(u16::try_from(width.saturating_sub(1)).unwrap_or(u16::MAX));
        }
        table.set_header(self.columns.iter().map(|column| column.name.clone()));
        for row in cells {
            table.add_row(row.clone());
        }
        for (at, column) in self.columns.iter().enumerate() {
            if let Some(it) = table.column_mut(at) {
                it.set_padding((0, 2));
                if column.right {
                    it.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let mut lines: Vec<String> = table
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        if colour && let Some(header) = lines.first_mut() {
            *header = format!("\x1b[1m{header}\x1b[0m");
        }
        lines.join("\n")
    }

    fn blocks(&self, cells: &[Vec<String>], width: usize, colour: bool) -> String {
        let name_width = self
            .columns
            .iter()
            .map(|column| column.name.chars().count())
            .max()
            .unwrap_or(0);
        let value_width = width.saturating_sub(name_width + 3).max(NARROWEST_COLUMN);
        let mut blocks = Vec::new();
        for row in cells {
            let mut lines = Vec::new();
            for (column, cell) in self.columns.iter().zip(row) {
                let mut name = format!("{:name_width$}", column.name);
                if colour {
                    name = format!("\x1b[1m{name}\x1b[0m");
                }
                let mut values = text::wrap(cell, value_width).into_iter();
                lines.push(
                    format!("{name}  {}", values.next().unwrap_or_default())
                        .trim_end()
                        .to_owned(),
                );
                lines.extend(values.map(|line| format!("{:name_width$}  {line}", "")));
            }
            blocks.push(lines.join("\n"));
        }
        blocks.join("\n\n")
    }
}

/// A value as a program reads it in CSV: nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as a person reads it in a table.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        other => text::printable(&plain(other)).replace('\t', " "),
    };
    match text.char_indices().nth(LONGEST_CELL) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn orders() -> Table {
        let mut table = Table::new(["id", "total", "note"]).right([1]);
        table.push(vec![json!("a"), json!(12), Value::Null]);
        table.push(vec![
            json!("b"),
            json!(3),
            json!("a note that is longer, \"quoted\""),
        ]);
        table
    }

    #[test]
    fn a_pipe_gets_columns_as_wide_as_they_are() {
        assert_eq!(
            orders().human(None, false),
            "id  total  note\na      12  -\nb       3  a note that is longer, \"quoted\""
        );
    }

    #[test]
    fn a_terminal_that_is_wide_enough_gets_wrapped_cells() {
        let text = orders().human(Some(43), false);
        assert!(text.lines().all(|line| line.chars().count() < 43), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn a_terminal_that_is_too_narrow_gets_a_block_per_row() {
        assert_eq!(
            orders().human(Some(25), false),
            "id     a\ntotal  12\nnote   -\n\nid     b\ntotal  3\nnote   a note that is\n       longer, \"quoted\""
        );
    }

    #[test]
    fn programs_get_csv_and_json() {
        assert_eq!(
            orders().csv(),
            "id,total,note\na,12,\nb,3,\"a note that is longer, \"\"quoted\"\"\"\n"
        );
        assert_eq!(
            orders().json(),
            json!([
                {"id": "a", "total": 12, "note": null},
                {"id": "b", "total": 3, "note": "a note that is longer, \"quoted\""}
            ])
        );
    }

    #[test]
    fn cells_cannot_move_the_cursor() {
        let mut table = Table::new(["x"]);
        table.push(vec![json!("\x1b[2Jgone")]);
        assert_eq!(table.human(None, false), "x\n[2Jgone");
    }
}
