//! Intervals of the importance-weighted mean for nightly looks at a growing log, and for every sample size.

use routewright_domain::Interval;
use statrs::function::gamma::{gamma_lr, ln_gamma};

use crate::Sample;
use crate::stats::{Confidence, clopper_pearson};

/// An interval of the target's value that holds at all looks together; rewards must lie in [0, 1].
///
/// The weighted rewards may be as large as they like: what they were predicted to be, from those before, is all that counts. Lower and upper end by a
/// mixture of exponential bets with a gamma prior of shape 1.
///
/// Source: Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro (2022). Golden values: vw-estimators 0.2.2.
pub fn anytime_interval(sample: &Sample<'_>, confidence: Confidence) -> Interval {
    let rows = sample.weights().iter().zip(sample.log().rewards());
    let half_alpha = confidence.alpha() / 2.0;
    let won: Vec<f64> = rows.clone().map(|(weight, reward)| weight * reward).collect();
    let lost: Vec<f64> = rows.map(|(weight, reward)| weight * (1.0 - reward)).collect();
    Interval { lower: lower_bound(&won, half_alpha), upper: 1.0 - lower_bound(&lost, half_alpha) }
}

/// The exact interval of a rate, with as many rows as the largest weight leaves: never covers less than it says; rewards must lie in [0, 1].
///
/// `None` where all weights are 0. Golden values: vw-estimators 0.2.2.
pub fn weighted_clopper_pearson(sample: &Sample<'_>, confidence: Confidence) -> Option<Interval> {
    let largest = sample.weights().iter().copied().fold(0.0, f64::max);
    let sum: f64 = sample.weights().iter().zip(sample.log().rewards()).map(|(weight, reward)| weight * reward).sum();
    (largest > 0.0).then(|| clopper_pearson(sum / largest, sample.weights().len() as f64 / largest, confidence))
}

/// Lower bound, in [0, 1], of the mean of values of at least 0.
fn lower_bound(values: &[f64], alpha: f64) -> f64 {
    let n = values.len() as f64;
    let (mut sum, mut variation) = (0.0, 0.0);
    for (position, value) in values.iter().enumerate() {
        let predicted = (sum + 0.5) / (position as f64 + 1.0);
        variation += (value - predicted).powi(2);
        sum += value;
    }
    let needed = -alpha.ln();
    let excess = |mean: f64| log_wealth(sum - n * mean, variation) - needed;
    if n == 0.0 || excess(0.0) <= 0.0 {
        return 0.0;
    }
    let (mut refuted, mut possible) = (0.0, (sum / n).min(1.0));
    if excess(possible) >= 0.0 {
        return possible;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(refuted, possible);
        if excess(middle) > 0.0 { refuted = middle } else { possible = middle }
    }
    f64::midpoint(refuted, possible)
}

/// Logarithm of what the mixture of bets has won when the values exceed the mean by `excess` in sum, with prediction errors of `variation`.
fn log_wealth(excess: f64, variation: f64) -> f64 {
    let (shape, at) = (variation + 1.0, excess + variation + 1.0);
    let log_incomplete = |shape: f64, at: f64| gamma_lr(shape, at).ln() + ln_gamma(shape);
    excess + variation - shape * at.ln() + log_incomplete(shape, at) - log_incomplete(1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_lies_below_the_mean_and_rises_with_the_rows() {
        let bound = |n: usize| lower_bound(&(0..n).map(|row| f64::from(u8::from(row % 4 != 0))).collect::<Vec<f64>>(), 0.025);
        assert!(bound(100) < bound(1_000) && bound(1_000) < 0.75 && 0.6 < bound(1_000), "{} {}", bound(100), bound(1_000));
        assert_eq!(lower_bound(&[], 0.025), 0.0);
    }
}
