//! How well a log overlaps with the policies that are judged on it.

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// What importance weights look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightSummary {
    /// Mean weight: 1 where the propensities are right and the target is supported.
    pub mean: f64,
    /// Variance of the weights (denominator n).
    pub variance: f64,
    /// Largest weight.
    pub largest: f64,
    /// Share of the largest weight in their sum.
    pub largest_share: f64,
    /// Effective sample size, `(Σ w)² / Σ w²`; 0 when all weights are 0.
    pub effective_sample_size: f64,
    /// Share of rows with weight 0.
    pub zero_share: f64,
}

/// Overlap of a log with the learned router, printed always.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Rows of the log.
    pub rows: usize,
    /// Share of rows on which learned and static disagree: P(D).
    pub disagreement: f64,
    /// Rows of D on which the learned path ran.
    pub exploration_matches: usize,
    /// Failures among them.
    pub exploration_failures: f64,
    /// Effective sample size of the learned router.
    pub effective_sample_size: f64,
    /// The same on D.
    pub effective_sample_size_on_disagreement: f64,
    /// Mean weight of the learned router.
    pub mean_weight: f64,
    /// Largest weight's share in their sum.
    pub largest_weight_share: f64,
    /// Share of rows that lie in strata of D on which one of the two paths never ran.
    pub unsupported_mass: f64,
    /// Share of rows whose path was not certain (propensity below 1).
    pub uncertain_share: f64,
    /// Share of rows on which another path than the static one ran.
    pub deviation_share: f64,
    /// Smallest propensity.
    pub smallest_propensity: f64,
}

/// Summarises importance weights.
pub fn weight_summary(weights: &[f64]) -> WeightSummary {
    if weights.is_empty() {
        return WeightSummary::default();
    }
    let n = weights.len() as f64;
    let (sum, largest) = (weights.iter().sum::<f64>(), weights.iter().copied().fold(0.0, f64::max));
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let mean = sum / n;
    WeightSummary {
        mean,
        variance: weights.iter().map(|weight| (weight - mean) * (weight - mean)).sum::<f64>() / n,
        largest,
        largest_share: if sum > 0.0 { largest / sum } else { 0.0 },
        effective_sample_size: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        zero_share: weights.iter().filter(|&&weight| weight == 0.0).count() as f64 / n,
    }
}

/// Summarises the overlap of a log with the learned router.
pub fn diagnostics(comparison: &Comparison<'_>) -> Diagnostics {
    let log = comparison.log();
    let n = log.n_rows();
    let weight = |row: usize| {
        if log.arms()[row] == comparison.learned()[row] { 1.0 / log.propensities()[row].get() } else { 0.0 }
    };
    let differs = |row: &usize| comparison.learned()[*row] != comparison.baseline()[*row];
    let all = weight_summary(&(0..n).map(weight).collect::<Vec<f64>>());
    let differing = weight_summary(&(0..n).filter(differs).map(weight).collect::<Vec<f64>>());
    let uplift = comparison.uplift(crate::Confidence::TWO_SIDED_95);
    let share = |count: usize| count as f64 / n as f64;
    Diagnostics {
        rows: n,
        disagreement: uplift.disagreement,
        exploration_matches: uplift.exploration_matches,
        exploration_failures: uplift.exploration_failures,
        effective_sample_size: all.effective_sample_size,
        effective_sample_size_on_disagreement: differing.effective_sample_size,
        mean_weight: all.mean,
        largest_weight_share: all.largest_share,
        unsupported_mass: uplift.unsupported,
        uncertain_share: share(log.propensities().iter().filter(|propensity| propensity.get() < 1.0).count()),
        deviation_share: share(log.arms().iter().zip(comparison.baseline()).filter(|(ran, chosen)| ran != chosen).count()),
        smallest_propensity: log.propensities().iter().map(|propensity| propensity.get()).fold(1.0, f64::min),
    }
}
