//! What the model looks at, and how sure that is.

use crate::axes::Axis;
use crate::figure::{Figure, PlotError, render};
use crate::page::{Key, Page, Symbol, WIDTH};
use crate::palette::{BLACK, BLUE};
use crate::rows::{Column, MOST_ROWS, RowsChart, rows};
use crate::scale::{Scale, grouped, is_drawable, range, short_number};
use crate::scene::Dash;

/// Importance of features.
#[derive(Clone, Copy, Debug)]
pub struct Importance<'a> {
    /// The finding.
    pub title: &'a str,
    /// What was permuted or counted.
    pub subtitle: Option<&'a str>,
    /// All features, in any order.
    pub features: &'a [FeatureImportance<'a>],
    /// How many of the most important ones are drawn.
    pub top: usize,
    /// What the number is, with its unit, such as `loss of accuracy when permuted (percentage points)`.
    pub axis: &'a str,
}

/// The importance of one feature.
#[derive(Clone, Copy, Debug)]
pub struct FeatureImportance<'a> {
    /// The feature.
    pub name: &'a str,
    /// Mean over trees, folds or repetitions, in the unit of the axis.
    pub mean: f64,
    /// Standard deviation over the same; NaN or 0 for none.
    pub sd: f64,
}

/// Draws the most important features as bars from zero, with one standard deviation to both sides.
///
/// # Errors
/// Only if drawing itself fails; no feature is a note on the page.
pub fn importance(input: &Importance<'_>) -> Result<Figure, PlotError> {
    let mut features: Vec<&FeatureImportance<'_>> = input.features.iter().filter(|feature| is_drawable(feature.mean)).collect();
    features.sort_by(|a, b| b.mean.total_cmp(&a.mean).then(a.name.cmp(b.name)));
    let n_known = features.len();
    features.truncate(input.top.min(MOST_ROWS));
    let spread = |feature: &FeatureImportance<'_>| if is_drawable(feature.sd) && 0.0 < feature.sd { feature.sd } else { 0.0 };
    let ends = features.iter().flat_map(|feature| [feature.mean - spread(feature), feature.mean + spread(feature)]);
    let Some((low, high)) = range(ends.chain([0.0])).filter(|_| !features.is_empty()) else {
        return render(&Page::without_data(input.title, input.subtitle, "no feature has an importance"));
    };
    let Some(scale) = Scale::linear([low, high]) else {
        return render(&Page::without_data(input.title, input.subtitle, "no feature has an importance"));
    };
    let scale = if 0.0 <= low { scale.within(0.0, f64::INFINITY) } else { scale };

    let largest = low.abs().max(high.abs());
    let decimals = if 0.0 < largest { (2.0 - largest.log10().floor()).clamp(0.0, 7.0) as usize } else { 0 };
    let mut page = Page::open(input.title, input.subtitle, WIDTH);
    page.legend(&[Key::new(Symbol::Band(BLUE), "mean"), Key::new(Symbol::Line(Dash::Solid, BLACK), "± one standard deviation")]);
    let chart = RowsChart {
        names: features.iter().map(|feature| feature.name).collect(),
        strong: None,
        axis: Axis::new(input.axis, scale),
        columns: vec![
            Column { head: "mean".to_owned(), cells: features.iter().map(|feature| grouped(feature.mean, decimals)).collect() },
            Column { head: "± sd".to_owned(), cells: features.iter().map(|feature| grouped(feature.sd, decimals)).collect() },
        ],
        references: Vec::new(),
        row_height: (24.0, 19.0),
    };
    let panel = rows(&mut page, &chart);
    for (row, feature) in features.iter().enumerate() {
        let (y, zero, mean) = (panel.middle(row), panel.x(0.0), panel.x(feature.mean));
        let height = panel.row_height * 0.6;
        page.scene.rect((zero.min(mean), y - height / 2.0), (mean - zero).abs().max(0.5), height, BLUE);
        page.scene.hover(format!("{}: {} ± {}", feature.name, short_number(feature.mean), short_number(feature.sd)));
        let sd = spread(feature);
        if 0.0 < sd {
            page.scene.line((panel.x(feature.mean - sd), y), (panel.x(feature.mean + sd), y), 1.6, BLACK);
        }
    }
    if features.len() < n_known {
        page.note(&format!("The {} most important of {n_known} features.", features.len()));
    }
    render(&page.close())
}
