//! How predictions move with one column, everything else left as it was.

use rayon::prelude::*;
use routewright_router::Forest;
use serde::{Deserialize, Serialize};

use crate::matrix::Matrix;
use crate::predict::predict;

/// Mean predictions by the value of one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dependence {
    /// Values of the column, ascending.
    pub values: Vec<f64>,
    /// Per value, the mean prediction over the rows when all of them have it: `n_outputs` numbers each.
    pub means: Vec<Vec<f64>>,
}

/// Computes partial dependence on a column: every row is predicted with each of `grid`'s values in its place, and averaged.
///
/// `link`: what is made of each prediction before the mean, such as its calibration.
/// Columns that go together with this one keep their values, so combinations that never occur may be asked for: a picture of the model,
/// not of the world. No rows give no values.
///
/// Source: Friedman (2001).
pub fn partial_dependence(
    forest: &Forest,
    matrix: &Matrix<'_>,
    rows: &[u32],
    (column, grid): (usize, &[f32]),
    link: impl Fn(f64) -> f64 + Sync,
) -> Dependence {
    if rows.is_empty() {
        return Dependence::default();
    }
    let n_outputs = forest.n_outputs();
    let positions: Vec<u32> = (0..rows.len() as u32).collect();
    let own: Vec<Vec<f32>> = (0..forest.n_features().min(matrix.n_columns()))
        .map(|column| rows.iter().map(|&row| matrix.column(column)[row as usize]).collect())
        .collect();
    let mean_at = |&value: &f32| -> Vec<f64> {
        let replaced = vec![value; rows.len()];
        let columns: Vec<&[f32]> =
            own.iter().enumerate().map(|(position, own)| if position == column { replaced.as_slice() } else { own.as_slice() }).collect();
        let predictions = Matrix::new(&columns).map(|matrix| predict(forest, &matrix, &positions)).unwrap_or_default();
        (0..n_outputs)
            .map(|output| predictions.iter().skip(output).step_by(n_outputs).map(|&found| link(found)).sum::<f64>() / rows.len() as f64)
            .collect()
    };
    Dependence { values: grid.iter().map(|&value| f64::from(value)).collect(), means: grid.par_iter().map(mean_at).collect() }
}

/// At most `n_values` different values of a column, at equally distant ranks among the rows that have one; ascending, without infinities.
pub fn quantile_grid(matrix: &Matrix<'_>, rows: &[u32], column: usize, n_values: usize) -> Vec<f32> {
    let mut values: Vec<f32> = rows.iter().map(|&row| matrix.column(column)[row as usize]).filter(|value| value.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    let mut grid = values.clone();
    grid.dedup();
    if n_values < grid.len() {
        let at = |step: usize| values[step * (values.len() - 1) / (n_values - 1).max(1)];
        grid = (0..n_values).map(at).collect();
        grid.dedup();
    }
    grid
}

#[cfg(test)]
mod tests {
    use routewright_domain::Seed;

    use super::*;
    use crate::{Binned, ForestParams, MAX_BINS, MaxFeatures, fit_regressor};

    #[test]
    fn the_mean_prediction_follows_the_column_that_matters() {
        let columns: Vec<Vec<f32>> = vec![(0..400).map(|row| (row % 20) as f32).collect(), (0..400).map(|row| (row / 20) as f32).collect()];
        let target: Vec<f64> = (0..400).map(|row| 3.0 * f64::from(row % 20) + f64::from(row / 20)).collect();
        let matrix = Matrix::new(&columns).unwrap();
        let rows: Vec<u32> = (0..400).collect();
        let params = ForestParams { n_trees: 20, max_features: MaxFeatures::All, ..ForestParams::default() };
        let forest = fit_regressor(&Binned::new(&matrix, MAX_BINS), &rows, &target, None, &params, Seed(1)).unwrap().forest;
        let grid = quantile_grid(&matrix, &rows, 0, 5);
        assert_eq!((grid[0], grid[4]), (0.0, 19.0));
        let found = partial_dependence(&forest, &matrix, &rows, (0, &grid), |found| found);
        for (value, mean) in found.values.iter().zip(&found.means) {
            assert!((mean[0] - (3.0 * value + 9.5)).abs() < 1.5, "{value}: {}", mean[0]);
        }
        // The link comes before the mean: a mean of squares is more than the square of a mean.
        let squares = partial_dependence(&forest, &matrix, &rows, (0, &grid), |found| found * found);
        assert!(squares.means.iter().zip(&found.means).all(|(square, mean)| square[0] > mean[0] * mean[0] + 10.0));
        assert_eq!(partial_dependence(&forest, &matrix, &[], (0, &grid), |found| found), Dependence::default());
        assert!(quantile_grid(&matrix, &[], 0, 5).is_empty());
    }
}
