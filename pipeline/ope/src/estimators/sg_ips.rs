//! Inverse propensity scoring with subgaussian weights.

use super::{Estimator, Needs};
use crate::{Sample, Terms};

/// `V = mean(w' r)` with `w' = w / (1 − λ + λ w)`; the limit is λ in [0, 1], by default 1/√n.
///
/// Source: Metelli, Russo, Restelli (2021).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "sg_ips",
    summary: "inverse propensity scoring with smoothly bounded weights",
    needs: Needs::Nothing,
    default_limit: Some(inverse_root_of_rows),
    terms: |sample: &Sample<'_>, lambda| Ok(Terms::mean(sample.weighted_rewards(|weight| bounded(weight, lambda)))),
};

/// λ that vanishes as the data grow.
pub(super) fn inverse_root_of_rows(n_rows: usize) -> f64 {
    1.0 / (n_rows as f64).sqrt()
}

/// The bounded weight; λ of 1 or more would lose the weights altogether, so it acts as 1.
pub(super) fn bounded(weight: f64, lambda: f64) -> f64 {
    if weight == 0.0 {
        return 0.0;
    }
    let lambda = lambda.min(1.0);
    weight / (1.0 - lambda + lambda * weight)
}
