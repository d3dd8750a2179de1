//! Quantiles and their intervals.

use routewright_domain::Interval;
use statrs::function::factorial::ln_binomial;

use super::Confidence;

/// The quantile of values in any order, interpolated linearly (type 7 of Hyndman and Fan, numpy's default); NaN of nothing.
pub fn quantile(values: &[f64], probability: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let mut values = values.to_vec();
    let position = probability.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    // Two neighbours are enough: no need to sort.
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*low);
    *low + (high - *low) * (position - below as f64)
}

/// The quantile of values in ascending order, interpolated linearly (type 7); NaN of nothing.
pub fn quantile_of_sorted(sorted: &[f64], probability: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = probability.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (position - below as f64)
}

/// The distribution-free interval of a quantile between two order statistics; `None` where the sample is too small for the level.
///
/// The ends are the largest order statistic with at most α/2 below it, and the smallest with at most α/2 above it, by the exact
/// binomial distribution. Positions count from 1.
pub fn order_statistic_interval(sorted: &[f64], probability: f64, confidence: Confidence) -> Option<([usize; 2], Interval)> {
    let n = sorted.len() as u64;
    let (ln_p, ln_q) = (probability.ln(), (1.0 - probability).ln());
    let mass = |count: u64| (ln_binomial(n, count) + count as f64 * ln_p + (n - count) as f64 * ln_q).exp();
    let half_alpha = confidence.alpha() / 2.0;
    let (mut lower, mut upper, mut cumulative) = (0_usize, None, 0.0);
    for count in 0..n {
        cumulative += mass(count);
        if cumulative <= half_alpha {
            lower = count as usize + 1;
        }
        if upper.is_none() && cumulative >= 1.0 - half_alpha {
            upper = Some(count as usize + 1);
        }
    }
    let upper = upper?;
    (lower > 0).then(|| ([lower, upper], Interval { lower: sorted[lower - 1], upper: sorted[upper - 1] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_two_lies_between_them() {
        assert_eq!(quantile(&[3.0, 1.0], 0.5), 2.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
