//! Line charts: a few curves in colour with their own markers, all others in grey, bands where there is uncertainty.

use crate::axes::Panel;
use crate::figure::{PlotError, require_length};
use crate::page::{Key, Page, Symbol};
use crate::palette::{Ink, OTHERS, SERIES};
use crate::scale::{is_drawable, range, short_number};
use crate::scene::{Dash, MARKERS, Scene};

/// The most points of a curve that are drawn; more cannot be told apart on the page.
const MOST_POINTS: usize = 600;
/// Up to this many points each gets a marker; of more, about this many do.
const MARKED_POINTS: usize = 12;
/// Up to this many points each says its numbers on hover.
const NAMED_POINTS: usize = 80;

/// A named line, with or without a band.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Curve<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// Horizontal positions, ascending.
    pub x: &'a [f64],
    /// Values, one per position; NaN leaves a gap.
    pub y: &'a [f64],
    /// Lower edge of the band, one per position; empty for none.
    pub low: &'a [f64],
    /// Upper edge of the band, one per position; empty for none.
    pub high: &'a [f64],
}

/// Checks that the slices of each curve belong together.
pub(crate) fn require_curves(figure: &'static str, curves: &[Curve<'_>]) -> Result<(), PlotError> {
    for curve in curves {
        require_length(figure, &format!("y of {}", curve.name), curve.x.len(), curve.y.len())?;
        for (field, band) in [("low", curve.low), ("high", curve.high)] {
            let expected = if band.is_empty() && curve.low.len() == curve.high.len() { 0 } else { curve.x.len() };
            require_length(figure, &format!("{field} of {}", curve.name), expected, band.len())?;
        }
    }
    Ok(())
}

/// Every number that a vertical axis must hold, scaled by `factor`.
pub(crate) fn heights<'a>(curves: &'a [Curve<'a>], factor: f64) -> impl Iterator<Item = f64> + 'a {
    curves.iter().flat_map(|curve| curve.y.iter().chain(curve.low).chain(curve.high)).map(move |value| value * factor)
}

/// Every number that a horizontal axis must hold, scaled by `factor`.
pub(crate) fn positions<'a>(curves: &'a [Curve<'a>], factor: f64) -> impl Iterator<Item = f64> + 'a {
    curves.iter().flat_map(|curve| curve.x.iter()).map(move |value| value * factor)
}

/// Whether some curve has a point that can be drawn.
pub(crate) fn any_point(curves: &[Curve<'_>]) -> bool {
    curves.iter().any(|curve| curve.x.iter().zip(curve.y).any(|(x, y)| is_drawable(*x) && is_drawable(*y)))
}

/// The curves that get a colour, in their own order: all of them if they are few, else those that vary most.
pub(crate) fn in_colour(curves: &[Curve<'_>]) -> Vec<usize> {
    let extent = |curve: &Curve<'_>| range(curve.y.iter().copied()).map_or(-1.0, |(low, high)| high - low);
    strongest(&curves.iter().map(extent).collect::<Vec<_>>())
}

/// Positions of the largest values, as many as there are colours, in ascending order.
pub(crate) fn strongest(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    order.truncate(SERIES.len());
    order.sort_unstable();
    order
}

/// The legend of a line chart: the coloured curves, and how many there are beside them.
pub(crate) fn legend(names: &[&str], coloured: &[usize]) -> Vec<Key> {
    let mut keys: Vec<Key> = coloured
        .iter()
        .enumerate()
        .map(|(order, curve)| Key::new(Symbol::MarkedLine(MARKERS[order % MARKERS.len()], SERIES[order % SERIES.len()]), names[*curve]))
        .collect();
    let others = names.len() - coloured.len();
    if 0 < others {
        let text = if others == 1 { "1 other".to_owned() } else { format!("{others} others") };
        keys.push(Key::new(Symbol::Line(Dash::Solid, OTHERS), text));
    }
    keys
}

/// Draws curves into a panel; positions and values are multiplied by the factors first (100 for percent).
pub(crate) fn draw(page: &mut Page, panel: &Panel, curves: &[Curve<'_>], coloured: &[usize], (x_factor, y_factor): (f64, f64)) {
    let points = |curve: &Curve<'_>, values: &[f64]| -> Vec<(f64, f64)> {
        thinned(values.len()).map(|position| (curve.x[position] * x_factor, values[position] * y_factor)).collect()
    };
    for (position, curve) in curves.iter().enumerate().filter(|(position, _)| !coloured.contains(position)) {
        line(&mut page.scene, panel, &points(curve, curve.y), None, OTHERS, curves[position].name);
    }
    for (order, position) in coloured.iter().enumerate() {
        let curve = &curves[*position];
        if !curve.low.is_empty() {
            band(
                &mut page.scene,
                panel,
                &points(curve, curve.low),
                &points(curve, curve.high),
                SERIES[order % SERIES.len()].with_alpha(0.14),
            );
        }
    }
    for (order, position) in coloured.iter().enumerate() {
        let curve = &curves[*position];
        line(&mut page.scene, panel, &points(curve, curve.y), Some(order), SERIES[order % SERIES.len()], curve.name);
    }
}

/// Positions that are drawn: all, or evenly spaced ones with both ends.
fn thinned(n: usize) -> impl Iterator<Item = usize> {
    let drawn = n.min(MOST_POINTS);
    (0..drawn).map(move |step| if drawn < 2 { step } else { step * (n - 1) / (drawn - 1) })
}

fn line(scene: &mut Scene, panel: &Panel, points: &[(f64, f64)], order: Option<usize>, ink: Ink, name: &str) {
    let visible = |point: &(f64, f64)| panel.x_scale.holds(point.0) && panel.y_scale.holds(point.1);
    for run in points.split(|point| !visible(point)).filter(|run| !run.is_empty()) {
        let places: Vec<(f64, f64)> = run.iter().map(|(x, y)| panel.at(*x, *y)).collect();
        let width = if order.is_some() { 2.0 } else { 1.2 };
        if places.len() == 1 && order.is_none() {
            scene.disc(places[0], 2.0, ink);
        }
        scene.stroke(places, width, Dash::Solid, ink);
        scene.hover(name);
        let Some(order) = order else { continue };
        let every = points.len().div_ceil(MARKED_POINTS);
        for (at, (x, y)) in run.iter().enumerate() {
            // Curves start their markers at different points, so that curves on each other can be told apart.
            if (at + order) % every == 0 || run.len() == 1 {
                scene.marker(MARKERS[order % MARKERS.len()], panel.at(*x, *y), 3.6, ink);
            } else if points.len() <= NAMED_POINTS {
                scene.disc(panel.at(*x, *y), 1.4, ink);
            } else {
                continue;
            }
            scene.hover(format!("{name}: {} at {}", short_number(*y), short_number(*x)));
        }
    }
}

fn band(scene: &mut Scene, panel: &Panel, low: &[(f64, f64)], high: &[(f64, f64)], ink: Ink) {
    let within = |y: f64| panel.y(y).clamp(panel.top, panel.bottom);
    let pairs: Vec<(f64, f64, f64)> = low.iter().zip(high).map(|(low, high)| (low.0, low.1, high.1)).collect();
    let visible = |pair: &(f64, f64, f64)| panel.x_scale.holds(pair.0) && is_drawable(pair.1) && is_drawable(pair.2);
    for run in pairs.split(|pair| !visible(pair)).filter(|run| 1 < run.len()) {
        let above = run.iter().map(|(x, _, high)| (panel.x(*x), within(*high)));
        let below = run.iter().rev().map(|(x, low, _)| (panel.x(*x), within(*low)));
        scene.polygon(above.chain(below).collect(), ink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_curves_all_get_a_colour() {
        assert_eq!(strongest(&[1.0, f64::NAN]), [0, 1]);
    }

    #[test]
    fn of_many_curves_the_strongest_get_a_colour() {
        let values: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(strongest(&values), [13, 14, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let kept: Vec<usize> = thinned(10_000).collect();
        assert_eq!((kept.len(), kept[0], kept[599]), (600, 0, 9_999));
        assert_eq!(thinned(3).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
