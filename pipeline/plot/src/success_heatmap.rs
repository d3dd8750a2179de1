//! Success rate by query type and path: where each path is good, and where nobody has looked.

use crate::cells::{Cell, Grid, MOST_CELLS};
use crate::figure::{Figure, PlotError, render, require_length};
use crate::page::{Key, Page, Symbol};
use crate::palette::ramp;
use crate::scale::{count, grouped, range, short_count};

/// Columns that fit on a page with room in each for a rate and a count.
const MOST_WIDE_COLUMNS: usize = 12;

/// Success rates of paths on query types.
#[derive(Clone, Copy, Debug)]
pub struct SuccessHeatmap<'a> {
    /// The finding.
    pub title: &'a str,
    /// What was counted.
    pub subtitle: Option<&'a str>,
    /// Columns of the picture; its rows, where there are too many for columns and fewer paths.
    pub query_types: &'a [&'a str],
    /// Rows of the picture; its columns, where the query types are its rows.
    pub paths: &'a [&'a str],
    /// Share of successes in 0..=1, query type by query type: `rates[query_type * paths.len() + path]`; NaN for unknown.
    pub rates: &'a [f64],
    /// Decisions behind each rate, in the same order; 0 marks an empty cell.
    pub counts: &'a [u64],
}

/// Draws the success rate and the number of decisions of each query type on each path; empty cells are struck through.
///
/// # Errors
/// [`PlotError::Length`] unless there is one rate and one count per cell.
pub fn success_heatmap(input: &SuccessHeatmap<'_>) -> Result<Figure, PlotError> {
    let n_cells = input.query_types.len() * input.paths.len();
    require_length("success_heatmap", "rates", n_cells, input.rates.len())?;
    require_length("success_heatmap", "counts", n_cells, input.counts.len())?;
    let known = |position: usize| Some(input.rates[position]).filter(|rate| rate.is_finite() && 0 < input.counts[position]);
    let Some((low, high)) = range((0..n_cells).filter_map(known)) else {
        return render(&Page::without_data(input.title, input.subtitle, "no query type has a decision on any path"));
    };
    let (low, high) = ((low * 20.0).floor() / 20.0, (high * 20.0).ceil() / 20.0);
    let (low, high) = if high - low < 0.05 { (low - 0.05, high + 0.05) } else { (low, high) };

    let (paths, query_types) =
        (&input.paths[..input.paths.len().min(MOST_CELLS)], &input.query_types[..input.query_types.len().min(MOST_CELLS)]);
    // More query types than fit on a page side by side stand below each other, where there are fewer paths.
    let types_below = MOST_WIDE_COLUMNS < query_types.len() && paths.len() < query_types.len();
    let sides = [("path", paths), ("query type", query_types)];
    let [(row_axis, rows), (column_axis, columns)] = if types_below { [sides[1], sides[0]] } else { sides };
    let grid = Grid {
        row_axis,
        column_axis,
        rows: rows.to_vec(),
        columns: columns.to_vec(),
        cell: (if columns.len() <= MOST_WIDE_COLUMNS { 92.0 } else { 60.0 }, if rows.len() <= 20 { 38.0 } else { 24.0 }),
    };
    let mut page = Page::open(input.title, input.subtitle, grid.page_width());
    let keys = [
        Key::new(Symbol::Ramp, format!("success rate {} to {} %, and decisions", grouped(low * 100.0, 0), grouped(high * 100.0, 0))),
        Key::new(Symbol::Hatch, "no decision"),
    ];
    page.legend(&keys);
    grid.draw(&mut page, |row, column| {
        let (path, kind) = if types_below { (column, row) } else { (row, column) };
        let position = kind * input.paths.len() + path;
        let (path, kind, n) = (input.paths[path], input.query_types[kind], input.counts[position]);
        Some(match known(position) {
            Some(rate) => Cell {
                fill: Some(ramp((rate - low) / (high - low))),
                main: format!("{} %", grouped(rate * 100.0, 1)),
                minor: short_count(n),
                hover: format!("{kind}, {path}: {} % of {}", grouped(rate * 100.0, 2), count(n)),
            },
            None => Cell { fill: None, main: String::new(), minor: String::new(), hover: format!("{kind}, {path}: no decision") },
        })
    });
    if paths.len() < input.paths.len() || query_types.len() < input.query_types.len() {
        page.note(&format!("Only the first {MOST_CELLS} paths and query types are drawn."));
    }
    render(&page.close())
}
