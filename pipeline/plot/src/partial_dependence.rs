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
    /// Edges of bins of the feature, ascending, such as [`value_bins`]; empty for no histogram.
    pub bin_edges: &'a [f64],
    /// Decisions per bin, one fewer than edges.
    pub counts: &'a [u64],
}

/// How many times its median a feature's largest value is at least where the feature has a long tail.
const TAIL: f64 = 10.0;

/// Whether most values of a feature would lie on top of each other at the low end of a linear axis. `values`: ascending.
fn is_long_tailed(values: &[f64]) -> bool {
    let (Some(least), Some(median), Some(most)) = (values.first(), values.get(values.len() / 2), values.last()) else { return false };
    0.0 < *least && TAIL * median < *most
}

/// Edges of so many bins over the values of a feature: evenly spread, or evenly over their logarithms where the values have a long tail.
///
/// `values`: ascending; edges are two or more, and none without values.
pub fn value_bins(values: &[f64], n_bins: usize) -> Vec<f64> {
    let (Some(&low), Some(&high)) = (values.first(), values.last()) else { return Vec::new() };
    let share = |edge: usize| edge as f64 / n_bins.max(1) as f64;
    let edge = |edge: usize| match is_long_tailed(values) {
        true => low * (high / low).powf(share(edge)),
        false => low + (high - low) * share(edge),
    };
    (0..=n_bins.max(1)).map(edge).collect()
}

/// Draws mean predictions by the value of a feature, above how often each value occurs; values with a long tail on a logarithmic axis.
///
/// # Errors
/// [`PlotError::Length`] unless each curve has one value per position and there is one count per bin.
pub fn partial_dependence(input: &PartialDependence<'_>) -> Result<Figure, PlotError> {
    require_curves("partial_dependence", input.curves)?;
    require_length("partial_dependence", "counts", input.bin_edges.len().saturating_sub(1), input.counts.len())?;
    let is_log = input.curves.iter().all(|curve| is_long_tailed(curve.x));
    let of_scale = if is_log { Scale::log } else { Scale::linear };
    let x = of_scale(positions(input.curves, 1.0).chain(input.bin_edges.iter().copied()).collect::<Vec<f64>>());
    let feature = if is_log { format!("{} (logarithmic)", input.feature) } else { input.feature.to_owned() };
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
    let upper = panel(&mut page, &Axis::new(if most == 0 { &feature } else { "" }, x), &y, 380.0, room);
    draw(&mut page, &upper, input.curves, &coloured, (1.0, 1.0));
    if 0 < most {
        let lower = panel(&mut page, &Axis::new(&feature, x), &counted, 90.0, room);
        for (edges, n) in input.bin_edges.windows(2).zip(input.counts).filter(|(edges, _)| edges.iter().all(|edge| is_drawable(*edge))) {
            let (left, right, top) = (lower.x(edges[0]), lower.x(edges[1]), lower.y(*n as f64));
            page.scene.rect((left, top), (right - left - 1.0).max(1.0), lower.bottom - top, SKY);
            page.scene.hover(format!("n {}", count(*n)));
        }
    }
    render(&page.close())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_of_a_long_tail_are_even_over_the_logarithms() {
        assert_eq!(value_bins(&[1.0, 2.0, 3.0, 4.0], 3), [1.0, 2.0, 3.0, 4.0]);
        let found = value_bins(&[1.0, 2.0, 5.0, 9.0, 1000.0], 3);
        assert!(found.iter().zip([1.0, 10.0, 100.0, 1000.0]).all(|(found, expected)| (found / expected - 1.0).abs() < 1e-12), "{found:?}");
        assert_eq!(value_bins(&[0.0, 1.0, 2.0, 1000.0], 2), [0.0, 500.0, 1000.0], "nothing has no logarithm");
        assert!(value_bins(&[], 3).is_empty());
    }

    #[test]
    fn the_axis_of_a_long_tail_says_that_it_is_logarithmic() {
        let says = |x: &[f64]| {
            let curves = [Curve { name: "fast", x, y: &[0.2, 0.3, 0.4, 0.5], ..Curve::default() }];
            let input = PartialDependence {
                title: "t",
                subtitle: None,
                feature: "characters",
                prediction: "p",
                curves: &curves,
                bin_edges: &value_bins(x, 2),
                counts: &[3, 1],
            };
            partial_dependence(&input).unwrap().svg.contains("characters (logarithmic)")
        };
        assert!(says(&[1.0, 5.0, 10.0, 900.0]) && !says(&[1.0, 5.0, 10.0, 90.0]));
    }
}
