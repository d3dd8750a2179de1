//! Intervals from resampled values, beside the plain percentiles.

use routewright_domain::Interval;

use super::{Confidence, mean, normal_cdf, normal_quantile, quantile_of_sorted};

/// The basic interval: the percentile interval, mirrored at the value itself.
pub fn basic_interval(value: f64, percentile: Interval) -> Interval {
    Interval { lower: 2.0 * value - percentile.upper, upper: 2.0 * value - percentile.lower }
}

/// How fast a statistic's standard error changes with its value, from its values with one row left out each; 0 where they are equal.
pub fn acceleration(leave_one_out: &[f64]) -> f64 {
    let centre = mean(leave_one_out);
    let power = |exponent: i32| leave_one_out.iter().map(|value| (centre - value).powi(exponent)).sum::<f64>();
    let squares = power(2);
    if squares == 0.0 { 0.0 } else { power(3) / (6.0 * squares.powf(1.5)) }
}

/// How far the resampled values lie to one side of the value, in standard deviations; equals count half.
pub fn median_bias(value: f64, resampled: &[f64]) -> f64 {
    let below = resampled.iter().map(|other| if *other < value { 1.0 } else { f64::from(u8::from(*other == value)) / 2.0 }).sum::<f64>();
    normal_quantile(below / resampled.len() as f64)
}

/// The bias-corrected and accelerated interval; NaN where all resampled values lie on one side.
///
/// Source: Efron (1987).
pub fn bca_interval(value: f64, resampled: &[f64], leave_one_out: &[f64], confidence: Confidence) -> Interval {
    let (bias, rate) = (median_bias(value, resampled), acceleration(leave_one_out));
    let mut sorted = resampled.to_vec();
    sorted.sort_by(f64::total_cmp);
    let end = |z: f64| quantile_of_sorted(&sorted, normal_cdf(bias + (bias + z) / (1.0 - rate * (bias + z))));
    Interval { lower: end(-confidence.z()), upper: end(confidence.z()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_bias_and_skew_the_interval_is_the_percentiles() {
        let resampled: Vec<f64> = (0..=1_000).map(f64::from).collect();
        let found = bca_interval(500.0, &resampled, &[1.0, 2.0, 3.0], Confidence::TWO_SIDED_95);
        assert!((found.lower - 25.0).abs() < 1e-9 && (found.upper - 975.0).abs() < 1e-9, "{found:?}");
        assert_eq!(basic_interval(500.0, Interval { lower: 25.0, upper: 975.0 }), Interval { lower: 25.0, upper: 975.0 });
    }
}
