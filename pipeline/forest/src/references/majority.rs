//! The shares of the classes among the training rows, whatever the row.

use super::{Answers, Reference, ReferenceError, Task};

/// Answers with the shares of the classes, half a row added to each.
#[derive(Clone, Copy, Debug)]
pub struct Majority;

impl Reference for Majority {
    fn name(&self) -> &'static str {
        "majority"
    }

    fn summary(&self) -> &'static str {
        "the shares of the classes in training"
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError> {
        let mut shares = vec![0.5; task.n_classes];
        task.training_labels().for_each(|label| shares[usize::from(label)] += 1.0);
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        Ok(Answers::Probabilities(shares.repeat(task.test.len())))
    }
}
