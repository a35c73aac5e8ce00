//! Tables for people.

use super::text::{Line, Style};

/// Between two columns.
const GAP: &str = "  ";
/// No column is made narrower than this.
const NARROWEST: usize = 8;

/// A column's name and how it is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    to_the_right: bool,
    gives_way: bool,
}

impl Column {
    /// Text.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, to_the_right: false, gives_way: false }
    }

    /// Numbers, one under the other.
    pub(crate) const fn number(name: &'static str) -> Self {
        Self { name, to_the_right: true, gives_way: false }
    }

    /// Text that is cut where the terminal is too narrow.
    pub(crate) const fn long(name: &'static str) -> Self {
        Self { name, to_the_right: false, gives_way: true }
    }
}

/// Rows under the names of their columns.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Line>>,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row<L: Into<Line>>(&mut self, cells: impl IntoIterator<Item = L>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table as lines that end with a new line each; without a width nothing is cut.
    pub(super) fn render(self, color: bool, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let Self { columns, rows } = self;
        let head = columns.iter().map(|column| Line::styled(Style::Bold, column.name)).collect();
        let mut out = String::new();
        for row in std::iter::once(head).chain(rows) {
            let start = out.len();
            for ((cell, column), width) in row.into_iter().zip(&columns).zip(&widths) {
                if out.len() > start {
                    out.push_str(GAP);
                }
                let cell = cell.cut(*width);
                let room = " ".repeat(width - cell.width().min(*width));
                if column.to_the_right {
                    out.push_str(&room);
                }
                cell.write(color, &mut out);
                if !column.to_the_right {
                    out.push_str(&room);
                }
            }
            out.truncate(start + out[start..].trim_end_matches(' ').len());
            out.push('\n');
        }
        out
    }

    fn widths(&self, most: Option<usize>) -> Vec<usize> {
        let of_column = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(Line::width);
            cells.fold(column.name.len(), usize::max)
        };
        let mut widths: Vec<_> = self.columns.iter().enumerate().map(of_column).collect();
        let Some(most) = most else { return widths };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > most {
            // The widest of those that may give way, one column at a time.
            let candidates =
                self.columns.iter().zip(widths.iter_mut()).filter(|(column, _)| column.gives_way);
            let widest = candidates.map(|(_, width)| width).max_by_key(|width| **width);
            match widest {
                Some(width) if *width > NARROWEST => *width -= 1,
                _ => break,
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([Column::text("QUEUE"), Column::number("JOBS"), Column::long("ERROR")]);
        table.row(["emails", "7", "connection refused by the mail server"]);
        table.row(["x", "12345", ""]);
        table
    }

    #[test]
    fn columns_stand_under_their_names() {
        let text = "\
QUEUE    JOBS  ERROR
emails      7  connection refused by the mail server
x       12345
";
        assert_eq!(table().render(false, None), text);
    }

    #[test]
    fn what_may_give_way_does_so_on_a_narrow_terminal() {
        let text = "\
QUEUE    JOBS  ERROR
emails      7  connection ref…
x       12345
";
        assert_eq!(table().render(false, Some(30)), text);
        assert!(table().render(false, Some(5)).contains("connect…"));
    }
}
