//! Self-normalised doubly robust estimation.

use super::{Estimator, Needs};
use crate::{OpeError, Sample, Terms};

/// `V = mean(v) + Σ w (r − q) / Σ w`.
pub(super) const ESTIMATOR: Estimator =
    Estimator { name: "sndr", summary: "doubly robust with self-normalised weights", needs: Needs::Model, default_limit: None, terms };

fn terms(sample: &Sample<'_>, _limit: f64) -> Result<Terms, OpeError> {
    let model = sample.model("sndr")?;
    Terms::with_ratio(model.policy.clone(), sample.weighted_residuals(model, |weight| weight), sample.weights().to_vec())
}
