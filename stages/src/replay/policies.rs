//! The policies that are compared: one list, learned ones and the controls they have to beat. Controls are fitted on the training window.

use std::collections::BTreeMap;

use routewright_domain::Arm;
use routewright_router::Policy;
use routewright_table::{FeatureTable, TrainingRows};

use super::Learned;
use super::held_out::HeldOut;
use crate::artifacts::Role;

/// Training successes that a path needs in a query type before it can be the best there: fewer are luck.
const MIN_MATCHES_PER_TYPE: f64 = 20.0;

/// What a policy does on the held-out queries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choices {
    /// One path per query.
    Fixed(Vec<Arm>),
    /// The same distribution over paths for every query.
    Mixed(Vec<f64>),
}

impl Choices {
    /// Share of every path.
    pub fn shares(&self, n_arms: usize) -> Vec<f64> {
        match self {
            Self::Mixed(shares) => shares.clone(),
            Self::Fixed(arms) => {
                let mut shares = vec![0.0; n_arms];
                for arm in arms {
                    shares[arm.index()] += 1.0 / arms.len() as f64;
                }
                shares
            }
        }
    }
}

/// What policies are made from.
pub(super) struct Setting<'a> {
    pub table: &'a FeatureTable,
    pub held_out: &'a HeldOut,
    /// The learned router's choices, one per query.
    pub learned: &'a [Learned],
    /// The classifier's, with the same fallback.
    pub classified: &'a [Arm],
    /// Training statistics of the paths.
    pub training: &'a TrainingMeans,
    /// Outcomes of held-out queries × paths, `NaN` where unknown: only the oracle looks.
    pub outcomes: &'a [f64],
    /// Whether every path ran on (nearly) every query.
    pub full_information: bool,
}

/// A policy of the list.
pub(super) struct PolicyEntry {
    /// Its name in reports.
    pub name: &'static str,
    /// What it is in the comparison.
    pub role: Role,
    /// What it does; `None` where it cannot be made from this log.
    pub choose: fn(&Setting<'_>) -> Option<Choices>,
}

/// Every policy, in the order of reports.
pub(super) const POLICIES: &[PolicyEntry] = &[
    PolicyEntry { name: "static", role: Role::Static, choose: |setting| Some(Choices::Fixed(setting.held_out.static_choices())) },
    PolicyEntry {
        name: "learned",
        role: Role::Learned,
        choose: |setting| Some(Choices::Fixed(setting.learned.iter().map(|choice| choice.arm).collect())),
    },
    PolicyEntry { name: "classifier", role: Role::Alternative, choose: classifier },
    PolicyEntry { name: "best_single", role: Role::Control, choose: best_single },
    PolicyEntry { name: "best_per_query_type", role: Role::Control, choose: best_per_query_type },
    PolicyEntry { name: "static_mix", role: Role::Control, choose: static_mix },
    PolicyEntry { name: "random_shares", role: Role::Control, choose: random_shares },
    PolicyEntry { name: "oracle", role: Role::Oracle, choose: oracle },
];

/// Means of every path over the training window, weighted by 1/propensity where that is logged.
#[derive(Clone, Debug, Default)]
pub(super) struct TrainingMeans {
    /// Success rate per path; `NaN` where it never ran.
    pub success: Vec<f64>,
    /// Mean latency per path in milliseconds; `NaN` where unknown.
    pub latency_ms: Vec<f64>,
    /// Mean cost per path in US dollars; `NaN` where unknown.
    pub cost_usd: Vec<f64>,
    /// Success and number of runs per query type and path.
    by_type: BTreeMap<String, Vec<(f64, f64)>>,
}

/// Computes the training means.
pub(super) fn training_means(table: &FeatureTable, rows: &TrainingRows) -> TrainingMeans {
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

/// The position of the highest finite number, the first of equals.
fn best_of(values: impl Iterator<Item = f64>) -> Option<Arm> {
    let mut best: Option<(usize, f64)> = None;
    for (position, value) in values.enumerate().filter(|(_, value)| value.is_finite()) {
        if best.is_none_or(|(_, highest)| value > highest) {
            best = Some((position, value));
        }
    }
    best.map(|(position, _)| Arm(position as u16))
}

/// The classifier's path where it is confident, the static one elsewhere (E-009, approach 1).
pub(super) fn classify(policy: &Policy, table: &FeatureTable, held_out: &HeldOut) -> Vec<Arm> {
    let mut row = vec![0.0; table.features.len()];
    let mut probabilities = Vec::new();
    held_out
        .queries
        .iter()
        .map(|query| {
            table.copy_row(query.row, &mut row);
            match policy.classify(&row, &mut probabilities) {
                Some(arm) if probabilities[arm.index()] >= policy.settings.min_confidence => arm,
                _ => query.static_arm,
            }
        })
        .collect()
}

fn classifier(setting: &Setting<'_>) -> Option<Choices> {
    (!setting.classified.is_empty()).then(|| Choices::Fixed(setting.classified.to_vec()))
}

fn best_single(setting: &Setting<'_>) -> Option<Choices> {
    Some(Choices::Fixed(vec![setting.training.best()?; setting.held_out.queries.len()]))
}

fn best_per_query_type(setting: &Setting<'_>) -> Option<Choices> {
    let overall = setting.training.best()?;
    let best = |query_type: &String| {
        let means = setting.training.by_type.get(query_type)?;
        best_of(means.iter().map(|(success, n)| if *n >= MIN_MATCHES_PER_TYPE { *success } else { f64::NAN }))
    };
    let types = setting.held_out.queries.iter().map(|query| &setting.table.outcomes.query_types[query.row]);
    Some(Choices::Fixed(types.map(|query_type| best(query_type).unwrap_or(overall)).collect()))
}

/// The mix of two paths that costs what the learned router's shares cost and succeeds most: what a coin can do.
fn static_mix(setting: &Setting<'_>) -> Option<Choices> {
    let n_arms = setting.table.paths.len();
    let shares = Choices::Fixed(setting.learned.iter().map(|choice| choice.arm).collect()).shares(n_arms);
    let training = setting.training;
    let prices = if training.latency_ms.iter().all(|latency| latency.is_finite()) { &training.latency_ms } else { &training.cost_usd };
    if prices.iter().chain(&training.success).any(|value| !value.is_finite()) {
        return None;
    }
    let budget: f64 = shares.iter().zip(prices).map(|(share, price)| share * price).sum();
    let mut best: Option<(f64, Vec<f64>)> = None;
    for cheap in 0..n_arms {
        for dear in 0..n_arms {
            if !(prices[cheap] <= budget && budget <= prices[dear]) {
                continue;
            }
            let spread = prices[dear] - prices[cheap];
            let share = if spread > 0.0 { (budget - prices[cheap]) / spread } else { 0.0 };
            let success = (1.0 - share) * training.success[cheap] + share * training.success[dear];
            if best.as_ref().is_none_or(|(highest, _)| success > *highest) {
                let mut mix = vec![0.0; n_arms];
                mix[cheap] += 1.0 - share;
                mix[dear] += share;
                best = Some((success, mix));
            }
        }
    }
    best.map(|(_, mix)| Choices::Mixed(mix))
}

fn random_shares(setting: &Setting<'_>) -> Option<Choices> {
    let fixed = Choices::Fixed(setting.learned.iter().map(|choice| choice.arm).collect());
    Some(Choices::Mixed(fixed.shares(setting.table.paths.len())))
}

/// The best path of every query, with hindsight.
fn oracle(setting: &Setting<'_>) -> Option<Choices> {
    let n_arms = setting.table.paths.len();
    let best = |cells: &[f64]| best_of(cells.iter().copied());
    setting
        .full_information
        .then(|| setting.outcomes.chunks_exact(n_arms).map(|cells| best(cells).unwrap_or(Arm(0))).collect())
        .map(Choices::Fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_equals_is_the_first_and_unknown_never_wins() {
        assert_eq!(best_of([f64::NAN, 0.5, 0.5].into_iter()), Some(Arm(1)));
        assert_eq!(best_of([f64::NAN].into_iter()), None);
    }

    #[test]
    fn shares_of_fixed_choices_sum_to_one() {
        assert_eq!(Choices::Fixed(vec![Arm(0), Arm(1), Arm(1), Arm(1)]).shares(2), [0.25, 0.75]);
    }
}
