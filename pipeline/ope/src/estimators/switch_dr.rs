//! Switch-DR: doubly robust where weights are small, the model elsewhere.

use super::{Estimator, Needs, root_of_rows, sum};
use crate::{OpeError, Sample, Terms};

/// `V = mean(v + w (r − q) 1{w ≤ τ})`; the limit is τ, √n by default.
///
/// Source: Wang, Agarwal, Dudík (2017).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "switch_dr",
    summary: "doubly robust where weights are small, the model elsewhere",
    needs: Needs::Model,
    default_limit: Some(root_of_rows),
    terms,
};

fn terms(sample: &Sample<'_>, limit: f64) -> Result<Terms, OpeError> {
    let model = sample.model("switch_dr")?;
    let switched = sample.weighted_residuals(model, |weight| if weight <= limit { weight } else { 0.0 });
    Ok(Terms::mean(sum(switched, &model.policy)))
}
