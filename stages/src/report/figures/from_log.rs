//! Figures of the log itself, before anything is learned.

use std::collections::BTreeMap;

use routewright_plot::{ConfusionMatrix, Drift, DriftSeries, Figure, LatencyByPath, PathLatency, PlotError, SuccessHeatmap, Threshold};
use routewright_table::DayCount;

use super::Drawn;
use crate::report::exploration::type_name;
use crate::report::format::milliseconds;

/// Bins of the latency figure, per factor of ten.
const BINS_PER_DECADE: f64 = 12.0;

/// Most query types of a heatmap that can still be read.
const MAX_TYPES: usize = 60;

/// Fewest decisions of a row or column of the heatmap that its title speaks of.
const MIN_ROWS: u64 = 20;

/// Standard errors from the overall rate beyond which a day stands out; of 28 days without change, one in fourteen logs has such a day.
const CLEAR: f64 = 3.0;

pub(super) fn static_confusion(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
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
    let subtitle = format!("{total} decisions that somebody rated");
    (total > 0).then(|| {
        routewright_plot::confusion_matrix(&ConfusionMatrix {
            title: &title,
            subtitle: Some(&subtitle),
            paths: &paths,
            counts: &counts,
            row_axis: "path that a reviewer found right",
            column_axis: "path that the static router chose",
        })
    })
}

pub(super) fn success_heatmap(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let cells = &drawn.exploration.success_by_type_and_path;
    let mut weights: BTreeMap<&str, u64> = BTreeMap::new();
    for cell in cells {
        *weights.entry(type_name(cell.query_type.as_deref())).or_default() += cell.n_rows;
    }
    let mut query_types: Vec<&str> = weights.keys().copied().collect();
    query_types.sort_by(|left, right| weights[right].cmp(&weights[left]).then(left.cmp(right)));
    query_types.truncate(MAX_TYPES);
    let mut paths: Vec<&str> = cells.iter().map(|cell| cell.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let (mut rates, mut counts) = (vec![f64::NAN; query_types.len() * paths.len()], vec![0; query_types.len() * paths.len()]);
    for cell in cells {
        let name = type_name(cell.query_type.as_deref());
        if let (Some(query_type), Ok(path)) =
            (query_types.iter().position(|other| *other == name), paths.binary_search(&cell.path.as_str()))
        {
            rates[query_type * paths.len() + path] = cell.success.rate().unwrap_or(f64::NAN);
            counts[query_type * paths.len() + path] = cell.success.n;
        }
    }
    let title = heatmap_title(drawn, query_types.len());
    (!query_types.is_empty()).then(|| {
        routewright_plot::success_heatmap(&SuccessHeatmap {
            title: &title,
            subtitle: Some("of what was logged; the router chose which queries each path got"),
            query_types: &query_types,
            paths: &paths,
            rates: &rates,
            counts: &counts,
        })
    })
}

/// Between which query types (or paths, where there is one type) success ranges.
fn heatmap_title(drawn: &Drawn<'_>, n_types: usize) -> String {
    let mut totals: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for cell in &drawn.exploration.success_by_type_and_path {
        let name = if n_types > 1 { type_name(cell.query_type.as_deref()) } else { &cell.path };
        let (n, successes) = totals.entry(name).or_default();
        *n += cell.success.n;
        *successes += cell.success.successes;
    }
    let mut rates: Vec<(f64, &str)> = totals
        .into_iter()
        .filter(|(_, (n, _))| *n >= MIN_ROWS)
        .map(|(name, (n, successes))| (100.0 * successes as f64 / n as f64, name))
        .collect();
    rates.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(right.1)));
    match (rates.first(), rates.last()) {
        (Some(low), Some(high)) if rates.len() > 1 => {
            format!("Success ranges from {:.0} % ({}) to {:.0} % ({})", low.0, low.1, high.0, high.1)
        }
        _ => format!("{:.1} % of the decisions succeed", 100.0 * drawn.exploration.success.rate().unwrap_or_default()),
    }
}

pub(super) fn latency(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let outcomes = &drawn.table.outcomes;
    let positive = outcomes.latencies_ms.iter().copied().filter(|latency| latency.is_finite() && *latency > 0.0);
    let (low, high) = positive.fold((f64::MAX, f64::MIN), |(low, high), latency| (low.min(latency), high.max(latency)));
    if low > high {
        return None;
    }
    let first = (low.log10() * BINS_PER_DECADE).floor() as i64;
    let last = (high.log10() * BINS_PER_DECADE).floor() as i64 + 1;
    let edges: Vec<f64> = (first..=last).map(|step| 10_f64.powf(step as f64 / BINS_PER_DECADE)).collect();
    let mut histograms = vec![vec![0_u64; edges.len() - 1]; drawn.table.paths.len()];
    for (arm, latency) in outcomes.arms.iter().zip(&outcomes.latencies_ms) {
        if latency.is_finite() && *latency > 0.0 {
            let bin = (latency.log10() * BINS_PER_DECADE).floor() as i64 - first;
            histograms[arm.index()][(bin.max(0) as usize).min(edges.len() - 2)] += 1;
        }
    }
    let rows = &drawn.exploration.latency_by_path;
    let of = |name: &str| drawn.table.paths.arm(name).map(|arm| histograms[arm.index()].as_slice());
    let nothing = vec![0; edges.len() - 1];
    let paths: Vec<PathLatency<'_>> = rows
        .iter()
        .map(|row| PathLatency {
            name: &row.path,
            n: row.n,
            p50_ms: row.p50,
            p95_ms: row.p95,
            p99_ms: row.p99,
            counts: of(&row.path).unwrap_or(&nothing),
        })
        .collect();
    let fastest = rows.iter().min_by(|left, right| left.p50.total_cmp(&right.p50))?;
    let slowest = rows.iter().max_by(|left, right| left.p50.total_cmp(&right.p50))?;
    let title = if rows.len() > 1 {
        format!("Medians range from {} ({}) to {} ({})", milliseconds(fastest.p50), fastest.path, milliseconds(slowest.p50), slowest.path)
    } else {
        format!("{} takes {} in the median", fastest.path, milliseconds(fastest.p50))
    };
    Some(routewright_plot::latency_by_path(&LatencyByPath {
        title: &title,
        subtitle: Some("all decisions with a latency"),
        paths: &paths,
        bin_edges_ms: &edges,
    }))
}

pub(super) fn success_over_time(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let days = &drawn.exploration.days;
    let overall = drawn.exploration.success.rate()?;
    let periods: Vec<&str> = days.iter().map(|day| day.day.as_str()).collect();
    let values: Vec<f64> = days.iter().map(|day| 100.0 * day.success.rate().unwrap_or(f64::NAN)).collect();
    let stands_out = |day: &DayCount| {
        let error = (overall * (1.0 - overall) / day.success.n as f64).sqrt();
        day.success.rate().is_some_and(|rate| (rate - overall).abs() > CLEAR * error)
    };
    let alarms: Vec<usize> = (0..days.len()).filter(|day| stands_out(&days[*day])).collect();
    let title = match alarms.len() {
        0 => "No day's success differs from the others by more than chance explains".to_owned(),
        n => format!("Success differs from the other days by more than chance explains on {n} of {} days", days.len()),
    };
    let series = [DriftSeries { name: "success rate of the log", values: &values, ..DriftSeries::default() }];
    let overall_name = format!("overall {:.1} %", 100.0 * overall);
    (days.len() > 1 && values.iter().any(|value| value.is_finite())).then(|| {
        routewright_plot::drift(&Drift {
            title: &title,
            subtitle: Some("decisions with an outcome, by day (UTC); alarms lie more than three standard errors from the overall rate"),
            periods: &periods,
            series: &series,
            axis: "success rate (%)",
            thresholds: &[Threshold { name: &overall_name, value: 100.0 * overall }],
            alarms: &alarms,
        })
    })
}

pub(super) fn traffic_over_time(drawn: &Drawn<'_>) -> Option<Result<Figure, PlotError>> {
    let paths = &drawn.table.paths;
    let mut days: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
    for (arm, time) in drawn.table.outcomes.arms.iter().zip(&drawn.table.outcomes.timestamps) {
        days.entry(time.0.div_euclid(MICROS_PER_DAY)).or_insert_with(|| vec![0; paths.len()])[arm.index()] += 1;
    }
    let periods: Vec<String> = days.keys().map(|day| crate::time::day(day * MICROS_PER_DAY)).collect();
    let periods: Vec<&str> = periods.iter().map(String::as_str).collect();
    let shares: Vec<Vec<f64>> = paths
        .arms()
        .map(|arm| days.values().map(|counts| 100.0 * counts[arm.index()] as f64 / counts.iter().sum::<u64>().max(1) as f64).collect())
        .collect();
    let series: Vec<DriftSeries<'_>> =
        paths.names().iter().zip(&shares).map(|(name, values)| DriftSeries { name, values, ..DriftSeries::default() }).collect();
    let extent = |values: &[f64]| {
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        (high - low, low, high)
    };
    let (name, (_, low, high)) = paths
        .names()
        .iter()
        .zip(&shares)
        .map(|(name, values)| (name, extent(values)))
        .max_by(|left, right| left.1.0.total_cmp(&right.1.0).then(right.0.cmp(left.0)))?;
    // Where every path gets the same share every day (full information), there is nothing to see.
    let moves = high - low > 1e-9;
    let title = format!("The share of {name} moves most: between {low:.0} and {high:.0} % of a day's decisions");
    (moves && days.len() > 1).then(|| {
        routewright_plot::drift(&Drift {
            title: &title,
            subtitle: Some("which path ran, by day (UTC)"),
            periods: &periods,
            series: &series,
            axis: "share of the day's decisions (%)",
            thresholds: &[],
            alarms: &[],
        })
    })
}

/// Microseconds of a day.
const MICROS_PER_DAY: i64 = 86_400_000_000;
