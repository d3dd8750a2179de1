//! The form that all estimators share: `V = mean(a) + mean(b) / mean(c)`.
//!
//! From it follow, once for all of them, the value, the influence of every row, the standard error (also by cluster), the interval,
//! and, in a file of its own, the bootstrap that recomputes the whole statistic.

use std::collections::BTreeMap;

use routewright_domain::{Estimate, Interval};

use crate::OpeError;
use crate::error::check_length;
use crate::stats::{Confidence, mean, quantile_of_sorted};

/// The per-row terms of an estimator: `V = mean(additive) + mean(numerator) / mean(denominator)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// What a row adds, in the unit of the reward.
    pub additive: Vec<f64>,
    /// The ratio, for estimators that normalise themselves.
    pub ratio: Option<RatioTerms>,
}

/// The per-row terms of a ratio of means.
#[derive(Clone, Debug, PartialEq)]
pub struct RatioTerms {
    /// What a row adds above the line.
    pub numerator: Vec<f64>,
    /// What a row adds below the line.
    pub denominator: Vec<f64>,
}

impl Terms {
    /// An estimator that is a plain mean.
    pub(crate) fn mean(additive: Vec<f64>) -> Self {
        Self { additive, ratio: None }
    }

    /// An estimator with a ratio of means; refused where the denominator is 0 on all rows.
    pub(crate) fn with_ratio(additive: Vec<f64>, numerator: Vec<f64>, denominator: Vec<f64>) -> Result<Self, OpeError> {
        if denominator.iter().all(|&term| term == 0.0) {
            return Err(OpeError::NoOverlap);
        }
        Ok(Self { additive, ratio: Some(RatioTerms { numerator, denominator }) })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.additive.len()
    }

    /// The estimate itself.
    pub fn value(&self) -> f64 {
        mean(&self.additive) + self.ratio.as_ref().map_or(0.0, |ratio| mean(&ratio.numerator) / mean(&ratio.denominator))
    }

    /// The influence of every row, with mean 0: `ψ = (a − mean a) + (b − ρ c) / mean c`, where `ρ = mean b / mean c`.
    pub fn influence(&self) -> Vec<f64> {
        let centre = mean(&self.additive);
        let centred = self.additive.iter().map(|term| term - centre);
        let Some(ratio) = &self.ratio else { return centred.collect() };
        let below = mean(&ratio.denominator);
        let quotient = mean(&ratio.numerator) / below;
        let parts = ratio.numerator.iter().zip(&ratio.denominator);
        centred.zip(parts).map(|(term, (b, c))| term + (b - quotient * c) / below).collect()
    }

    /// The estimate with its influence-function standard error and Wald interval.
    pub fn estimate(&self, confidence: Confidence) -> Estimate {
        wald_estimate(self.value(), std_error(&self.influence()), confidence)
    }

    /// The same with a standard error that holds when the rows of one cluster (session, user) move together.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one cluster per row.
    pub fn clustered_estimate(&self, clusters: &[u32], confidence: Confidence) -> Result<Estimate, OpeError> {
        Ok(wald_estimate(self.value(), clustered_std_error(&self.influence(), clusters)?, confidence))
    }

    /// The whole statistic on a resample, given as row positions; `None` where its denominator is 0.
    ///
    /// # Panics
    /// When a position is past the last row.
    pub fn value_on(&self, rows: &[u32]) -> Option<f64> {
        let n = rows.len() as f64;
        let sum = |column: &[f64]| rows.iter().map(|&row| column[row as usize]).sum::<f64>();
        let additive = sum(&self.additive) / n;
        let Some(ratio) = &self.ratio else { return Some(additive) };
        let below = sum(&ratio.denominator);
        (below != 0.0).then(|| additive + sum(&ratio.numerator) / below)
    }
}

/// The percentile interval of bootstrap values (linear interpolation); NaN of nothing.
pub fn percentile_interval(values: &[f64], confidence: Confidence) -> Interval {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half_alpha = confidence.alpha() / 2.0;
    Interval { lower: quantile_of_sorted(&sorted, half_alpha), upper: quantile_of_sorted(&sorted, 1.0 - half_alpha) }
}

/// The difference of two estimators on the same rows, paired row by row: first minus second; by cluster where there are clusters.
///
/// # Errors
/// [`OpeError::Length`] when they are not over the same rows, or there is not one cluster per row.
pub fn paired_difference(first: &Terms, second: &Terms, clusters: Option<&[u32]>, confidence: Confidence) -> Result<Estimate, OpeError> {
    check_length("second estimator", first.n_rows(), second.n_rows())?;
    let influence: Vec<f64> = first.influence().iter().zip(second.influence()).map(|(a, b)| a - b).collect();
    let std_error = match clusters {
        Some(clusters) => clustered_std_error(&influence, clusters)?,
        None => std_error(&influence),
    };
    Ok(wald_estimate(first.value() - second.value(), std_error, confidence))
}

/// `sqrt(mean(ψ²) / n)` of influences with mean 0.
pub fn std_error(influence: &[f64]) -> f64 {
    let n = influence.len() as f64;
    (influence.iter().map(|psi| psi * psi).sum::<f64>() / n / n).sqrt()
}

/// Standard error when rows of one cluster move together: `sqrt(G/(G−1) Σ_g (Σ_{i∈g} ψᵢ)²) / n` with G clusters.
///
/// # Errors
/// [`OpeError::Length`] when there is not one cluster per row.
pub fn clustered_std_error(influence: &[f64], clusters: &[u32]) -> Result<f64, OpeError> {
    check_length("clusters", influence.len(), clusters.len())?;
    let mut sums = BTreeMap::new();
    for (&cluster, psi) in clusters.iter().zip(influence) {
        *sums.entry(cluster).or_insert(0.0) += psi;
    }
    let (n, groups) = (influence.len() as f64, sums.len() as f64);
    let total: f64 = sums.values().map(|sum| sum * sum).sum();
    let correction = if groups > 1.0 { groups / (groups - 1.0) } else { f64::INFINITY };
    Ok((correction * total).sqrt() / n)
}

/// Standard error of influences, by cluster where there are clusters: [`clustered_std_error`], but never below the plain one.
pub(crate) fn std_error_by(influence: &[f64], clusters: Option<&[u32]>) -> Result<f64, OpeError> {
    let plain = std_error(influence);
    clusters.map_or(Ok(plain), |clusters| Ok(clustered_std_error(influence, clusters)?.max(plain)))
}

/// An estimate with its Wald interval.
pub(crate) fn wald_estimate(value: f64, std_error: f64, confidence: Confidence) -> Estimate {
    let half = confidence.z() * std_error;
    Estimate { value, std_error, interval: Interval { lower: value - half, upper: value + half } }
}

/// Running moments of the terms: value and standard error in one pass, in bounded memory, over shards that add up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    n_rows: f64,
    means: [f64; 3],
    products: [[f64; 3]; 3],
}

impl Moments {
    /// Adds one row's terms: additive, numerator, denominator (0 and 1 where there is no ratio).
    pub fn push(&mut self, terms: [f64; 3]) {
        self.merge(&Self { n_rows: 1.0, means: terms, products: [[0.0; 3]; 3] });
    }

    /// Adds another shard.
    pub fn merge(&mut self, other: &Self) {
        if other.n_rows == 0.0 {
            return;
        }
        let n_rows = self.n_rows + other.n_rows;
        let delta: [f64; 3] = std::array::from_fn(|i| other.means[i] - self.means[i]);
        let factor = self.n_rows * other.n_rows / n_rows;
        for (i, row) in self.products.iter_mut().enumerate() {
            for (j, product) in row.iter_mut().enumerate() {
                *product += other.products[i][j] + delta[i] * delta[j] * factor;
            }
        }
        for (own, step) in self.means.iter_mut().zip(delta) {
            *own += step * other.n_rows / n_rows;
        }
        self.n_rows = n_rows;
    }

    /// The estimate with its influence-function standard error; `None` without rows or overlap.
    pub fn estimate(&self, confidence: Confidence) -> Option<Estimate> {
        let [additive, above, below] = self.means;
        if self.n_rows == 0.0 || below == 0.0 {
            return None;
        }
        let quotient = above / below;
        // ψ is linear in the centred terms, so its variance is a quadratic form in their products.
        let gradient = [1.0, 1.0 / below, -quotient / below];
        let form: f64 = (0..3).flat_map(|i| (0..3).map(move |j| gradient[i] * gradient[j] * self.products[i][j])).sum();
        let std_error = form.max(0.0).sqrt() / self.n_rows;
        Some(wald_estimate(additive + quotient, std_error, confidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ratio_terms() -> Terms {
        Terms::with_ratio(vec![1.0, 2.0, 0.5], vec![1.0, 0.0, 3.0], vec![2.0, 0.0, 1.0]).unwrap()
    }

    #[test]
    fn the_influences_of_a_ratio_have_mean_zero() {
        let sum: f64 = ratio_terms().influence().iter().sum();
        assert!(sum.abs() < 1e-14);
    }

    #[test]
    fn a_denominator_of_zero_is_no_overlap() {
        assert_eq!(Terms::with_ratio(vec![0.0], vec![0.0], vec![0.0]), Err(OpeError::NoOverlap));
    }

    #[test]
    fn one_row_per_cluster_is_almost_the_plain_error() {
        let psi = [1.0, -2.0, 0.5, 0.5];
        let clustered = clustered_std_error(&psi, &[0, 1, 2, 3]).unwrap();
        assert!((clustered - std_error(&psi) * (4.0_f64 / 3.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_repeated_session_counts_once() {
        let (single, twice) = ([1.0, -2.0, 1.0], [1.0, 1.0, -2.0, -2.0, 1.0, 1.0]);
        let expected = clustered_std_error(&single, &[0, 1, 2]).unwrap();
        let found = clustered_std_error(&twice, &[0, 0, 1, 1, 2, 2]).unwrap();
        assert!((expected - found).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn moments_agree_with_columns_however_they_are_sharded(
            rows in prop::collection::vec((-3.0_f64..3.0, -3.0_f64..3.0, 0.1_f64..3.0), 2..60), split in 0_usize..60,
        ) {
            let terms = Terms {
                additive: rows.iter().map(|row| row.0).collect(),
                ratio: Some(RatioTerms {
                    numerator: rows.iter().map(|row| row.1).collect(),
                    denominator: rows.iter().map(|row| row.2).collect(),
                }),
            };
            let mut shards = [Moments::default(), Moments::default()];
            for (row, &(a, b, c)) in rows.iter().enumerate() {
                shards[usize::from(row >= split)].push([a, b, c]);
            }
            let mut merged = shards[0];
            merged.merge(&shards[1]);
            let (expected, found) = (terms.estimate(Confidence::TWO_SIDED_95), merged.estimate(Confidence::TWO_SIDED_95).unwrap());
            prop_assert!((expected.value - found.value).abs() < 1e-10);
            prop_assert!((expected.std_error - found.std_error).abs() < 1e-10);
        }
    }
}
