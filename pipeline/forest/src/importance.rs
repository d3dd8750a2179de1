//! What a column is worth: how much worse held-out predictions get when its values are shuffled.

use rand::Rng as _;
use rayon::prelude::*;
use routewright_domain::Seed;
use routewright_router::{Forest, NodeKind};
use serde::{Deserialize, Serialize};

use crate::matrix::Matrix;
use crate::predict::predict;

/// Rows that one task predicts at a time.
const CHUNK_ROWS: usize = 512;

/// Loss that shuffling some columns adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PermutationImportance {
    /// Mean over the repeats.
    pub mean: f64,
    /// Standard deviation over the repeats; 0 for one repeat.
    pub sd: f64,
}

/// Shuffles groups of columns among held-out rows, each group as one, and says how much the loss grows.
///
/// `groups`: columns that are shuffled together, one result each; correlated columns belong together, because alone each can stand in for
/// the other. `loss`: from predictions, `n_outputs` per entry of `rows`, to a number of which less is better. No rows or no repeats give 0.
///
/// Source: Breiman (2001); Fisher, Rudin, Dominici (2019).
pub fn permutation_importance(
    forest: &Forest,
    matrix: &Matrix<'_>,
    rows: &[u32],
    groups: &[Vec<usize>],
    n_repeats: u32,
    loss: impl Fn(&[f64]) -> f64 + Sync,
    seed: Seed,
) -> Vec<PermutationImportance> {
    if rows.is_empty() || n_repeats == 0 {
        return vec![PermutationImportance::default(); groups.len()];
    }
    let base = loss(&predict(forest, matrix, rows));
    let is_used = used_columns(forest);
    let group_importance = |(position, group): (usize, &Vec<usize>)| {
        if !group.iter().any(|&column| is_used.get(column) == Some(&true)) {
            return PermutationImportance::default();
        }
        let group_seed = seed.derive("permutation", position as u64);
        let repeat =
            |repeat: u32| loss(&predict_shuffled(forest, matrix, rows, group, group_seed.derive("repeat", u64::from(repeat)))) - base;
        let losses: Vec<f64> = (0..n_repeats).map(repeat).collect();
        let mean = losses.iter().sum::<f64>() / f64::from(n_repeats);
        let squares: f64 = losses.iter().map(|loss| (loss - mean).powi(2)).sum();
        PermutationImportance { mean, sd: (squares / f64::from(n_repeats.max(2) - 1)).sqrt() }
    };
    groups.par_iter().enumerate().map(group_importance).collect()
}

/// One group per column, for [`permutation_importance`].
pub fn single_columns(n_columns: usize) -> Vec<Vec<usize>> {
    (0..n_columns).map(|column| vec![column]).collect()
}

/// Groups of columns whose ranks go together, for [`permutation_importance`]: two columns are in one group where a chain of columns joins
/// them, each with a rank correlation to the next of at least `least` in size.
///
/// Computed on `rows`; missing values share the middle rank. Columns of one value are alone. Groups and their columns are in ascending order.
pub fn correlated_columns(matrix: &Matrix<'_>, rows: &[u32], columns: &[usize], least: f64) -> Vec<Vec<usize>> {
    let ranks: Vec<Vec<f64>> = columns.par_iter().map(|&column| standard_ranks(matrix.column(column), rows)).collect();
    let mut group_of: Vec<usize> = (0..columns.len()).collect();
    for one in 0..columns.len() {
        for other in 0..one {
            let correlation: f64 = ranks[one].iter().zip(&ranks[other]).map(|(one, other)| one * other).sum();
            if least <= correlation.abs() && group_of[one] != group_of[other] {
                let (kept, joined) = (group_of[one].min(group_of[other]), group_of[one].max(group_of[other]));
                group_of.iter_mut().filter(|group| **group == joined).for_each(|group| *group = kept);
            }
        }
    }
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); columns.len()];
    group_of.iter().zip(columns).for_each(|(&group, &column)| groups[group].push(column));
    groups.retain(|group| !group.is_empty());
    groups
}

/// Ranks with a mean of 0 and squares that sum to 1; ties share their mean rank. All 0 for a constant.
fn standard_ranks(values: &[f32], rows: &[u32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..rows.len()).filter(|&position| !values[rows[position] as usize].is_nan()).collect();
    order.sort_by(|&one, &other| values[rows[one] as usize].total_cmp(&values[rows[other] as usize]));
    let mut ranks = vec![0.0; rows.len()];
    let middle = (order.len() as f64 - 1.0) / 2.0;
    let mut start = 0;
    for tied in order.chunk_by(|&one, &other| values[rows[one] as usize] == values[rows[other] as usize]) {
        let rank = start as f64 + (tied.len() as f64 - 1.0) / 2.0 - middle;
        tied.iter().for_each(|&position| ranks[position] = rank);
        start += tied.len();
    }
    let size = ranks.iter().map(|rank| rank * rank).sum::<f64>().sqrt();
    if size > 0.0 {
        ranks.iter_mut().for_each(|rank| *rank /= size);
    }
    ranks
}

/// Whether each column is named by any split.
fn used_columns(forest: &Forest) -> Vec<bool> {
    let mut is_used = vec![false; forest.n_features()];
    for node in forest.nodes() {
        if let NodeKind::Split { feature, .. } = node.kind() {
            is_used[feature] = true;
        }
    }
    is_used
}

/// Predictions where each row has another row's values in some columns.
fn predict_shuffled(forest: &Forest, matrix: &Matrix<'_>, rows: &[u32], group: &[usize], seed: Seed) -> Vec<f64> {
    let mut rng = seed.rng();
    let mut donors = rows.to_vec();
    for position in (1..donors.len()).rev() {
        let other = ((u64::from(rng.next_u32()) * (position as u64 + 1)) >> 32) as usize;
        donors.swap(position, other);
    }
    let (n_features, n_outputs) = (forest.n_features(), forest.n_outputs());
    let mut out = vec![0.0; rows.len() * n_outputs];
    let mut buffer = vec![f32::NAN; CHUNK_ROWS * n_features];
    for (chunk, out) in out.chunks_mut(CHUNK_ROWS * n_outputs).enumerate() {
        let start = chunk * CHUNK_ROWS;
        let end = rows.len().min(start + CHUNK_ROWS);
        for column in 0..n_features.min(matrix.n_columns()) {
            let source = if group.contains(&column) { &donors[start..end] } else { &rows[start..end] };
            let values = matrix.column(column);
            for (line, &row) in buffer.chunks_exact_mut(n_features).zip(source) {
                line[column] = values[row as usize];
            }
        }
        forest.predict_rows(&buffer[..(end - start) * n_features], out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Binned, ForestParams, MAX_BINS, MaxFeatures, fit_regressor};

    #[test]
    fn columns_that_go_together_are_grouped_along_chains() {
        let mut rng = Seed(5).rng();
        let mut uniform = || rng.next_u32() as f32 / u32::MAX as f32;
        let first: Vec<f32> = (0..300).map(|_| uniform()).collect();
        let falling: Vec<f32> = first.iter().map(|value| (-3.0 * value).exp()).collect();
        let gappy: Vec<f32> = first.iter().map(|value| if *value < 0.1 { f32::NAN } else { *value }).collect();
        let alone: Vec<f32> = (0..300).map(|_| uniform()).collect();
        let columns = [first, alone, vec![1.0; 300], falling, gappy];
        let matrix = Matrix::new(&columns).unwrap();
        let rows: Vec<u32> = (0..300).collect();
        assert_eq!(correlated_columns(&matrix, &rows, &[0, 1, 2, 3, 4], 0.8), [vec![0, 3, 4], vec![1], vec![2]]);
        assert_eq!(correlated_columns(&matrix, &rows, &[3, 1], 0.8), [vec![3], vec![1]]);
        assert_eq!(correlated_columns(&matrix, &[], &[0, 1], 0.8), [vec![0], vec![1]]);
    }

    #[test]
    fn a_column_that_matters_costs_and_one_that_does_not_costs_nothing() {
        let mut rng = Seed(5).rng();
        let columns: Vec<Vec<f32>> = (0..3).map(|_| (0..400).map(|_| rng.next_u32() as f32 / u32::MAX as f32).collect()).collect();
        let target: Vec<f64> = columns[0].iter().zip(&columns[1]).map(|(one, two)| f64::from(3.0 * one + two)).collect();
        let matrix = Matrix::new(&columns).unwrap();
        let params = ForestParams { n_trees: 20, max_features: MaxFeatures::All, ..ForestParams::default() };
        let train: Vec<u32> = (0..300).collect();
        let test: Vec<u32> = (300..400).collect();
        let forest = fit_regressor(&Binned::new(&matrix, MAX_BINS), &train, &target, None, &params, Seed(1)).unwrap().forest;
        let loss = |predictions: &[f64]| {
            predictions.iter().zip(&target[300..]).map(|(prediction, target)| (prediction - target).powi(2)).sum::<f64>() / 100.0
        };
        let mut groups = single_columns(3);
        groups.push(vec![0, 1]);
        let importance = permutation_importance(&forest, &matrix, &test, &groups, 5, loss, Seed(2));
        assert!(importance[0].mean > 3.0 * importance[1].mean && importance[1].mean > 10.0 * importance[2].mean.abs());
        assert!(importance[3].mean > importance[0].mean && importance[0].sd > 0.0);
        assert_eq!(importance, permutation_importance(&forest, &matrix, &test, &groups, 5, loss, Seed(2)));
        assert_eq!(permutation_importance(&forest, &matrix, &[], &groups, 5, loss, Seed(2))[0], PermutationImportance::default());
    }
}
