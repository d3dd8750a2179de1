//! Self-normalised inverse propensity scoring.

use super::{Estimator, Needs};
use crate::{Sample, Terms};

/// `V = Σ w r / Σ w`: stays within the range of the rewards; bias of order 1/n.
///
/// Source: Swaminathan, Joachims (2015).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "snips",
    summary: "self-normalised inverse propensity scoring",
    needs: Needs::Nothing,
    default_limit: None,
    terms: |sample: &Sample<'_>, _limit| {
        let weights = sample.weights().to_vec();
        Terms::with_ratio(vec![0.0; weights.len()], sample.weighted_rewards(|weight| weight), weights)
    },
};
