//! Our own models beside other people's.

use super::{Answers, Reference, ReferenceError, Task};
use crate::binned::{Binned, MAX_BINS};
use crate::boost::{BoostParams, BoostRows, boost_classifier};
use crate::fit::{FitError, fit_classifier};
use crate::matrix::Matrix;
use crate::params::ForestParams;
use crate::predict::predict;

/// A forest of this crate with the settings of the line.
#[derive(Clone, Copy, Debug)]
pub struct OwnForest {
    /// How it is grown.
    pub params: ForestParams,
}

/// Boosted trees of this crate with their default settings.
#[derive(Clone, Copy, Debug)]
pub struct Boosting;

impl Reference for OwnForest {
    fn name(&self) -> &'static str {
        "forest"
    }

    fn summary(&self) -> &'static str {
        "routewright's forest with the settings of the line"
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError> {
        on_training_rows(task, |binned, rows, labels| {
            let fitted = fit_classifier(binned, rows, labels, task.n_classes, None, &self.params, task.seed)?;
            Ok(predict(&fitted.forest, task.matrix, task.test))
        })
    }
}

impl Reference for Boosting {
    fn name(&self) -> &'static str {
        "boosting"
    }

    fn summary(&self) -> &'static str {
        "gradient boosting on routewright's trees"
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError> {
        on_training_rows(task, |binned, rows, labels| {
            let rows = (binned, BoostRows::all(rows));
            let boosted = boost_classifier(rows, labels, task.n_classes, None, &BoostParams::default(), task.seed)?;
            Ok(boosted.predict(task.matrix, task.test))
        })
    }
}

/// Probabilities of a model that is fitted on the training rows as a table of their own, so that bins are cut as they would be there.
fn on_training_rows(
    task: &Task<'_>,
    fit: impl FnOnce(&Binned, &[u32], &[u16]) -> Result<Vec<f64>, FitError>,
) -> Result<Answers, ReferenceError> {
    let column = |column: usize| task.train.iter().map(|&row| task.matrix.column(column)[row as usize]).collect();
    let columns: Vec<Vec<f32>> = (0..task.matrix.n_columns()).map(column).collect();
    let labels: Vec<u16> = task.training_labels().collect();
    let rows: Vec<u32> = (0..task.train.len() as u32).collect();
    Ok(Answers::Probabilities(fit(&Binned::new(&Matrix::new(&columns)?, MAX_BINS), &rows, &labels)?))
}
