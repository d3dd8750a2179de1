//! Our forest, for the first line of the table.

use super::{Answers, Reference, ReferenceError, Task};
use crate::binned::{Binned, MAX_BINS};
use crate::fit::fit_classifier;
use crate::matrix::Matrix;
use crate::params::ForestParams;
use crate::predict::predict;

/// A forest of this crate with the settings of the line.
#[derive(Clone, Copy, Debug)]
pub struct OwnForest {
    /// How it is grown.
    pub params: ForestParams,
}

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
        let (columns, labels) = training_table(task);
        let binned = Binned::new(&Matrix::new(&columns)?, MAX_BINS);
        let rows: Vec<u32> = (0..task.train.len() as u32).collect();
        let fitted = fit_classifier(&binned, &rows, &labels, task.n_classes, None, &self.params, task.seed)?;
        Ok(Answers::Probabilities(predict(&fitted.forest, task.matrix, task.test)))
    }
}

/// The training rows as a table of their own, so that bins are cut as they would be there, and their classes.
pub(super) fn training_table(task: &Task<'_>) -> (Vec<Vec<f32>>, Vec<u16>) {
    let column = |column: usize| task.train.iter().map(|&row| task.matrix.column(column)[row as usize]).collect();
    ((0..task.matrix.n_columns()).map(column).collect(), task.training_labels().collect())
}
