//! Whom the learned router helps, and whom it harms.

use crate::figure::{Figure, PlotError, render};
use crate::palette::{BLACK, VERMILLION};
use crate::rows::{IntervalChart, IntervalRow, Reference, Writing, interval_page};
use crate::scale::{is_drawable, signed};
use crate::scene::Dash;

/// Uplifts by segment.
#[derive(Clone, Copy, Debug)]
pub struct UpliftBySegment<'a> {
    /// The finding.
    pub title: &'a str,
    /// Estimator, level of the intervals, correction for many segments.
    pub subtitle: Option<&'a str>,
    /// Uplift in percentage points, one row per segment, in drawing order.
    pub segments: &'a [IntervalRow<'a>],
    /// Uplift over all decisions in percentage points, drawn as a line; `None` or NaN for none.
    pub overall: Option<f64>,
}

/// Draws a dot and an interval per segment, with lines at zero and at the overall uplift.
///
/// # Errors
/// Only if drawing itself fails; no segment is a note on the page.
pub fn uplift_by_segment(input: &UpliftBySegment<'_>) -> Result<Figure, PlotError> {
    let overall = input.overall.filter(|uplift| is_drawable(*uplift)).map(|uplift| Reference {
        value: uplift,
        text: format!("overall {}", signed(uplift, 1)),
        dash: Dash::Dashed,
        ink: VERMILLION,
    });
    let zero = Reference { value: 0.0, text: "no uplift".to_owned(), dash: Dash::Solid, ink: BLACK };
    let chart = IntervalChart {
        title: input.title,
        subtitle: input.subtitle,
        axis_title: "uplift over the static router (percentage points)",
        what: "segment",
        references: [zero].into_iter().chain(overall).collect(),
        writing: Writing::Signed,
        limits: (-100.0, 100.0),
        keys: Vec::new(),
    };
    render(&interval_page(chart, input.segments))
}
