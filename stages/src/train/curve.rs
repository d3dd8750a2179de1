//! The learning curve: whether a longer log would make the success regressors better.

use std::collections::BTreeMap;

use routewright_engine::StageError;
use routewright_forest::{CurvePoint, Folds, ForestParams, Matrix, fit_regressor, learning_curve, predict};

use super::Training;

/// Folds of the curve, and the share of the trees that its forests have: one in this many. A curve needs less than a model.
const N_FOLDS: usize = 3;
const TREES_OF: u32 = 4;

impl Training<'_> {
    /// Brier score of the success regressors, uncalibrated, on the paths that ran, by training rows; empty where it is not asked for.
    pub(super) fn learning_curve(&self) -> Result<Vec<CurvePoint>, StageError> {
        let seed = self.seed.derive("learning curve", 0);
        let Ok(folds) = Folds::grouped(&self.groups, None, N_FOLDS, seed) else { return Ok(Vec::new()) };
        let matrix = Matrix::new(&self.columns)?;
        let target = self.successes();
        let params = ForestParams { n_trees: self.params.forest.n_trees.div_ceil(TREES_OF), ..self.params.forest };
        let every_row: Vec<u32> = (0..self.rows.len() as u32).collect();
        learning_curve(&every_row, &folds, &self.params.learning_curve, seed, |train, test| {
            let (train, test) = (self.by_path(train), self.by_path(test));
            let (mut squares, mut n_judged) = (0.0, 0);
            for (path, test) in &test {
                let train = train.get(path).map_or([].as_slice(), Vec::as_slice);
                let rate = (train.iter().map(|row| target[*row as usize]).sum::<f64>() + 1.0) / (train.len() as f64 + 2.0);
                let scores = if train.len() < self.params.min_rows {
                    vec![rate; test.len()]
                } else {
                    let forest = fit_regressor(&self.binned, train, &target, None, &params, seed.derive("path", u64::from(*path)))?.forest;
                    predict(&forest, &matrix, test)
                };
                squares += scores.iter().zip(test).map(|(score, row)| (score - target[*row as usize]).powi(2)).sum::<f64>();
                n_judged += test.len();
            }
            Ok(squares / n_judged as f64)
        })
    }

    /// Positions in the training window by the path that ran.
    fn by_path(&self, positions: &[u32]) -> BTreeMap<u16, Vec<u32>> {
        let mut paths: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for &position in positions {
            paths.entry(self.table.outcomes.arms[self.rows[position as usize] as usize].0).or_default().push(position);
        }
        paths
    }
}
