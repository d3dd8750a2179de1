//! Inverse propensity scoring.

use super::{Estimator, Needs};
use crate::{Sample, Terms};

/// `V = mean(w r)`: unbiased where propensities are right and the target is supported; large variance.
///
/// Source: Horvitz, Thompson (1952).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "ips",
    summary: "inverse propensity scoring: unbiased, large variance",
    needs: Needs::Nothing,
    default_limit: None,
    terms: |sample: &Sample<'_>, _limit| Ok(Terms::mean(sample.weighted_rewards(|weight| weight))),
};
