//! Grows, validates, calibrates and explains the forests that routewright-router predicts with.
//!
//! A [`Matrix`] borrows columns; [`Binned`] codes it once for all forests that are grown on it; [`fit_classifier`] and [`fit_regressor`]
//! give a [`Fitted`] forest for the router. Around them: [`Folds`] and [`rolling_origin`] say which rows judge, [`Classified`] and [`Scored`]
//! score predictions, [`choose_calibration`] makes probabilities of scores, [`corrected_t_test`] compares models, [`walk`] searches settings,
//! [`permutation_importance`], [`contributions`], [`partial_dependence`] and [`fit_surrogate`] explain. [`boost_classifier`] and
//! [`boost_regressor`] are a second model on the same trees.
//!
//! ```
//! use routewright_domain::Seed;
//! use routewright_forest::{Binned, Classified, Folds, ForestParams, MAX_BINS, Matrix, fit_classifier, predict};
//!
//! let columns = [(0..90).map(|row| (row % 9) as f32).collect::<Vec<f32>>()];
//! let labels: Vec<u16> = (0..90).map(|row| u16::from(row % 9 > 4)).collect();
//! let queries: Vec<u64> = (0..90).collect();
//!
//! let matrix = Matrix::new(&columns)?;
//! let binned = Binned::new(&matrix, MAX_BINS);
//! let folds = Folds::grouped(&queries, Some(&labels), 5, Seed(1))?;
//! let rows: Vec<u32> = (0..90).collect();
//! let (train, test) = folds.split(&rows, 0);
//! let fitted = fit_classifier(&binned, &train, &labels, 2, None, &ForestParams::default(), Seed(1))?;
//! let probabilities = predict(&fitted.forest, &matrix, &test);
//! let truth: Vec<u16> = test.iter().map(|&row| labels[row as usize]).collect();
//! assert_eq!(Classified::new(2, &probabilities, &truth)?.accuracy(), 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binned;
mod boost;
mod calibrate;
mod calibration_error;
mod cells;
mod compare;
mod curve;
mod dependence;
mod fit;
mod folds;
mod grow;
mod honest;
mod importance;
#[cfg(feature = "ecosystem")]
pub mod linfa_traits;
mod matrix;
mod metrics;
mod params;
mod plan;
mod predict;
#[cfg(feature = "ecosystem")]
pub mod references;
mod reliability;
mod search;
mod shap;
mod surrogate;
mod tune;
mod view;

pub use binned::{Binned, MAX_BINS};
pub use boost::{BoostParams, BoostRows, Boosted, boost_classifier, boost_regressor};
pub use calibrate::{CalibrateError, CandidateBrier, ChosenCalibration, choose_calibration, fit_beta, fit_isotonic, fit_platt};
pub use calibration_error::CalibrationGap;
pub use compare::{PairedTest, corrected_t_test};
pub use curve::{CurvePoint, learning_curve};
pub use dependence::{Dependence, partial_dependence, quantile_grid};
pub use fit::{FitError, Fitted, MAX_CLASSES, continue_regressor, fit_classifier, fit_regressor};
pub use folds::{FoldError, Folds, TimeFold, rolling_origin};
pub use importance::{PermutationImportance, correlated_columns, permutation_importance, single_columns};
pub use matrix::{MAX_COLUMNS, MAX_ROWS, Matrix, MatrixError};
pub use metrics::{ClassMetrics, ClassScore, Classified, LOG_LOSS_MARGIN, MetricError, class_scores, most_probable};
pub use params::{ClassWeight, Criterion, Cuts, ForestParams, InvalidParam, MaxFeatures, OutOfBag, Sample};
pub use predict::predict;
pub use reliability::{Binning, Decomposition, Reliability, ReliabilityBin, Scored};
pub use shap::{Contributions, contributions};
pub use surrogate::{MAX_SURROGATE_DEPTH, Rule, RuleSplit, Surrogate, fit_surrogate};
pub use tune::{Rung, SearchParams, Strategy, Trial, Walked, fewest_trees, rungs, walk};
