//! What it costs to let the learned router decide more often: error by the share of queries it takes.

use crate::axes::{Axis, panel, room_for};
use crate::curves::{Curve, any_point, draw, heights, in_colour, legend, positions, require_curves};
use crate::figure::{Figure, PlotError, render};
use crate::page::{Key, Page, Symbol, WIDTH};
use crate::palette::BLACK;
use crate::scale::{Scale, grouped, is_drawable};
use crate::scene::{Dash, Marker};

/// Risk by coverage.
#[derive(Clone, Copy, Debug)]
pub struct RiskCoverage<'a> {
    /// The finding.
    pub title: &'a str,
    /// What risk is here.
    pub subtitle: Option<&'a str>,
    /// `x`: share of queries routed by the model; `y`: share of failures among them; both in 0..=1.
    pub curves: &'a [Curve<'a>],
    /// The thresholds in use.
    pub operating_points: &'a [OperatingPoint<'a>],
    /// What the vertical axis is called; `(%)` is added.
    pub risk: &'a str,
}

/// A point of the curve that a threshold picks.
#[derive(Clone, Copy, Debug)]
pub struct OperatingPoint<'a> {
    /// Such as `confidence ≥ 0.7`.
    pub name: &'a str,
    /// Share of queries routed by the model, in 0..=1.
    pub coverage: f64,
    /// Share of failures among them, in 0..=1.
    pub risk: f64,
}

/// The markers of operating points, in their order: readable without colour.
const POINT_MARKERS: [Marker; 3] = [Marker::Square, Marker::Diamond, Marker::Triangle];

/// Draws risk by coverage, with the operating points on it.
///
/// # Errors
/// [`PlotError::Length`] unless each curve has one value per position.
pub fn risk_coverage(input: &RiskCoverage<'_>) -> Result<Figure, PlotError> {
    require_curves("risk_coverage", input.curves)?;
    let points = || input.operating_points.iter().filter(|point| is_drawable(point.coverage) && is_drawable(point.risk));
    let x = Scale::linear(positions(input.curves, 100.0).chain(points().map(|point| point.coverage * 100.0)).chain([0.0, 100.0]));
    let y = Scale::linear(heights(input.curves, 100.0).chain(points().map(|point| point.risk * 100.0)).chain([0.0]));
    let (Some(x), Some(y), true) = (x, y, any_point(input.curves)) else {
        return render(&Page::without_data(input.title, input.subtitle, "there is no point on the curve"));
    };
    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let coloured = in_colour(input.curves);
    let names: Vec<&str> = input.curves.iter().map(|curve| curve.name).collect();
    let mut keys = legend(&names, &coloured);
    keys.extend(points().zip(POINT_MARKERS.iter().cycle()).map(|(point, marker)| Key::new(Symbol::Marker(*marker, BLACK), point.name)));
    page.legend(&keys);
    let title = format!("{} (%)", input.risk);
    let (x, y) = (Axis::new("coverage: queries routed by the model (%)", x.within(0.0, 100.0)), Axis::new(&title, y.within(0.0, 100.0)));
    let panel = panel(&mut page, &x, &y, 420.0, room_for(&y, 420.0));
    draw(&mut page, &panel, input.curves, &coloured, (100.0, 100.0));
    for (point, marker) in points().zip(POINT_MARKERS.iter().cycle()) {
        if !panel.x_scale.holds(point.coverage * 100.0) || !panel.y_scale.holds(point.risk * 100.0) {
            continue;
        }
        let (x, y) = panel.at(point.coverage * 100.0, point.risk * 100.0);
        page.scene.stroke(vec![(x, panel.bottom), (x, y), (panel.left, y)], 1.0, Dash::Dashed, BLACK);
        page.scene.marker(*marker, (x, y), 5.0, BLACK);
        let (coverage, risk) = (grouped(point.coverage * 100.0, 1), grouped(point.risk * 100.0, 2));
        page.scene.hover(format!("{}: coverage {coverage} %, risk {risk} %", point.name));
    }
    render(&page.close())
}
