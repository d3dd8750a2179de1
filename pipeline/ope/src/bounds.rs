//! What a log bounds where it does not identify: Manski's bounds, and Imbens and Manski's interval around them.

use routewright_domain::{Arm, Interval, Log};
use serde::{Deserialize, Serialize};

use crate::error::{check_finite, check_length};
use crate::stats::{Confidence, mean, normal_cdf};
use crate::terms::std_error_by;
use crate::{Comparison, OpeError, Sample};

/// A quantity known up to a set, with sampling error at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentifiedSet {
    /// The set: all values that the log's distribution allows.
    pub bounds: Interval,
    /// Standard error of the lower end.
    pub lower_std_error: f64,
    /// Standard error of the upper end.
    pub upper_std_error: f64,
    /// Interval that contains the true value (not the whole set) with the confidence asked for.
    pub interval: Interval,
    /// How many standard errors the interval reaches beyond the set.
    pub critical: f64,
}

/// A target policy on a log that supports only a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartialIdentification {
    /// The target's value.
    pub value: IdentifiedSet,
    /// Its difference from the policy that logged the data (not from static).
    pub uplift_over_log: IdentifiedSet,
    /// Mean target probability on paths that the log does not support.
    pub unsupported_mass: f64,
}

/// Bounds a target's value where paths with a logged propensity below `p_min` (and always those with 0) count as unsupported.
///
/// With `x = w r 1{supported}` and `u = Σ_a π(a|x) 1{p(a|x) < p_min}`: `V ∈ [mean x, mean(x + u)]`. Rewards lie in [0, 1].
/// `vectors`: logged propensities of all paths, n × k, row after row.
///
/// # Errors
/// [`OpeError`] when lengths do not fit or a reward is no success.
pub fn partial_identification(
    sample: &Sample<'_>,
    vectors: &[f64],
    p_min: f64,
    confidence: Confidence,
) -> Result<PartialIdentification, OpeError> {
    let (log, n_arms) = (sample.log(), sample.log().n_arms());
    check_length("propensity vectors", log.n_rows() * n_arms, vectors.len())?;
    check_finite("propensity vectors", vectors)?;
    check_successes(log.rewards())?;
    let unsupported = |propensity: f64| propensity <= 0.0 || propensity < p_min;
    let rows = vectors.chunks_exact(n_arms).enumerate();
    let supported_rewards: Vec<f64> = rows
        .clone()
        .map(|(row, propensities)| {
            let ran = log.arms()[row].index();
            if unsupported(propensities[ran]) { 0.0 } else { sample.weights()[row] * log.rewards()[row] }
        })
        .collect();
    let missing: Vec<f64> = rows
        .map(|(row, propensities)| {
            let shares = sample.target().row(row).iter().zip(propensities);
            shares.filter(|(_, propensity)| unsupported(**propensity)).map(|(share, _)| share).sum()
        })
        .collect();
    let uplift_low: Vec<f64> = supported_rewards.iter().zip(log.rewards()).map(|(x, reward)| x - reward).collect();
    Ok(PartialIdentification {
        value: identified_set(&supported_rewards, &missing, None, confidence)?,
        uplift_over_log: identified_set(&uplift_low, &missing, None, confidence)?,
        unsupported_mass: mean(&missing),
    })
}

/// Bounds the value of a policy on a log whose paths were not chosen at random: its successes where it agrees, anything elsewhere.
///
/// # Errors
/// [`OpeError`] when lengths do not fit or a reward is no success.
pub fn deterministic_bounds(log: Log<'_>, choices: &[Arm], confidence: Confidence) -> Result<IdentifiedSet, OpeError> {
    check_length("choices", log.n_rows(), choices.len())?;
    check_successes(log.rewards())?;
    let agrees: Vec<f64> = log.arms().iter().zip(choices).map(|(ran, chosen)| f64::from(u8::from(ran == chosen))).collect();
    let lower: Vec<f64> = agrees.iter().zip(log.rewards()).map(|(agree, reward)| agree * reward).collect();
    let missing: Vec<f64> = agrees.iter().map(|agree| 1.0 - agree).collect();
    identified_set(&lower, &missing, None, confidence)
}

/// Bounds the uplift of learned over static from the rows that disagree, without any assumption about how paths were chosen.
///
/// On rows of D where static ran: `[−P(success and D), P(failure and D)]`; where the learned path ran: `[P(failure …)` turned around`]`; where another
/// ran: `[−1, 1]`. On a deterministic static log the lower end is never above 0, so such a log can prove KEEP and never ADOPT.
///
/// # Errors
/// None for a [`Comparison`], whose columns are checked.
pub fn uplift_bounds(comparison: &Comparison<'_>, confidence: Confidence) -> Result<IdentifiedSet, OpeError> {
    let log = comparison.log();
    let (mut lower, mut width) = (Vec::with_capacity(log.n_rows()), Vec::with_capacity(log.n_rows()));
    for row in 0..log.n_rows() {
        let (ran, reward) = (log.arms()[row], log.rewards()[row]);
        let (learned, baseline) = (comparison.learned()[row], comparison.baseline()[row]);
        let (low, high) = if learned == baseline {
            (0.0, 0.0)
        } else if ran == baseline {
            (-reward, 1.0 - reward)
        } else if ran == learned {
            (reward - 1.0, reward)
        } else {
            (-1.0, 1.0)
        };
        lower.push(low);
        width.push(high - low);
    }
    identified_set(&lower, &width, comparison.sessions().map(|sessions| sessions.of_rows), confidence)
}

/// The critical value of Imbens and Manski (2004): `Φ(c + width / max se) − Φ(−c) = level`.
///
/// It falls from the two-sided quantile (a point) to the one-sided one (a wide set).
pub fn imbens_manski(width: f64, lower_std_error: f64, upper_std_error: f64, confidence: Confidence) -> f64 {
    let largest = lower_std_error.max(upper_std_error);
    if largest == 0.0 {
        return confidence.z();
    }
    let shift = width.max(0.0) / largest;
    let (mut low, mut high) = (0.0, confidence.z() + 1.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if normal_cdf(middle + shift) - normal_cdf(-middle) < confidence.level() {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The set between the mean of `lower` and that of `lower + width`; rows of one cluster may move together.
fn identified_set(lower: &[f64], width: &[f64], clusters: Option<&[u32]>, confidence: Confidence) -> Result<IdentifiedSet, OpeError> {
    let upper: Vec<f64> = lower.iter().zip(width).map(|(low, more)| low + more).collect();
    let bounds = Interval { lower: mean(lower), upper: mean(&upper) };
    let centred = |column: &[f64], centre: f64| column.iter().map(|value| value - centre).collect::<Vec<f64>>();
    let lower_std_error = std_error_by(&centred(lower, bounds.lower), clusters)?;
    let upper_std_error = std_error_by(&centred(&upper, bounds.upper), clusters)?;
    let critical = imbens_manski(bounds.upper - bounds.lower, lower_std_error, upper_std_error, confidence);
    let interval = Interval { lower: bounds.lower - critical * lower_std_error, upper: bounds.upper + critical * upper_std_error };
    Ok(IdentifiedSet { bounds, lower_std_error, upper_std_error, interval, critical })
}

/// Checks that rewards are successes.
fn check_successes(rewards: &[f64]) -> Result<(), OpeError> {
    match rewards.iter().position(|reward| !(0.0..=1.0).contains(reward)) {
        Some(row) => Err(OpeError::NotSuccess { row, found: rewards[row] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use routewright_domain::Propensity;

    use super::*;

    #[test]
    fn the_critical_value_runs_from_two_sided_to_one_sided() {
        let two = imbens_manski(0.0, 1.0, 1.0, Confidence::TWO_SIDED_95);
        let one = imbens_manski(100.0, 1.0, 1.0, Confidence::TWO_SIDED_95);
        assert!((two - Confidence::TWO_SIDED_95.z()).abs() < 1e-12);
        assert!((one - Confidence::ONE_SIDED_95.z()).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_deterministic_log_never_shows_an_uplift(rows in prop::collection::vec((any::<bool>(), 0_u16..3, 0_u16..3), 1..60)) {
            let arms: Vec<Arm> = rows.iter().map(|row| Arm(row.1)).collect();
            let rewards: Vec<f64> = rows.iter().map(|row| f64::from(u8::from(row.0))).collect();
            let learned: Vec<Arm> = rows.iter().map(|row| Arm(row.2)).collect();
            let propensities = vec![Propensity::CERTAIN; rows.len()];
            let log = Log::new(3, &arms, &rewards, &propensities).unwrap();
            let set = uplift_bounds(&Comparison::new(log, &learned, &arms).unwrap(), Confidence::ONE_SIDED_95).unwrap();
            prop_assert!(set.bounds.lower <= 0.0 && set.interval.lower <= 0.0);
            prop_assert!(set.bounds.upper >= 0.0);
        }
    }
}
