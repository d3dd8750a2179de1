//! Other people's models behind one trait, judged on the folds that judge ours.
//!
//! They are references and nothing else: what they are known to get wrong is kept away from them. Missing values end in a stack overflow or a
//! panic there, so they get none; differences below 1e-5 count as equal, so they get standardised columns; a training part with a single class
//! is answered by [`Majority`]. Some take ten times as long per row and more, so all models, ours among them, are trained on at most
//! [`MAX_TRAINING_ROWS`] rows of each fold, the same for all.

mod knn;
mod linfa;
mod logistic;
mod majority;
mod own;
mod smartcore;

use routewright_domain::Seed;
use serde::{Deserialize, Serialize};

use crate::compare::{PairedTest, corrected_t_test};
use crate::fit::FitError;
use crate::folds::Folds;
use crate::matrix::{Matrix, MatrixError};
use crate::metrics::{Classified, MetricError, most_probable};
use crate::search::below;

pub use knn::Knn;
pub use linfa::LinfaTrees;
pub use logistic::Logistic;
pub use majority::Majority;
pub use own::{Boosting, OwnForest};
pub use smartcore::SmartcoreForest;

/// Rows of a fold's training part that models see.
pub const MAX_TRAINING_ROWS: usize = 2_000;

/// Rows of a fold that models are judged on.
pub const MAX_JUDGED_ROWS: usize = 2_000;

/// Every reference, in the order of the table.
pub const REFERENCES: &[&dyn Reference] = &[&LinfaTrees, &SmartcoreForest, &Logistic, &Knn, &Boosting, &Majority];

/// A model that says which class rows are in.
pub trait Reference: Sync {
    /// Its name in settings and tables.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn summary(&self) -> &'static str;

    /// Whether equal input and seed give equal answers in every run.
    fn is_deterministic(&self) -> bool;

    /// Learns from the training rows and answers for the others.
    ///
    /// # Errors
    /// [`ReferenceError`] where the other library refuses.
    fn answer(&self, task: &Task<'_>) -> Result<Answers, ReferenceError>;
}

/// Rows to learn from and rows to answer for.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The table.
    pub matrix: &'a Matrix<'a>,
    /// Rows to learn from: at least two classes among them.
    pub train: &'a [u32],
    /// Rows to answer for.
    pub test: &'a [u32],
    /// The class of every row of the table.
    pub labels: &'a [u16],
    /// Number of classes.
    pub n_classes: usize,
    /// What is random derives from it.
    pub seed: Seed,
}

/// What a model says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// One probability per class, row after row.
    Probabilities(Vec<f64>),
    /// A class per row, and nothing about how sure it is.
    Classes(Vec<u16>),
}

/// A reference that could not be trained or asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// What the other library said.
    #[error("`{name}`: {reason}")]
    Library {
        /// The reference.
        name: &'static str,
        /// Its words.
        reason: String,
    },
    /// A forest of ours that could not be grown.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Columns that make no table.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// Answers that cannot be scored.
    #[error("the answers of `{name}` cannot be scored")]
    Score {
        /// The reference.
        name: &'static str,
        /// Why.
        source: MetricError,
    },
}

/// One model's line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceScore {
    /// The model.
    pub name: String,
    /// Rows trained on, as a mean over the folds.
    pub n_rows: f64,
    /// Share of right answers, as a mean over the folds.
    pub accuracy: f64,
    /// Mean of −ln of the true class's probability, in nats; absent for models that give none. Models that are sure and wrong score badly.
    pub log_loss: Option<f64>,
    /// Whether it is right more often than the first model of the table, fold by fold and repeat by repeat; absent for the first, and with too
    /// few folds.
    pub accuracy_gain: Option<PairedTest>,
}

/// Trains and judges models on the same folds: one line each, in their order.
///
/// `rows`: positions in the table; `repeats`: the rows dealt out to folds once, or several times anew, which makes the test of who is better
/// surer; folds whose training part has a single class are answered by the majority.
///
/// # Errors
/// The first one of a model.
pub fn compare_references(
    models: &[&dyn Reference],
    matrix: &Matrix<'_>,
    rows: &[u32],
    (labels, n_classes): (&[u16], usize),
    repeats: &[Folds],
    seed: Seed,
) -> Result<Vec<ReferenceScore>, ReferenceError> {
    let every_fold = repeats.iter().enumerate().flat_map(|(repeat, folds)| (0..folds.n_folds()).map(move |fold| (repeat, folds, fold)));
    let mut parts = Vec::new();
    for (repeat, folds, fold) in every_fold {
        let (train, test) = folds.split(rows, fold);
        if !train.is_empty() && !test.is_empty() {
            let seed = seed.derive("reference repeat", repeat as u64).derive("reference fold", fold as u64);
            parts.push((
                some(train, MAX_TRAINING_ROWS, seed.derive("train", 0)),
                some(test, MAX_JUDGED_ROWS, seed.derive("test", 0)),
                seed,
            ));
        }
    }
    let n_folds = repeats.first().map_or(2, Folds::n_folds);
    let mut scores: Vec<ReferenceScore> = Vec::new();
    let mut first: Vec<f64> = Vec::new();
    for model in models {
        let (mut accuracies, mut losses, mut n_rows) = (Vec::new(), Vec::new(), 0);
        for (train, test, seed) in &parts {
            let task = Task { matrix, train, test, labels, n_classes, seed: *seed };
            let has_one_class = train.iter().all(|&row| labels[row as usize] == labels[train[0] as usize]);
            let answers = if has_one_class { Majority.answer(&task)? } else { model.answer(&task)? };
            let truth: Vec<u16> = test.iter().map(|&row| labels[row as usize]).collect();
            let chosen: Vec<u16> = match &answers {
                Answers::Classes(classes) => classes.clone(),
                Answers::Probabilities(shares) => {
                    let source = |source| ReferenceError::Score { name: model.name(), source };
                    losses.push(Classified::new(n_classes, shares, &truth).map_err(source)?.log_loss());
                    shares.chunks_exact(n_classes).map(|shares| most_probable(shares) as u16).collect()
                }
            };
            let n_right = chosen.iter().zip(&truth).filter(|(chosen, truth)| chosen == truth).count();
            accuracies.push(n_right as f64 / truth.len() as f64);
            n_rows += train.len();
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        if scores.is_empty() {
            first.clone_from(&accuracies);
        }
        let differences: Vec<f64> = accuracies.iter().zip(&first).map(|(one, other)| one - other).collect();
        let test_share = 1.0 / (n_folds as f64 - 1.0);
        scores.push(ReferenceScore {
            name: model.name().to_owned(),
            n_rows: n_rows as f64 / parts.len().max(1) as f64,
            accuracy: mean(&accuracies),
            log_loss: (losses.len() == parts.len()).then(|| mean(&losses)),
            accuracy_gain: (!scores.is_empty()).then(|| corrected_t_test(&differences, test_share)).flatten(),
        });
    }
    Ok(scores)
}

/// At most so many of the rows, drawn at random, in their order.
fn some(mut rows: Vec<u32>, n_rows: usize, seed: Seed) -> Vec<u32> {
    if n_rows < rows.len() {
        let mut rng = seed.rng();
        for position in 0..n_rows {
            let other = position + below(&mut rng, rows.len() - position);
            rows.swap(position, other);
        }
        rows.truncate(n_rows);
        rows.sort_unstable();
    }
    rows
}

/// Rows of numbers as other libraries can bear them: no missing values, a mean of 0 and a variance of 1 over the training rows, no constants.
pub(crate) struct Standardised {
    pub train: Vec<Vec<f64>>,
    pub test: Vec<Vec<f64>>,
}

/// How far from the mean a value may be, in standard deviations: infinities become this.
const MAX_DEVIATIONS: f64 = 1e3;

impl Standardised {
    /// Missing values take the mean of the training rows. A table without a column that varies gets one column of zeros.
    pub(crate) fn new(task: &Task<'_>) -> Self {
        let mut columns: Vec<(usize, f64, f64)> = Vec::new();
        for column in 0..task.matrix.n_columns() {
            let values = task.matrix.column(column);
            let known: Vec<f64> = task.train.iter().map(|&row| f64::from(values[row as usize])).filter(|value| value.is_finite()).collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / known.len().max(1) as f64;
            if variance > 0.0 {
                columns.push((column, mean, variance.sqrt()));
            }
        }
        let row = |&row: &u32| -> Vec<f64> {
            let number = |&(column, mean, deviation): &(usize, f64, f64)| {
                let value = f64::from(task.matrix.column(column)[row as usize]);
                if value.is_nan() { 0.0 } else { ((value - mean) / deviation).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS) }
            };
            if columns.is_empty() { vec![0.0] } else { columns.iter().map(number).collect() }
        };
        Self { train: task.train.iter().map(row).collect(), test: task.test.iter().map(row).collect() }
    }

    pub(crate) fn n_columns(&self) -> usize {
        self.train.first().map_or(1, Vec::len)
    }
}

impl Task<'_> {
    /// The classes of the training rows.
    pub(crate) fn training_labels(&self) -> impl Iterator<Item = u16> + '_ {
        self.train.iter().map(|&row| self.labels[row as usize])
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;
    use crate::ForestParams;

    /// Three columns, one of them with gaps, an infinity and a tiny unit, and labels of three classes that follow two of them.
    fn table() -> (Vec<Vec<f32>>, Vec<u16>) {
        let mut rng = Seed(21).rng();
        let mut columns: Vec<Vec<f32>> = (0..3).map(|_| (0..600).map(|_| rng.next_u32() as f32 / u32::MAX as f32).collect()).collect();
        let labels = (0..600).map(|row| u16::from(columns[0][row] > 0.5) + u16::from(columns[1][row] > 0.6)).collect();
        columns[1].iter_mut().for_each(|value| *value *= 1e-6);
        columns[2].iter_mut().step_by(7).for_each(|value| *value = f32::NAN);
        columns[2][5] = f32::INFINITY;
        columns.push(vec![3.0; 600]);
        (columns, labels)
    }

    #[test]
    fn every_reference_learns_what_is_there_and_gives_the_same_answers_where_it_says_so() {
        let (columns, labels) = table();
        let matrix = Matrix::new(&columns).unwrap();
        let (train, test): (Vec<u32>, Vec<u32>) = (0..600).partition(|row| row % 3 != 0);
        let task = Task { matrix: &matrix, train: &train, test: &test, labels: &labels, n_classes: 3, seed: Seed(1) };
        for reference in REFERENCES {
            let answers = reference.answer(&task).unwrap();
            let chosen: Vec<u16> = match &answers {
                Answers::Classes(classes) => classes.clone(),
                Answers::Probabilities(shares) => shares.chunks_exact(3).map(|shares| most_probable(shares) as u16).collect(),
            };
            let n_right = chosen.iter().zip(&test).filter(|(chosen, row)| **chosen == labels[**row as usize]).count();
            let least = if reference.name() == "majority" { 70 } else { 150 };
            assert!(n_right >= least, "{}: {n_right} of {}", reference.name(), test.len());
            if reference.is_deterministic() {
                assert_eq!(reference.answer(&task).unwrap(), answers, "{}", reference.name());
            }
        }
    }

    #[test]
    fn tables_without_a_column_that_varies_and_folds_of_one_class_are_answered() {
        let columns = [vec![f32::NAN; 40], vec![2.0; 40]];
        let matrix = Matrix::new(&columns).unwrap();
        let rows: Vec<u32> = (0..40).collect();
        let folds = Folds::grouped(&(0..40).collect::<Vec<u64>>(), None, 4, Seed(1)).unwrap();
        let mixed: Vec<u16> = (0..40).map(|row| u16::from(row % 4 == 0)).collect();
        for labels in [mixed, vec![1; 40]] {
            let scores = compare_references(REFERENCES, &matrix, &rows, (&labels, 2), std::slice::from_ref(&folds), Seed(1)).unwrap();
            assert_eq!(scores.len(), REFERENCES.len());
            let majority = scores.last().unwrap();
            assert!(scores.iter().all(|score| score.accuracy <= majority.accuracy + 1e-9), "{scores:?}");
        }
    }

    #[test]
    fn the_table_says_who_beats_the_first_line() {
        let (columns, labels) = table();
        let matrix = Matrix::new(&columns).unwrap();
        let rows: Vec<u32> = (0..600).collect();
        let repeats: Vec<Folds> =
            (0..2).map(|repeat| Folds::grouped(&(0..600).collect::<Vec<u64>>(), None, 5, Seed(repeat)).unwrap()).collect();
        let ours = OwnForest { params: ForestParams { n_trees: 30, ..ForestParams::default() } };
        let compare = |repeats| compare_references(&[&ours, &Knn, &Majority], &matrix, &rows, (&labels, 3), repeats, Seed(1)).unwrap();
        let scores = compare(&repeats);
        let names: Vec<&str> = scores.iter().map(|score| score.name.as_str()).collect();
        assert_eq!(names, ["forest", "knn", "majority"]);
        assert_eq!((scores[0].n_rows, scores[0].accuracy_gain), (480.0, None));
        let gain = scores[2].accuracy_gain.unwrap();
        assert!(scores[0].accuracy > 0.9 && gain.upper < -0.2 && gain.p_value < 0.01, "{scores:?}");
        let once = compare(&repeats[..1])[2].accuracy_gain.unwrap();
        assert_eq!((once.degrees, gain.degrees), (4, 9));
    }
}
