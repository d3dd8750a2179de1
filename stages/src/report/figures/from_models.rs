//! Figures of the models: calibration, learning curve, confusion, importance, and the effect of single features.

use routewright_forest::CurvePoint;
use routewright_plot::{
    Calibration, CalibrationBin, CalibrationSeries, ConfusionMatrix, Curve, FeatureImportance, Figure, Importance, LearningCurve,
    PartialDependence, PlotError,
};

use super::Drawn;
use crate::artifacts::{CalibrationReport, PathDependence};
use crate::report::format::grouped;
use crate::report::weights::histogram;

/// Features that the importance figure shows.
const TOP_FEATURES: usize = 20;

/// Standard deviations above 0 from which a feature's importance is called anything.
const CLEAR: f64 = 2.0;

/// Change of the loss between the last two sizes of the learning curve from which more data is said to help, as a share of the loss.
const STILL_FALLING: f64 = 0.01;

pub(super) fn calibration(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let bins = |report: &CalibrationReport| -> Vec<CalibrationBin> {
        report.bins.iter().map(|bin| CalibrationBin { predicted: bin.predicted, observed: bin.observed, n: bin.count as u64 }).collect()
    };
    let (raw, calibrated) = (&drawn.evaluation.uncalibrated, &drawn.evaluation.calibrated);
    let (before, after) = (bins(raw), bins(calibrated));
    let series = [
        CalibrationSeries { name: "before calibration", ece: raw.ece, bins: &before },
        CalibrationSeries { name: "after calibration", ece: calibrated.ece, bins: &after },
    ];
    let title = format!(
        "Predicted success is off by {:.1} points on average{}",
        100.0 * calibrated.ece,
        if calibrated.ece > raw.ece { ", and calibration did not help" } else { "" }
    );
    Some(routewright_plot::calibration(&Calibration {
        title: &title,
        subtitle: Some("success probability of the path that ran, held-out window, bins of equal size"),
        series: &series,
    }))
}

pub(super) fn learning_curve(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let found = Spread::of(&drawn.evaluation.learning_curve);
    let rate = Spread::of(&drawn.evaluation.learning_curve_of_rate);
    let curves = [
        Curve { name: "forests", x: &found.sizes, y: &found.mean, low: &found.low, high: &found.high },
        Curve { name: "success rate of each path alone", x: &rate.sizes, y: &rate.mean, low: &[], high: &[] },
    ];
    let (last, before) = (found.mean.last()?, found.mean.get(found.mean.len().checked_sub(2)?)?);
    let title = if last > rate.mean.last()? {
        "The forests predict no better than each path's success rate alone"
    } else if last < &(before * (1.0 - STILL_FALLING)) {
        "More decisions still make the predictions better"
    } else {
        "More decisions hardly make the predictions better"
    };
    Some(routewright_plot::learning_curve(&LearningCurve {
        title,
        subtitle: Some(
            "smaller forests than the product's, grown on parts of the training window, judged on other folds of it; lower is better",
        ),
        curves: &curves,
        score: "mean squared error of predicted success",
    }))
}

/// A learning curve with its spread over the folds.
struct Spread {
    sizes: Vec<f64>,
    mean: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Spread {
    fn of(points: &[CurvePoint]) -> Self {
        let scored: Vec<&CurvePoint> = points.iter().filter(|point| !point.scores.is_empty()).collect();
        let column = |number: fn(&CurvePoint) -> f64| scored.iter().map(|point| number(point)).collect();
        Self {
            sizes: column(|point| point.n_rows),
            mean: column(|point| point.scores.iter().sum::<f64>() / point.scores.len() as f64),
            low: column(|point| point.scores.iter().copied().fold(f64::INFINITY, f64::min)),
            high: column(|point| point.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        }
    }
}

pub(super) fn confusion(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let classifier = drawn.evaluation.classifier.as_ref()?;
    let paths: Vec<&str> = drawn.table.paths.names().iter().map(String::as_str).collect();
    let counts: Vec<u64> = classifier.confusion.iter().flatten().copied().collect();
    let title = format!("The classifier finds the {} on {:.1} % of held-out rows", classifier.label, 100.0 * classifier.accuracy);
    let subtitle = format!("{} held-out rows", grouped(classifier.n_rows as u64));
    Some(routewright_plot::confusion_matrix(&ConfusionMatrix {
        title: &title,
        subtitle: Some(&subtitle),
        paths: &paths,
        counts: &counts,
        row_axis: &classifier.label,
        column_axis: "path predicted by the classifier",
    }))
}

pub(super) fn importance(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let found = &drawn.evaluation.importance;
    let features: Vec<FeatureImportance<'_>> = found
        .iter()
        .map(|feature| FeatureImportance { name: &feature.label, mean: 1000.0 * feature.permutation, sd: 1000.0 * feature.permutation_sd })
        .collect();
    let clear = found.iter().filter(|feature| feature.permutation > CLEAR * feature.permutation_sd && feature.permutation > 0.0).count();
    let first = features.first()?;
    let title = match clear {
        0 => "No feature's importance rises clearly above its noise".to_owned(),
        1 => format!("{} tells most about success; one of {} features rises clearly above its noise", first.name, features.len()),
        _ => format!("{} tells most about success; {clear} of {} features rise clearly above their noise", first.name, features.len()),
    };
    Some(routewright_plot::importance(&Importance {
        title: &title,
        subtitle: Some("each column shuffled in turn on the held-out window; clear means two standard deviations above 0"),
        features: &features,
        top: TOP_FEATURES,
        axis: "rise of the log loss when shuffled (thousandths of a nat)",
    }))
}

/// Paths that a figure of a feature can show.
const DEPENDENCE_PATHS: usize = 7;

/// Bins of a feature's values.
const VALUE_BINS: usize = 24;

/// The effect of the feature at a position of the importance.
pub(super) fn dependence(drawn: &Drawn<'_>, position: usize) -> Option<Result<Figure, PlotError>> {
    let found = drawn.evaluation.dependence.iter().filter(|found| found.values.len() > 1).nth(position)?;
    let judged = |path: &str| drawn.evaluation.success.iter().find(|model| model.path == path).map_or(0, |model| model.n_rows);
    let mut paths: Vec<&PathDependence> = found.paths.iter().collect();
    paths.sort_by_key(|path| std::cmp::Reverse(judged(&path.path)));
    paths.truncate(DEPENDENCE_PATHS);
    let curves: Vec<Curve<'_>> =
        paths.iter().map(|path| Curve { name: &path.path, x: &found.values, y: &path.success, ..Curve::default() }).collect();
    let extent = |values: &[f64]| {
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        high - low
    };
    let widest = curves.iter().max_by(|left, right| extent(left.y).total_cmp(&extent(right.y)))?;
    let title =
        format!("Predicted success of {} moves by {:.1} points over the values of {}", widest.name, 100.0 * extent(widest.y), found.label);
    let subtitle = format!("mean over {} held-out decisions, everything else as it was", grouped(found.n_rows as u64));
    let edges = routewright_plot::value_bins(&found.values, VALUE_BINS);
    let column = drawn.table.features.iter().find(|column| column.name == found.feature)?;
    let rows = drawn.table.held_out_rows();
    let known: Vec<f64> =
        rows.as_slice().iter().map(|row| f64::from(column.values[*row as usize])).filter(|value| value.is_finite()).collect();
    Some(routewright_plot::partial_dependence(&PartialDependence {
        title: &title,
        subtitle: Some(&subtitle),
        feature: &found.label,
        prediction: "predicted success (share)",
        curves: &curves,
        bin_edges: &edges,
        counts: &histogram(&edges, &known),
    }))
}
