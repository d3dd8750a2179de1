//! How predictions move with one feature, everything else left as it was.

use crate::axes::{Axis, panel, room_for};
use crate::curves::{Curve, any_point, draw, heights, in_colour, legend, positions, require_curves};
use crate::figure::{Figure, PlotError, render, require_length};
use crate::page::{Page, WIDTH};
use crate::palette::SKY;
use crate::scale::{Scale, count, is_drawable};

/// Predictions by the value of one feature.
#[derive(Clone, Copy, Debug)]
pub struct PartialDependence<'a> {
    /// The finding.
    pub title: &'a str,
    /// Model, number of decisions averaged.
    pub subtitle: Option<&'a str>,
    /// The feature, with its unit.
    pub feature: &'a str,
    /// What is predicted, with its unit.
    pub prediction: &'a str,
    /// `x`: values of the feature; `y`: mean prediction; one curve per path or outcome.
    pub curves: &'a [Curve<'a>],
    /// Edges of bins of the feature, ascending; empty for no histogram.
    pub bin_edges: &'a [f64],
    /// Decisions per bin, one fewer than edges.
    pub counts: &'a [u64],
}

/// Draws mean predictions by the value of a feature, above how often each value occurs.
///
/// # Errors
/// [`PlotError::Length`] unless each curve has one value per position and there is one count per bin.
pub fn partial_dependence(input: &PartialDependence<'_>) -> Result<Figure, PlotError> {
    require_curves("partial_dependence", input.curves)?;
    require_length("partial_dependence", "counts", input.bin_edges.len().saturating_sub(1), input.counts.len())?;
    let x = Scale::linear(positions(input.curves, 1.0).chain(input.bin_edges.iter().copied()));
    let (Some(x), Some(y), true) = (x, Scale::linear(heights(input.curves, 1.0)), any_point(input.curves)) else {
        return render(&Page::without_data(input.title, input.subtitle, "no value of the feature has a prediction"));
    };
    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let coloured = in_colour(input.curves);
    let names: Vec<&str> = input.curves.iter().map(|curve| curve.name).collect();
    page.legend(&legend(&names, &coloured));
    let most = input.counts.iter().copied().max().unwrap_or(0);
    let y = Axis::new(input.prediction, y);
    let counted = Axis::new("decisions", Scale::Linear { low: 0.0, high: most.max(1) as f64 * 1.08 });
    let room = room_for(&y, 380.0).max(room_for(&counted, 90.0));
    let upper = panel(&mut page, &Axis::new(if most == 0 { input.feature } else { "" }, x), &y, 380.0, room);
    draw(&mut page, &upper, input.curves, &coloured, (1.0, 1.0));
    if 0 < most {
        let lower = panel(&mut page, &Axis::new(input.feature, x), &counted, 90.0, room);
        for (edges, n) in input.bin_edges.windows(2).zip(input.counts).filter(|(edges, _)| edges.iter().all(|edge| is_drawable(*edge))) {
            let (left, right, top) = (lower.x(edges[0]), lower.x(edges[1]), lower.y(*n as f64));
            page.scene.rect((left, top), (right - left - 1.0).max(1.0), lower.bottom - top, SKY);
            page.scene.hover(format!("n {}", count(*n)));
        }
    }
    render(&page.close())
}
