//! Tables of coloured cells: row names at the left, column names above, upright where they fit and turned where they do not.

use crate::page::{MARGIN, NAME_SIZE, Page, SMALL_SIZE, hatch};
use crate::palette::{AXIS, Ink, TEXT, ramp, text_on};
use crate::scene::Label;
use crate::text::{self, Weight};

/// Names are shortened to this width.
const NAME_ROOM: f64 = 230.0;
/// Space that a name needs along the other side.
const NAME_LINE: f64 = 14.0;
/// The most lines of a column name.
const NAME_LINES: usize = 4;
/// From this width on, names of columns stand upright, in several lines if need be.
const UPRIGHT_FROM: f64 = 70.0;
/// Turned names are shortened to this width.
const TURNED_ROOM: f64 = 190.0;
/// The most cells along a side; beyond it a table is no picture.
pub(crate) const MOST_CELLS: usize = 200;

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// `None` marks it as empty.
    pub fill: Option<Ink>,
    /// The number people look for.
    pub main: String,
    /// The number behind it; empty for none.
    pub minor: String,
    pub hover: String,
}

/// A table without its cells.
#[derive(Clone, Debug)]
pub(crate) struct Grid<'a> {
    pub row_axis: &'a str,
    pub column_axis: &'a str,
    pub rows: Vec<&'a str>,
    pub columns: Vec<&'a str>,
    /// Width and height of a cell, in pixels.
    pub cell: (f64, f64),
}

impl Grid<'_> {
    fn row_room(&self) -> f64 {
        let names: Vec<String> = self.rows.iter().map(|name| text::shorten(name, NAME_ROOM, NAME_SIZE)).collect();
        let caption = text::width(&self.row_caption(), NAME_SIZE, Weight::Bold);
        text::widest(names.iter().map(String::as_str), NAME_SIZE).max(caption) + 10.0
    }

    fn row_caption(&self) -> String {
        format!("{} ↓", text::shorten(self.row_axis, NAME_ROOM, NAME_SIZE))
    }

    /// The width of a page that holds the table.
    pub(crate) fn page_width(&self) -> f64 {
        (MARGIN * 2.0 + self.row_room() + self.cell.0 * self.columns.len() as f64 + 6.0).max(640.0)
    }

    /// Draws names and cells, and moves the page's end below them.
    pub(crate) fn draw(&self, page: &mut Page, cell: impl Fn(usize, usize) -> Option<Cell>) {
        let (width, height) = self.cell;
        let left = MARGIN + self.row_room();
        let (right, rows_height) = (left + width * self.columns.len() as f64, height * self.rows.len() as f64);
        let caption = text::shorten(self.column_axis, (page.right() - left) * 0.85, NAME_SIZE);
        page.scene.label(Label::new(format!("{caption} →"), (left, page.bottom + 8.0), NAME_SIZE, TEXT).bold());
        let top = self.column_names(page, left);
        page.scene.label(Label::new(self.row_caption(), (left - 8.0, top - 12.0), NAME_SIZE, TEXT).ending().bold());
        let every = (NAME_LINE / height).ceil().max(1.0) as usize;
        for (row, name) in self.rows.iter().enumerate().step_by(every) {
            let at = (left - 8.0, top + (row as f64 + 0.5) * height);
            page.scene.label(Label::new(text::shorten(name, NAME_ROOM, NAME_SIZE), at, NAME_SIZE, TEXT).ending());
            page.scene.hover(*name);
        }
        page.scene.rect((left, top), right - left, rows_height, ramp(0.0));
        for row in 0..self.rows.len() {
            for column in 0..self.columns.len() {
                let at = (left + column as f64 * width, top + row as f64 * height);
                if let Some(cell) = cell(row, column) {
                    draw_cell(page, at, self.cell, cell);
                }
            }
        }
        page.scene.outline((left, top), right - left, rows_height, 1.0, AXIS);
        page.bottom = top + rows_height + 10.0;
    }

    /// Writes the names of the columns: across and broken into lines where cells are wide, else turned; returns where the cells start.
    fn column_names(&self, page: &mut Page, left: f64) -> f64 {
        let (width, _) = self.cell;
        let broken: Vec<Vec<String>> = self.columns.iter().map(|name| text::break_name(name, width - 6.0, NAME_SIZE, NAME_LINES)).collect();
        let upright = UPRIGHT_FROM <= width || broken.iter().all(|lines| lines.len() == 1 && !lines[0].contains('…'));
        if upright {
            let n_lines = broken.iter().map(Vec::len).max().unwrap_or(1);
            let top = page.bottom + 24.0 + n_lines as f64 * NAME_LINE;
            for (column, lines) in broken.iter().enumerate() {
                for (line, name) in lines.iter().rev().enumerate() {
                    let at = (left + (column as f64 + 0.5) * width, top - 12.0 - line as f64 * NAME_LINE);
                    page.scene.label(Label::new(name.as_str(), at, NAME_SIZE, TEXT).centred());
                    page.scene.hover(self.columns[column]);
                }
            }
            return top;
        }
        let names: Vec<String> = self.columns.iter().map(|name| text::shorten(name, TURNED_ROOM, NAME_SIZE)).collect();
        let top = page.bottom + 30.0 + text::widest(names.iter().map(String::as_str), NAME_SIZE);
        let every = (NAME_LINE / width).ceil().max(1.0) as usize;
        for (column, name) in names.iter().enumerate().step_by(every) {
            let middle = left + (column as f64 + 0.5) * width;
            page.scene.label(Label::new(name.as_str(), (middle, top - 6.0), NAME_SIZE, TEXT).upwards());
            page.scene.hover(self.columns[column]);
        }
        top
    }
}

fn draw_cell(page: &mut Page, (x, y): (f64, f64), (width, height): (f64, f64), cell: Cell) {
    let gap = if width < 12.0 || height < 12.0 { 0.0 } else { 1.0 };
    match cell.fill {
        Some(fill) => page.scene.rect((x, y), width - gap, height - gap, fill),
        None => hatch(&mut page.scene, (x + 0.5, y + 0.5), (width - gap - 1.0, height - gap - 1.0)),
    }
    page.scene.hover(cell.hover);
    let ink = cell.fill.map_or(TEXT, text_on);
    let room = width - 5.0;
    let minor_size = SMALL_SIZE - 1.0;
    let (main, minor) = (text::regular_width(&cell.main, SMALL_SIZE), text::regular_width(&cell.minor, minor_size));
    let middle = (x + (width - gap) / 2.0, y + (height - gap) / 2.0);
    if cell.fill.is_none() || height < 13.0 || room < main {
        return;
    }
    if cell.minor.is_empty() || room < minor {
        page.scene.label(Label::new(cell.main, middle, SMALL_SIZE, ink).centred());
    } else if 30.0 <= height {
        page.scene.label(Label::new(cell.main, (middle.0, middle.1 - 7.0), SMALL_SIZE, ink).centred());
        page.scene.label(Label::new(cell.minor, (middle.0, middle.1 + 8.0), minor_size, ink).centred());
    } else if main + minor + 12.0 <= width {
        page.scene.label(Label::new(cell.main, (x + 6.0, middle.1), SMALL_SIZE, ink));
        page.scene.label(Label::new(cell.minor, (x + width - gap - 6.0, middle.1), minor_size, ink).ending());
    } else {
        page.scene.label(Label::new(cell.main, middle, SMALL_SIZE, ink).centred());
    }
}
