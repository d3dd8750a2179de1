//! The direct method.

use super::{Estimator, Needs};
use crate::{Sample, Terms};

/// `V = mean(v)`: the reward model's word for it, wrong wherever the model is; its interval ignores that.
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "dm",
    summary: "direct method: what the reward model predicts",
    needs: Needs::Model,
    default_limit: None,
    terms: |sample: &Sample<'_>, _limit| Ok(Terms::mean(sample.model("dm")?.policy.clone())),
};
