//! Two proportions: independent groups, pairs, and whether a split came out as it was declared.

use routewright_domain::Interval;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};
use statrs::function::factorial::ln_binomial;

use super::{Confidence, normal_sf, wilson};

/// Newcombe's hybrid score interval for `p₁ − p₂` (1998, method 10): the two Wilson intervals combined by squares.
pub fn newcombe(successes: [f64; 2], trials: [f64; 2], confidence: Confidence) -> Interval {
    let [p1, p2] = [successes[0] / trials[0], successes[1] / trials[1]];
    let one = wilson(successes[0], trials[0], confidence);
    let two = wilson(successes[1], trials[1], confidence);
    let difference = p1 - p2;
    Interval { lower: difference - (p1 - one.lower).hypot(two.upper - p2), upper: difference + (one.upper - p1).hypot(p2 - two.lower) }
}

/// Agresti and Caffo's interval for `p₁ − p₂` (2000): Wald with one success and one failure added to each group.
pub fn agresti_caffo(successes: [f64; 2], trials: [f64; 2], confidence: Confidence) -> Interval {
    let [p1, p2] = [(successes[0] + 1.0) / (trials[0] + 2.0), (successes[1] + 1.0) / (trials[1] + 2.0)];
    let half = confidence.z() * (p1 * (1.0 - p1) / (trials[0] + 2.0) + p2 * (1.0 - p2) / (trials[1] + 2.0)).sqrt();
    Interval { lower: p1 - p2 - half, upper: p1 - p2 + half }
}

/// The pooled two-proportion z test of `p₁ = p₂`: statistic and two-sided p-value.
pub fn pooled_z(successes: [f64; 2], trials: [f64; 2]) -> (f64, f64) {
    let pooled = (successes[0] + successes[1]) / (trials[0] + trials[1]);
    let std_error = (pooled * (1.0 - pooled) * (1.0 / trials[0] + 1.0 / trials[1])).sqrt();
    let difference = successes[0] / trials[0] - successes[1] / trials[1];
    if std_error == 0.0 {
        return (0.0, 1.0);
    }
    let z = difference / std_error;
    (z, 2.0 * normal_sf(z.abs()))
}

/// Fisher's exact test of `p₁ = p₂`: two-sided p-value, the probability of all tables as improbable as the one seen.
pub fn fisher_exact(successes: [u64; 2], trials: [u64; 2]) -> f64 {
    let (total, drawn) = (trials[0] + trials[1], successes[0] + successes[1]);
    let ln_probability = |first: u64| ln_binomial(trials[0], first) + ln_binomial(trials[1], drawn - first) - ln_binomial(total, drawn);
    let (low, high) = (drawn.saturating_sub(trials[1]), drawn.min(trials[0]));
    // Ties in probability differ by rounding only: the slack counts them as equal.
    let seen = ln_probability(successes[0]) + 1e-7;
    (low..=high).map(ln_probability).filter(|&ln| ln <= seen).map(f64::exp).sum::<f64>().min(1.0)
}

/// McNemar's test on the pairs that disagree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mcnemar {
    /// Exact two-sided binomial p-value.
    pub exact: f64,
    /// Two-sided mid-p value: less conservative.
    pub mid: f64,
    /// p-value of the chi-square statistic without continuity correction; 1 without disagreeing pairs.
    pub chi_square: f64,
}

/// McNemar's test: `only_first` pairs succeed on the first side only, `only_second` on the second only.
///
/// Golden values: statsmodels `mcnemar`.
pub fn mcnemar(only_first: u64, only_second: u64) -> Mcnemar {
    let (discordant, smaller) = (only_first + only_second, only_first.min(only_second));
    if discordant == 0 {
        return Mcnemar { exact: 1.0, mid: 1.0, chi_square: 1.0 };
    }
    let probability = |count: u64| (ln_binomial(discordant, count) - discordant as f64 * std::f64::consts::LN_2).exp();
    let tail: f64 = (0..=smaller).map(probability).sum();
    let exact = (2.0 * tail).min(1.0);
    let difference = only_first as f64 - only_second as f64;
    Mcnemar {
        exact,
        mid: (2.0 * tail - probability(smaller)).min(1.0),
        chi_square: chi_square_sf(difference * difference / discordant as f64, 1.0),
    }
}

/// Sample-ratio check: p-value of the counts against the declared shares (any positive scale); 1 with fewer than two groups.
///
/// Golden values: scipy `chisquare`, gbstats.
pub fn sample_ratio(counts: &[u64], shares: &[f64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    let weight: f64 = shares.iter().sum();
    let statistic: f64 = counts
        .iter()
        .zip(shares)
        .map(|(&count, &share)| {
            let expected = total * share / weight;
            (count as f64 - expected) * (count as f64 - expected) / expected
        })
        .sum();
    chi_square_sf(statistic, counts.len() as f64 - 1.0)
}

/// Upper tail of the chi-square distribution.
fn chi_square_sf(statistic: f64, degrees: f64) -> f64 {
    if degrees == 1.0 {
        return 2.0 * normal_sf(statistic.sqrt());
    }
    ChiSquared::new(degrees).map_or(1.0, |chi_square| chi_square.sf(statistic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_that_never_fail_do_not_differ() {
        assert_eq!(pooled_z([10.0, 20.0], [10.0, 20.0]), (0.0, 1.0));
    }
}
