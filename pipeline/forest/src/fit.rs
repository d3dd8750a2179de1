//! Forests from a binned table: classifiers and regressors.

use routewright_domain::Seed;
use routewright_router::{Forest, ForestError};

use crate::binned::Binned;
use crate::cells::{Counts, Entropy, Steps, TARGET_STEPS, WeightedSteps, Weights};
use crate::params::{ClassWeight, Criterion, ForestParams, InvalidParam};
use crate::plan::Plan;

/// Classes that a forest may tell apart.
pub const MAX_CLASSES: usize = 256;

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
/// Rows of weight 0 are left out. Equal input and seed give an equal forest for any number of threads.
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
    let own;
    let weights = match (params.class_weight, params.criterion) {
        (ClassWeight::Balanced, _) => {
            own = balanced_weights(rows, labels, n_classes, weights);
            Some(own.as_slice())
        }
        (ClassWeight::Equal, Criterion::Entropy) if weights.is_none() => {
            own = vec![1.0; labels.len()];
            Some(own.as_slice())
        }
        _ => weights,
    };
    let Some(weights) = weights else {
        let label = |row: u32| labels[row as usize];
        return match n_classes {
            0..=2 => plan.fit::<Counts<2>>(label),
            3..=4 => plan.fit::<Counts<4>>(label),
            5..=8 => plan.fit::<Counts<8>>(label),
            9..=32 => plan.fit::<Counts<32>>(label),
            _ => plan.fit::<Counts<MAX_CLASSES>>(label),
        };
    };
    let weighted = |row: u32| (labels[row as usize], weights[row as usize]);
    match (params.criterion, n_classes) {
        (Criterion::Gini, 0..=4) => plan.fit::<Weights<4>>(weighted),
        (Criterion::Gini, 5..=32) => plan.fit::<Weights<32>>(weighted),
        (Criterion::Gini, _) => plan.fit::<Weights<MAX_CLASSES>>(weighted),
        (Criterion::Entropy, 0..=4) => plan.fit::<Entropy<Weights<4>>>(weighted),
        (Criterion::Entropy, _) => plan.fit::<Entropy<Weights<MAX_CLASSES>>>(weighted),
    }
}

/// Weights per row of the table with which every class that occurs among `rows` weighs the same in all, and all rows as much as before.
fn balanced_weights(rows: &[u32], labels: &[u16], n_classes: usize, weights: Option<&[f32]>) -> Vec<f32> {
    let weight = |row: u32| weights.map_or(1.0, |weights| f64::from(weights[row as usize]));
    let mut totals = vec![0.0; n_classes];
    rows.iter().for_each(|&row| totals[usize::from(labels[row as usize])] += weight(row));
    let n_present = totals.iter().filter(|total| **total > 0.0).count() as f64;
    let mean = totals.iter().sum::<f64>() / n_present.max(1.0);
    let balanced = |(row, &label): (usize, &u16)| match totals.get(usize::from(label)) {
        Some(total) if *total > 0.0 => (weight(row as u32) * mean / total) as f32,
        _ => 0.0,
    };
    labels.iter().enumerate().map(balanced).collect()
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
    regressor(Plan::new(binned, rows, ("target", target.len()), weights, params, seed)?, target, weights)
}

/// Grows the trees that a regressor of fewer trees lacks: `first` was grown by [`fit_regressor`] from the same input with less
/// `n_trees`, and the result is the forest that [`fit_regressor`] would have grown at once. Importance and out-of-bag predictions are those
/// of the new trees alone.
///
/// # Errors
/// [`FitError`] as for [`fit_regressor`].
pub fn continue_regressor(
    first: &Forest,
    (binned, rows): (&Binned, &[u32]),
    target: &[f64],
    weights: Option<&[f32]>,
    params: &ForestParams,
    seed: Seed,
) -> Result<Fitted, FitError> {
    let plan = Plan::new(binned, rows, ("target", target.len()), weights, params, seed)?;
    if params.n_trees <= first.n_trees() as u32 {
        return Ok(Fitted { forest: first.clone(), importance: vec![0.0; binned.n_columns()], out_of_bag: Vec::new() });
    }
    let fitted = regressor(Plan { first_tree: first.n_trees() as u32, ..plan }, target, weights)?;
    Ok(Fitted { forest: Forest::join(&[first.clone(), fitted.forest])?, ..fitted })
}

/// Grows a regressor from checked input.
fn regressor(plan: Plan<'_>, target: &[f64], weights: Option<&[f32]>) -> Result<Fitted, FitError> {
    let (middle, half_range) = plan.range(target)?;
    let plan = Plan { middle, half_range, ..plan };
    let to_steps = if half_range > 0.0 { TARGET_STEPS / half_range } else { 0.0 };
    let steps = |row: u32| ((target[row as usize] - middle) * to_steps).round() as i32;
    match weights {
        None => plan.fit::<Steps>(steps),
        Some(weights) => plan.fit::<WeightedSteps>(|row| (steps(row), weights[row as usize])),
    }
}
