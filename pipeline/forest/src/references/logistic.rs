//! Logistic regression of linfa.

use ::linfa::Dataset;
use ::linfa::traits::Fit as _;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2};

use super::{Answers, Reference, ReferenceError, Standardised, Task};

/// Steps of its solver.
const MAX_ITERATIONS: u64 = 200;

/// `linfa_logistic::MultiLogisticRegression` with its default penalty, on standardised columns.
#[derive(Clone, Copy, Debug)]
pub struct Logistic;

impl Reference for Logistic {
    fn name(&self) -> &'static str {
        "logistic"
    }

    fn summary(&self) -> &'static str {
        "multinomial logistic regression of linfa-logistic"
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError> {
        let rows = Standardised::new(task);
        let table = |rows: &[Vec<f64>], n_columns| Array2::from_shape_fn((rows.len(), n_columns), |(row, column)| rows[row][column]);
        let records = table(&rows.train, rows.n_columns());
        let targets = Array1::from_iter(task.training_labels().map(usize::from));
        let library = |reason: String| ReferenceError::Library { name: self.name(), reason };
        let model = MultiLogisticRegression::default()
            .max_iterations(MAX_ITERATIONS)
            .fit(&Dataset::new(records, targets))
            .map_err(|error: linfa_logistic::error::Error| library(error.to_string()))?;
        let found = model.predict_probabilities(&table(&rows.test, rows.n_columns()));
        let mut shares = vec![0.0; rows.test.len() * task.n_classes];
        for (row, found) in found.rows().into_iter().enumerate() {
            found.iter().zip(model.classes()).for_each(|(share, class)| shares[row * task.n_classes + class] = share.clamp(0.0, 1.0));
        }
        Ok(Answers::Probabilities(shares))
    }
}
