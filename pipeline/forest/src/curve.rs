//! Learning curves: whether more rows would make a model better.

use routewright_domain::Seed;
use serde::{Deserialize, Serialize};

use crate::folds::Folds;
use crate::search::below;

/// Scores of models that were trained on some of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Rows trained on, as a mean over the folds.
    pub n_rows: f64,
    /// One score per fold.
    pub scores: Vec<f64>,
}

/// Trains on growing shares of each fold's training rows and judges on the fold.
///
/// `shares`: of the training rows, in (0, 1]; smaller shares are parts of larger ones. `score`: trains on rows, judges on others. Folds
/// with nothing to train or to judge on are left out.
///
/// # Errors
/// The first one of `score`.
pub fn learning_curve<E>(
    rows: &[u32],
    folds: &Folds,
    shares: &[f64],
    seed: Seed,
    mut score: impl FnMut(&[u32], &[u32]) -> Result<f64, E>,
) -> Result<Vec<CurvePoint>, E> {
    let mut points: Vec<(usize, Vec<f64>)> = vec![(0, Vec::new()); shares.len()];
    for fold in 0..folds.n_folds() {
        let (mut train, test) = folds.split(rows, fold);
        let mut rng = seed.derive("learning curve", fold as u64).rng();
        for last in (1..train.len()).rev() {
            train.swap(last, below(&mut rng, last + 1));
        }
        for (share, (n_rows, scores)) in shares.iter().zip(&mut points) {
            let mut part = train[..((share * train.len() as f64).round() as usize).clamp(train.len().min(1), train.len())].to_vec();
            part.sort_unstable();
            if part.is_empty() || test.is_empty() {
                continue;
            }
            *n_rows += part.len();
            scores.push(score(&part, &test)?);
        }
    }
    let mean = |(n_rows, scores): (usize, Vec<f64>)| CurvePoint { n_rows: n_rows as f64 / scores.len().max(1) as f64, scores };
    Ok(points.into_iter().map(mean).collect())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn shares_grow_inside_each_other_and_never_hold_the_judged_rows() {
        let groups: Vec<u64> = (0..100).collect();
        let folds = Folds::grouped(&groups, None, 4, Seed(1)).unwrap();
        let rows: Vec<u32> = (0..100).collect();
        let mut seen: Vec<Vec<u32>> = Vec::new();
        let points = learning_curve(&rows, &folds, &[0.2, 1.0], Seed(1), |train, test| {
            assert!(train.iter().all(|row| !test.contains(row)));
            seen.push(train.to_vec());
            Ok::<f64, Infallible>(train.len() as f64)
        })
        .unwrap();
        assert_eq!(points[0], CurvePoint { n_rows: 15.0, scores: vec![15.0; 4] });
        assert_eq!(points[1], CurvePoint { n_rows: 75.0, scores: vec![75.0; 4] });
        assert!(seen[0].iter().all(|row| seen[1].contains(row)));
    }
}
