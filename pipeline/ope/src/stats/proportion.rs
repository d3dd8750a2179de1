//! Intervals for one proportion.

use routewright_domain::Interval;
use statrs::distribution::{Beta, ContinuousCDF};

use super::Confidence;

/// Wilson's score interval for `successes` of `trials`; [0, 1] without trials.
///
/// Counts may be fractional: an effective sample size and its share of successes.
///
/// Source: Wilson (1927). Golden values: statsmodels `proportion_confint(method="wilson")`.
pub fn wilson(successes: f64, trials: f64, confidence: Confidence) -> Interval {
    if trials <= 0.0 {
        return Interval { lower: 0.0, upper: 1.0 };
    }
    let (share, z2) = ((successes / trials).clamp(0.0, 1.0), confidence.z() * confidence.z());
    let shrink = 1.0 + z2 / trials;
    let centre = (share + z2 / (2.0 * trials)) / shrink;
    let half = confidence.z() / shrink * (share * (1.0 - share) / trials + z2 / (4.0 * trials * trials)).sqrt();
    // The ends are exact where nothing, or everything, succeeded: rounding must not move them.
    let lower = if share == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let upper = if share == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Interval { lower, upper }
}

/// Wald's interval, cut to [0, 1]. For comparison only: it is too short near 0 and 1.
pub fn wald(successes: f64, trials: f64, confidence: Confidence) -> Interval {
    let share = successes / trials;
    let half = confidence.z() * (share * (1.0 - share) / trials).sqrt();
    Interval { lower: (share - half).max(0.0), upper: (share + half).min(1.0) }
}

/// Agresti and Coull's interval (1998), cut to [0, 1].
pub fn agresti_coull(successes: f64, trials: f64, confidence: Confidence) -> Interval {
    let z2 = confidence.z() * confidence.z();
    wald(successes + z2 / 2.0, trials + z2, confidence)
}

/// Clopper and Pearson's exact interval (1934): never covers less than it says.
pub fn clopper_pearson(successes: f64, trials: f64, confidence: Confidence) -> Interval {
    let half_alpha = confidence.alpha() / 2.0;
    let lower = if successes <= 0.0 { 0.0 } else { beta_quantile(half_alpha, successes, trials - successes + 1.0) };
    let upper = if successes >= trials { 1.0 } else { beta_quantile(1.0 - half_alpha, successes + 1.0, trials - successes) };
    Interval { lower, upper }
}

/// The equal-tailed interval of Jeffreys' prior, Beta(½, ½).
pub fn jeffreys(successes: f64, trials: f64, confidence: Confidence) -> Interval {
    let half_alpha = confidence.alpha() / 2.0;
    let (a, b) = (successes + 0.5, trials - successes + 0.5);
    Interval { lower: beta_quantile(half_alpha, a, b), upper: beta_quantile(1.0 - half_alpha, a, b) }
}

/// Quantile of a beta distribution, polished by bisection because the library's stops at about 1e-8.
fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    let Ok(beta) = Beta::new(a, b) else { return f64::NAN };
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if beta.cdf(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_without_trials_says_nothing() {
        assert_eq!(wilson(0.0, 0.0, Confidence::TWO_SIDED_95), Interval { lower: 0.0, upper: 1.0 });
    }

    #[test]
    fn wilson_reaches_the_ends_exactly() {
        assert_eq!(wilson(0.0, 10.0, Confidence::TWO_SIDED_95).lower, 0.0);
        assert_eq!(wilson(10.0, 10.0, Confidence::TWO_SIDED_95).upper, 1.0);
    }
}
