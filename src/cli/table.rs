//! A table for people: columns as wide as their widest cell, two spaces between them.

use std::fmt::Write as _;

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a line of headings. Every row has a cell for each heading.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(headings: &[(&'static str, Align)]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, each line with its end.
    pub(super) fn text(&self) -> String {
        let width_of = |(at, (heading, _)): (usize, &(&str, Align))| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell));
            cells.chain([width(heading)]).max().unwrap_or(0)
        };
        let widths: Vec<_> = self.headings.iter().enumerate().map(width_of).collect();
        let headings = self.headings.iter().map(|(heading, _)| *heading);
        let mut text = self.line(&widths, headings);
        for row in &self.rows {
            text.push_str(&self.line(&widths, row.iter().map(String::as_str)));
        }
        text
    }

    fn line<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.zip(widths).zip(&self.headings) {
            let _ = match align {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            };
        }
        format!("{}\n", line.trim_end())
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let mut table = Table::new(&[("TOPIC", Align::Left), ("BYTES", Align::Right)]);
        table.row(["orders".to_owned(), "7".to_owned()]);
        table.row(["é".to_owned(), "1234567".to_owned()]);
        assert_eq!(table.text(), "TOPIC     BYTES\norders        7\né       1234567\n");
    }
}
