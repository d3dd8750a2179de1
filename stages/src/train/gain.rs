//! How much predicted gain must be there before the static path is left: chosen on out-of-fold predictions of the training window.

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
    /// Predicted success, rows × paths, row after row; `NaN` without a model.
    pub success: &'a [f64],
    /// The static path of queries for which the log names none.
    pub fallback: Arm,
}

/// One candidate's choices, judged.
struct Judged {
    /// Self-normalised estimate of its success rate.
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
    let judged: Vec<Judged> = gains.iter().map(|gain| judge(policy, *gain, found, &weights)).collect();
    let best = judged.iter().max_by(|left, right| left.value.total_cmp(&right.value));
    let Some(best) = best.filter(|best| best.value.is_finite()) else { return (configured, Vec::new()) };
    let chosen = (0..gains.len()).rev().find(|position| best.value - judged[*position].value <= std_error(best, &judged[*position]));
    let candidate =
        |(gain, judged): (&f64, &Judged)| GainCandidate { min_gain: *gain, success: judged.value, disagreement: judged.disagreement };
    (chosen.map_or(configured, |position| gains[position]), gains.iter().zip(&judged).map(candidate).collect())
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
    let mut scratch = PolicyScratch { latency_ms: vec![f64::NAN; n_paths], ..PolicyScratch::default() };
    let (mut matched, mut n_differing) = (Vec::with_capacity(found.rows.len()), 0);
    for (position, row) in found.rows.iter().map(|row| *row as usize).enumerate() {
        let predictions = &found.success[position * n_paths..(position + 1) * n_paths];
        scratch.success.clear();
        scratch.success.extend_from_slice(predictions);
        scratch.utility.clone_from(&scratch.success);
        let fixed = outcomes.static_arms[row].unwrap_or(found.fallback);
        let arm = policy.decide(Some(fixed), &scratch).arm.unwrap_or(fixed);
        n_differing += usize::from(arm != fixed);
        let reward = f64::from(u8::from(outcomes.successes[row] == Some(true)));
        matched.push((if arm == outcomes.arms[row] { weights[position] } else { 0.0 }, reward));
    }
    let total: f64 = matched.iter().map(|(weight, _)| weight).sum();
    let value = matched.iter().map(|(weight, reward)| weight * reward).sum::<f64>() / total;
    let mean_weight = total / matched.len() as f64;
    let influence = matched.iter().map(|(weight, reward)| weight * (reward - value) / mean_weight).collect();
    Judged { value, influence, disagreement: n_differing as f64 / found.rows.len() as f64 }
}

/// Standard error of the difference of two candidates, row by row.
fn std_error(left: &Judged, right: &Judged) -> f64 {
    let n = left.influence.len() as f64;
    let squares: f64 = left.influence.iter().zip(&right.influence).map(|(a, b)| (a - b).powi(2)).sum();
    (squares / n / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use routewright_domain::{Paths, Propensity};
    use routewright_router::PolicySettings;
    use routewright_table::Outcomes;

    /// Static takes path 0. Path 1 is predicted to be better by `predicted` on every row, and is better by 0.2 in truth where `real`.
    fn chosen(predicted: f64, real: bool) -> f64 {
        let n_rows = 4_000;
        let arm = |row: usize| Arm((row % 2) as u16);
        let success = |row: usize| if arm(row).0 == 1 && real { row % 20 != 1 } else { !(row / 2).is_multiple_of(4) };
        let outcomes = Outcomes {
            arms: (0..n_rows).map(arm).collect(),
            static_arms: vec![Some(Arm(0)); n_rows],
            propensities: vec![Propensity::try_from(0.5).ok(); n_rows],
            successes: (0..n_rows).map(|row| Some(success(row))).collect(),
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
        let success: Vec<f64> = rows.iter().flat_map(|_| [0.75, 0.75 + predicted]).collect();
        choose(&policy, &OutOfFold { table: &table, rows: &rows, success: &success, fallback: Arm(0) }).0
    }

    #[test]
    fn a_gain_that_is_real_is_not_given_away() {
        assert!(chosen(0.1, true) < 0.1);
    }

    #[test]
    fn a_gain_that_is_only_predicted_moves_nothing() {
        assert_eq!(chosen(0.1, false), 0.2);
    }
}
