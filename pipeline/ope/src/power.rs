//! How much data a verdict needs.
//!
//! Normal approximations, except where a function says exact; rates and uplifts in [0, 1], not points.

use serde::{Deserialize, Serialize};
use statrs::function::factorial::ln_binomial;

use crate::stats::{Confidence, normal_cdf, normal_quantile};

/// Exploration matches to ask for before an uplift is shown to be above 0 (rule of thumb of STATISTICS.md, section 6).
pub const MATCHES_ABOVE_ZERO: usize = 60;

/// Exploration matches to ask for before an uplift of 5 points is shown to be above 3.
pub const MATCHES_ABOVE_THREE: usize = 200;

/// Power that plans ask for: the chance of seeing an uplift that is there.
pub const POWER: f64 = 0.8;

/// What would settle the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerPlan {
    /// Decisions to log at the present exploration; 0 where the log does not explore.
    pub decisions: usize,
    /// Exploration matches on the rows where the routers disagree.
    pub exploration_matches: usize,
    /// Or: shadow runs of both paths on such rows.
    pub shadow_runs: usize,
}

/// Decisions per group of a randomised test that shows `uplift` over a `baseline` rate, two-sided at `confidence`.
pub fn per_arm(baseline: f64, uplift: f64, power: f64, confidence: Confidence) -> usize {
    let treated = baseline + uplift;
    let pooled = f64::midpoint(baseline, treated);
    let spread =
        confidence.z() * (2.0 * variance(pooled)).sqrt() + normal_quantile(power) * (variance(baseline) + variance(treated)).sqrt();
    rows((spread / uplift).powi(2))
}

/// Decisions per group by the arcsine approximation: Cohen's `h = 2 asin √p₂ − 2 asin √p₁`, both tails; not rounded.
///
/// What other packages call the sample size of two proportions; [`per_arm`] asks for a little more. Golden values: statsmodels `NormalIndPower`.
pub fn per_arm_arcsine(baseline: f64, uplift: f64, power: f64, confidence: Confidence) -> f64 {
    let angle = |share: f64| 2.0 * share.clamp(0.0, 1.0).sqrt().asin();
    let effect = (angle(baseline + uplift) - angle(baseline)).abs();
    let reached = |n: f64| {
        let shift = effect * (n / 2.0).sqrt();
        normal_cdf(shift - confidence.z()) + normal_cdf(-shift - confidence.z())
    };
    let (mut low, mut high) = (0.0, 4.0 * ((confidence.z() + normal_quantile(power)) / effect).powi(2));
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if reached(middle) < power { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The power of the pooled z test with `n` decisions per group: exact for up to [`EXACT_POWER_ROWS`], a normal approximation beyond.
pub fn power_per_arm(baseline: f64, uplift: f64, n: usize, confidence: Confidence) -> f64 {
    let treated = (baseline + uplift).clamp(0.0, 1.0);
    if n <= EXACT_POWER_ROWS {
        return exact_power(baseline, treated, n, confidence);
    }
    let pooled = f64::midpoint(baseline, treated);
    let (shift, critical) = (uplift.abs() * (n as f64).sqrt(), confidence.z() * (2.0 * variance(pooled)).sqrt());
    let spread = (variance(baseline) + variance(treated)).sqrt();
    normal_cdf((shift - critical) / spread) + normal_cdf((-shift - critical) / spread)
}

/// Largest group for which power is summed over all outcomes of both groups: four million pairs, some milliseconds.
pub const EXACT_POWER_ROWS: usize = 2_000;

/// The probability of all pairs of success counts that the pooled z test rejects.
fn exact_power(baseline: f64, treated: f64, n: usize, confidence: Confidence) -> f64 {
    let (first, second) = (binomial_masses(n, baseline), binomial_masses(n, treated));
    let trials = [n as f64; 2];
    let critical = confidence.z() * confidence.z();
    let rejects = |a: usize, b: usize| {
        let pooled = (a + b) as f64 / (2.0 * trials[0]);
        let difference = (b as f64 - a as f64) / trials[0];
        difference * difference > critical * variance(pooled) * 2.0 / trials[0]
    };
    let of_row = |a: usize| second.iter().enumerate().filter(|(b, _)| rejects(a, *b)).map(|(_, mass)| mass).sum::<f64>();
    first.iter().enumerate().map(|(a, mass)| mass * of_row(a)).sum()
}

/// The binomial distribution of `n` trials.
fn binomial_masses(n: usize, rate: f64) -> Vec<f64> {
    let (ln_success, ln_failure) = (rate.ln(), (1.0 - rate).ln());
    let term = |count: usize, ln: f64| if count == 0 { 0.0 } else { count as f64 * ln };
    (0..=n).map(|count| (ln_binomial(n as u64, count as u64) + term(count, ln_success) + term(n - count, ln_failure)).exp()).collect()
}

/// Decisions per group that prove an uplift above `margin` when it is `uplift`, one-sided at the ends of `confidence`.
pub fn per_arm_to_prove(baseline: f64, uplift: f64, margin: f64, power: f64, confidence: Confidence) -> usize {
    let quantiles = confidence.z() + normal_quantile(power);
    rows(quantiles * quantiles * (variance(baseline) + variance(baseline + uplift)) / (uplift - margin).powi(2))
}

/// Paired runs (both paths on each query) that show `uplift` when `discordance` is the share of queries on which the outcomes differ.
pub fn paired_runs(uplift: f64, discordance: f64, power: f64, confidence: Confidence) -> usize {
    let spread = confidence.z() * discordance.sqrt() + normal_quantile(power) * (discordance - uplift * uplift).max(0.0).sqrt();
    rows((spread / uplift).powi(2))
}

/// Success rates on the rows that disagree, static and learned, when learned brings those rows up to the level of all others.
fn rates_on_disagreement(baseline: f64, uplift: f64, disagreement: f64) -> (f64, f64) {
    let learned = (baseline + uplift).clamp(0.0, 1.0);
    ((learned - uplift / disagreement).clamp(0.0, 1.0), learned)
}

/// Shadow runs on disagreement rows that show an overall `uplift` when the routers disagree on a share `disagreement` of rows.
///
/// Outcomes of the two paths count as independent, which asks for more runs than any agreement between them would.
pub fn shadow_runs_on_disagreement(baseline: f64, uplift: f64, disagreement: f64, power: f64, confidence: Confidence) -> usize {
    let (of_static, of_learned) = rates_on_disagreement(baseline, uplift, disagreement);
    let discordance = of_static * (1.0 - of_learned) + of_learned * (1.0 - of_static);
    paired_runs(of_learned - of_static, discordance, power, confidence)
}

/// Exploration matches on disagreement rows that show an overall `uplift`; `static_matches` is how many static rows there are for each.
pub fn matches_needed(baseline: f64, uplift: f64, disagreement: f64, static_matches: f64, power: f64, confidence: Confidence) -> usize {
    let (of_static, of_learned) = rates_on_disagreement(baseline, uplift, disagreement);
    let pooled = (of_learned + static_matches * of_static) / (1.0 + static_matches);
    let spread = confidence.z() * (variance(pooled) * (1.0 + 1.0 / static_matches)).sqrt()
        + normal_quantile(power) * (variance(of_learned) + variance(of_static) / static_matches).sqrt();
    rows((spread / (of_learned - of_static)).powi(2))
}

/// Rows of an ε-greedy log (uniform over `n_paths`, static included) that show an overall `uplift`.
///
/// Matches follow from `n · P(D) · ε / K`.
pub fn exploration_rows(
    baseline: f64,
    uplift: f64,
    disagreement: f64,
    epsilon: f64,
    n_paths: usize,
    power: f64,
    confidence: Confidence,
) -> usize {
    let explored = epsilon / n_paths as f64;
    let kept = 1.0 - epsilon + explored;
    let matches = matches_needed(baseline, uplift, disagreement, kept / explored, power, confidence);
    rows(matches as f64 / (disagreement * explored))
}

/// What would settle whether the uplift is above 3 points, from a log that explores a share `deviation` of its rows over `n_paths` paths.
pub fn plan(baseline: f64, uplift: f64, disagreement: f64, deviation: f64, n_paths: usize) -> PowerPlan {
    if disagreement <= 0.0 {
        return PowerPlan::default();
    }
    let others = n_paths.saturating_sub(1).max(1) as f64;
    let match_share = disagreement * deviation / others;
    // An uplift cannot exceed the disagreement; where it was planned larger, plan for the largest there can be.
    let reachable = uplift.min(disagreement * 0.99).min((1.0 - baseline).max(0.01));
    PowerPlan {
        decisions: if match_share > 0.0 { rows(MATCHES_ABOVE_THREE as f64 / match_share) } else { 0 },
        exploration_matches: MATCHES_ABOVE_THREE,
        shadow_runs: shadow_runs_on_disagreement(baseline, reachable, disagreement, POWER, Confidence::TWO_SIDED_95),
    }
}

/// Variance of one success.
fn variance(rate: f64) -> f64 {
    (rate * (1.0 - rate)).max(0.0)
}

/// A number of rows: rounded up, 0 for what is no number.
fn rows(n: f64) -> usize {
    // `as` saturates: an uplift of 0 asks for all the rows there can be.
    (n - 1e-9).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Confidence = Confidence::TWO_SIDED_95;
    const ONE: Confidence = Confidence::ONE_SIDED_95;

    #[test]
    fn the_table_per_arm_is_reproduced() {
        assert_eq!([0.03, 0.05, 0.08].map(|uplift| per_arm(0.9, uplift, POWER, TWO)), [1_356, 435, 138]);
        assert_eq!([0.05, 0.08].map(|uplift| per_arm_to_prove(0.9, uplift, 0.03, POWER, ONE)), [2_126, 272]);
    }

    #[test]
    fn the_power_table_is_reproduced() {
        let table = [(0.03, [0.12, 0.22, 0.40, 0.67]), (0.05, [0.27, 0.57, 0.86, 0.99]), (0.08, [0.69, 0.98, 1.0, 1.0])];
        for (uplift, expected) in table {
            let found = [100, 250, 500, 1_000].map(|n| power_per_arm(0.9, uplift, n, TWO));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 0.005, "{uplift}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn the_table_of_paired_runs_is_reproduced() {
        let runs = |uplift: f64| [1.0, 1.5, 2.0].map(|factor| paired_runs(uplift, factor * uplift, POWER, TWO));
        assert_eq!([runs(0.03), runs(0.05), runs(0.08)], [[260, 391, 521], [155, 234, 312], [96, 145, 194]]);
        assert_eq!(shadow_runs_on_disagreement(0.9, 0.05, 0.4, POWER, TWO), 102);
    }

    #[test]
    fn exploration_rows_are_those_of_the_table_within_a_part_in_fifty() {
        // The table does not say how it was made; this normal approximation stays below it by at most 1.4 %.
        for (epsilon, expected) in [(0.01, 69_400.0), (0.05, 14_020.0), (0.1, 7_110.0), (0.2, 3_610.0)] {
            let found = exploration_rows(0.9, 0.05, 0.4, epsilon, 5, POWER, TWO) as f64;
            assert!((found / expected - 1.0).abs() < 0.02, "{epsilon}: {found} for {expected}");
        }
    }

    #[test]
    fn a_plan_without_disagreement_asks_for_nothing() {
        assert_eq!(plan(0.9, 0.05, 0.0, 0.1, 5), PowerPlan::default());
    }

    #[test]
    fn a_log_that_does_not_explore_is_asked_for_shadow_runs() {
        let plan = plan(0.9, 0.05, 0.4, 0.0, 5);
        assert_eq!((plan.decisions, plan.shadow_runs), (0, 102));
    }
}
