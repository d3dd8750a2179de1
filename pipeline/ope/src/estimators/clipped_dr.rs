//! Doubly robust estimation with clipped weights.

use super::{Estimator, Needs, root_of_rows, sum};
use crate::{OpeError, Sample, Terms};

/// `V = mean(v + min(w, L) (r − q))`; the limit L is √n by default.
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "clipped_dr",
    summary: "doubly robust with weights cut at a limit",
    needs: Needs::Model,
    default_limit: Some(root_of_rows),
    terms,
};

fn terms(sample: &Sample<'_>, limit: f64) -> Result<Terms, OpeError> {
    let model = sample.model("clipped_dr")?;
    Ok(Terms::mean(sum(sample.weighted_residuals(model, |weight| weight.min(limit)), &model.policy)))
}
