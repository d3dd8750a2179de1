//! Which path was chosen where which path was right.

use crate::cells::{Cell, Grid, MOST_CELLS};
use crate::figure::{Figure, PlotError, render, require_length};
use crate::page::{Key, Page, Symbol};
use crate::palette::ramp;
use crate::scale::{count, grouped, short_count};

/// A confusion matrix of a router.
#[derive(Clone, Copy, Debug)]
pub struct ConfusionMatrix<'a> {
    /// The finding.
    pub title: &'a str,
    /// What was counted.
    pub subtitle: Option<&'a str>,
    /// The paths, in the order of the matrix.
    pub paths: &'a [&'a str],
    /// Decisions: `counts[right * paths.len() + chosen]`.
    pub counts: &'a [u64],
    /// What a row is, such as `best path`.
    pub row_axis: &'a str,
    /// What a column is, such as `path chosen by the learned router`.
    pub column_axis: &'a str,
}

/// Draws counts and shares of each row; rows without a decision are struck through.
///
/// # Errors
/// [`PlotError::Length`] unless there is one count per pair of paths.
pub fn confusion_matrix(input: &ConfusionMatrix<'_>) -> Result<Figure, PlotError> {
    let n_paths = input.paths.len();
    require_length("confusion_matrix", "counts", n_paths * n_paths, input.counts.len())?;
    if input.counts.iter().all(|n| *n == 0) {
        return render(&Page::without_data(input.title, input.subtitle, "the matrix holds no decision"));
    }
    let totals: Vec<f64> = input.counts.chunks(n_paths).map(|row| row.iter().map(|n| *n as f64).sum()).collect();
    let n_drawn = n_paths.min(MOST_CELLS);
    let cell = match n_drawn {
        0..=8 => (92.0, 38.0),
        9..=12 => (72.0, 38.0),
        13..=24 => (48.0, 32.0),
        25..=80 => (27.0, 19.0),
        _ => (7.0, 7.0),
    };
    let names = input.paths[..n_drawn].to_vec();
    let grid = Grid { row_axis: input.row_axis, column_axis: input.column_axis, rows: names.clone(), columns: names, cell };
    let mut page = Page::open(input.title, input.subtitle, grid.page_width());
    let what = if n_drawn <= 24 { "share of the row, 0 to 100 %, and decisions" } else { "share of the row, 0 to 100 (%)" };
    page.legend(&[Key::new(Symbol::Ramp, what), Key::new(Symbol::Hatch, "no decision in the row")]);
    grid.draw(&mut page, |row, column| {
        let n = input.counts[row * n_paths + column];
        let (right, chosen) = (input.paths[row], input.paths[column]);
        let hover = format!("{right} → {chosen}: {} of {}", count(n), count(totals[row] as u64));
        if totals[row] <= 0.0 {
            return Some(Cell { fill: None, main: String::new(), minor: String::new(), hover });
        }
        if n == 0 {
            return None;
        }
        let share = n as f64 / totals[row];
        let written = if share * 100.0 <= 0.5 { "<1".to_owned() } else { grouped(share * 100.0, 0) };
        let (main, minor) = if n_drawn <= 24 { (format!("{written} %"), short_count(n)) } else { (written, String::new()) };
        Some(Cell { fill: Some(ramp(share)), main, minor, hover })
    });
    if n_drawn < n_paths {
        page.note(&format!("Only the first {MOST_CELLS} paths are drawn."));
    }
    render(&page.close())
}
