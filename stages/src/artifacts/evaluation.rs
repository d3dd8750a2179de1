//! What `evaluate` found: how good the models are on the held-out window.

use routewright_forest::{CalibrationGap, CurvePoint, Decomposition, Rule};
use routewright_ope::Explainability;
use serde::{Deserialize, Serialize};

/// Precision, recall and F1 of one path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The path.
    pub path: String,
    /// Share of its predictions that were right.
    pub precision: f64,
    /// Share of its rows that were found.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Rows that had it as label.
    pub support: u64,
}

/// The path classifier on the held-out window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierReport {
    /// What its label is.
    pub label: String,
    /// Rows judged.
    pub n_rows: usize,
    /// Share of right predictions.
    pub accuracy: f64,
    /// Mean negative log probability of the label, in nats.
    pub log_loss: f64,
    /// Mean squared error of the probabilities, summed over paths.
    pub brier: f64,
    /// Per path.
    pub paths: Vec<ClassReport>,
    /// Rows by label (row) and prediction (column), in the order of the paths.
    pub confusion: Vec<Vec<u64>>,
}

/// One path's success regressor on the held-out rows that ran the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuccessModelReport {
    /// The path.
    pub path: String,
    /// Held-out rows that ran it.
    pub n_rows: usize,
    /// Their success rate.
    pub success_rate: f64,
    /// Log loss in nats.
    pub log_loss: f64,
    /// Log loss of always predicting the training success rate.
    pub log_loss_of_rate: f64,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// Expected calibration error.
    pub ece: f64,
    /// Area under the ROC curve; absent where all rows agree.
    pub auc: Option<f64>,
}

/// One path's latency regressor on the held-out rows that ran the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyModelReport {
    /// The path.
    pub path: String,
    /// Held-out rows with a latency.
    pub n_rows: usize,
    /// Mean absolute error of ln(1 + milliseconds).
    pub mean_absolute_log_error: f64,
    /// Share of the variance of ln(1 + milliseconds) explained.
    pub r_squared: f64,
}

/// Rows of like predicted probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of successes.
    pub observed: f64,
    /// Rows.
    pub count: usize,
}

/// Calibration of all success regressors together, on the rows' own paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// Expected calibration error.
    pub ece: f64,
    /// Its 95 % interval, with whole queries drawn again, and what a perfect forecaster would show; absent without rows.
    pub ece_interval: Option<CalibrationGap>,
    /// Brier score.
    pub brier: f64,
    /// Its parts: reliability − resolution + uncertainty, up to what varies within bins; absent without rows.
    pub brier_parts: Option<Decomposition>,
    /// Log loss in nats.
    pub log_loss: f64,
    /// Bins of equal numbers of rows.
    pub bins: Vec<CalibrationBin>,
}

/// How much a feature matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureImportance {
    /// The feature's column.
    pub feature: String,
    /// The column for people: with the name of the path that it is about.
    pub label: String,
    /// Share of the impurity decrease in training: a hint only.
    pub impurity: f64,
    /// Mean rise of the held-out log loss when the column is shuffled, in nats.
    pub permutation: f64,
    /// Standard deviation over the shuffles.
    pub permutation_sd: f64,
}

/// How much features matter that go together, so that each alone could be spared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupImportance {
    /// The features' columns, two or more.
    pub features: Vec<String>,
    /// Mean rise of the held-out log loss when all of them are shuffled together, in nats.
    pub permutation: f64,
    /// Standard deviation over the shuffles.
    pub permutation_sd: f64,
}

/// How predicted success moves with one feature, everything else left as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureDependence {
    /// The feature's column.
    pub feature: String,
    /// The column for people.
    pub label: String,
    /// Values of the feature, ascending.
    pub values: Vec<f64>,
    /// Mean predicted success of each path that has a model, one per value.
    pub paths: Vec<PathDependence>,
    /// Held-out rows up to the first value, between every two values, and above the last.
    pub counts: Vec<u64>,
    /// Held-out rows that each mean is over.
    pub n_rows: usize,
}

/// One path's curve of a [`FeatureDependence`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathDependence {
    /// The path.
    pub path: String,
    /// Mean of the calibrated predictions, by value.
    pub success: Vec<f64>,
}

/// `reports/evaluation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Training rows.
    pub n_training: usize,
    /// Held-out rows.
    pub n_held_out: usize,
    /// The path classifier.
    pub classifier: Option<ClassifierReport>,
    /// The success regressors.
    pub success: Vec<SuccessModelReport>,
    /// The latency regressors.
    pub latency: Vec<LatencyModelReport>,
    /// Calibration before the calibration map.
    pub uncalibrated: CalibrationReport,
    /// Calibration after it.
    pub calibrated: CalibrationReport,
    /// Features, most important first.
    pub importance: Vec<FeatureImportance>,
    /// Features of the table above that go together, most important first.
    pub importance_groups: Vec<GroupImportance>,
    /// Predicted success by the value of the most important features.
    pub dependence: Vec<FeatureDependence>,
    /// Out-of-fold Brier score of the success regressors by training rows.
    pub learning_curve: Vec<CurvePoint>,
    /// That of each path's success rate alone.
    pub learning_curve_of_rate: Vec<CurvePoint>,
    /// How well a person can follow the learned router.
    pub explainability: Explainability,
    /// The shallow tree behind it, as indented rules.
    pub surrogate_rules: String,
    /// The same tree, to be drawn.
    pub surrogate: Rule,
}
