//! The random forest of smartcore.

use ::smartcore::ensemble::random_forest_classifier::{RandomForestClassifier, RandomForestClassifierParameters};
use ::smartcore::linalg::basic::matrix::DenseMatrix;

use super::{Answers, Reference, ReferenceError, Standardised, Task};

/// Trees of the forest.
const N_TREES: u16 = 50;

/// `smartcore`'s `RandomForestClassifier`: it names a class and gives no probabilities.
#[derive(Clone, Copy, Debug)]
pub struct SmartcoreForest;

impl Reference for SmartcoreForest {
    fn name(&self) -> &'static str {
        "smartcore"
    }

    fn summary(&self) -> &'static str {
        "random forest of smartcore, classes only"
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError> {
        let rows = Standardised::new(task);
        let labels: Vec<u32> = task.training_labels().map(u32::from).collect();
        let library = |error: ::smartcore::error::Failed| ReferenceError::Library { name: self.name(), reason: error.to_string() };
        let settings = RandomForestClassifierParameters::default().with_n_trees(N_TREES).with_seed(task.seed.0);
        let train = DenseMatrix::from_2d_vec(&rows.train).map_err(library)?;
        let forest = RandomForestClassifier::fit(&train, &labels, settings).map_err(library)?;
        let found: Vec<u32> = forest.predict(&DenseMatrix::from_2d_vec(&rows.test).map_err(library)?).map_err(library)?;
        Ok(Answers::Classes(found.into_iter().map(|class| class as u16).collect()))
    }
}
