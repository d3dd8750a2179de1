//! One made-up input per figure, for any number of paths: what the gallery draws and the contract test checks.

use routewright_plot::{
    Calibration, CalibrationBin, CalibrationSeries, ConfusionMatrix, Controls, CostQuality, CostQualityPoint, Curve, Drift, DriftSeries,
    FeatureImportance, Figure, Importance, IntervalRow, LatencyByPath, LearningCurve, OperatingPoint, PartialDependence, PathLatency,
    PathOverlap, PlotError, RiskCoverage, Role, SuccessHeatmap, Threshold, UpliftByEstimator, UpliftBySegment, WeightOverlap, calibration,
    confusion_matrix, controls, cost_quality, drift, importance, latency_by_path, learning_curve, partial_dependence, risk_coverage,
    success_heatmap, uplift_by_estimator, uplift_by_segment, weight_overlap,
};

/// What varies between samples.
pub struct Sample {
    /// Names of the paths.
    pub paths: Vec<String>,
    /// Every number goes through this: identity, or NaN, or a constant.
    pub number: fn(f64) -> f64,
}

/// Path names as people write them: short ones first, then long ones.
pub fn path_names(n_paths: usize) -> Vec<String> {
    let kinds = ["tool", "reasoning", "coding", "chat", "deterministic_tool_execution", "retrieval_augmented_generation_with_reranking"];
    let vendors = ["", "-small", "-large-2026-01", "@eu-central-1/production/blue", "-quantised-int8-with-speculative-decoding-v2"];
    (0..n_paths)
        .map(|path| {
            let (kind, vendor) = (kinds[path % kinds.len()], vendors[(path / kinds.len()) % vendors.len()]);
            let round = path / (kinds.len() * vendors.len());
            if round == 0 { format!("{kind}{vendor}") } else { format!("{kind}{vendor}#{round}") }
        })
        .collect()
}

/// A number in 0..1 that looks random and is not.
fn noise(a: usize, b: usize) -> f64 {
    let mixed = (a as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b as u64 + 7).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 32)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Draws one figure.
pub type Draw = fn(&Sample) -> Result<Figure, PlotError>;

/// Every figure there is: its function's name, and how a sample of it is drawn.
pub const FIGURES: [(&str, Draw); 14] = [
    ("success_heatmap", heatmap),
    ("latency_by_path", latency),
    ("confusion_matrix", confusion),
    ("importance", features),
    ("calibration", reliability),
    ("controls", policies),
    ("uplift_by_estimator", estimators),
    ("uplift_by_segment", segments),
    ("risk_coverage", coverage),
    ("cost_quality", frontier),
    ("learning_curve", learning),
    ("weight_overlap", weights),
    ("drift", over_time),
    ("partial_dependence", dependence),
];

fn names(sample: &Sample) -> Vec<&str> {
    sample.paths.iter().map(String::as_str).collect()
}

fn heatmap(sample: &Sample) -> Result<Figure, PlotError> {
    let kinds = ["tool", "reasoning", "coding", "chat", "ambiguous", "multi-step planning with tools"];
    let (paths, n) = (names(sample), sample.paths.len());
    let cells = || (0..kinds.len()).flat_map(|kind| (0..n).map(move |path| (kind, path)));
    let rates: Vec<f64> = cells().map(|(kind, path)| (sample.number)(0.62 + 0.37 * noise(kind, path))).collect();
    let counts: Vec<u64> =
        cells().map(|(kind, path)| if noise(path, kind) < 0.12 { 0 } else { (noise(kind + 9, path) * 9_000.0) as u64 + 3 }).collect();
    success_heatmap(&SuccessHeatmap {
        title: "Reasoning queries fail on the tool path, nobody tried coding on chat",
        subtitle: Some("Success rate by query type and path; 48,210 decisions, 2026-01-01 to 2026-01-28"),
        query_types: &kinds,
        paths: &paths,
        rates: &rates,
        counts: &counts,
    })
}

fn latency(sample: &Sample) -> Result<Figure, PlotError> {
    let edges: Vec<f64> = (0..=60).map(|edge| 5.0 * 10_f64.powf(f64::from(edge) / 15.0)).collect();
    let medians: Vec<f64> = (0..sample.paths.len()).map(|path| 20.0 * 60_f64.powf(noise(path, 3))).collect();
    let counts: Vec<Vec<u64>> = medians
        .iter()
        .map(|median| {
            let density = |edge: &f64| {
                (-((edge / median).ln() / 0.55).powi(2) / 2.0).exp() + 0.12 * (-((edge / median / 4.0).ln() / 0.3).powi(2)).exp()
            };
            edges[..60].iter().map(|edge| (density(edge) * 1_000.0) as u64).collect()
        })
        .collect();
    let paths: Vec<PathLatency<'_>> = sample
        .paths
        .iter()
        .enumerate()
        .map(|(path, name)| PathLatency {
            name,
            n: 500 + 37 * path as u64,
            p50_ms: (sample.number)(medians[path]),
            p95_ms: (sample.number)(medians[path] * 2.6),
            p99_ms: (sample.number)(medians[path] * 4.6),
            counts: if (sample.number)(1.0) == 1.0 { &counts[path] } else { &[] },
        })
        .collect();
    latency_by_path(&LatencyByPath {
        title: "The reasoning path is three times slower at the median",
        subtitle: Some("Latency of completed decisions; timeouts count as the limit of 30 s"),
        paths: &paths,
        bin_edges_ms: &edges,
    })
}

fn confusion(sample: &Sample) -> Result<Figure, PlotError> {
    let (paths, n) = (names(sample), sample.paths.len());
    let count = |row: usize, column: usize| {
        let base = if row == column { 900.0 } else { 160.0 * (noise(row, column) - 0.5).max(0.0) };
        if row == 1 && 2 < n || !(sample.number)(1.0).is_finite() { 0 } else { (base * (0.4 + noise(row, 77))) as u64 }
    };
    let counts: Vec<u64> = (0..n).flat_map(|row| (0..n).map(move |column| count(row, column))).collect();
    confusion_matrix(&ConfusionMatrix {
        title: "The learned router finds the best path for 88 % of queries",
        subtitle: Some("Held-out window, queries with full information"),
        paths: &paths,
        counts: &counts,
        row_axis: "best path",
        column_axis: "path chosen by the learned router",
    })
}

fn features(sample: &Sample) -> Result<Figure, PlotError> {
    let known = ["query_n_tokens", "has_code", "context_recent_error_rate", "history_similar_success_of_reasoning", "hour_of_day"];
    let labels: Vec<String> = (0..40).map(|at| if at < 5 { known[at].to_owned() } else { format!("embedding_{at}") }).collect();
    let list: Vec<FeatureImportance<'_>> = labels
        .iter()
        .enumerate()
        .map(|(at, name)| FeatureImportance {
            name,
            mean: (sample.number)(6.0 / (at as f64 + 1.3) - 0.2),
            sd: (sample.number)(0.5 * noise(at, 1)),
        })
        .collect();
    importance(&Importance {
        title: "Query length and code decide; the embedding adds little",
        subtitle: Some("Permutation importance on the held-out window, 10 repetitions"),
        features: &list,
        top: if sample.paths.len() < 10 { 15 } else { 40 },
        axis: "loss of accuracy when permuted (percentage points)",
    })
}

fn reliability(sample: &Sample) -> Result<Figure, PlotError> {
    let bins = |bend: f64| -> Vec<CalibrationBin> {
        (0..10)
            .map(|bin| {
                let predicted = (f64::from(bin) + 0.5) / 10.0;
                let observed = (predicted.powf(bend) + 0.03 * (noise(bin as usize, bend as usize) - 0.5)).max(0.0);
                let n = (120.0 + 6_000.0 * predicted.powi(6)) as u64;
                CalibrationBin { predicted: (sample.number)(predicted), observed: (sample.number)(observed), n }
            })
            .collect()
    };
    let (before, after) = (bins(1.7), bins(1.0));
    calibration(&Calibration {
        title: "Calibration takes the error from 9.1 to 1.2 points",
        subtitle: Some("Predicted success of the chosen path, held-out window, ten bins of equal width"),
        series: &[
            CalibrationSeries { name: "before", ece: (sample.number)(0.091), bins: &before },
            CalibrationSeries { name: "after isotonic calibration", ece: (sample.number)(0.012), bins: &after },
        ],
    })
}

fn row<'a>(sample: &Sample, name: &'a str, value: f64, half: f64, role: Role) -> IntervalRow<'a> {
    let number = sample.number;
    IntervalRow {
        name,
        n: Some(1_234 + (value.abs() * 1_000.0) as u64),
        value: number(value),
        low: number(value - half),
        high: number(value + half),
        role,
    }
}

fn policies(sample: &Sample) -> Result<Figure, PlotError> {
    let mut list = vec![
        row(sample, "static", 0.901, 0.006, Role::Static),
        row(sample, "learned, fallback below 0.7", 0.949, 0.009, Role::Learned),
        row(sample, "best path per category", 0.931, 0.008, Role::Control),
        row(sample, "random with the learned shares", 0.872, 0.012, Role::Control),
        row(sample, "oracle", 0.982, 0.003, Role::Control),
    ];
    list.extend(sample.paths.iter().enumerate().map(|(path, name)| row(sample, name, 0.8 + 0.1 * noise(path, 4), 0.02, Role::Path)));
    controls(&Controls {
        title: "The learned router beats static by 4.8 points and every control but the oracle",
        subtitle: Some("Held-out window, stratified estimate, 95 % intervals"),
        policies: &list,
    })
}

fn estimators(sample: &Sample) -> Result<Figure, PlotError> {
    let list = [
        row(sample, "stratified", 4.8, 1.4, Role::Learned),
        row(sample, "replay matching", 7.4, 1.1, Role::Control),
        row(sample, "IPS", 4.1, 2.9, Role::Control),
        row(sample, "clipped IPS", 3.9, 2.1, Role::Control),
        row(sample, "SNIPS", 4.6, 1.8, Role::Control),
        row(sample, "DM", 5.6, 0.4, Role::Control),
        row(sample, "DR", 4.7, 1.2, Role::Control),
        row(sample, "Switch-DR", 4.9, 1.1, Role::Control),
    ];
    uplift_by_estimator(&UpliftByEstimator {
        title: "Every sound estimator agrees: between 3.4 and 6.2 points",
        subtitle: Some("Learned minus static, held-out window, 90 % intervals"),
        estimators: &list,
    })
}

fn segments(sample: &Sample) -> Result<Figure, PlotError> {
    let mut list = vec![row(sample, "query type = coding", 9.2, 2.5, Role::Control), row(sample, "night", -1.2, 3.0, Role::Control)];
    list.extend(
        sample
            .paths
            .iter()
            .enumerate()
            .map(|(path, name)| row(sample, name, 12.0 * noise(path, 5) - 3.0, 1.0 + 4.0 * noise(path, 6), Role::Control)),
    );
    uplift_by_segment(&UpliftBySegment {
        title: "Coding gains most; no segment of weight is harmed",
        subtitle: Some("Learned minus static by segment, Holm-corrected 90 % intervals"),
        segments: &list,
        overall: Some((sample.number)(4.8)),
    })
}

fn curve_values(sample: &Sample, n: usize, value: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..n).map(|at| (sample.number)(value(at as f64 / (n - 1) as f64))).collect()
}

fn coverage(sample: &Sample) -> Result<Figure, PlotError> {
    let x = curve_values(sample, 200, |share| 0.01 + 0.99 * share);
    let (learned, random) = (curve_values(sample, 200, |share| 0.02 + 0.09 * share.powi(3)), curve_values(sample, 200, |_| 0.11));
    risk_coverage(&RiskCoverage {
        title: "Above a confidence of 0.7 the model takes 82 % of queries at 6.9 % failures",
        subtitle: Some("Failures among queries that the model routes, most confident first"),
        curves: &[
            Curve { name: "learned router", x: &x, y: &learned, ..Curve::default() },
            Curve { name: "random order", x: &x, y: &random, ..Curve::default() },
        ],
        operating_points: &[OperatingPoint {
            name: "confidence ≥ 0.7",
            coverage: (sample.number)(0.82),
            risk: (sample.number)(0.02 + 0.09 * 0.818_f64.powi(3)),
        }],
        risk: "failures among routed queries",
    })
}

fn frontier(sample: &Sample) -> Result<Figure, PlotError> {
    let number = sample.number;
    let mut points: Vec<CostQualityPoint<'_>> = sample
        .paths
        .iter()
        .enumerate()
        .map(|(path, name)| {
            let cost = 20.0 * 60_f64.powf(noise(path, 3));
            CostQualityPoint {
                name,
                cost: number(cost),
                quality: number(0.66 + 0.045 * cost.ln() - 0.08 * noise(path, 8)),
                role: Role::Path,
            }
        })
        .collect();
    points.extend([
        CostQualityPoint { name: "static", cost: number(210.0), quality: number(0.901), role: Role::Static },
        CostQualityPoint { name: "learned", cost: number(190.0), quality: number(0.949), role: Role::Learned },
        CostQualityPoint { name: "random", cost: number(260.0), quality: number(0.86), role: Role::Control },
        CostQualityPoint { name: "best per category", cost: number(240.0), quality: number(0.931), role: Role::Control },
    ]);
    cost_quality(&CostQuality {
        title: "The learned router lies above every mixture of paths",
        subtitle: Some("Held-out window"),
        points: &points,
        cost_axis: "mean latency (ms)",
        quality_axis: "success rate (share)",
    })
}

fn learning(sample: &Sample) -> Result<Figure, PlotError> {
    let x: Vec<f64> = (0..9).map(|step| 500.0 * f64::from(1 << step)).collect();
    let held: Vec<f64> = x.iter().map(|n| (sample.number)(0.95 - 2.4 / n.sqrt())).collect();
    let train: Vec<f64> = x.iter().map(|n| (sample.number)(0.955 + 0.6 / n.sqrt())).collect();
    let edge = |values: &[f64], sign: f64| -> Vec<f64> { values.iter().zip(&x).map(|(value, n)| value + sign * 0.4 / n.sqrt()).collect() };
    let (held_low, held_high, train_low, train_high) = (edge(&held, -1.0), edge(&held, 1.0), edge(&train, -1.0), edge(&train, 1.0));
    learning_curve(&LearningCurve {
        title: "More than 30,000 decisions add less than half a point",
        subtitle: Some("Random forest, 300 trees, 5 folds grouped by query"),
        curves: &[
            Curve { name: "held-out folds", x: &x, y: &held, low: &held_low, high: &held_high },
            Curve { name: "training folds", x: &x, y: &train, low: &train_low, high: &train_high },
        ],
        score: "accuracy (share)",
    })
}

fn weights(sample: &Sample) -> Result<Figure, PlotError> {
    let edges: Vec<f64> = (0..=40).map(|edge| 0.2 * 10_f64.powf(f64::from(edge) / 16.0)).collect();
    let counts: Vec<u64> = edges[..40]
        .iter()
        .map(|edge| (9_000.0 * (-((edge / 1.05).ln() / 0.18).powi(2)).exp() + 900.0 * (-((edge / 22.0).ln() / 0.3).powi(2)).exp()) as u64)
        .collect();
    let paths: Vec<PathOverlap<'_>> = sample
        .paths
        .iter()
        .enumerate()
        .map(|(path, name)| {
            let share = 2.0 / sample.paths.len() as f64;
            PathOverlap { name, logged: (sample.number)(share * noise(path, 1)), target: (sample.number)(share * noise(path, 2)) }
        })
        .collect();
    let drawn = if (sample.number)(1.0) == 1.0 { counts } else { vec![0; 40] };
    weight_overlap(&WeightOverlap {
        title: "Overlap is good: 18,400 effective decisions of 50,000",
        subtitle: Some("Learned router on the held-out window"),
        bin_edges: &edges,
        counts: &drawn,
        n_zero: 19_203,
        n: 50_000,
        effective_size: (sample.number)(18_400.0),
        largest: (sample.number)(25.0),
        paths: &paths,
    })
}

fn over_time(sample: &Sample) -> Result<Figure, PlotError> {
    let days: Vec<String> = (1..=28).map(|day| format!("2026-02-{day:02}")).collect();
    let periods: Vec<&str> = days.iter().map(String::as_str).collect();
    let values: Vec<Vec<f64>> = (0..sample.paths.len())
        .map(|path| {
            (0..28)
                .map(|day| {
                    let late = if path % 9 == 0 && 17 < day { 0.25 } else { 0.0 };
                    if day == 9 && path == 1 { f64::NAN } else { (sample.number)(0.02 + 0.06 * noise(path, day) + late) }
                })
                .collect()
        })
        .collect();
    let series: Vec<DriftSeries<'_>> =
        sample.paths.iter().zip(&values).map(|(name, values)| DriftSeries { name, values, ..DriftSeries::default() }).collect();
    drift(&Drift {
        title: "The share of tool queries moved on 19 February",
        subtitle: Some("Population stability index against the training window"),
        periods: &periods,
        series: &series,
        axis: "population stability index",
        thresholds: &[Threshold { name: "alarm at 0.2", value: (sample.number)(0.2) }],
        alarms: &[18, 19, 20],
    })
}

fn dependence(sample: &Sample) -> Result<Figure, PlotError> {
    let x: Vec<f64> = (0..24).map(|step| f64::from(step) * 25.0).collect();
    let values: Vec<Vec<f64>> = (0..sample.paths.len())
        .map(|path| {
            x.iter().map(|tokens| (sample.number)(0.9 - (noise(path, 6) - 0.1) * 0.5 * (tokens / 600.0) + 0.04 * noise(path, 7))).collect()
        })
        .collect();
    let curves: Vec<Curve<'_>> = sample.paths.iter().zip(&values).map(|(name, y)| Curve { name, x: &x, y, ..Curve::default() }).collect();
    let edges: Vec<f64> = (0..=23).map(|edge| f64::from(edge) * 25.0).collect();
    let counts: Vec<u64> = (0..23).map(|bin| (8_000.0 * (-f64::from(bin) / 5.0).exp()) as u64).collect();
    partial_dependence(&PartialDependence {
        title: "Beyond 300 tokens the tool path loses 10 points",
        subtitle: Some("Mean predicted success over 2,000 decisions"),
        feature: "query length (tokens)",
        prediction: "predicted success (share)",
        curves: &curves,
        bin_edges: &edges,
        counts: &counts,
    })
}
