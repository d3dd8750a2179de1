//! Latency and cost of a policy that did not run: the same weights as for success, on a scale of ratios.
//!
//! Rows are post-stratified into agree and differ; inside, the rows on which a policy's path ran are weighted by 1/p. Timeouts enter at the
//! timeout (a restricted mean), never dropped; a quantile that falls on the timeout says so.

use std::collections::BTreeSet;

use routewright_domain::{Arm, Interval, Log};
use serde::{Deserialize, Serialize};

use crate::OpeError;
use crate::comparison::check_choices;
use crate::stats::{Confidence, Ratio, student_quantile};
use crate::terms::{std_error, std_error_by};

/// A quantile of a policy's latency (or cost) distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightedQuantile {
    /// The quantile, in the unit of the log's rewards.
    pub value: f64,
    /// Its interval: the quantiles at the probability plus and minus its error (Woodruff 1952).
    pub interval: Interval,
    /// Whether the quantile lies on the timeout, so that the true one is at least this.
    pub censored: bool,
}

/// A policy's mean, and what every row adds to its error.
struct PolicyMean {
    value: f64,
    influence: Vec<f64>,
    matches_where_differing: usize,
}

/// The ratio of the learned router's mean latency to the static one's, from a log whose rewards are latencies (or costs).
///
/// `se(log ρ) = sd(ψ_l / V_l − ψ_s / V_s) / √n`. The interval uses Student's t with as many degrees of freedom as there are exploration matches,
/// less one: latencies are skewed and matches few. `clusters`: sessions whose rows may move together, one number per row. `None` where a policy's path never ran in a stratum, or a mean is not positive.
///
/// # Errors
/// [`OpeError`] when choices do not fit the log.
pub fn counterfactual_ratio(
    log: Log<'_>,
    learned: &[Arm],
    baseline: &[Arm],
    clusters: Option<&[u32]>,
    confidence: Confidence,
) -> Result<Option<Ratio>, OpeError> {
    check_choices("learned choices", log, learned)?;
    check_choices("static choices", log, baseline)?;
    let differ: Vec<bool> = learned.iter().zip(baseline).map(|(ours, theirs)| ours != theirs).collect();
    let (Some(ours), Some(theirs)) =
        (policy_mean(log, learned, &differ, log.rewards()), policy_mean(log, baseline, &differ, log.rewards()))
    else {
        return Ok(None);
    };
    if let Some(clusters) = clusters {
        crate::error::check_length("clusters", log.n_rows(), clusters.len())?;
    }
    if ours.value <= 0.0 || theirs.value <= 0.0 {
        return Ok(None);
    }
    let influence: Vec<f64> = ours.influence.iter().zip(&theirs.influence).map(|(a, b)| a / ours.value - b / theirs.value).collect();
    // Sessions, not their rows, are what the error was measured from.
    let matches = clusters.map_or(ours.matches_where_differing, |clusters| {
        let ran = |row: &usize| differ[*row] && log.arms()[*row] == learned[*row];
        (0..log.n_rows()).filter(ran).map(|row| clusters[row]).collect::<BTreeSet<u32>>().len()
    });
    let half_width = match matches {
        0 => confidence.z(),
        1 => return Ok(None),
        _ => student_quantile(0.5 + confidence.level() / 2.0, matches as f64 - 1.0),
    };
    Ok(Some(Ratio::on_log_scale(ours.value, theirs.value, std_error_by(&influence, clusters)?, half_width)))
}

/// A quantile of a policy's latency by the weighted distribution function; `differ` marks the rows on which learned and static disagree.
///
/// `timeout`: latencies from here on are censored. `None` where the policy's path never ran in a stratum.
///
/// # Errors
/// [`OpeError`] when columns do not fit the log, or the probability is not in (0, 1).
pub fn counterfactual_quantile(
    log: Log<'_>,
    choices: &[Arm],
    differ: &[bool],
    probability: f64,
    timeout: Option<f64>,
    confidence: Confidence,
) -> Result<Option<WeightedQuantile>, OpeError> {
    check_choices("choices", log, choices)?;
    crate::error::check_length("differ", log.n_rows(), differ.len())?;
    if !(0.0 < probability && probability < 1.0) {
        return Err(OpeError::Setting { name: "probability", expected: "lie in (0, 1)", found: probability });
    }
    let Some(weights) = row_weights(log, choices, differ) else { return Ok(None) };
    let cap = timeout.unwrap_or(f64::INFINITY);
    let mut values: Vec<(f64, f64)> = log.rewards().iter().map(|reward| reward.min(cap)).zip(weights).filter(|pair| pair.1 > 0.0).collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let value = weighted_quantile(&values, probability);
    let below: Vec<f64> = log.rewards().iter().map(|reward| f64::from(u8::from(reward.min(cap) <= value))).collect();
    let Some(share) = policy_mean(log, choices, differ, &below) else { return Ok(None) };
    let margin = confidence.z() * std_error(&share.influence);
    let interval = Interval {
        lower: weighted_quantile(&values, (probability - margin).max(0.0)),
        upper: weighted_quantile(&values, (probability + margin).min(1.0)),
    };
    Ok(Some(WeightedQuantile { value, interval, censored: value >= cap }))
}

/// The smallest value with at least `probability` of the weight at or below it.
fn weighted_quantile(sorted: &[(f64, f64)], probability: f64) -> f64 {
    let total: f64 = sorted.iter().map(|pair| pair.1).sum();
    let mut cumulative = 0.0;
    for &(value, weight) in sorted {
        cumulative += weight;
        if cumulative >= probability * total {
            return value;
        }
    }
    sorted.last().map_or(f64::NAN, |pair| pair.0)
}

/// Weights of the rows on which a policy's path ran, 0 on the others; each stratum has its share of rows. `None` where one has no match.
fn row_weights(log: Log<'_>, choices: &[Arm], differ: &[bool]) -> Option<Vec<f64>> {
    let (mut rows, mut weight) = ([0.0; 2], [0.0; 2]);
    for (row, differs) in differ.iter().enumerate() {
        let stratum = usize::from(*differs);
        rows[stratum] += 1.0;
        weight[stratum] += inverse_propensity(log, choices, row);
    }
    if (0..2).any(|stratum| rows[stratum] > 0.0 && weight[stratum] == 0.0) {
        return None;
    }
    let scale = |row: usize| rows[usize::from(differ[row])] / weight[usize::from(differ[row])];
    Some((0..log.n_rows()).map(|row| inverse_propensity(log, choices, row) * scale(row)).collect())
}

/// 1/p where the policy's path ran, 0 elsewhere.
fn inverse_propensity(log: Log<'_>, choices: &[Arm], row: usize) -> f64 {
    if log.arms()[row] == choices[row] { 1.0 / log.propensities()[row].get() } else { 0.0 }
}

/// A policy's mean of a column with the influence of every row.
fn policy_mean(log: Log<'_>, choices: &[Arm], differ: &[bool], column: &[f64]) -> Option<PolicyMean> {
    let weights = row_weights(log, choices, differ)?;
    let (mut rows, mut sums) = ([0.0; 2], [0.0; 2]);
    for (row, weight) in weights.iter().enumerate() {
        rows[usize::from(differ[row])] += 1.0;
        sums[usize::from(differ[row])] += weight * column[row];
    }
    let means: [f64; 2] = std::array::from_fn(|stratum| if rows[stratum] > 0.0 { sums[stratum] / rows[stratum] } else { 0.0 });
    let value = (sums[0] + sums[1]) / (rows[0] + rows[1]);
    let influence = weights.iter().enumerate().map(|(row, weight)| {
        let mean = means[usize::from(differ[row])];
        weight * (column[row] - mean) + mean - value
    });
    let matches_where_differing = weights.iter().zip(differ).filter(|(weight, differ)| **weight > 0.0 && **differ).count();
    Some(PolicyMean { value, influence: influence.collect(), matches_where_differing })
}

#[cfg(test)]
mod tests {
    use routewright_domain::Propensity;

    use super::*;

    fn log_rows() -> (Vec<Arm>, Vec<f64>, Vec<Propensity>) {
        let arms: Vec<Arm> = (0..40).map(|row| Arm(u16::from(row % 4 == 0))).collect();
        let latencies = (0..40).map(|row| if row % 4 == 0 { 50.0 + f64::from(row % 8) } else { 100.0 }).collect();
        let propensities = arms.iter().map(|arm| Propensity::try_from(if arm.0 == 0 { 0.75 } else { 0.25 }).unwrap()).collect();
        (arms, latencies, propensities)
    }

    #[test]
    fn a_path_twice_as_fast_has_a_ratio_of_a_half() {
        let (arms, latencies, propensities) = log_rows();
        let log = Log::new(2, &arms, &latencies, &propensities).unwrap();
        let ratio = counterfactual_ratio(log, &[Arm(1); 40], &[Arm(0); 40], None, Confidence::TWO_SIDED_95).unwrap().unwrap();
        assert!((ratio.ratio - 0.52).abs() < 1e-12, "{}", ratio.ratio);
        assert!(ratio.interval.contains(ratio.ratio) && ratio.interval.upper < 0.55);
    }

    #[test]
    fn the_same_policy_has_ratio_one_without_error() {
        let (arms, latencies, propensities) = log_rows();
        let log = Log::new(2, &arms, &latencies, &propensities).unwrap();
        let ratio = counterfactual_ratio(log, &[Arm(0); 40], &[Arm(0); 40], None, Confidence::TWO_SIDED_95).unwrap().unwrap();
        assert_eq!((ratio.ratio, ratio.log_std_error), (1.0, 0.0));
    }

    #[test]
    fn a_path_that_never_ran_has_no_latency() {
        let (arms, latencies, propensities) = log_rows();
        let log = Log::new(3, &arms, &latencies, &propensities).unwrap();
        assert_eq!(counterfactual_ratio(log, &[Arm(2); 40], &[Arm(0); 40], None, Confidence::TWO_SIDED_95).unwrap(), None);
    }

    #[test]
    fn a_quantile_on_the_timeout_is_censored() {
        let (arms, latencies, propensities) = log_rows();
        let log = Log::new(2, &arms, &latencies, &propensities).unwrap();
        let differ = [true; 40];
        let p95 = |timeout| counterfactual_quantile(log, &[Arm(0); 40], &differ, 0.95, timeout, Confidence::TWO_SIDED_95).unwrap().unwrap();
        assert_eq!((p95(None).value, p95(None).censored), (100.0, false));
        assert_eq!((p95(Some(80.0)).value, p95(Some(80.0)).censored), (80.0, true));
    }
}
