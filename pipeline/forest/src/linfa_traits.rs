//! Forests as linfa's `Fit` and `Predict`, over ndarray: for Rust data scientists who want the forest and nothing else of the product.

use linfa::dataset::AsSingleTargets;
use linfa::traits::{Fit, PredictInplace};
use linfa::{DatasetBase, Float};
use ndarray::{Array1, Array2, ArrayBase, Axis, Data, Ix2};
use rayon::prelude::*;
use routewright_domain::Seed;
use routewright_router::Forest;

use crate::binned::{Binned, MAX_BINS};
use crate::fit::{FitError, fit_classifier, fit_regressor};
use crate::matrix::{Matrix, MatrixError};
use crate::metrics::most_probable;
use crate::params::ForestParams;
use crate::predict::predict;

/// A random forest classifier over linfa's datasets; classes are whole numbers from 0.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::array;
/// use routewright_domain::Seed;
/// use routewright_forest::{ForestParams, linfa_traits::RandomForestClassifier};
///
/// let dataset = Dataset::new(array![[0.0, 5.0], [1.0, f64::NAN], [2.0, 5.0], [3.0, 5.0]], array![0_usize, 0, 1, 1]);
/// let model = RandomForestClassifier { params: ForestParams::default(), seed: Seed(1) }.fit(&dataset)?;
/// assert_eq!(model.predict(&dataset), array![0, 0, 1, 1]);
/// assert!(model.predict_probabilities(dataset.records())[(3, 1)] > 0.6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RandomForestClassifier {
    /// How the forest is grown.
    pub params: ForestParams,
    /// What is random derives from it.
    pub seed: Seed,
}

/// A random forest regressor over linfa's datasets.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::array;
/// use routewright_domain::Seed;
/// use routewright_forest::{ForestParams, Sample, linfa_traits::RandomForestRegressor};
///
/// let dataset = Dataset::new(array![[0.0], [1.0], [2.0], [3.0]], array![0.0, 10.0, 20.0, 30.0]);
/// let params = ForestParams { sample: Sample::All, ..ForestParams::default() };
/// let model = RandomForestRegressor { params, seed: Seed(1) }.fit(&dataset)?;
/// assert!(model.predict(&dataset).r2(&dataset)? > 0.99);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RandomForestRegressor {
    /// How the forest is grown.
    pub params: ForestParams,
    /// What is random derives from it.
    pub seed: Seed,
}

/// A grown classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedClassifier(Forest);

/// A grown regressor.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedRegressor(Forest);

/// A dataset that no forest can be grown on.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Records that make no table.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// Labels, targets or settings that do not hold.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// What linfa says.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

impl<F: Float, D: Data<Elem = F> + Sync, T: AsSingleTargets<Elem = usize>> Fit<ArrayBase<D, Ix2>, T, DatasetError>
    for RandomForestClassifier
{
    type Object = FittedClassifier;

    /// Grows a forest. The dataset's weights are used, if it has any.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<FittedClassifier, DatasetError> {
        let columns = columns(dataset.records());
        let targets = dataset.targets().as_single_targets();
        let n_classes = targets.iter().max().map_or(0, |most| most + 1);
        if crate::MAX_CLASSES < n_classes {
            return Err(FitError::Classes { found: n_classes }.into());
        }
        let labels: Vec<u16> = targets.iter().map(|&class| class as u16).collect();
        let weights = dataset.weights().map(<[f32]>::to_vec);
        let binned = Binned::new(&Matrix::new(&columns)?, MAX_BINS);
        let rows: Vec<u32> = (0..binned.n_rows() as u32).collect();
        let fitted = fit_classifier(&binned, &rows, &labels, n_classes, weights.as_deref(), &self.params, self.seed)?;
        Ok(FittedClassifier(fitted.forest))
    }
}

impl<F: Float, D: Data<Elem = F> + Sync, T: AsSingleTargets<Elem = F>> Fit<ArrayBase<D, Ix2>, T, DatasetError> for RandomForestRegressor {
    type Object = FittedRegressor;

    /// Grows a forest. The dataset's weights are used, if it has any.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<FittedRegressor, DatasetError> {
        let columns = columns(dataset.records());
        let target: Vec<f64> = dataset.targets().as_single_targets().iter().map(|&value| number(value)).collect();
        let weights = dataset.weights().map(<[f32]>::to_vec);
        let binned = Binned::new(&Matrix::new(&columns)?, MAX_BINS);
        let rows: Vec<u32> = (0..binned.n_rows() as u32).collect();
        Ok(FittedRegressor(fit_regressor(&binned, &rows, &target, weights.as_deref(), &self.params, self.seed)?.forest))
    }
}

impl FittedClassifier {
    /// The forest, which the router embeds.
    pub fn forest(&self) -> &Forest {
        &self.0
    }

    /// One probability per class (column) for every record (row).
    pub fn predict_probabilities<F: Float, D: Data<Elem = F> + Sync>(&self, records: &ArrayBase<D, Ix2>) -> Array2<f64> {
        let shares = outputs(&self.0, records);
        let n_classes = self.0.n_outputs();
        Array2::from_shape_fn((records.nrows(), n_classes), |(row, class)| shares[row * n_classes + class])
    }
}

impl FittedRegressor {
    /// The forest, which the router embeds.
    pub fn forest(&self) -> &Forest {
        &self.0
    }
}

impl<F: Float, D: Data<Elem = F> + Sync> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>> for FittedClassifier {
    fn predict_inplace<'a>(&'a self, records: &'a ArrayBase<D, Ix2>, classes: &mut Array1<usize>) {
        let shares = outputs(&self.0, records);
        classes.iter_mut().zip(shares.chunks_exact(self.0.n_outputs())).for_each(|(class, shares)| *class = most_probable(shares));
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(records.nrows())
    }
}

impl<F: Float, D: Data<Elem = F> + Sync> PredictInplace<ArrayBase<D, Ix2>, Array1<F>> for FittedRegressor {
    fn predict_inplace<'a>(&'a self, records: &'a ArrayBase<D, Ix2>, targets: &mut Array1<F>) {
        let means = outputs(&self.0, records);
        targets.iter_mut().zip(means).for_each(|(target, mean)| *target = F::from_f64(mean).unwrap_or_else(F::nan));
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array1<F> {
        Array1::zeros(records.nrows())
    }
}

/// Records as the columns that forests read; missing values are NaN.
fn columns<F: Float, D: Data<Elem = F> + Sync>(records: &ArrayBase<D, Ix2>) -> Vec<Vec<f32>> {
    (0..records.ncols())
        .into_par_iter()
        .map(|column| records.index_axis(Axis(1), column).iter().map(|&value| number(value) as f32).collect())
        .collect()
}

/// Predictions for all records, row after row; none for no records.
fn outputs<F: Float, D: Data<Elem = F> + Sync>(forest: &Forest, records: &ArrayBase<D, Ix2>) -> Vec<f64> {
    let columns = columns(records);
    let rows: Vec<u32> = (0..records.nrows() as u32).collect();
    Matrix::new(&columns).map(|matrix| predict(forest, &matrix, &rows)).unwrap_or_default()
}

/// A number of ndarray's as one of ours.
fn number<F: Float>(value: F) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use linfa::prelude::*;
    use ndarray::{Array, array};

    use super::*;

    #[test]
    fn linfas_own_metrics_judge_the_forest() {
        let records = Array::from_shape_fn((300, 2), |(row, column)| if column == 0 { (row % 17) as f32 } else { (row / 17) as f32 });
        let targets = Array1::from_iter((0..300).map(|row| usize::from(row % 17 > 8)));
        let dataset = Dataset::new(records, targets);
        let (train, test) = dataset.split_with_ratio(0.7);
        let model = RandomForestClassifier { params: ForestParams { n_trees: 20, ..ForestParams::default() }, seed: Seed(1) };
        let model = model.fit(&train).unwrap();
        let confusion = model.predict(&test).confusion_matrix(&test).unwrap();
        assert_eq!(confusion.accuracy(), 1.0);
        assert_eq!(model.predict_probabilities(test.records()).ncols(), 2);
    }

    #[test]
    fn weights_of_a_dataset_count() {
        let dataset = Dataset::new(array![[0.0], [0.0], [0.0]], array![0_usize, 0, 1]).with_weights(array![1.0, 1.0, 8.0]);
        let params = ForestParams { sample: crate::Sample::All, ..ForestParams::default() };
        let model = RandomForestClassifier { params, seed: Seed(1) }.fit(&dataset).unwrap();
        assert_eq!(model.predict_probabilities(dataset.records())[(0, 1)], f64::from(0.8_f32));
    }

    #[test]
    fn datasets_that_do_not_hold_are_refused_by_name() {
        let model = RandomForestClassifier { params: ForestParams::default(), seed: Seed(1) };
        let error = model.fit(&Dataset::new(array![[0.0]], array![300_usize])).unwrap_err();
        assert_eq!(error.to_string(), "1 to 256 classes are possible, found 301");
        let empty: Dataset<f64, usize, ndarray::Ix1> = Dataset::new(Array2::zeros((0, 2)), Array1::zeros(0));
        assert!(model.fit(&empty).unwrap_err().to_string().contains("rows, found 0"));
    }
}
