//! Whether a longer log would make the success regressors better, and how they do on what comes after what they learned from.

use std::collections::BTreeMap;

use routewright_domain::Seed;
use routewright_engine::StageError;
use routewright_forest::{CurvePoint, Folds, ForestParams, Matrix, fit_regressor, learning_curve, predict, rolling_origin};

use super::Training;
use crate::artifacts::OriginScore;

/// Folds of the curve, at most.
const N_FOLDS: usize = 3;

/// Brier scores on the paths that ran, by training rows.
#[derive(Debug, Default)]
pub(super) struct Curves {
    /// Of the success regressors, uncalibrated.
    pub forests: Vec<CurvePoint>,
    /// Of each path's success rate alone.
    pub rate: Vec<CurvePoint>,
}

impl Training<'_> {
    /// The learning curves; empty where none is asked for. `leaf_sizes`: of each path's regressor.
    pub(super) fn learning_curves(&self, leaf_sizes: &[u32]) -> Result<Curves, StageError> {
        let seed = self.seed.derive("learning curve", 0);
        // By what a path has, because each has a forest of its own.
        let n_folds = self.n_folds_for(self.rows.len() / leaf_sizes.len().max(1), N_FOLDS);
        let Ok(folds) = Folds::grouped(&self.groups, None, n_folds, seed) else { return Ok(Curves::default()) };
        let every_row: Vec<u32> = (0..self.rows.len() as u32).collect();
        let judge = Judge::new(self, leaf_sizes, seed)?;
        let shares = &self.params.learning_curve;
        Ok(Curves {
            forests: learning_curve(&every_row, &folds, shares, seed, |train, test| judge.loss(train, test, Model::Forest))?,
            rate: learning_curve(&every_row, &folds, shares, seed, |train, test| judge.loss(train, test, Model::Rate))?,
        })
    }

    /// The regressors trained on the beginning of the training window and judged on the stretch that follows, from origin to origin; empty
    /// where none is asked for, or the window has too few moments. `leaf_sizes`: of each path's regressor.
    pub(super) fn rolling_origins(&self, leaf_sizes: &[u32]) -> Result<Vec<OriginScore>, StageError> {
        let times: Vec<_> = self.rows.iter().map(|row| self.table.outcomes.timestamps[*row as usize]).collect();
        let Ok(origins) = rolling_origin(&times, self.params.origins) else { return Ok(Vec::new()) };
        let judge = Judge::new(self, leaf_sizes, self.seed.derive("rolling origin", 0))?;
        let score = |origin: &routewright_forest::TimeFold| {
            Ok(OriginScore {
                from_us: origin.test.iter().map(|row| times[*row as usize].0).min().unwrap_or_default(),
                n_training: origin.train.len(),
                n_judged: origin.test.len(),
                brier: judge.loss(&origin.train, &origin.test, Model::Forest)?,
                brier_of_rate: judge.loss(&origin.train, &origin.test, Model::Rate)?,
            })
        };
        origins.iter().map(score).collect()
    }
}

/// Judges predictions of success on the paths that ran.
struct Judge<'a> {
    training: &'a Training<'a>,
    matrix: Matrix<'a>,
    target: Vec<f64>,
    /// Of each path's regressor.
    leaf_sizes: &'a [u32],
    seed: Seed,
}

/// What predicts a path's rows from its training rows.
#[derive(Clone, Copy)]
enum Model {
    /// The path's regressor; its success rate where there are too few rows for one.
    Forest,
    /// The path's success rate, with one success and one failure more.
    Rate,
}

impl<'a> Judge<'a> {
    fn new(training: &'a Training<'_>, leaf_sizes: &'a [u32], seed: Seed) -> Result<Self, StageError> {
        Ok(Self { training, matrix: Matrix::new(&training.columns)?, target: training.successes(), leaf_sizes, seed })
    }

    /// Mean squared error of predicted success, path by path.
    fn loss(&self, train: &[u32], test: &[u32], model: Model) -> Result<f64, StageError> {
        let (train, test) = (self.by_path(train), self.by_path(test));
        let (mut squares, mut n_judged) = (0.0, 0);
        for (path, test) in &test {
            let scores = self.scores(model, *path, train.get(path).map_or(&[], Vec::as_slice), test)?;
            squares += scores.iter().zip(test).map(|(score, row)| (score - self.target[*row as usize]).powi(2)).sum::<f64>();
            n_judged += test.len();
        }
        Ok(squares / n_judged as f64)
    }

    /// What a model says of a path's rows.
    fn scores(&self, model: Model, path: u16, train: &[u32], test: &[u32]) -> Result<Vec<f64>, StageError> {
        match model {
            Model::Forest if self.training.params.min_rows <= train.len() => {
                let seed = self.seed.derive("path", u64::from(path));
                let params = ForestParams { min_samples_leaf: self.leaf_sizes[usize::from(path)], ..self.training.judged_forest() };
                let forest = fit_regressor(&self.training.binned, train, &self.target, None, &params, seed)?.forest;
                Ok(predict(&forest, &self.matrix, test))
            }
            _ => {
                let successes: f64 = train.iter().map(|row| self.target[*row as usize]).sum();
                Ok(vec![(successes + 1.0) / (train.len() as f64 + 2.0); test.len()])
            }
        }
    }

    /// Positions in the training window by the path that ran.
    fn by_path(&self, positions: &[u32]) -> BTreeMap<u16, Vec<u32>> {
        let mut paths: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for &position in positions {
            let row = self.training.rows[position as usize] as usize;
            paths.entry(self.training.table.outcomes.arms[row].0).or_default().push(position);
        }
        paths
    }
}
