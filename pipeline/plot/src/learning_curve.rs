//! Whether more decisions would make the model better.

use crate::axes::{Axis, panel, room_for};
use crate::curves::{Curve, any_point, draw, heights, in_colour, legend, positions, require_curves};
use crate::figure::{Figure, PlotError, render};
use crate::page::{Page, WIDTH};
use crate::scale::{Scale, range};

/// Scores by size of the training set.
#[derive(Clone, Copy, Debug)]
pub struct LearningCurve<'a> {
    /// The finding.
    pub title: &'a str,
    /// Model, folds.
    pub subtitle: Option<&'a str>,
    /// `x`: decisions trained on; `y`: score; `low` and `high`: its spread over folds or repetitions.
    pub curves: &'a [Curve<'a>],
    /// What the score is, with its unit.
    pub score: &'a str,
}

/// Sizes that span more than this factor are drawn on a logarithmic axis.
const LOG_FROM: f64 = 8.0;

/// Draws scores with their spread by the size of the training set.
///
/// # Errors
/// [`PlotError::Length`] unless each curve has one value (and one band) per position.
pub fn learning_curve(input: &LearningCurve<'_>) -> Result<Figure, PlotError> {
    require_curves("learning_curve", input.curves)?;
    let logarithmic = range(positions(input.curves, 1.0)).is_some_and(|(low, high)| 0.0 < low && LOG_FROM < high / low);
    let (x, x_title) = if logarithmic {
        (Scale::log(positions(input.curves, 1.0)), "decisions trained on (logarithmic)")
    } else {
        (Scale::linear(positions(input.curves, 1.0)), "decisions trained on")
    };
    let (Some(x), Some(y), true) = (x, Scale::linear(heights(input.curves, 1.0)), any_point(input.curves)) else {
        return render(&Page::without_data(input.title, input.subtitle, "no training size has a score"));
    };
    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let coloured = in_colour(input.curves);
    let names: Vec<&str> = input.curves.iter().map(|curve| curve.name).collect();
    page.legend(&legend(&names, &coloured));
    let (x, y) = (Axis::new(x_title, x), Axis::new(input.score, y));
    let panel = panel(&mut page, &x, &y, 420.0, room_for(&y, 420.0));
    draw(&mut page, &panel, input.curves, &coloured, (1.0, 1.0));
    if input.curves.iter().any(|curve| !curve.low.is_empty()) {
        page.note("Bands show the spread over folds or repetitions.");
    }
    render(&page.close())
}
