//! Columns.

/// Spaces between columns.
const GAP: usize = 2;

/// A table with a header line. Cells are cleaned: no answer may steer the terminal.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }

    /// The whole table, or nothing when it has no rows.
    pub(crate) fn render(&self) -> String {
        if self.rows.len() == 1 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + GAP - cell.chars().count()));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// One visible line: control characters become `?`, nothing becomes `-`.
fn clean(cell: &str) -> String {
    if cell.is_empty() {
        return "-".into();
    }
    cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cleaned() {
        let mut table = Table::new(&["ID", "OWNER"]);
        table.row(vec!["long-id".into(), "é\u{1b}[31m".into()]);
        table.row(vec![String::new(), "b".into()]);
        assert_eq!(table.render(), "ID       OWNER\nlong-id  é?[31m\n-        b\n");
        assert_eq!(Table::new(&["ID"]).render(), "");
    }
}
