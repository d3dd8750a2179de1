//! The uplift as every estimator sees it, and as the one that decides sees it.

use crate::figure::{Figure, PlotError, Role, render};
use crate::palette::{BLACK, MUTED};
use crate::rows::{IntervalChart, IntervalRow, Reference, Writing, interval_page, role_key};
use crate::scene::Dash;

/// The uplifts that E-009 decides by, in percentage points: none, the least that the lower bound must exceed, the target.
pub const UPLIFT_THRESHOLDS: [f64; 3] = [0.0, 3.0, 5.0];

/// Uplifts by estimator.
#[derive(Clone, Copy, Debug)]
pub struct UpliftByEstimator<'a> {
    /// The finding.
    pub title: &'a str,
    /// Level of the intervals, window.
    pub subtitle: Option<&'a str>,
    /// Uplift of the learned over the static router in percentage points, one row per estimator; `Role::Learned` marks the one that decides.
    pub estimators: &'a [IntervalRow<'a>],
}

/// Draws a dot and an interval per estimator, with lines at the [`UPLIFT_THRESHOLDS`].
///
/// # Errors
/// Only if drawing itself fails; no estimator is a note on the page.
pub fn uplift_by_estimator(input: &UpliftByEstimator<'_>) -> Result<Figure, PlotError> {
    let references = UPLIFT_THRESHOLDS.iter().map(|threshold| match threshold {
        0.0 => Reference { value: 0.0, text: "no uplift".to_owned(), dash: Dash::Solid, ink: BLACK },
        points => Reference { value: *points, text: format!("{points} points"), dash: Dash::Dashed, ink: MUTED },
    });
    let keys = [(Role::Learned, "the estimator that decides"), (Role::Control, "cross-check")];
    let chart = IntervalChart {
        title: input.title,
        subtitle: input.subtitle,
        axis_title: "uplift over the static router (percentage points)",
        what: "estimator",
        references: references.collect(),
        writing: Writing::Signed,
        limits: (-100.0, 100.0),
        keys: keys
            .into_iter()
            .filter(|(role, _)| input.estimators.iter().any(|row| row.role == *role))
            .map(|(role, text)| role_key(role, text))
            .collect(),
    };
    render(&interval_page(chart, input.estimators))
}
