//! How much predicted gain must be there before the static path is left: chosen on out-of-fold predictions of the training window.

use std::collections::BTreeMap;

use rayon::prelude::*;
use routewright_domain::Arm;
use routewright_router::{Policy, PolicyScratch};
use routewright_table::FeatureTable;

use super::Rules;
use crate::artifacts::GainCandidate;

/// Gains that are tried, beside the configured one: points of success probability.
const CANDIDATES: &[f64] = &[0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2];

/// The training rows with predictions of forests that did not see them.
pub(super) struct OutOfFold<'a> {
    pub table: &'a FeatureTable,
    /// Rows of the table.
    pub rows: &'a [u32],
    /// Number of every row's query, from 0, in the order of the rows.
    pub queries: &'a [u32],
    /// Predicted success, rows × paths, row after row; `NaN` without a model.
    pub success: &'a [f64],
    /// What the utility of a path starts from, in the same order: predicted success, or the grade.
    pub worth: &'a [f64],
    /// What every row earned, in the units of `worth`: success, or the grade.
    pub earned: &'a [f64],
    /// The static path of queries for which the log names none.
    pub fallback: Arm,
}

/// Training rows of a query type below which nothing is said about it.
const MIN_TYPE_ROWS: usize = 100;

/// One-sided 80 % quantile of the normal: what a query type's gain must exceed in standard errors. It is confirmed on held-out queries anyway.
const TYPE_Z: f64 = 0.841_621_233_572_914_3;

/// One candidate's choices, judged.
struct Judged {
    /// Weight (0 without a match) and reward of every row.
    matched: Vec<(f64, f64)>,
    /// Self-normalised estimate of what it earns.
    value: f64,
    /// Influence of every row on it.
    influence: Vec<f64>,
    disagreement: f64,
}

/// The largest gain whose policy is not worse than the best candidate's by more than one standard error: of policies that cannot be told
/// apart, the one that moves the least traffic. The candidates with their values are for the report; none where the log has no propensities.
pub(super) fn choose(policy: &Policy, found: &OutOfFold<'_>) -> (f64, Vec<GainCandidate>) {
    let configured = policy.settings.min_gain;
    let Some(weights) = weights(found) else { return (configured, Vec::new()) };
    let mut gains = vec![configured];
    gains.extend(CANDIDATES.iter().copied().filter(|gain| *gain > configured));
    let judged: Vec<Judged> = gains.par_iter().map(|gain| judge(policy, *gain, found, &weights)).collect();
    let best = judged.iter().max_by(|left, right| left.value.total_cmp(&right.value));
    let Some(best) = best.filter(|best| best.value.is_finite()) else { return (configured, Vec::new()) };
    let is_equal = |one: &Judged| {
        let influence = best.influence.iter().zip(&one.influence).map(|(a, b)| a - b);
        best.value - one.value <= std_error(influence.zip(found.queries.iter().copied()))
    };
    let chosen = (0..gains.len()).rev().find(|position| is_equal(&judged[*position]));
    let candidate =
        |(gain, judged): (&f64, &Judged)| GainCandidate { min_gain: *gain, success: judged.value, disagreement: judged.disagreement };
    (chosen.map_or(configured, |position| gains[position]), gains.iter().zip(&judged).map(candidate).collect())
}

/// Query types in which the policy gains on the training window, in alphabetical order: its self-normalised value on the rows of the type against that of
/// the static path, both on out-of-fold predictions; none where the log has no propensities.
pub(super) fn helped_types(policy: &Policy, found: &OutOfFold<'_>) -> Vec<String> {
    let Some(weights) = weights(found) else { return Vec::new() };
    let outcomes = &found.table.outcomes;
    let learned = judge(policy, policy.settings.min_gain, found, &weights).matched;
    let of_static = |(row, weight): (usize, &f64)| {
        let matches = outcomes.static_arms[row].unwrap_or(found.fallback) == outcomes.arms[row];
        if matches { *weight } else { 0.0 }
    };
    let fixed = found.rows.iter().map(|row| *row as usize).zip(&weights).map(of_static).zip(found.earned.iter().copied());
    let fixed: Vec<(f64, f64)> = fixed.collect();
    let mut rows_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, row) in found.rows.iter().enumerate() {
        rows_of.entry(&outcomes.query_types[*row as usize]).or_default().push(position);
    }
    let is_helped = |rows: &[usize]| {
        let (ours, theirs) = (MatchedMean::of(&learned, rows)?, MatchedMean::of(&fixed, rows)?);
        let influence = |row: &usize| (ours.influence(learned[*row]) - theirs.influence(fixed[*row]), found.queries[*row]);
        let std_error = std_error(rows.iter().map(influence));
        Some(ours.value - theirs.value > TYPE_Z * std_error && ours.value > theirs.value)
    };
    let helped = rows_of.iter().filter(|(_, rows)| rows.len() >= MIN_TYPE_ROWS && is_helped(rows) == Some(true));
    helped.map(|(name, _)| (*name).to_owned()).collect()
}

/// A self-normalised mean.
struct MatchedMean {
    value: f64,
    mean_weight: f64,
}

impl MatchedMean {
    /// Of some rows, given as weight (0 without a match) and reward; `None` where no row matches.
    fn of(matched: &[(f64, f64)], rows: &[usize]) -> Option<Self> {
        let total: f64 = rows.iter().map(|row| matched[*row].0).sum();
        let value = rows.iter().map(|row| matched[*row].0 * matched[*row].1).sum::<f64>() / total;
        (total > 0.0).then(|| Self { value, mean_weight: total / rows.len() as f64 })
    }

    /// What a row adds to its error.
    fn influence(&self, (weight, reward): (f64, f64)) -> f64 {
        weight * (reward - self.value) / self.mean_weight
    }
}

/// 1/propensity per row; 1 where every path ran on the query; `None` where neither holds.
fn weights(found: &OutOfFold<'_>) -> Option<Vec<f64>> {
    let outcomes = &found.table.outcomes;
    let rows = || found.rows.iter().map(|row| *row as usize);
    if rows().all(|row| outcomes.static_arms[row].is_none()) {
        return Some(vec![1.0; found.rows.len()]);
    }
    rows().map(|row| outcomes.propensities[row].map(|propensity| 1.0 / propensity.get())).collect()
}

/// Judges the policy with one gain.
fn judge(policy: &Policy, gain: f64, found: &OutOfFold<'_>, weights: &[f64]) -> Judged {
    let outcomes = &found.table.outcomes;
    let n_paths = policy.paths.len();
    let policy = Rules(policy).with(|settings| settings.min_gain = gain);
    let mut scratch = PolicyScratch::default();
    scratch.latency_ms.resize(n_paths, f64::NAN);
    let (mut matched, mut n_differing) = (Vec::with_capacity(found.rows.len()), 0);
    for (position, row) in found.rows.iter().map(|row| *row as usize).enumerate() {
        let cells = position * n_paths..(position + 1) * n_paths;
        scratch.success.clear();
        scratch.success.extend_from_slice(&found.success[cells.clone()]);
        scratch.utility.clear();
        scratch.utility.extend_from_slice(&found.worth[cells]);
        let fixed = outcomes.static_arms[row].unwrap_or(found.fallback);
        let arm = policy.decide(Some(fixed), &scratch).arm.unwrap_or(fixed);
        n_differing += usize::from(arm != fixed);
        matched.push((if arm == outcomes.arms[row] { weights[position] } else { 0.0 }, found.earned[position]));
    }
    let total: f64 = matched.iter().map(|(weight, _)| weight).sum();
    let value = matched.iter().map(|(weight, reward)| weight * reward).sum::<f64>() / total;
    let mean_weight = total / matched.len() as f64;
    let influence = matched.iter().map(|(weight, reward)| weight * (reward - value) / mean_weight).collect();
    Judged { matched, value, influence, disagreement: n_differing as f64 / found.rows.len() as f64 }
}

/// Standard error of a mean whose rows have these influences and belong to these queries: `sqrt(Σ_q (Σ_{i∈q} ψᵢ)²) / n`.
///
/// The runs of several paths on one query succeed and fail together. Row by row, what two policies share would count as noise of their difference.
fn std_error(influence: impl Iterator<Item = (f64, u32)>) -> f64 {
    let (mut sums, mut n_rows) = (Vec::new(), 0_u64);
    for (psi, query) in influence {
        let query = query as usize;
        sums.resize(sums.len().max(query + 1), 0.0);
        sums[query] += psi;
        n_rows += 1;
    }
    sums.iter().map(|sum: &f64| sum * sum).sum::<f64>().sqrt() / n_rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use routewright_domain::{Paths, Propensity};
    use routewright_router::PolicySettings;
    use routewright_table::Outcomes;

    /// Static takes path 0. Path 1 is predicted to be better by `predicted` on every row, and is better by 0.2 in truth where `real`.
    fn chosen(predicted: f64, real: bool) -> f64 {
        with_world(predicted, real, |policy, found| choose(policy, found).0)
    }

    /// Lets a function see the world.
    fn with_world<T>(predicted: f64, real: bool, look: impl Fn(&Policy, &OutOfFold<'_>) -> T) -> T {
        let n_rows = 4_000;
        let arm = |row: usize| Arm((row % 2) as u16);
        let success = |row: usize| if arm(row).0 == 1 && real { row % 20 != 1 } else { !(row / 2).is_multiple_of(4) };
        let outcomes = Outcomes {
            arms: (0..n_rows).map(arm).collect(),
            static_arms: vec![Some(Arm(0)); n_rows],
            propensities: vec![Propensity::try_from(0.5).ok(); n_rows],
            successes: (0..n_rows).map(|row| Some(success(row))).collect(),
            query_types: vec!["coding".to_owned(); n_rows],
            ..Outcomes::default()
        };
        let table = FeatureTable { paths: Paths::from_names(["a", "b"]), outcomes, ..FeatureTable::default() };
        let policy = Policy {
            paths: table.paths.clone(),
            success: vec![None, None],
            latency: vec![None, None],
            cost: vec![None, None],
            classifier: None,
            support: vec![2_000, 2_000],
            settings: PolicySettings::default(),
        };
        let rows: Vec<u32> = (0..n_rows as u32).collect();
        let queries: Vec<u32> = (0..n_rows as u32).collect();
        let predictions: Vec<f64> = rows.iter().flat_map(|_| [0.75, 0.75 + predicted]).collect();
        let earned: Vec<f64> = (0..n_rows).map(|row| f64::from(u8::from(success(row)))).collect();
        look(
            &policy,
            &OutOfFold {
                table: &table,
                rows: &rows,
                queries: &queries,
                success: &predictions,
                worth: &predictions,
                earned: &earned,
                fallback: Arm(0),
            },
        )
    }

    #[test]
    fn a_query_type_is_helped_where_the_gain_is_real() {
        assert_eq!(with_world(0.1, true, helped_types), ["coding"]);
        assert!(with_world(0.1, false, helped_types).is_empty());
    }

    #[test]
    fn a_gain_that_is_real_is_not_given_away() {
        assert!(chosen(0.1, true) < 0.1);
    }

    #[test]
    fn a_gain_that_is_only_predicted_moves_nothing() {
        assert_eq!(chosen(0.1, false), 0.2);
    }

    #[test]
    fn runs_on_one_query_are_compared_with_each_other() {
        // Two policies earn the same on a hard query and on an easy one: nothing is uncertain about their difference.
        let shared = [(-1.0, 7), (1.0, 7), (2.0, 8), (-2.0, 8)];
        assert_eq!(std_error(shared.into_iter()), 0.0);
        assert_eq!(std_error([(-1.0, 7), (1.0, 8), (2.0, 9), (-2.0, 10)].into_iter()), 10.0_f64.sqrt() / 4.0);
    }
}
