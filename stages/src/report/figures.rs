//! The figures of the report: which numbers go into which picture, and what its title says.

use routewright_plot as plot;
use routewright_plot::{Figure, IntervalRow, PlotError, Role as PlotRole};
use routewright_table::{FeatureTable, Summary};

use crate::artifacts::{Bounded, Evaluation, ReplayReport, Role};

/// Features that the importance figure shows.
const TOP_FEATURES: usize = 20;

/// Bins of the latency figure, per factor of ten.
const BINS_PER_DECADE: f64 = 12.0;

/// Most query types and paths of a heatmap that can still be read.
const MAX_TYPES: usize = 60;

/// Everything that figures are drawn from.
pub(super) struct Drawn<'a> {
    pub replay: &'a ReplayReport,
    pub evaluation: &'a Evaluation,
    pub exploration: &'a Summary,
    pub table: &'a FeatureTable,
}

/// A figure's name, and what draws it; `None` where the log has nothing to show.
type Draw = fn(&Drawn<'_>) -> Option<Result<Figure, PlotError>>;

/// Every figure, in the order of the report.
const FIGURES: &[(&str, Draw)] = &[
    ("controls", controls),
    ("risk_coverage", risk_coverage),
    ("cost_quality", cost_quality),
    ("uplift_by_estimator", uplift_by_estimator),
    ("uplift_by_segment", uplift_by_segment),
    ("calibration", calibration),
    ("confusion", confusion),
    ("importance", importance),
    ("static_confusion", static_confusion),
    ("success_heatmap", success_heatmap),
    ("latency", latency),
    ("success_over_time", success_over_time),
];

/// Draws all of them: file names and contents.
pub(super) fn all(drawn: &Drawn<'_>) -> Result<Vec<(String, Vec<u8>)>, PlotError> {
    let mut files = Vec::new();
    for (name, draw) in FIGURES {
        if let Some(figure) = draw(drawn) {
            let figure = figure?;
            files.push((format!("{name}.png"), figure.png));
            files.push((format!("{name}.svg"), figure.svg.into_bytes()));
        }
    }
    files.sort();
    Ok(files)
}

fn role(role: Role) -> PlotRole {
    match role {
        Role::Static => PlotRole::Static,
        Role::Learned => PlotRole::Learned,
        Role::Alternative | Role::Control | Role::Oracle => PlotRole::Control,
    }
}

fn row<'a>(name: &'a str, estimate: Bounded, role: PlotRole) -> IntervalRow<'a> {
    IntervalRow { name, n: None, value: estimate.value.unwrap_or(f64::NAN), low: estimate.lower, high: estimate.upper, role }
}

fn controls(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let policies: Vec<IntervalRow<'_>> =
        drawn.replay.policies.iter().map(|policy| row(&policy.name, policy.success, role(policy.role))).collect();
    let title = match drawn.replay.uplift.points.value {
        Some(points) if drawn.replay.uplift.points.lower <= 0.0 && 0.0 <= drawn.replay.uplift.points.upper => {
            format!("The learned router is not shown to differ from the static one ({points:+.1} points)")
        }
        Some(points) => {
            format!("The learned router is {:.1} points {} the static one", points.abs(), if points < 0.0 { "behind" } else { "ahead of" })
        }
        None => "The log does not say how the learned router would have done".to_owned(),
    };
    let subtitle = format!("success rate on {} held-out queries, 95 % intervals", drawn.replay.n_queries);
    Some(plot::controls(&plot::Controls { title: &title, subtitle: Some(&subtitle), policies: &policies }))
}

fn risk_coverage(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let mut points: Vec<(f64, f64, f64)> = drawn
        .replay
        .thresholds
        .iter()
        .filter_map(|point| point.success.map(|success| (point.coverage, 1.0 - success, point.threshold)))
        .collect();
    points.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|point| (point.0, point.1)).unzip();
    let used = points.iter().find(|point| (point.2 - 0.7).abs() < 1e-9)?;
    let operating = [plot::OperatingPoint { name: "confidence ≥ 0.7", coverage: used.0, risk: used.1 }];
    let curves = [plot::Curve { name: "router with fallback", x: &x, y: &y, ..plot::Curve::default() }];
    let title = format!("At a confidence of 0.7 the model decides {:.0} % of the queries", 100.0 * used.0);
    Some(plot::risk_coverage(&plot::RiskCoverage {
        title: &title,
        subtitle: Some("the static router decides the rest"),
        curves: &curves,
        operating_points: &operating,
        risk: "failures of the whole router",
    }))
}

fn cost_quality(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let points: Vec<plot::CostQualityPoint<'_>> = drawn
        .replay
        .policies
        .iter()
        // Nobody can mix in an oracle, so it must not span the hull.
        .filter(|policy| policy.role != Role::Oracle)
        .filter_map(|policy| {
            Some(plot::CostQualityPoint {
                name: &policy.name,
                cost: policy.latency_ms?,
                quality: 100.0 * policy.success.value?,
                role: role(policy.role),
            })
        })
        .collect();
    (points.len() > 1).then(|| {
        plot::cost_quality(&plot::CostQuality {
            title: "What success costs in time",
            subtitle: Some("held-out window; the line is what mixtures of controls reach"),
            points: &points,
            cost_axis: "mean latency (ms)",
            quality_axis: "success rate (%)",
        })
    })
}

fn uplift_by_estimator(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let replay = drawn.replay;
    replay.uplift.points.value?;
    let mut rows = vec![row(&replay.uplift.estimator, replay.uplift.points, PlotRole::Learned)];
    rows.extend(replay.uplift_estimators.iter().map(|answer| row(&answer.name, answer.estimate, PlotRole::Control)));
    let (low, high) = rows.iter().fold((f64::MAX, f64::MIN), |(low, high), row| (low.min(row.value), high.max(row.value)));
    let title = if rows.len() > 1 {
        format!("The estimators put the uplift between {low:+.1} and {high:+.1} points")
    } else {
        format!("The uplift is {low:+.1} points")
    };
    Some(plot::uplift_by_estimator(&plot::UpliftByEstimator {
        title: &title,
        subtitle: Some("95 % intervals, held-out window"),
        estimators: &rows,
    }))
}

fn uplift_by_segment(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let segments: Vec<IntervalRow<'_>> = drawn
        .replay
        .segments
        .iter()
        .map(|segment| IntervalRow {
            name: &segment.name,
            n: None,
            value: segment.uplift_points,
            low: segment.lower,
            high: segment.upper,
            role: if segment.use_learned { PlotRole::Learned } else { PlotRole::Control },
        })
        .collect();
    let n_confirmed = drawn.replay.segments.iter().filter(|segment| segment.use_learned).count();
    let title = format!("Learned routing is confirmed in {n_confirmed} of {} query types", segments.len());
    (!segments.is_empty()).then(|| {
        plot::uplift_by_segment(&plot::UpliftBySegment {
            title: &title,
            subtitle: Some("chosen on one half of the held-out queries, judged on the other; one-sided 95 % bounds"),
            segments: &segments,
            overall: drawn.replay.uplift.points.value,
        })
    })
}

fn calibration(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let bins = |report: &crate::artifacts::CalibrationReport| -> Vec<plot::CalibrationBin> {
        report
            .bins
            .iter()
            .map(|bin| plot::CalibrationBin { predicted: bin.predicted, observed: bin.observed, n: bin.count as u64 })
            .collect()
    };
    let (before, after) = (bins(&drawn.evaluation.uncalibrated), bins(&drawn.evaluation.calibrated));
    let series = [
        plot::CalibrationSeries { name: "before calibration", ece: drawn.evaluation.uncalibrated.ece, bins: &before },
        plot::CalibrationSeries { name: "after calibration", ece: drawn.evaluation.calibrated.ece, bins: &after },
    ];
    let title = format!("Predicted success is off by {:.1} points on average", 100.0 * drawn.evaluation.calibrated.ece);
    Some(plot::calibration(&plot::Calibration {
        title: &title,
        subtitle: Some("success probability of the path that ran, held-out window"),
        series: &series,
    }))
}

fn confusion(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let classifier = drawn.evaluation.classifier.as_ref()?;
    let paths: Vec<&str> = drawn.table.paths.names().iter().map(String::as_str).collect();
    let counts: Vec<u64> = classifier.confusion.iter().flatten().copied().collect();
    let title = format!("The classifier finds the {} on {:.1} % of held-out rows", classifier.label, 100.0 * classifier.accuracy);
    Some(plot::confusion_matrix(&plot::ConfusionMatrix {
        title: &title,
        subtitle: None,
        paths: &paths,
        counts: &counts,
        row_axis: &classifier.label,
        column_axis: "path predicted by the classifier",
    }))
}

fn importance(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let features: Vec<plot::FeatureImportance<'_>> = drawn
        .evaluation
        .importance
        .iter()
        .map(|feature| plot::FeatureImportance {
            name: &feature.label,
            mean: 1000.0 * feature.permutation,
            sd: 1000.0 * feature.permutation_sd,
        })
        .collect();
    let title = format!("{} tells most about success", features.first()?.name);
    Some(plot::importance(&plot::Importance {
        title: &title,
        subtitle: Some("each column shuffled in turn on the held-out window"),
        features: &features,
        top: TOP_FEATURES,
        axis: "rise of the log loss when shuffled (thousandths of a nat)",
    }))
}

fn static_confusion(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let cells = &drawn.exploration.confusion;
    let mut paths: Vec<&str> = cells.iter().flat_map(|cell| [cell.chosen.as_str(), cell.optimal.as_str()]).collect();
    paths.sort_unstable();
    paths.dedup();
    let position = |name: &str| paths.binary_search(&name).unwrap_or_default();
    let mut counts = vec![0; paths.len() * paths.len()];
    for cell in cells {
        counts[position(&cell.optimal) * paths.len() + position(&cell.chosen)] += cell.n;
    }
    let total: u64 = counts.iter().sum();
    let right: u64 = (0..paths.len()).map(|path| counts[path * paths.len() + path]).sum();
    let title = format!("The static router agrees with {:.1} % of the reviewers' ratings", 100.0 * right as f64 / total.max(1) as f64);
    (total > 0).then(|| {
        plot::confusion_matrix(&plot::ConfusionMatrix {
            title: &title,
            subtitle: None,
            paths: &paths,
            counts: &counts,
            row_axis: "path that a reviewer found right",
            column_axis: "path that the static router chose",
        })
    })
}

fn success_heatmap(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let cells = &drawn.exploration.success_by_type_and_path;
    let mut weights: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for cell in cells {
        *weights.entry(cell.query_type.as_deref().unwrap_or("(none)")).or_default() += cell.n_rows;
    }
    let mut query_types: Vec<&str> = weights.keys().copied().collect();
    query_types.sort_by(|left, right| weights[right].cmp(&weights[left]).then(left.cmp(right)));
    query_types.truncate(MAX_TYPES);
    let mut paths: Vec<&str> = cells.iter().map(|cell| cell.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let (mut rates, mut counts) = (vec![f64::NAN; query_types.len() * paths.len()], vec![0; query_types.len() * paths.len()]);
    for cell in cells {
        let name = cell.query_type.as_deref().unwrap_or("(none)");
        if let (Some(query_type), Ok(path)) =
            (query_types.iter().position(|other| *other == name), paths.binary_search(&cell.path.as_str()))
        {
            rates[query_type * paths.len() + path] = cell.success.rate().unwrap_or(f64::NAN);
            counts[query_type * paths.len() + path] = cell.success.n;
        }
    }
    let title = format!("Success by query type and path: {:.1} % overall", 100.0 * drawn.exploration.success.rate().unwrap_or_default());
    (!query_types.is_empty()).then(|| {
        plot::success_heatmap(&plot::SuccessHeatmap {
            title: &title,
            subtitle: Some("of what was logged; the router chose which queries each path got"),
            query_types: &query_types,
            paths: &paths,
            rates: &rates,
            counts: &counts,
        })
    })
}

fn latency(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let outcomes = &drawn.table.outcomes;
    let positive = outcomes.latencies_ms.iter().copied().filter(|latency| latency.is_finite() && *latency > 0.0);
    let (low, high) = positive.fold((f64::MAX, f64::MIN), |(low, high), latency| (low.min(latency), high.max(latency)));
    if low > high {
        return None;
    }
    let first = (low.log10() * BINS_PER_DECADE).floor() as i64;
    let last = (high.log10() * BINS_PER_DECADE).floor() as i64 + 1;
    let edges: Vec<f64> = (first..=last).map(|step| 10_f64.powf(step as f64 / BINS_PER_DECADE)).collect();
    let rows = &drawn.exploration.latency_by_path;
    let histograms: Vec<Vec<u64>> = rows
        .iter()
        .map(|row| {
            let mut counts = vec![0; edges.len() - 1];
            for (arm, latency) in outcomes.arms.iter().zip(&outcomes.latencies_ms) {
                if drawn.table.paths.name(*arm) == row.path && *latency > 0.0 {
                    let bin = (latency.log10() * BINS_PER_DECADE).floor() as i64 - first;
                    counts[(bin.max(0) as usize).min(edges.len() - 2)] += 1;
                }
            }
            counts
        })
        .collect();
    let paths: Vec<plot::PathLatency<'_>> = rows
        .iter()
        .zip(&histograms)
        .map(|(row, counts)| plot::PathLatency { name: &row.path, n: row.n, p50_ms: row.p50, p95_ms: row.p95, p99_ms: row.p99, counts })
        .collect();
    let fastest = rows.iter().min_by(|left, right| left.p50.total_cmp(&right.p50))?;
    let title = format!("{} is fastest, with a median of {:.0} ms", fastest.path, fastest.p50);
    Some(plot::latency_by_path(&plot::LatencyByPath {
        title: &title,
        subtitle: Some("all decisions with a latency"),
        paths: &paths,
        bin_edges_ms: &edges,
    }))
}

fn success_over_time(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let days = &drawn.exploration.days;
    let periods: Vec<&str> = days.iter().map(|day| day.day.as_str()).collect();
    let values: Vec<f64> = days.iter().map(|day| 100.0 * day.success.rate().unwrap_or(f64::NAN)).collect();
    let series = [plot::DriftSeries { name: "success rate of the log", values: &values }];
    let (low, high) = values
        .iter()
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let title = format!("Daily success lies between {low:.1} and {high:.1} %");
    (days.len() > 1 && low <= high).then(|| {
        plot::drift(&plot::Drift {
            title: &title,
            subtitle: Some("decisions with an outcome, by day (UTC)"),
            periods: &periods,
            series: &series,
            axis: "success rate (%)",
            thresholds: &[],
            alarms: &[],
        })
    })
}
