//! More robust doubly robust: DR whose model was fitted to make DR's variance small.

use super::{Estimator, Needs, sum};
use crate::{OpeError, Sample, Terms};

/// `V = mean(v + w (r − q))` with q fitted by the caller with [`mrdr_weights`].
///
/// Source: Farajtabar, Chow, Ghavamzadeh (2018).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "mrdr",
    summary: "doubly robust with a model fitted to keep its variance small",
    needs: Needs::MrdrModel,
    default_limit: None,
    terms,
};

fn terms(sample: &Sample<'_>, _limit: f64) -> Result<Terms, OpeError> {
    let model = sample.mrdr_model()?;
    Ok(Terms::mean(sum(sample.weighted_residuals(model, |weight| weight), &model.policy)))
}

/// Weights with which to fit the model of MRDR: `π(a|x) (1 − p) / p²` per row, a the path that ran and p its propensity.
pub fn mrdr_weights(sample: &Sample<'_>) -> Vec<f64> {
    let rows = sample.weights().iter().zip(sample.log().propensities());
    rows.map(|(weight, propensity)| weight * (1.0 - propensity.get()) / propensity.get()).collect()
}
