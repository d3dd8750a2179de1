//! The learned router beside everything it has to beat.

use crate::figure::{Figure, PlotError, Role, render};
use crate::palette::BLACK;
use crate::rows::{IntervalChart, IntervalRow, Reference, Writing, interval_page, role_key};
use crate::scale::{grouped, is_drawable};
use crate::scene::Dash;

/// Values of policies.
#[derive(Clone, Copy, Debug)]
pub struct Controls<'a> {
    /// The finding.
    pub title: &'a str,
    /// Where the values come from, and the level of the intervals.
    pub subtitle: Option<&'a str>,
    /// Success rates as shares in 0..=1, in drawing order; the first static one gives the reference line.
    pub policies: &'a [IntervalRow<'a>],
}

/// Draws a dot and an interval per policy, the static policy as a line through all of them, the learned one highlighted.
///
/// # Errors
/// Only if drawing itself fails; no policy is a note on the page.
pub fn controls(input: &Controls<'_>) -> Result<Figure, PlotError> {
    let percent = |row: &IntervalRow<'_>| (row.value * 100.0, row.low * 100.0, row.high * 100.0);
    let rows: Vec<IntervalRow<'_>> = input
        .policies
        .iter()
        .map(|row| {
            let (value, low, high) = percent(row);
            IntervalRow { value, low, high, ..*row }
        })
        .collect();
    let reference = rows.iter().find(|row| row.role == Role::Static && is_drawable(row.value)).map(|row| Reference {
        value: row.value,
        text: format!("static {} %", grouped(row.value, 1)),
        dash: Dash::Dashed,
        ink: BLACK,
    });
    let keys = [(Role::Learned, "learned"), (Role::Static, "static"), (Role::Control, "control"), (Role::Path, "single path")];
    let chart = IntervalChart {
        title: input.title,
        subtitle: input.subtitle,
        axis_title: "success rate (%)",
        what: "policy",
        references: reference.into_iter().collect(),
        writing: Writing::Plain,
        limits: (0.0, 100.0),
        keys: keys
            .into_iter()
            .filter(|(role, _)| rows.iter().any(|row| row.role == *role))
            .map(|(role, text)| role_key(role, text))
            .collect(),
    };
    render(&interval_page(chart, &rows))
}
