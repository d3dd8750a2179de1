//! Gradient boosting on our trees.

use super::forest::training_table;
use super::{Answers, Reference, ReferenceError, Task};
use crate::binned::{Binned, MAX_BINS};
use crate::boost::{BoostParams, boost_classifier};
use crate::matrix::Matrix;

/// Boosted trees of this crate with their default settings.
#[derive(Clone, Copy, Debug)]
pub struct Boosting;

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
        let (columns, labels) = training_table(task);
        let binned = Binned::new(&Matrix::new(&columns)?, MAX_BINS);
        let rows: Vec<u32> = (0..task.train.len() as u32).collect();
        let boosted = boost_classifier((&binned, &rows), &labels, task.n_classes, None, &BoostParams::default(), task.seed)?;
        Ok(Answers::Probabilities(boosted.predict(task.matrix, task.test)))
    }
}
