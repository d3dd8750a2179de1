//! How the traffic, the paths and the model change over time.

use crate::axes::{Axis, panel, room_for};
use crate::curves::{Curve, draw, heights, legend, require_curves, strongest};
use crate::figure::{Figure, PlotError, render, require_length};
use crate::page::{Key, Page, Symbol, WIDTH};
use crate::palette::{BLACK, VERMILLION};
use crate::scale::{Scale, Tick, is_drawable, range};
use crate::scene::{Dash, Marker};

/// Measures over time.
#[derive(Clone, Copy, Debug)]
pub struct Drift<'a> {
    /// The finding.
    pub title: &'a str,
    /// Reference window, test.
    pub subtitle: Option<&'a str>,
    /// Names of the periods in time order, such as `2026-01-31`.
    pub periods: &'a [&'a str],
    /// What is followed: features, paths, metrics.
    pub series: &'a [DriftSeries<'a>],
    /// What the numbers are, with their unit.
    pub axis: &'a str,
    /// Lines that matter.
    pub thresholds: &'a [Threshold<'a>],
    /// Positions of periods that raised an alarm.
    pub alarms: &'a [usize],
}

/// One measure over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct DriftSeries<'a> {
    /// What is followed.
    pub name: &'a str,
    /// One value per period; NaN leaves a gap.
    pub values: &'a [f64],
    /// Lower edge of its band, one per period; empty for none.
    pub low: &'a [f64],
    /// Upper edge of its band, one per period; empty for none.
    pub high: &'a [f64],
}

/// A value that matters.
#[derive(Clone, Copy, Debug)]
pub struct Threshold<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// In the unit of the axis.
    pub value: f64,
}

/// Draws one line per measure; of more than seven, those that vary most are in colour and the others grey. Alarms are marked at the top.
///
/// # Errors
/// [`PlotError::Length`] unless each measure has one value (and one band) per period.
pub fn drift(input: &Drift<'_>) -> Result<Figure, PlotError> {
    for series in input.series {
        require_length("drift", &format!("values of {}", series.name), input.periods.len(), series.values.len())?;
    }
    let positions: Vec<f64> = (0..input.periods.len()).map(|period| period as f64).collect();
    let curve = |series: &DriftSeries<'_>| -> bool { series.values.iter().any(|value| is_drawable(*value)) };
    let curves: Vec<Curve<'_>> = input
        .series
        .iter()
        .map(|series| Curve { name: series.name, x: &positions, y: series.values, low: series.low, high: series.high })
        .collect();
    require_curves("drift", &curves)?;
    let thresholds: Vec<&Threshold<'_>> = input.thresholds.iter().filter(|threshold| is_drawable(threshold.value)).collect();
    let heights = heights(&curves, 1.0).chain(thresholds.iter().map(|threshold| threshold.value));
    let (Some(x), Some(y), true) = (Scale::linear(positions.iter().copied()), Scale::linear(heights), input.series.iter().any(curve))
    else {
        return render(&Page::without_data(input.title, input.subtitle, "no period has a value"));
    };
    let extent = |series: &DriftSeries<'_>| range(series.values.iter().copied()).map_or(-1.0, |(low, high)| high - low);
    let coloured = strongest(&input.series.iter().map(extent).collect::<Vec<_>>());

    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let names: Vec<&str> = input.series.iter().map(|series| series.name).collect();
    let mut keys = legend(&names, &coloured);
    keys.extend(thresholds.iter().map(|threshold| Key::new(Symbol::Line(Dash::Dashed, BLACK), threshold.name)));
    if !input.alarms.is_empty() {
        keys.push(Key::new(Symbol::Marker(Marker::Triangle, VERMILLION), "alarm"));
    }
    page.legend(&keys);
    let ticks = input.periods.iter().zip(&positions).map(|(name, value)| Tick { value: *value, text: (*name).to_owned() });
    let x = Axis { title: "", scale: x, names: Some(ticks.collect()) };
    let y = Axis::new(input.axis, y);
    let panel = panel(&mut page, &x, &y, 400.0, room_for(&y, 400.0));
    for alarm in input.alarms.iter().filter(|alarm| **alarm < input.periods.len()) {
        let at = panel.x(*alarm as f64);
        page.scene.line((at, panel.top), (at, panel.bottom), 6.0, VERMILLION.with_alpha(0.12));
    }
    for threshold in &thresholds {
        let at = panel.y(threshold.value);
        page.scene.stroke(vec![(panel.left, at), (panel.right, at)], 1.4, Dash::Dashed, BLACK);
        page.scene.hover(threshold.name);
    }
    draw(&mut page, &panel, &curves, &coloured, (1.0, 1.0));
    for alarm in input.alarms.iter().filter(|alarm| **alarm < input.periods.len()) {
        page.scene.marker(Marker::Triangle, (panel.x(*alarm as f64), panel.top), 5.0, VERMILLION);
        page.scene.hover(format!("alarm: {}", input.periods[*alarm]));
    }
    render(&page.close())
}
