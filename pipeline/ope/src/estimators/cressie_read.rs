//! The empirical-likelihood point estimate of the Cressie-Read family.

use routewright_domain::Interval;

use crate::Sample;
use crate::stats::mean;

/// The Cressie-Read estimate with power −2: rows are reweighted as little as possible so that the importance weights average 1.
///
/// `weight_range`: smallest and largest weight the logging policy makes possible (`upper` may be infinite).
/// Mass that the rows cannot carry gets the mean logged reward. One row of the extreme weight is imagined, so that a
/// solution exists. `None` when even that leaves all weights equal.
///
/// Source: Karampatziakis, Langford, Mineiro (2020). Golden values: vw-estimators 0.2.2. A diagnostic, without an interval.
pub fn cressie_read(sample: &Sample<'_>, weight_range: Interval) -> Option<f64> {
    let weights = sample.weights();
    let n = weights.len() as f64;
    let [sum_w, sum_ww, sum_wr, sum_wwr] =
        weights.iter().zip(sample.log().rewards()).fold([0.0; 4], |[w, ww, wr, wwr], (weight, reward)| {
            [w + weight, ww + weight * weight, wr + weight * reward, wwr + weight * weight * reward]
        });
    let imagined = if sum_w < n { weight_range.upper } else { weight_range.lower };
    let (constant, slope) = if imagined.is_infinite() {
        (1.0 + 1.0 / n, 0.0)
    } else {
        let first = (imagined + sum_w) / (1.0 + n);
        let second = (imagined * imagined + sum_ww) / (1.0 + n);
        let variance = second - first * first;
        if variance <= 0.0 {
            return None;
        }
        ((second - first) / variance, (1.0 - first) / variance)
    };
    let carried = (constant * sum_w + slope * sum_ww) / (1.0 + n);
    let missing = (1.0 - carried).max(0.0);
    let value = (constant * sum_wr + slope * sum_wwr) / (1.0 + n);
    Some(value + missing * mean(sample.log().rewards()))
}
