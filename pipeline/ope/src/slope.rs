//! Choosing a limit on the weights from the data: SLOPE.

use crate::stats::student_quantile;
use crate::terms::std_error;
use crate::{Estimator, OpeError, Sample};

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
