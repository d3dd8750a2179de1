//! Means over the training window: what controls are fitted on.

use std::collections::BTreeMap;

use routewright_domain::Arm;
use routewright_table::{FeatureTable, TrainingRows};

use super::best_of;

/// Means of every path over the training window, weighted by 1/propensity where that is logged.
#[derive(Clone, Debug, Default)]
pub(in crate::replay) struct TrainingMeans {
    /// Success rate per path; `NaN` where it never ran.
    pub success: Vec<f64>,
    /// Mean latency per path in milliseconds; `NaN` where unknown.
    pub latency_ms: Vec<f64>,
    /// Mean cost per path in US dollars; `NaN` where unknown.
    pub cost_usd: Vec<f64>,
    /// Success and number of runs per query type and path.
    pub by_type: BTreeMap<String, Vec<(f64, f64)>>,
}

/// Computes the training means.
pub(in crate::replay) fn training_means(table: &FeatureTable, rows: &TrainingRows) -> TrainingMeans {
    let n_arms = table.paths.len();
    let outcomes = &table.outcomes;
    let mean = |value: &dyn Fn(usize) -> f64| {
        let mut sums = vec![(0.0, 0.0); n_arms];
        for row in rows.as_slice().iter().map(|row| *row as usize) {
            let value = value(row);
            if value.is_finite() {
                let weight = outcomes.propensities[row].map_or(1.0, |propensity| 1.0 / propensity.get());
                let sum = &mut sums[outcomes.arms[row].index()];
                *sum = (sum.0 + weight * value, sum.1 + weight);
            }
        }
        sums.into_iter().map(|(total, weight)| total / weight).collect::<Vec<f64>>()
    };
    let success = |row: usize| outcomes.successes[row].map_or(f64::NAN, |success| f64::from(u8::from(success)));
    let mut by_type: BTreeMap<String, Vec<(f64, f64, f64)>> = BTreeMap::new();
    for row in rows.as_slice().iter().map(|row| *row as usize) {
        let weight = outcomes.propensities[row].map_or(1.0, |propensity| 1.0 / propensity.get());
        let sums = by_type.entry(outcomes.query_types[row].clone()).or_insert_with(|| vec![(0.0, 0.0, 0.0); n_arms]);
        let sum = &mut sums[outcomes.arms[row].index()];
        *sum = (sum.0 + weight * success(row), sum.1 + weight, sum.2 + 1.0);
    }
    let by_type =
        by_type.into_iter().map(|(name, sums)| (name, sums.into_iter().map(|(total, weight, n)| (total / weight, n)).collect())).collect();
    TrainingMeans {
        success: mean(&success),
        latency_ms: mean(&|row| outcomes.latencies_ms[row]),
        cost_usd: mean(&|row| outcomes.costs[row]),
        by_type,
    }
}

impl TrainingMeans {
    /// The path with the highest success rate, the first of equals.
    pub fn best(&self) -> Option<Arm> {
        best_of(self.success.iter().copied())
    }
}
