//! Decision trees of linfa, bagged by us: its own forest drops weights, draws columns with replacement and unwraps.

use ::linfa::Dataset;
use ::linfa::traits::{Fit as _, Predict as _};
use linfa_trees::DecisionTree;
use ndarray::{Array1, Array2};
use rand::Rng as _;
use rayon::prelude::*;

use super::{Answers, Reference, ReferenceError, Standardised, Task};
use crate::search::below;

/// Trees of the bag: enough for shares in steps of a thirtieth.
const N_TREES: u64 = 30;

/// Levels of a tree; each costs a pass over all rows and columns.
const MAX_DEPTH: usize = 12;

/// Bagged `linfa_trees::DecisionTree`, each on its own bootstrap sample and half of the columns.
///
/// Not deterministic: class counts are summed in the order of a randomly seeded hash map (20 fits gave 13 different trees).
#[derive(Clone, Copy, Debug)]
pub struct LinfaTrees;

impl Reference for LinfaTrees {
    fn name(&self) -> &'static str {
        "linfa"
    }

    fn summary(&self) -> &'static str {
        "30 bagged decision trees of linfa-trees"
    }

    fn is_deterministic(&self) -> bool {
        false
    }

    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError> {
        let rows = Standardised::new(task);
        let labels: Vec<usize> = task.training_labels().map(usize::from).collect();
        let n_columns = rows.n_columns();
        let tree = |tree: u64| -> Result<Vec<usize>, ReferenceError> {
            let mut rng = task.seed.derive("linfa tree", tree).rng();
            let mut columns: Vec<usize> = (0..n_columns).filter(|_| n_columns < 4 || rng.next_u32().is_multiple_of(2)).collect();
            if columns.is_empty() {
                columns = (0..n_columns).collect();
            }
            let drawn: Vec<usize> = (0..labels.len()).map(|_| below(&mut rng, labels.len())).collect();
            let records = Array2::from_shape_fn((drawn.len(), columns.len()), |(row, column)| rows.train[drawn[row]][columns[column]]);
            let targets = Array1::from_iter(drawn.iter().map(|&row| labels[row]));
            let library = |reason: String| ReferenceError::Library { name: self.name(), reason };
            let model = DecisionTree::params()
                .max_depth(Some(MAX_DEPTH))
                .fit(&Dataset::new(records, targets))
                .map_err(|error: ::linfa::Error| library(error.to_string()))?;
            let asked = Array2::from_shape_fn((rows.test.len(), columns.len()), |(row, column)| rows.test[row][columns[column]]);
            let answers: Array1<usize> = model.predict(&asked);
            Ok(answers.to_vec())
        };
        let answers: Vec<Vec<usize>> = (0..N_TREES).into_par_iter().map(tree).collect::<Result<_, _>>()?;
        // One vote more, shared by all classes, keeps unanimous trees from being certain.
        let total = N_TREES as f64 + 1.0;
        let mut shares = vec![1.0 / task.n_classes as f64 / total; rows.test.len() * task.n_classes];
        for tree in &answers {
            tree.iter().enumerate().for_each(|(row, class)| shares[row * task.n_classes + class] += 1.0 / total);
        }
        shares.iter_mut().for_each(|share| *share = share.min(1.0));
        Ok(Answers::Probabilities(shares))
    }
}
