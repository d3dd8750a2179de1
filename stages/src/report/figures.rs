//! The figures of the report: which numbers go into which picture, and what its title says.

mod from_log;
mod from_models;
mod from_replay;

use rayon::prelude::*;
use routewright_plot::{Figure, PlotError};
use routewright_table::{FeatureTable, Summary};

use super::weights::WeightSample;
use crate::artifacts::{Evaluation, ReplayReport};

/// Everything that figures are drawn from.
pub(super) struct Drawn<'a> {
    pub replay: &'a ReplayReport,
    pub evaluation: &'a Evaluation,
    pub exploration: &'a Summary,
    pub table: &'a FeatureTable,
    pub weights: Option<&'a WeightSample>,
}

/// A figure's name, and what draws it; `None` where the log has nothing to show.
type Draw = fn(&Drawn<'_>) -> Option<Result<Figure, PlotError>>;

/// Every figure, in the order of the report.
const FIGURES: &[(&str, Draw)] = &[
    ("controls", from_replay::controls),
    ("cost_quality", from_replay::cost_quality),
    ("risk_coverage", from_replay::risk_coverage),
    ("weight_overlap", from_replay::weight_overlap),
    ("uplift_by_estimator", from_replay::uplift_by_estimator),
    ("uplift_by_segment", from_replay::uplift_by_segment),
    ("static_confusion", from_log::static_confusion),
    ("success_heatmap", from_log::success_heatmap),
    ("latency", from_log::latency),
    ("success_over_time", from_log::success_over_time),
    ("traffic_over_time", from_log::traffic_over_time),
    ("calibration", from_models::calibration),
    ("learning_curve", from_models::learning_curve),
    ("confusion", from_models::confusion),
    ("importance", from_models::importance),
    (DEPENDENCE[0], |drawn| from_models::dependence(drawn, 0)),
    (DEPENDENCE[1], |drawn| from_models::dependence(drawn, 1)),
    (DEPENDENCE[2], |drawn| from_models::dependence(drawn, 2)),
];

/// The figures of single features, most important first.
pub(super) const DEPENDENCE: [&str; 3] = ["feature_dependence_1", "feature_dependence_2", "feature_dependence_3"];

/// Draws all of them, in the order of the report.
pub(super) fn all(drawn: &Drawn<'_>) -> Result<Vec<(&'static str, Figure)>, PlotError> {
    let figures: Vec<_> = FIGURES.par_iter().filter_map(|(name, draw)| Some((*name, draw(drawn)?))).collect();
    figures.into_iter().map(|(name, figure)| Ok((name, figure?))).collect()
}

/// File names and contents.
pub(super) fn files(figures: Vec<(&'static str, Figure)>) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (name, figure) in figures {
        files.push((format!("{name}.png"), figure.png));
        files.push((format!("{name}.svg"), figure.svg.into_bytes()));
    }
    files.sort();
    files
}
