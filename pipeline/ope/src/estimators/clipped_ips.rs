//! Inverse propensity scoring with clipped weights.

use super::{Estimator, Needs, root_of_rows};
use crate::{Sample, Terms};

/// `V = mean(min(w, L) r)`: biased by at most `mean((w − L)⁺ r)`, towards 0.
///
/// Source: Ionides (2008), whose limit √n is the default.
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "clipped_ips",
    summary: "inverse propensity scoring with weights cut at a limit: biased towards 0",
    needs: Needs::Nothing,
    default_limit: Some(root_of_rows),
    terms: |sample: &Sample<'_>, limit| Ok(Terms::mean(sample.weighted_rewards(|weight| weight.min(limit)))),
};
