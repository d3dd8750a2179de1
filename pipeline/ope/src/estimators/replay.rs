//! Replay matching: the mean reward of the rows on which log and target took the same path.

use routewright_domain::Arm;

use super::{Estimator, Needs};
use crate::{OpeError, Sample, Terms};

/// `V = Σ 1{a = π} r / Σ 1{a = π}`.
///
/// Unbiased only under uniformly random logging: on a static log it looks like uplift where there is none. A diagnostic.
///
/// Source: Li, Chu, Langford, Wang (2011).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "replay",
    summary: "mean reward where log and target agree; unbiased only for uniform logging",
    needs: Needs::Nothing,
    default_limit: None,
    terms,
};

fn terms(sample: &Sample<'_>, _limit: f64) -> Result<Terms, OpeError> {
    let arms = sample.log().arms();
    let matches = (0..arms.len()).map(|row| is_match(sample, row, arms[row])).collect::<Result<Vec<f64>, OpeError>>()?;
    let rewards = matches.iter().zip(sample.log().rewards()).map(|(matched, reward)| matched * reward).collect();
    Terms::with_ratio(vec![0.0; arms.len()], rewards, matches)
}

/// 1 where the target takes the logged path for certain, 0 where it takes another one for certain.
fn is_match(sample: &Sample<'_>, row: usize, arm: Arm) -> Result<f64, OpeError> {
    let shares = sample.target().row(row);
    if shares.iter().any(|&share| 0.0 < share && share < 1.0) {
        return Err(OpeError::StochasticTarget { row });
    }
    Ok(f64::from(u8::from(shares[arm.index()] > 0.0)))
}
