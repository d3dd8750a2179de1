//! Doubly robust estimation with optimistic shrinkage.

use super::{Estimator, Needs, sum};
use crate::{OpeError, Sample, Terms};

/// `V = mean(v + w' (r − q))` with `w' = L w / (w² + L)`; the limit L is n by default, which halves weights of √n.
///
/// Source: Su, Dimakopoulou, Krishnamurthy, Dudík (2020).
pub(super) const ESTIMATOR: Estimator = Estimator {
    name: "dr_os",
    summary: "doubly robust with large weights shrunk",
    needs: Needs::Model,
    default_limit: Some(|n_rows| n_rows as f64),
    terms,
};

fn terms(sample: &Sample<'_>, limit: f64) -> Result<Terms, OpeError> {
    let model = sample.model("dr_os")?;
    Ok(Terms::mean(sum(sample.weighted_residuals(model, |weight| shrunk(weight, limit)), &model.policy)))
}

/// The shrunk weight; the weight itself without a limit, 0 with a limit of 0.
fn shrunk(weight: f64, limit: f64) -> f64 {
    if weight == 0.0 || limit.is_infinite() { weight } else { limit * weight / (weight * weight + limit) }
}
