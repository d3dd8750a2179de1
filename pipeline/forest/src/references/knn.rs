//! The nearest neighbours of smartcore.

use ::smartcore::algorithm::neighbour::KNNAlgorithmName;
use ::smartcore::linalg::basic::matrix::DenseMatrix;
use ::smartcore::neighbors::knn_classifier::{KNNClassifier, KNNClassifierParameters};

use super::{Answers, Reference, ReferenceError, Standardised, Task};

/// Neighbours that vote.
const K: usize = 15;

/// `smartcore`'s `KNNClassifier` with 15 neighbours on standardised columns, by a search through all rows.
#[derive(Clone, Copy, Debug)]
pub struct Knn;

impl Reference for Knn {
    fn name(&self) -> &'static str {
        "knn"
    }

    fn summary(&self) -> &'static str {
        "15 nearest neighbours of smartcore"
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError> {
        let rows = Standardised::new(task);
        let labels: Vec<u32> = task.training_labels().map(u32::from).collect();
        let mut classes = labels.clone();
        classes.sort_unstable();
        classes.dedup();
        let library = |error: ::smartcore::error::Failed| ReferenceError::Library { name: self.name(), reason: error.to_string() };
        let k = K.min(labels.len());
        let settings = KNNClassifierParameters::default().with_k(k).with_algorithm(KNNAlgorithmName::LinearSearch);
        let train = DenseMatrix::from_2d_vec(&rows.train).map_err(library)?;
        let model = KNNClassifier::fit(&train, &labels, settings).map_err(library)?;
        let votes = model.predict_proba(&DenseMatrix::from_2d_vec(&rows.test).map_err(library)?).map_err(library)?;
        // One vote more, shared by all classes, keeps unanimous neighbours from being certain.
        let total = k as f64 + 1.0;
        let mut shares = vec![1.0 / task.n_classes as f64 / total; rows.test.len() * task.n_classes];
        for (row, votes) in votes.iter().enumerate() {
            for (share, &class) in votes.iter().zip(&classes) {
                shares[row * task.n_classes + class as usize] += share * k as f64 / total;
            }
        }
        shares.iter_mut().for_each(|share| *share = share.min(1.0));
        Ok(Answers::Probabilities(shares))
    }
}
