//! Lower bounds on a mean that hold for every sample size, given the largest value possible.
//!
//! The largest value must be *known* (for weighted rewards: one over the smallest propensity the logger allows). The largest value *seen* is no bound.

use super::{mean, student_quantile};

/// Hoeffding's lower bound on the mean of values in [0, `largest`], wrong with probability at most `delta`.
pub fn hoeffding_lower(values: &[f64], largest: f64, delta: f64) -> f64 {
    mean(values) - largest * ((1.0 / delta).ln() / (2.0 * values.len() as f64)).sqrt()
}

/// Maurer and Pontil's empirical Bernstein lower bound (2009) on the mean of values in [0, `largest`]: tighter where the variance is small.
///
/// NaN with fewer than two values.
pub fn bernstein_lower(values: &[f64], largest: f64, delta: f64) -> f64 {
    let (n, centre, log) = (values.len() as f64, mean(values), (2.0 / delta).ln());
    let variance = values.iter().map(|value| (value - centre) * (value - centre)).sum::<f64>() / n;
    centre - 7.0 * largest * log / (3.0 * (n - 1.0)) - (2.0 * log * variance / (n - 1.0)).sqrt()
}

/// Student's lower bound on the mean, wrong with probability `delta` where means of so many values are normal. It needs no largest value, and holds for
/// no sample size in particular: a comparison for the two above.
///
/// NaN with fewer than two values.
pub fn student_lower(values: &[f64], delta: f64) -> f64 {
    let (n, centre) = (values.len() as f64, mean(values));
    let variance = values.iter().map(|value| (value - centre) * (value - centre)).sum::<f64>() / (n - 1.0);
    centre - student_quantile(1.0 - delta, n - 1.0) * (variance / n).sqrt()
}
