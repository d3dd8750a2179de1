//! Choosing a limit on the weights from the data: SLOPE, and the least estimated error.

use crate::stats::student_quantile;
use crate::terms::std_error;
use crate::{Estimator, OpeError, Sample, weight_summary};

/// A limit on the weights chosen from the data, and the estimate with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuned {
    /// The limit.
    pub limit: f64,
    /// The estimate.
    pub value: f64,
}

/// Chooses a limit by SLOPE: from the widest interval to the narrowest, as long as every estimate agrees with all wider ones.
///
/// An interval's half-width is Student's at level `1 − delta`; two agree when they are no further apart than `c_i + (√6 − 1) c_j`.
/// The interval of the chosen estimate does not know of the choice: judge on other rows.
///
/// # Errors
/// [`OpeError`] of the estimator, or [`OpeError::Setting`] without limits or with fewer than two rows.
///
/// Source: Su, Srinath, Krishnamurthy (2020). Golden values: Open Bandit Pipeline 0.5.5.
pub fn slope(estimator: &Estimator, sample: &Sample<'_>, limits: &[f64], delta: f64) -> Result<Tuned, OpeError> {
    /// How much wider than the new interval's half-width an old one's may count, after the source's lemma.
    const FACTOR: f64 = 1.449_489_742_783_178;
    let n = sample.log().n_rows() as f64;
    if n < 2.0 {
        return Err(OpeError::Setting { name: "rows", expected: "be at least 2", found: n });
    }
    let quantile = student_quantile(1.0 - delta, n - 1.0);
    let mut candidates = Vec::with_capacity(limits.len());
    for &limit in limits {
        let terms = estimator.terms_with_limit(sample, limit)?;
        let half_width = quantile * std_error(&terms.influence()) * (n / (n - 1.0)).sqrt();
        candidates.push((half_width, Tuned { limit, value: terms.value() }));
    }
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.limit.total_cmp(&a.1.limit)));
    let mut chosen: Option<usize> = None;
    for (position, (half_width, tuned)) in candidates.iter().enumerate() {
        let agrees = |(wider, other): &(f64, Tuned)| (other.value - tuned.value).abs() <= half_width + FACTOR * wider;
        if !candidates[..position].iter().all(agrees) {
            break;
        }
        chosen = Some(position);
    }
    chosen.map(|position| candidates[position].1).ok_or(OpeError::Setting {
        name: "limits",
        expected: "hold at least one value",
        found: 0.0,
    })
}

/// Chooses the limit of the least estimated squared error: the variance, and the square of an upper bound on the bias that the limit brings.
///
/// The bias is seen as the distance from the estimate without a limit; Bernstein's inequality bounds how far that may be off, except with probability `delta`.
/// The first of equals.
///
/// # Errors
/// [`OpeError`] of the estimator, or [`OpeError::Setting`] without limits.
///
/// Source: Su, Dimakopoulou, Krishnamurthy, Dudík (2020), direct bias estimation. Golden values: Open Bandit Pipeline 0.5.5.
pub fn least_error(estimator: &Estimator, sample: &Sample<'_>, limits: &[f64], delta: f64) -> Result<Tuned, OpeError> {
    let n = sample.log().n_rows() as f64;
    let unlimited = estimator.terms_with_limit(sample, f64::INFINITY)?.value();
    let weights = weight_summary(sample.weights());
    let (log, mean_square) = ((2.0 / delta).ln(), weights.variance + weights.mean * weights.mean);
    let slack = (2.0 * mean_square * log / n).sqrt() + 2.0 * weights.largest * log / (3.0 * n);
    let mut best: Option<(f64, Tuned)> = None;
    for &limit in limits {
        let terms = estimator.terms_with_limit(sample, limit)?;
        let value = terms.value();
        let error = std_error(&terms.influence()).powi(2) + ((unlimited - value).abs() + slack).powi(2);
        if best.is_none_or(|(least, _)| error < least) {
            best = Some((error, Tuned { limit, value }));
        }
    }
    best.map(|(_, tuned)| tuned).ok_or(OpeError::Setting { name: "limits", expected: "hold at least one value", found: 0.0 })
}
