//! Doubly robust with subgaussian weights.

use super::sg_ips::{bounded, inverse_root_of_rows};
use super::{Estimator, Needs, sum};
use crate::{OpeError, Sample, Terms};

/// `V = mean(v + w' (r − q))` with `w' = w / (1 − λ + λ w)`; the limit is λ in [0, 1], by default 1/√n.
///
/// Source: Metelli, Russo, Restelli (2021).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "sg_dr",
    summary: "doubly robust with smoothly bounded weights",
    needs: Needs::Model,
    default_limit: Some(inverse_root_of_rows),
    terms,
};

fn terms(sample: &Sample<'_>, lambda: f64) -> Result<Terms, OpeError> {
    let model = sample.model("sg_dr")?;
    Ok(Terms::mean(sum(sample.weighted_residuals(model, |weight| bounded(weight, lambda)), &model.policy)))
}
