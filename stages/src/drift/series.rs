//! Means over days: success, latency, and success less what was expected; in the current window, and at the moment that splits them best.

use rayon::prelude::*;
use routewright_ope::stats::{best_split, family_wise, random_orders};

use super::concept::Expectations;
use super::verdict::{Family, Tested};
use super::windows::{Compared, date};
use crate::artifacts::{DriftKind, DriftMeasure};

/// Rows of each window below which a mean says nothing.
const MIN_ROWS: f64 = 30.0;

/// Days on each side of a change.
const MIN_DAYS: usize = 3;

/// A quantity by day.
struct Series {
    kind: DriftKind,
    name: String,
    measure: DriftMeasure,
    /// Rows and sum of values per day.
    days: Vec<(f64, f64)>,
    /// What a mean of values is shown as.
    shown: fn(f64) -> f64,
}

impl Series {
    /// Collects the values of the rows that have one.
    fn new(
        compared: &Compared<'_>,
        (kind, measure): (DriftKind, DriftMeasure),
        name: &str,
        shown: fn(f64) -> f64,
        value: impl Fn(usize) -> Option<f64>,
    ) -> Self {
        let mut days = vec![(0.0, 0.0); compared.days.len()];
        for (position, day) in compared.day.iter().enumerate() {
            if let Some(value) = value(position) {
                let sum = &mut days[*day as usize];
                *sum = (sum.0 + 1.0, sum.1 + value);
            }
        }
        Self { kind, name: name.to_owned(), measure, days, shown }
    }

    /// Means of the windows under an arrangement of the days; `None` with too few rows.
    fn means(&self, current: &[bool]) -> Option<[f64; 2]> {
        let sum = |wanted: bool| {
            let own = self.days.iter().zip(current).filter(|(_, own)| **own == wanted);
            own.fold((0.0, 0.0), |sum, ((n, total), _)| (sum.0 + n, sum.1 + total))
        };
        let [reference, of_current] = [sum(false), sum(true)];
        (MIN_ROWS <= reference.0 && MIN_ROWS <= of_current.0).then(|| [reference.1 / reference.0, of_current.1 / of_current.0])
    }

    /// A difference of means in the unit of the measure.
    fn effect(&self, reference: f64, current: f64) -> f64 {
        if self.measure == DriftMeasure::Points { 100.0 * (current - reference) } else { current - reference }
    }
}

/// Success of everything, and the latency of every path.
pub(super) fn outcomes(compared: &Compared<'_>) -> Family {
    let table = compared.table;
    let row = |position: usize| compared.rows[position] as usize;
    let success = |position: usize| table.outcomes.successes[row(position)].map(|success| f64::from(u8::from(success)));
    let mut all = vec![Series::new(compared, (DriftKind::Success, DriftMeasure::Points), "all", |mean| mean, success)];
    all.extend(latencies(compared, DriftKind::Latency));
    compare(compared, all)
}

/// Success less what was expected, of everything and of every path.
pub(super) fn given_features(compared: &Compared<'_>, expectations: &Expectations) -> Family {
    compare(compared, surprises(compared, expectations, DriftKind::Concept))
}

/// The moments from which success less expectation, or a latency, is another.
pub(super) fn changes(compared: &Compared<'_>, expectations: &Expectations) -> Family {
    let mut all = surprises(compared, expectations, DriftKind::Change);
    all.extend(latencies(compared, DriftKind::Change));
    all.retain(|series| series.days.iter().map(|day| day.0).sum::<f64>() >= 2.0 * MIN_ROWS);
    let statistics = |order: &[usize]| -> Vec<f64> {
        let split = |series: &Series| {
            let days: Vec<(f64, f64)> = order.iter().map(|day| series.days[*day]).collect();
            best_split(&days, MIN_DAYS).map_or(f64::NAN, |split| split.statistic)
        };
        all.iter().map(split).collect()
    };
    let in_order: Vec<usize> = (0..compared.days.len()).collect();
    let observed = statistics(&in_order);
    let orders = random_orders(in_order.len(), compared.params.permutations, &mut compared.seed.derive("orders", 0).rng());
    let permuted: Vec<Vec<f64>> = orders.par_iter().map(|order| statistics(order)).collect();
    let p = family_wise(&observed, &permuted);
    let tested = all.iter().zip(&p).filter_map(|(series, p)| {
        let split = best_split(&series.days, MIN_DAYS)?;
        Some(Tested {
            kind: series.kind,
            name: series.name.clone(),
            measure: series.measure,
            reference: Some((series.shown)(split.before)),
            current: Some((series.shown)(split.after)),
            effect: series.effect(split.before, split.after),
            distance: None,
            p: *p,
            since: Some(date(compared.days[split.at])),
        })
    });
    Family { n_comparisons: observed.len(), tested: tested.collect() }
}

/// Success less expectation, of everything and of every path.
fn surprises(compared: &Compared<'_>, expectations: &Expectations, kind: DriftKind) -> Vec<Series> {
    let surprise = |position: usize| {
        let success = f64::from(u8::from(expectations.success[position]?));
        Some(success - expectations.expected[position]).filter(|surprise| surprise.is_finite())
    };
    let of =
        |name: &str, value: &dyn Fn(usize) -> Option<f64>| Series::new(compared, (kind, DriftMeasure::Points), name, |mean| mean, value);
    let arms = &compared.table.outcomes.arms;
    let of_path = |arm: routewright_domain::Arm| {
        let name = format!("success of {}", compared.table.paths.name(arm));
        of(&name, &|position| surprise(position).filter(|_| arms[compared.rows[position] as usize] == arm))
    };
    let mut all = vec![of("success", &surprise)];
    all.extend(compared.table.paths.arms().map(of_path));
    all
}

/// The typical latency of every path, on a logarithmic scale.
fn latencies(compared: &Compared<'_>, kind: DriftKind) -> Vec<Series> {
    let outcomes = &compared.table.outcomes;
    let of_path = |arm: routewright_domain::Arm| {
        let name = format!("latency of {}", compared.table.paths.name(arm));
        Series::new(compared, (kind, DriftMeasure::LogRatio), &name, f64::exp, |position| {
            let row = compared.rows[position] as usize;
            let latency = outcomes.latencies_ms[row];
            (outcomes.arms[row] == arm && latency > 0.0).then(|| latency.ln())
        })
    };
    compared.table.paths.arms().map(of_path).collect()
}

/// Differences of means with p-values that hold together.
fn compare(compared: &Compared<'_>, all: Vec<Series>) -> Family {
    let statistics = |current: &[bool]| -> Vec<f64> {
        all.iter().map(|series| series.means(current).map_or(f64::NAN, |[reference, current]| (current - reference).abs())).collect()
    };
    let observed = statistics(compared.windows.current());
    let permuted: Vec<Vec<f64>> = compared.permutations.par_iter().map(|drawn| statistics(drawn)).collect();
    let p = family_wise(&observed, &permuted);
    let tested = all.iter().zip(&p).filter_map(|(series, p)| {
        let [reference, current] = series.means(compared.windows.current())?;
        Some(Tested {
            kind: series.kind,
            name: series.name.clone(),
            measure: series.measure,
            reference: Some((series.shown)(reference)),
            current: Some((series.shown)(current)),
            effect: series.effect(reference, current),
            distance: None,
            p: *p,
            since: None,
        })
    });
    Family { n_comparisons: observed.len(), tested: tested.collect() }
}
