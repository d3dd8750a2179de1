//! The empirical-likelihood estimate: the likeliest mean of rows whose importance weights average 1.

use routewright_domain::Interval;

use crate::Sample;
use crate::stats::mean;

/// The value under the likeliest probabilities of the rows, given that weights average 1; mass that the rows cannot carry gets the mean logged reward.
///
/// `weight_range`: smallest and largest weight the logging policy makes possible (`upper` may be infinite).
///
/// Source: Karampatziakis, Langford, Mineiro (2020), after Owen (2001). Golden values: vw-estimators 0.2.2.
pub fn empirical_likelihood(sample: &Sample<'_>, weight_range: Interval) -> f64 {
    let (weights, rewards) = (sample.weights(), sample.log().rewards());
    let n = weights.len() as f64;
    let range =
        weights.iter().fold(weight_range, |range, weight| Interval { lower: range.lower.min(*weight), upper: range.upper.max(*weight) });
    // Every probability 1 / ((w − 1) β + n) must lie in (0, 1].
    let bounds = weights.iter().filter(|weight| **weight != 1.0).map(|weight| ((n - 1.0) / (1.0 - weight), *weight < 1.0));
    let most = if range.lower < 1.0 { n / (1.0 - range.lower) } else { f64::INFINITY };
    let least = if range.upper.is_finite() && range.upper > 1.0 { n / (1.0 - range.upper) } else { 0.0 };
    let most = bounds.clone().filter(|(_, is_light)| *is_light).map(|(bound, _)| bound).fold(most, f64::min);
    let least = bounds.filter(|(_, is_light)| !is_light).map(|(bound, _)| bound).fold(least, f64::max);
    // The dual's slope falls in β: it is above 0 left of the solution.
    let slope = |beta: f64| weights.iter().map(|weight| (weight - 1.0) / ((weight - 1.0) * beta + n)).sum::<f64>();
    let (mut low, mut high) = (least, most);
    if slope(low) <= 0.0 {
        high = low;
    }
    if slope(high) >= 0.0 {
        low = high;
    }
    while low < high {
        let middle = f64::midpoint(low, high);
        if middle <= low || high <= middle {
            break;
        }
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    let beta = f64::midpoint(low, high);
    let probability = |weight: f64| 1.0 / ((weight - 1.0) * beta + n);
    let carried: f64 = weights.iter().map(|weight| weight * probability(*weight)).sum();
    let value: f64 = weights.iter().zip(rewards).map(|(weight, reward)| weight * reward * probability(*weight)).sum();
    value + (1.0 - carried).max(0.0) * mean(rewards)
}
