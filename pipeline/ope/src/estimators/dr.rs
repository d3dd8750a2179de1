//! Doubly robust estimation.

use super::{Estimator, Needs, sum};
use crate::{OpeError, Sample, Terms};

/// `V = mean(v + w (r − q))`: right when the propensities or the model are.
///
/// Source: Dudík, Langford, Li (2011).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "dr",
    summary: "doubly robust: the model, corrected by weighted residuals",
    needs: Needs::Model,
    default_limit: None,
    terms,
};

fn terms(sample: &Sample<'_>, _limit: f64) -> Result<Terms, OpeError> {
    let model = sample.model("dr")?;
    Ok(Terms::mean(sum(sample.weighted_residuals(model, |weight| weight), &model.policy)))
}
