//! Forests from a binned table: samples, trees in parallel, out-of-bag predictions.

use rayon::prelude::*;
use routewright_domain::Seed;
use routewright_router::{Forest, ForestError, NodeKind, Side};

use crate::binned::{Binned, MISSING};
use crate::cells::{Cell, Counts, Sample as SampledRow, Steps, TARGET_STEPS, WeightedSteps, Weights};
use crate::grow::{Grown, grow};
use crate::params::{ForestParams, InvalidParam, OutOfBag, Sample};
use crate::search::below;

/// Classes that a forest may tell apart.
pub const MAX_CLASSES: usize = 256;

/// Rows that one task predicts out of bag at a time.
const CHUNK_ROWS: usize = 1024;

/// A grown forest and what its growth told.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The forest.
    pub forest: Forest,
    /// Per column, its share of the impurity that splits removed, as a mean over the trees; sums to 1, or to 0 where nothing was split.
    ///
    /// Computed on training rows, so it favours columns with many values: a hint beside [`crate::permutation_importance`].
    pub importance: Vec<f64>,
    /// `n_outputs` numbers per entry of `rows`, from the trees that did not see it; NaN where every tree did. Empty unless asked for.
    pub out_of_bag: Vec<f64>,
}

/// Rows, labels or settings that no forest can be grown from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// A setting out of range.
    #[error(transparent)]
    Param(#[from] InvalidParam),
    /// No rows, or none with a weight.
    #[error("no row with a positive weight")]
    NoRows,
    /// A row past the end of the table.
    #[error("row {row} where the table has {n_rows}")]
    Row {
        /// The row.
        row: u32,
        /// Rows of the table.
        n_rows: usize,
    },
    /// A column of labels, targets or weights that is not as long as the table.
    #[error("`{column}` has {found} entries where the table has {expected} rows")]
    Length {
        /// The column.
        column: &'static str,
        /// Rows of the table.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// A number of classes that cannot be.
    #[error("1 to {MAX_CLASSES} classes are possible, found {found}")]
    Classes {
        /// The number.
        found: usize,
    },
    /// A label past the number of classes.
    #[error("row {row}: class {found} where there are {n_classes}")]
    Label {
        /// The row.
        row: u32,
        /// The label.
        found: u16,
        /// The number of classes.
        n_classes: usize,
    },
    /// A target that is not finite, or too large for 32 bits.
    #[error("row {row}: target {found} is not a finite 32-bit number")]
    Target {
        /// The row.
        row: u32,
        /// The target.
        found: f64,
    },
    /// A weight that is negative or not finite.
    #[error("row {row}: weight must be a finite number from 0, found {found}")]
    Weight {
        /// The row.
        row: u32,
        /// The weight.
        found: f32,
    },
    /// Trees that the prediction type refuses.
    #[error("the grown trees make no forest")]
    Forest(#[from] ForestError),
}

/// Grows a forest that predicts class probabilities.
///
/// `rows`: positions in the table, repeats count twice; `labels` and `weights`: one entry per row of the *table*, read only at `rows`.
/// Rows of weight 0 are left out. Gini impurity. Equal input and seed give an equal forest for any number of threads.
///
/// # Errors
/// [`FitError`] names the first row or setting that does not hold.
///
/// ```
/// use routewright_domain::Seed;
/// use routewright_forest::{Binned, ForestParams, MAX_BINS, Matrix, fit_classifier};
///
/// let columns = [vec![0.0, 1.0, 2.0, 3.0]];
/// let binned = Binned::new(&Matrix::new(&columns)?, MAX_BINS);
/// let fitted = fit_classifier(&binned, &[0, 1, 2, 3], &[0, 0, 1, 1], 2, None, &ForestParams::default(), Seed(1))?;
/// let mut probabilities = [0.0; 2];
/// fitted.forest.predict(&[3.0], &mut probabilities);
/// assert!(probabilities[1] > 0.8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fit_classifier(
    binned: &Binned,
    rows: &[u32],
    labels: &[u16],
    n_classes: usize,
    weights: Option<&[f32]>,
    params: &ForestParams,
    seed: Seed,
) -> Result<Fitted, FitError> {
    let plan = Plan::new(binned, rows, ("labels", labels.len()), weights, params, seed)?;
    if n_classes == 0 || MAX_CLASSES < n_classes {
        return Err(FitError::Classes { found: n_classes });
    }
    if let Some(&row) = rows.iter().find(|&&row| n_classes <= usize::from(labels[row as usize])) {
        return Err(FitError::Label { row, found: labels[row as usize], n_classes });
    }
    let plan = Plan { n_outputs: n_classes, ..plan };
    let label = |row: u32| labels[row as usize];
    let Some(weights) = weights else {
        return match n_classes {
            0..=2 => plan.fit::<Counts<2>>(label),
            3..=4 => plan.fit::<Counts<4>>(label),
            5..=8 => plan.fit::<Counts<8>>(label),
            9..=32 => plan.fit::<Counts<32>>(label),
            _ => plan.fit::<Counts<MAX_CLASSES>>(label),
        };
    };
    let weighted = |row: u32| (labels[row as usize], weights[row as usize]);
    match n_classes {
        0..=4 => plan.fit::<Weights<4>>(weighted),
        5..=32 => plan.fit::<Weights<32>>(weighted),
        _ => plan.fit::<Weights<MAX_CLASSES>>(weighted),
    }
}

/// Grows a forest that predicts the mean of a target.
///
/// `rows`: positions in the table, repeats count twice; `target` and `weights`: one entry per row of the *table*, read only at `rows`.
/// Rows of weight 0 are left out. Targets are rounded to 2³¹ steps of their range, so that sums are exact.
///
/// # Errors
/// [`FitError`] names the first row or setting that does not hold.
pub fn fit_regressor(
    binned: &Binned,
    rows: &[u32],
    target: &[f64],
    weights: Option<&[f32]>,
    params: &ForestParams,
    seed: Seed,
) -> Result<Fitted, FitError> {
    let plan = Plan::new(binned, rows, ("target", target.len()), weights, params, seed)?;
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &position in &plan.kept {
        let row = rows[position as usize];
        let found = target[row as usize];
        let is_number = found.abs() <= f64::from(f32::MAX);
        if !is_number {
            return Err(FitError::Target { row, found });
        }
        low = low.min(found);
        high = high.max(found);
    }
    let (middle, half_range) = (low.midpoint(high), (high - low) / 2.0);
    let plan = Plan { middle, half_range, ..plan };
    let to_steps = if half_range > 0.0 { TARGET_STEPS / half_range } else { 0.0 };
    let steps = |row: u32| ((target[row as usize] - middle) * to_steps).round() as i32;
    match weights {
        None => plan.fit::<Steps>(steps),
        Some(weights) => plan.fit::<WeightedSteps>(|row| (steps(row), weights[row as usize])),
    }
}

/// Checked input of a fit.
struct Plan<'a> {
    binned: &'a Binned,
    rows: &'a [u32],
    /// Positions in `rows` whose weight is not zero.
    kept: Vec<u32>,
    params: &'a ForestParams,
    seed: Seed,
    n_outputs: usize,
    /// What a mean of 0 and of 1 more stand for: 0 and 1 for classes, the middle and half of the range for targets.
    middle: f64,
    half_range: f64,
}

impl<'a> Plan<'a> {
    /// Checks what classifiers and regressors have in common.
    fn new(
        binned: &'a Binned,
        rows: &'a [u32],
        (column, n_entries): (&'static str, usize),
        weights: Option<&[f32]>,
        params: &'a ForestParams,
        seed: Seed,
    ) -> Result<Self, FitError> {
        params.check()?;
        let n_rows = binned.n_rows();
        let lengths = [(column, n_entries), ("weights", weights.map_or(n_rows, <[f32]>::len))];
        if let Some(&(column, found)) = lengths.iter().find(|(_, found)| *found != n_rows) {
            return Err(FitError::Length { column, expected: n_rows, found });
        }
        if let Some(&row) = rows.iter().find(|&&row| n_rows <= row as usize) {
            return Err(FitError::Row { row, n_rows });
        }
        let weight = |row: u32| weights.map_or(1.0, |weights| weights[row as usize]);
        if let Some(&row) = rows.iter().find(|&&row| !(weight(row).is_finite() && 0.0 <= weight(row))) {
            return Err(FitError::Weight { row, found: weight(row) });
        }
        let kept: Vec<u32> = (0..rows.len() as u32).filter(|&position| weight(rows[position as usize]) > 0.0).collect();
        if kept.is_empty() {
            return Err(FitError::NoRows);
        }
        Ok(Self { binned, rows, kept, params, seed, n_outputs: 1, middle: 0.0, half_range: 1.0 })
    }

    /// Grows the trees, in parallel, and joins them in order.
    fn fit<C: Cell>(&self, payload: impl Fn(u32) -> C::Payload + Sync) -> Result<Fitted, FitError> {
        let row_of = |position: u32| self.rows[position as usize];
        let mut all = C::default();
        self.kept.iter().for_each(|&position| all.add(1, payload(row_of(position))));
        let leaf = |cell: &C, values: &mut Vec<f32>| {
            let (weight, smoothing) = (cell.weight(), self.params.smoothing);
            values.extend((0..self.n_outputs).map(|output| {
                let mean = (cell.mean(output) * weight + all.mean(output) * smoothing) / (weight + smoothing);
                (self.middle + self.half_range * mean) as f32
            }));
        };
        let grow_tree = |tree: u32| {
            let mut rng = self.seed.derive("tree", u64::from(tree)).rng();
            let n_draws = self.draw(&mut rng);
            let drawn = self.kept.iter().zip(&n_draws).filter(|(_, n_draws)| **n_draws > 0);
            let samples = drawn.map(|(&position, &n_draws)| {
                let row = row_of(position);
                SampledRow { row, n_draws, payload: payload(row) }
            });
            let grown = grow::<C>(self.binned, samples.collect(), self.params, rng, &leaf);
            (grown, self.bag(&n_draws))
        };
        let (grown, bags): (Vec<Grown>, Vec<Vec<u64>>) = (0..self.params.n_trees).into_par_iter().map(grow_tree).unzip();
        let importance = mean_importance(&grown);
        let (mut trees, mut cuts) = (Vec::with_capacity(grown.len()), Vec::new());
        for one in grown {
            trees.push(one.tree);
            cuts.extend(one.cuts);
        }
        let forest = Forest::new(self.binned.n_columns(), self.n_outputs, &trees)?;
        drop(trees);
        let out_of_bag = match self.params.out_of_bag {
            OutOfBag::Skip => Vec::new(),
            OutOfBag::Predict => self.predict_out_of_bag(&forest, &cuts, &bags),
        };
        Ok(Fitted { forest, importance, out_of_bag })
    }

    /// How often each kept row is in a tree's sample.
    fn draw(&self, rng: &mut routewright_domain::Rng) -> Vec<u16> {
        let Sample::Bootstrap(share) = self.params.sample else { return vec![1; self.kept.len()] };
        let mut n_draws = vec![0_u16; self.kept.len()];
        for _ in 0..((share * self.kept.len() as f64).ceil() as usize).max(1) {
            let drawn = &mut n_draws[below(rng, self.kept.len())];
            *drawn = drawn.saturating_add(1);
        }
        n_draws
    }

    /// One bit per entry of `rows`: whether it is in the sample. Empty where nobody will ask.
    fn bag(&self, n_draws: &[u16]) -> Vec<u64> {
        if self.params.out_of_bag == OutOfBag::Skip {
            return Vec::new();
        }
        let mut bag = vec![0; self.rows.len().div_ceil(64)];
        for (&position, _) in self.kept.iter().zip(n_draws).filter(|(_, n_draws)| **n_draws > 0) {
            bag[position as usize / 64] |= 1 << (position % 64);
        }
        bag
    }

    /// Means over the trees that did not see a row, summed in the order of the trees.
    fn predict_out_of_bag(&self, forest: &Forest, cuts: &[u8], bags: &[Vec<u64>]) -> Vec<f64> {
        let mut out = vec![0.0; self.rows.len() * self.n_outputs];
        out.par_chunks_mut(CHUNK_ROWS * self.n_outputs).enumerate().for_each(|(chunk, out)| {
            let mut n_trees = [0_u32; CHUNK_ROWS];
            for (tree, bag) in bags.iter().enumerate() {
                let root = forest.tree_range(tree).start;
                for (offset, out) in out.chunks_exact_mut(self.n_outputs).enumerate() {
                    let position = chunk * CHUNK_ROWS + offset;
                    if bag[position / 64] >> (position % 64) & 1 == 1 {
                        continue;
                    }
                    n_trees[offset] += 1;
                    let leaf = leaf_of(forest, cuts, root, self.binned.row(self.rows[position] as usize));
                    out.iter_mut().zip(forest.leaf_values(leaf)).for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
            for (out, &n_trees) in out.chunks_exact_mut(self.n_outputs).zip(&n_trees) {
                out.iter_mut().for_each(|sum| *sum /= f64::from(n_trees));
            }
        });
        out
    }
}

/// The leaf of a coded row.
fn leaf_of(forest: &Forest, cuts: &[u8], root: usize, codes: &[u8]) -> usize {
    let mut node = root;
    loop {
        match forest.nodes()[node].kind() {
            NodeKind::Leaf { leaf } => return leaf,
            NodeKind::Split { feature, missing, left, right, .. } => {
                let code = codes[feature];
                let is_left = if code == MISSING { missing == Side::Left } else { code <= cuts[node] };
                node = if is_left { left } else { right };
            }
        }
    }
}

/// Each tree's importance scaled to a sum of 1, their mean scaled likewise.
fn mean_importance(grown: &[Grown]) -> Vec<f64> {
    let mut mean = vec![0.0; grown.first().map_or(0, |one| one.importance.len())];
    for one in grown {
        let sum: f64 = one.importance.iter().sum();
        if sum > 0.0 {
            mean.iter_mut().zip(&one.importance).for_each(|(mean, importance)| *mean += importance / sum);
        }
    }
    let sum: f64 = mean.iter().sum();
    if sum > 0.0 {
        mean.iter_mut().for_each(|importance| *importance /= sum);
    }
    mean
}
