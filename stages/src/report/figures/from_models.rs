//! Figures of the models: calibration, learning curve, confusion, importance, and the effect of single features.

use routewright_plot::{
    Calibration, CalibrationBin, CalibrationSeries, ConfusionMatrix, Curve, FeatureImportance, Figure, Importance, LearningCurve,
    PartialDependence, PlotError,
};

use super::Drawn;
use crate::artifacts::CalibrationReport;
use crate::report::format::grouped;

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
    let learning = drawn.probe.learning.as_ref()?;
    let column = |position: usize| -> Vec<f64> { learning.forest.iter().map(|values| values[position]).collect() };
    let (mean, low, high) = (column(0), column(1), column(2));
    let curves = [
        Curve { name: "forests", x: &learning.sizes, y: &mean, low: &low, high: &high },
        Curve { name: "success rate of each path alone", x: &learning.sizes, y: &learning.rate, low: &[], high: &[] },
    ];
    let (last, before) = (mean.last()?, mean.get(mean.len().checked_sub(2)?)?);
    let title = if last > learning.rate.last()? {
        "The forests predict no better than each path's success rate alone"
    } else if last < &(before * (1.0 - STILL_FALLING)) {
        "More decisions still make the predictions better"
    } else {
        "More decisions hardly make the predictions better"
    };
    let subtitle = format!(
        "smaller forests than the product's, grown on samples of the training window, judged on {} held-out decisions; lower is better",
        grouped(learning.n_judged as u64)
    );
    Some(routewright_plot::learning_curve(&LearningCurve {
        title,
        subtitle: Some(&subtitle),
        curves: &curves,
        score: "mean squared error of predicted success",
    }))
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

/// The effect of the feature at a position of the importance.
pub(super) fn dependence(drawn: &Drawn<'_>, position: usize) -> Option<Result<Figure, PlotError>> {
    let found = drawn.probe.dependence.get(position)?;
    let curves: Vec<Curve<'_>> = found
        .paths
        .iter()
        .map(|(arm, values)| Curve { name: drawn.table.paths.name(*arm), x: &found.values, y: values, ..Curve::default() })
        .collect();
    let extent = |values: &[f64]| {
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        high - low
    };
    let widest = curves.iter().max_by(|left, right| extent(left.y).total_cmp(&extent(right.y)))?;
    let title =
        format!("Predicted success of {} moves by {:.1} points over the values of {}", widest.name, 100.0 * extent(widest.y), found.label);
    let subtitle = format!("mean over {} held-out decisions, everything else as it was", found.n_rows);
    Some(routewright_plot::partial_dependence(&PartialDependence {
        title: &title,
        subtitle: Some(&subtitle),
        feature: &found.label,
        prediction: "predicted success (share)",
        curves: &curves,
        bin_edges: &found.edges,
        counts: &found.counts,
    }))
}
