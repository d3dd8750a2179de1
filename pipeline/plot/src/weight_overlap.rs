//! Whether the log says enough about the learned router: importance weights, and who ran what how often.

use crate::axes::{Axis, panel, room_for};
use crate::figure::{Figure, PlotError, render, require_length};
use crate::page::{Key, Page, Symbol, WIDTH};
use crate::palette::{AXIS, BLACK, SKY, VERMILLION};
use crate::rows::{Column, MOST_ROWS, RowsChart, left_out, rows};
use crate::scale::{Scale, count, grouped, is_drawable, range, short_number};
use crate::scene::{Dash, Marker};

/// Importance weights of a policy on a log.
#[derive(Clone, Copy, Debug)]
pub struct WeightOverlap<'a> {
    /// The finding.
    pub title: &'a str,
    /// Policy, window.
    pub subtitle: Option<&'a str>,
    /// Edges of bins of the positive weights, ascending and above 0.
    pub bin_edges: &'a [f64],
    /// Decisions per bin, one fewer than edges.
    pub counts: &'a [u64],
    /// Decisions with weight 0: the policy would not have chosen what ran.
    pub n_zero: u64,
    /// Decisions in all.
    pub n: u64,
    /// Effective sample size.
    pub effective_size: f64,
    /// Largest weight; NaN for unknown.
    pub largest: f64,
    /// One row per path; empty for no second chart.
    pub paths: &'a [PathOverlap<'a>],
}

/// How often a path ran, and how often the policy would run it.
#[derive(Clone, Copy, Debug)]
pub struct PathOverlap<'a> {
    /// The path.
    pub name: &'a str,
    /// Share of decisions that ran it, in 0..=1.
    pub logged: f64,
    /// Share of decisions for which the policy chooses it, in 0..=1.
    pub target: f64,
}

/// Draws the distribution of the positive weights, then per path the share in the log beside the share under the policy.
///
/// # Errors
/// [`PlotError::Length`] unless there is one count per bin.
pub fn weight_overlap(input: &WeightOverlap<'_>) -> Result<Figure, PlotError> {
    require_length("weight_overlap", "counts", input.bin_edges.len().saturating_sub(1), input.counts.len())?;
    let x = Scale::log(input.bin_edges.iter().copied()).filter(|_| input.counts.iter().any(|n| 0 < *n));
    let shown: Vec<&PathOverlap<'_>> = input.paths.iter().take(MOST_ROWS).collect();
    let shares = range(shown.iter().flat_map(|path| [path.logged * 100.0, path.target * 100.0]));
    if x.is_none() && shares.is_none() {
        return render(&Page::without_data(input.title, input.subtitle, "no decision has a positive weight"));
    }
    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let zero_share = if input.n == 0 { f64::NAN } else { input.n_zero as f64 / input.n as f64 * 100.0 };
    page.note(&format!(
        "{} decisions, effective sample size {}, largest weight {}, weight 0 for {} ({} %).",
        count(input.n),
        short_number(input.effective_size),
        short_number(input.largest),
        count(input.n_zero),
        grouped(zero_share, 1),
    ));
    page.bottom += 8.0;
    if let Some(x) = x {
        weights(&mut page, input, x);
    }
    if let Some(scale) = shares.and_then(|(low, high)| Scale::linear([low.min(0.0), high])) {
        page.bottom += 10.0;
        overlap(&mut page, &shown, scale.within(0.0, 100.0));
        left_out(&mut page, input.paths.len(), "paths");
    }
    render(&page.close())
}

fn weights(page: &mut Page, input: &WeightOverlap<'_>, x: Scale) {
    let most = input.counts.iter().copied().max().unwrap_or(1) as f64;
    let y = Axis::new("decisions", Scale::Linear { low: 0.0, high: most * 1.08 });
    page.legend(&[Key::new(Symbol::Band(SKY), "positive weights"), Key::new(Symbol::Line(Dash::Dashed, BLACK), "weight 1: as in the log")]);
    let panel = panel(page, &Axis::new("importance weight (logarithmic)", x), &y, 240.0, room_for(&y, 240.0));
    for (edges, n) in input.bin_edges.windows(2).zip(input.counts) {
        if edges.iter().any(|edge| !is_drawable(*edge) || *edge <= 0.0) {
            continue;
        }
        let (left, right, top) = (panel.x(edges[0]), panel.x(edges[1]), panel.y(*n as f64));
        page.scene.rect((left, top), (right - left - 1.0).max(1.0), panel.bottom - top, SKY);
        page.scene.hover(format!("weight {} to {}: {}", short_number(edges[0]), short_number(edges[1]), count(*n)));
    }
    if x.holds(1.0) {
        page.scene.stroke(vec![(panel.x(1.0), panel.top), (panel.x(1.0), panel.bottom)], 1.4, Dash::Dashed, BLACK);
    }
}

fn overlap(page: &mut Page, paths: &[&PathOverlap<'_>], scale: Scale) {
    page.legend(&[
        Key::new(Symbol::Marker(Marker::Diamond, BLACK), "share in the log"),
        Key::new(Symbol::Marker(Marker::Disc, VERMILLION), "share under the learned router"),
    ]);
    let written = |value: fn(&PathOverlap<'_>) -> f64| paths.iter().map(|path| grouped(value(path) * 100.0, 1)).collect();
    let chart = RowsChart {
        names: paths.iter().map(|path| path.name).collect(),
        strong: None,
        axis: Axis::new("share of decisions (%)", scale),
        columns: vec![
            Column { head: "log %".to_owned(), cells: written(|path| path.logged) },
            Column { head: "learned %".to_owned(), cells: written(|path| path.target) },
        ],
        references: Vec::new(),
        row_height: (26.0, 19.0),
    };
    let panel = rows(page, &chart);
    for (row, path) in paths.iter().enumerate() {
        let y = panel.middle(row);
        let (logged, target) = (path.logged * 100.0, path.target * 100.0);
        if scale.holds(logged) && scale.holds(target) {
            page.scene.line((panel.x(logged), y), (panel.x(target), y), 2.0, AXIS);
        }
        for (value, marker, ink, what) in [(logged, Marker::Diamond, BLACK, "log"), (target, Marker::Disc, VERMILLION, "learned")] {
            if scale.holds(value) {
                page.scene.marker(marker, (panel.x(value), y), 4.2, ink);
                page.scene.hover(format!("{}, {what}: {} %", path.name, grouped(value, 2)));
            }
        }
    }
}
