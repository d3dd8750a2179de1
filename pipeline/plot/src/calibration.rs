//! Whether predicted success rates come true.

use crate::axes::{Axis, panel, room_for};
use crate::figure::{Figure, PlotError, render};
use crate::page::{Key, Page, Symbol, WIDTH};
use crate::palette::{AXIS, SERIES};
use crate::scale::{Scale, count, grouped, is_drawable};
use crate::scene::{Dash, MARKERS};

/// Reliability of predicted probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'a> {
    /// The finding.
    pub title: &'a str,
    /// What was predicted.
    pub subtitle: Option<&'a str>,
    /// Usually two: before and after calibration; the first seven are drawn.
    pub series: &'a [CalibrationSeries<'a>],
}

/// One model's bins.
#[derive(Clone, Copy, Debug)]
pub struct CalibrationSeries<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// Expected calibration error in 0..=1; NaN for unknown.
    pub ece: f64,
    /// Bins by ascending prediction.
    pub bins: &'a [CalibrationBin],
}

/// Decisions with similar predictions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// Mean prediction in 0..=1.
    pub predicted: f64,
    /// Share of successes in 0..=1.
    pub observed: f64,
    /// Decisions in the bin; empty bins are not drawn.
    pub n: u64,
}

/// Draws a reliability diagram (observed by predicted rate, beside the diagonal) above the number of decisions per bin.
///
/// # Errors
/// Only if drawing itself fails; no bin is a note on the page.
pub fn calibration(input: &Calibration<'_>) -> Result<Figure, PlotError> {
    let series = &input.series[..input.series.len().min(SERIES.len())];
    let usable = |bin: &CalibrationBin| 0 < bin.n && is_drawable(bin.predicted) && is_drawable(bin.observed);
    let bins: Vec<Vec<CalibrationBin>> = series.iter().map(|one| one.bins.iter().copied().filter(usable).collect()).collect();
    let rates = || bins.iter().flatten().flat_map(|bin| [bin.predicted * 100.0, bin.observed * 100.0]);
    let Some(scale) = Scale::linear(rates()) else {
        return render(&Page::without_data(input.title, input.subtitle, "no bin holds a prediction"));
    };
    let scale = match scale.within(0.0, 100.0) {
        Scale::Linear { low, high } if 50.0 < high - low => Scale::Linear { low: 0.0, high: 100.0 },
        narrow => narrow,
    };
    let most = bins.iter().flatten().map(|bin| bin.n).max().unwrap_or(1) as f64;

    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    let mut keys: Vec<Key> = Vec::new();
    for (order, one) in series.iter().enumerate() {
        let text =
            if one.ece.is_finite() { format!("{} (ECE {} points)", one.name, grouped(one.ece * 100.0, 1)) } else { one.name.to_owned() };
        keys.push(Key::new(Symbol::MarkedLine(MARKERS[order % MARKERS.len()], SERIES[order]), text));
    }
    keys.push(Key::new(Symbol::Line(Dash::Dashed, AXIS), "perfect"));
    page.legend(&keys);

    let x = Axis::new("", scale);
    let observed = Axis::new("observed success rate (%)", scale);
    let counted = Axis::new("decisions", Scale::Linear { low: 0.0, high: most * 1.08 });
    let room = room_for(&observed, 380.0).max(room_for(&counted, 110.0));
    let upper = panel(&mut page, &x, &observed, 380.0, room);
    if let Scale::Linear { low, high } = scale {
        page.scene.stroke(vec![upper.at(low, low), upper.at(high, high)], 1.6, Dash::Dashed, AXIS);
    }
    for (order, (one, bins)) in series.iter().zip(&bins).enumerate() {
        let place = |bin: &CalibrationBin| upper.at(bin.predicted * 100.0, bin.observed * 100.0);
        page.scene.stroke(bins.iter().map(place).collect(), 2.0, Dash::Solid, SERIES[order]);
        for bin in bins {
            let radius = 2.8 + 2.8 * (bin.n as f64 / most).sqrt();
            page.scene.marker(MARKERS[order % MARKERS.len()], place(bin), radius, SERIES[order]);
            let (predicted, observed) = (grouped(bin.predicted * 100.0, 1), grouped(bin.observed * 100.0, 1));
            page.scene.hover(format!("{}: predicted {predicted} %, observed {observed} %, n {}", one.name, count(bin.n)));
        }
    }
    let below = Axis::new("predicted success rate (%)", scale);
    let lower = panel(&mut page, &below, &counted, 110.0, room);
    let bar = 7.0;
    for (order, bins) in bins.iter().enumerate() {
        let shift = (order as f64 - series.len() as f64 / 2.0) * bar;
        for bin in bins {
            let top = lower.y(bin.n as f64);
            let left = (lower.x(bin.predicted * 100.0) + shift).clamp(lower.left, lower.right - bar);
            page.scene.rect((left, top), bar - 1.0, lower.bottom - top, SERIES[order].with_alpha(0.85));
            page.scene.hover(format!("n {}", count(bin.n)));
        }
    }
    render(&page.close())
}
