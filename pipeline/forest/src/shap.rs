//! What each column adds to one prediction: exact Shapley values of a forest.

use routewright_router::{Forest, NodeKind};

/// A split on the way from the root, one per column: repeated columns are joined.
#[derive(Clone, Copy)]
struct Step {
    column: usize,
    /// Share of the training rows that goes the way of the path where the column is unknown.
    unknown: f64,
    /// 1 where the row itself goes that way, else 0.
    known: f64,
    /// Sum over the sets of known columns of this size, weighted as Shapley's formula does.
    weight: f64,
}

/// One row's contributions: `base + Σ contributions = prediction`, per output.
#[derive(Clone, Debug, PartialEq)]
pub struct Contributions {
    /// The prediction where nothing is known of the row: the mean over training rows, `n_outputs` numbers.
    pub base: Vec<f64>,
    /// n_features × n_outputs numbers, column after column.
    pub columns: Vec<f64>,
}

/// Computes how much each column moves one prediction away from the mean, in the units of the output.
///
/// A column that is not known follows both sides of its splits in the shares of the training rows. `row`: as for [`Forest::predict`].
/// Takes trees × leaves × depth² steps.
///
/// Source: Lundberg, Erion, Lee (2018), path-dependent TreeSHAP.
pub fn contributions(forest: &Forest, row: &[f32]) -> Contributions {
    let n_outputs = forest.n_outputs();
    let mut sums = Contributions { base: vec![0.0; n_outputs], columns: vec![0.0; forest.n_features() * n_outputs] };
    for tree in 0..forest.n_trees() {
        let root = forest.tree_range(tree).start;
        add_means(forest, root, 1.0, &mut sums.base);
        descend(forest, row, root, &[], Step { column: usize::MAX, unknown: 1.0, known: 1.0, weight: 1.0 }, &mut sums.columns);
    }
    let share = 1.0 / forest.n_trees() as f64;
    sums.base.iter_mut().chain(&mut sums.columns).for_each(|sum| *sum *= share);
    sums
}

/// Adds the mean of the leaves below a node, weighted by their training rows.
fn add_means(forest: &Forest, node: usize, share: f64, means: &mut [f64]) {
    match forest.nodes()[node].kind() {
        NodeKind::Leaf { leaf } => {
            means.iter_mut().zip(forest.leaf_values(leaf)).for_each(|(mean, &value)| *mean += share * f64::from(value))
        }
        NodeKind::Split { left, right, .. } => {
            let [left_share, right_share] = shares(forest, left, right);
            add_means(forest, left, share * left_share, means);
            add_means(forest, right, share * right_share, means);
        }
    }
}

/// Shares of a split's training rows that go left and right; halves where there were none.
fn shares(forest: &Forest, left: usize, right: usize) -> [f64; 2] {
    let [left, right] = [left, right].map(|node| f64::from(forest.nodes()[node].cover()));
    let sum = left + right;
    if sum > 0.0 { [left / sum, right / sum] } else { [0.5; 2] }
}

/// Walks below a node with the steps so far and one more, and adds what the leaves give to the columns.
fn descend(forest: &Forest, row: &[f32], node: usize, path: &[Step], step: Step, sums: &mut [f64]) {
    let mut path = path.to_vec();
    extend(&mut path, step);
    match forest.nodes()[node].kind() {
        NodeKind::Leaf { leaf } => {
            let values = forest.leaf_values(leaf);
            for position in 1..path.len() {
                let step = path[position];
                let share = weight_without(&path, position) * (step.known - step.unknown);
                let sums = &mut sums[step.column * values.len()..(step.column + 1) * values.len()];
                sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += share * f64::from(value));
            }
        }
        NodeKind::Split { feature, test, missing, left, right } => {
            let goes_left = forest.goes_left(test, missing, row.get(feature).copied().unwrap_or(f32::NAN));
            let (mut known, mut unknown) = (1.0, 1.0);
            if let Some(position) = path.iter().position(|step| step.column == feature) {
                (known, unknown) = (path[position].known, path[position].unknown);
                remove(&mut path, position);
            }
            let [left_share, right_share] = shares(forest, left, right);
            for (child, share, is_taken) in [(left, left_share, goes_left), (right, right_share, !goes_left)] {
                let step = Step { column: feature, unknown: unknown * share, known: if is_taken { known } else { 0.0 }, weight: 0.0 };
                descend(forest, row, child, &path, step, sums);
            }
        }
    }
}

/// Adds a step: every set of known columns either has it or not.
fn extend(path: &mut Vec<Step>, step: Step) {
    let length = path.len();
    path.push(Step { weight: if length == 0 { 1.0 } else { 0.0 }, ..step });
    let size = (length + 1) as f64;
    for position in (0..length).rev() {
        let weight = path[position].weight;
        path[position + 1].weight += step.known * weight * (position + 1) as f64 / size;
        path[position].weight = step.unknown * weight * (length - position) as f64 / size;
    }
}

/// Takes a step back out, as if it had never been added.
fn remove(path: &mut Vec<Step>, position: usize) {
    let last = path.len() - 1;
    let weights = weights_without(path, position);
    for after in position..last {
        path[after] = path[after + 1];
    }
    path.truncate(last);
    path.iter_mut().zip(weights).for_each(|(step, weight)| step.weight = weight);
}

/// The weights of all sets of the other steps.
fn weights_without(path: &[Step], position: usize) -> Vec<f64> {
    let last = path.len() - 1;
    let size = (last + 1) as f64;
    let Step { known, unknown, .. } = path[position];
    let mut weights = vec![0.0; last];
    let mut carried = path[last].weight;
    for at in (0..last).rev() {
        if known == 0.0 {
            // A side that no training row took has no weight to give back.
            weights[at] = if unknown == 0.0 { 0.0 } else { path[at].weight * size / (unknown * (last - at) as f64) };
        } else {
            weights[at] = carried * size / ((at + 1) as f64 * known);
            carried = path[at].weight - weights[at] * unknown * (last - at) as f64 / size;
        }
    }
    weights
}

/// The sum of these weights.
fn weight_without(path: &[Step], position: usize) -> f64 {
    weights_without(path, position).iter().sum()
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;
    use routewright_domain::Seed;

    use super::*;
    use crate::{Binned, ForestParams, MAX_BINS, Matrix, fit_classifier};

    /// A tree's mean where only some columns are known.
    fn conditional(forest: &Forest, row: &[f32], node: usize, known: u32) -> f64 {
        match forest.nodes()[node].kind() {
            NodeKind::Leaf { leaf } => f64::from(forest.leaf_values(leaf)[1]),
            NodeKind::Split { feature, test, missing, left, right } => {
                let is_left = forest.goes_left(test, missing, row[feature]);
                if known >> feature & 1 == 1 {
                    return conditional(forest, row, if is_left { left } else { right }, known);
                }
                let [left_share, right_share] = shares(forest, left, right);
                left_share * conditional(forest, row, left, known) + right_share * conditional(forest, row, right, known)
            }
        }
    }

    fn factorial(n: u32) -> f64 {
        (1..=n).map(f64::from).product()
    }

    #[test]
    fn contributions_are_the_shapley_values_of_their_definition() {
        const N_COLUMNS: u32 = 5;
        let mut rng = Seed(3).rng();
        let columns: Vec<Vec<f32>> = (0..N_COLUMNS)
            .map(|_| (0..120).map(|_| if rng.next_u32().is_multiple_of(9) { f32::NAN } else { (rng.next_u32() % 7) as f32 }).collect())
            .collect();
        let labels: Vec<u16> = (0..120).map(|row| u16::from(columns[0][row] + columns[1][row] > columns[2][row])).collect();
        let matrix = Matrix::new(&columns).unwrap();
        let rows: Vec<u32> = (0..120).collect();
        let params = ForestParams { n_trees: 4, ..ForestParams::default() };
        let forest = fit_classifier(&Binned::new(&matrix, MAX_BINS), &rows, &labels, 2, None, &params, Seed(1)).unwrap().forest;
        let value = |row: &[f32], known: u32| -> f64 {
            (0..forest.n_trees()).map(|tree| conditional(&forest, row, forest.tree_range(tree).start, known)).sum::<f64>() / 4.0
        };
        for position in 0..20 {
            let mut row = [0.0; N_COLUMNS as usize];
            matrix.copy_row(position, &mut row);
            let found = contributions(&forest, &row);
            assert!((found.base[1] - value(&row, 0)).abs() < 1e-12);
            for column in 0..N_COLUMNS {
                let others = (0..1_u32 << N_COLUMNS).filter(|set| set >> column & 1 == 0);
                let expected: f64 = others
                    .map(|set| {
                        let size = set.count_ones();
                        let weight = factorial(size) * factorial(N_COLUMNS - size - 1) / factorial(N_COLUMNS);
                        weight * (value(&row, set | 1 << column) - value(&row, set))
                    })
                    .sum();
                assert!((found.columns[2 * column as usize + 1] - expected).abs() < 1e-10, "row {position}, column {column}");
            }
        }
    }

    #[test]
    fn contributions_and_base_sum_to_the_prediction() {
        let columns = [vec![1.0, 2.0, 3.0, 4.0], vec![4.0, f32::NAN, 1.0, 3.0]];
        let matrix = Matrix::new(&columns).unwrap();
        let forest =
            fit_classifier(&Binned::new(&matrix, MAX_BINS), &[0, 1, 2, 3], &[0, 1, 0, 1], 2, None, &ForestParams::default(), Seed(1))
                .unwrap()
                .forest;
        let found = contributions(&forest, &[2.0, f32::NAN]);
        let mut prediction = [0.0; 2];
        forest.predict(&[2.0, f32::NAN], &mut prediction);
        for (output, prediction) in prediction.into_iter().enumerate() {
            let sum = found.base[output] + found.columns[output] + found.columns[2 + output];
            assert!((sum - prediction).abs() < 1e-12);
        }
    }
}
