//! How long each path takes: the whole distribution, its median and its tail.

use crate::axes::Axis;
use crate::figure::{Figure, PlotError, render, require_length};
use crate::page::{Key, Page, Symbol, WIDTH};
use crate::palette::{BLUE, Ink, ORANGE, SKY, VERMILLION};
use crate::rows::{Column, MOST_ROWS, RowsChart, RowsPanel, left_out, rows};
use crate::scale::{Scale, count, is_drawable, short_number};
use crate::scene::{Marker, Scene};

/// Latencies of all paths.
#[derive(Clone, Copy, Debug)]
pub struct LatencyByPath<'a> {
    /// The finding.
    pub title: &'a str,
    /// What was measured.
    pub subtitle: Option<&'a str>,
    /// One row per path, in drawing order.
    pub paths: &'a [PathLatency<'a>],
    /// Edges of the histogram bins shared by all paths, in milliseconds, ascending; empty when there are only quantiles.
    pub bin_edges_ms: &'a [f64],
}

/// The latencies of one path.
#[derive(Clone, Copy, Debug)]
pub struct PathLatency<'a> {
    /// The path.
    pub name: &'a str,
    /// Decisions measured.
    pub n: u64,
    /// Median, in milliseconds; NaN for unknown.
    pub p50_ms: f64,
    /// 95 % are faster, in milliseconds; NaN for unknown.
    pub p95_ms: f64,
    /// 99 % are faster, in milliseconds; NaN for unknown.
    pub p99_ms: f64,
    /// Decisions per bin, one fewer than edges; empty for none.
    pub counts: &'a [u64],
}

const QUANTILES: [(&str, Marker, Ink); 3] =
    [("p50", Marker::Disc, BLUE), ("p95", Marker::Diamond, ORANGE), ("p99", Marker::Triangle, VERMILLION)];

/// Draws one row per path on a logarithmic axis: the histogram as a ridge, p50, p95 and p99 as markers and as numbers.
///
/// # Errors
/// [`PlotError::Length`] unless each path has no counts, or one per bin.
pub fn latency_by_path(input: &LatencyByPath<'_>) -> Result<Figure, PlotError> {
    for path in input.paths {
        let expected = if path.counts.is_empty() { 0 } else { input.bin_edges_ms.len().saturating_sub(1) };
        require_length("latency_by_path", &format!("counts of {}", path.name), expected, path.counts.len())?;
    }
    let shown = &input.paths[..input.paths.len().min(MOST_ROWS)];
    let quantiles = shown.iter().flat_map(|path| [path.p50_ms, path.p95_ms, path.p99_ms]);
    let Some(scale) = Scale::log(quantiles.chain(shown.iter().flat_map(|path| filled_edges(input.bin_edges_ms, path.counts)))) else {
        return render(&Page::without_data(input.title, input.subtitle, "no path has a positive latency"));
    };
    let written = |value: fn(&PathLatency<'_>) -> f64| shown.iter().map(|path| short_number(value(path))).collect();
    let columns = vec![
        Column { head: "p50 ms".to_owned(), cells: written(|path| path.p50_ms) },
        Column { head: "p95 ms".to_owned(), cells: written(|path| path.p95_ms) },
        Column { head: "p99 ms".to_owned(), cells: written(|path| path.p99_ms) },
        Column { head: "n".to_owned(), cells: shown.iter().map(|path| count(path.n)).collect() },
    ];
    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let mut keys: Vec<Key> = QUANTILES.iter().map(|(name, marker, ink)| Key::new(Symbol::Marker(*marker, *ink), *name)).collect();
    if shown.iter().any(|path| !path.counts.is_empty()) {
        keys.push(Key::new(Symbol::Band(SKY.with_alpha(0.45)), "distribution, each path by its own peak"));
    }
    page.legend(&keys);
    let chart = RowsChart {
        names: shown.iter().map(|path| path.name).collect(),
        strong: None,
        axis: Axis::new("latency (ms, logarithmic)", scale),
        columns,
        references: Vec::new(),
        row_height: (40.0, 24.0),
    };
    let panel = rows(&mut page, &chart);
    for (row, path) in shown.iter().enumerate() {
        let y = panel.middle(row);
        ridge(&mut page.scene, &panel, input.bin_edges_ms, path.counts, y + panel.row_height * 0.42);
        let values = [path.p50_ms, path.p95_ms, path.p99_ms];
        if let (true, true) = (panel.scale.holds(path.p50_ms), panel.scale.holds(path.p99_ms)) {
            page.scene.line((panel.x(path.p50_ms), y), (panel.x(path.p99_ms), y), 1.4, BLUE);
        }
        for ((name, marker, ink), value) in QUANTILES.iter().zip(values).rev() {
            if panel.scale.holds(value) {
                page.scene.marker(*marker, (panel.x(value), y), 4.4, *ink);
                page.scene.hover(format!("{} {name}: {} ms", path.name, short_number(value)));
            }
        }
    }
    left_out(&mut page, input.paths.len(), "paths");
    render(&page.close())
}

/// The edges of the bins from the first to the last that holds something.
fn filled_edges(edges: &[f64], counts: &[u64]) -> Vec<f64> {
    let first = counts.iter().position(|n| 0 < *n);
    let last = counts.iter().rposition(|n| 0 < *n);
    match (first, last) {
        (Some(first), Some(last)) => edges[first..=last + 1].to_vec(),
        _ => Vec::new(),
    }
}

/// A histogram as a filled step line that stands on `base`.
fn ridge(scene: &mut Scene, panel: &RowsPanel, edges: &[f64], counts: &[u64], base: f64) {
    let most = counts.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let height = panel.row_height * 0.8;
    let mut points = Vec::new();
    for (bin, n) in counts.iter().enumerate() {
        let (from, to) = (edges[bin], edges[bin + 1]);
        if *n == 0 && points.is_empty() {
            continue;
        }
        let place = |edge: f64| if is_drawable(edge) && 0.0 < edge { Some(panel.x_within(edge)) } else { None };
        let (from, to) = (place(from).unwrap_or(panel.left), place(to).unwrap_or(panel.right));
        let y = base - height * *n as f64 / most as f64;
        if points.is_empty() {
            points.push((from, base));
        }
        points.push((from, y));
        points.push((to, y));
    }
    if let Some((x, _)) = points.last().copied() {
        points.push((x, base));
    }
    scene.polygon(points, SKY.with_alpha(0.45));
}
