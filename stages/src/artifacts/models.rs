//! What `train` makes: the learned router without its encoder, and what was learned about it on the way.

use std::fs;
use std::path::Path;

use routewright_engine::{Artifact, ArtifactError};
use routewright_forest::references::ReferenceScore;
use routewright_forest::{CurvePoint, Trial};
use routewright_router::Policy;
use serde::{Deserialize, Serialize};

/// The trained policy.
pub struct Models {
    /// The policy.
    pub policy: Policy,
    /// Columns of a feature row.
    pub n_columns: usize,
}

impl Artifact for Models {
    const PATH: &'static str = "models/policy.bin";

    fn read(place: &Path) -> Result<Self, ArtifactError> {
        let bytes = fs::read(place)?;
        let (head, policy) = bytes.split_first_chunk::<4>().ok_or("the file is too short")?;
        let n_columns = u32::from_le_bytes(*head) as usize;
        Ok(Self { policy: Policy::from_bytes(policy, n_columns)?, n_columns })
    }

    fn write(self, place: &Path) -> Result<(), ArtifactError> {
        let mut bytes = u32::try_from(self.n_columns)?.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.policy.to_bytes());
        Ok(fs::write(place, bytes)?)
    }
}

/// What a path's training rows are enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A success regressor, and the path may be chosen.
    Sufficient,
    /// A success regressor, but fewer rows than `train.policy.min_support`: insufficient evidence to choose the path.
    NeverChosen,
    /// Fewer rows than `train.min_rows`: insufficient evidence for a prediction.
    NoModel,
}

/// How well a path's success regressor does on folds it was not trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathTraining {
    /// The path.
    pub path: String,
    /// Training rows that ran it.
    pub n_rows: usize,
    /// What they are enough for.
    pub evidence: Evidence,
    /// Their success rate.
    pub success_rate: f64,
    /// Folds that its scores are from; 0 with too few rows.
    pub n_folds: usize,
    /// Log loss of the calibrated predictions on held-out folds; absent with too few rows.
    pub log_loss: Option<f64>,
    /// Log loss of always predicting the success rate.
    pub log_loss_of_rate: Option<f64>,
    /// Area under the ROC curve on held-out folds.
    pub auc: Option<f64>,
    /// The calibration that held-out folds chose.
    pub calibration: String,
    /// The leaf size that held-out folds chose, in rows.
    pub min_samples_leaf: u32,
    /// Trees of the regressor.
    pub n_trees: u32,
    /// The settings that were tried, with their out-of-fold Brier scores by number of trees.
    pub trials: Vec<Trial>,
}

/// Other people's models on a path's folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathReferences {
    /// The path.
    pub path: String,
    /// One line per model, ours first.
    pub scores: Vec<ReferenceScore>,
}

/// Cross-validation of the path classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierTraining {
    /// What it learned: the logged path, or the best one.
    pub label: String,
    /// Share of queries on which several paths were equally good, so that the label is a tie rule; full information only.
    pub tie_share: Option<f64>,
    /// Accuracy on each held-out fold.
    pub fold_accuracy: Vec<f64>,
}

/// A feature's share of the impurity decrease, over all success regressors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImpurityShare {
    /// The feature.
    pub feature: String,
    /// Its share, in [0, 1].
    pub share: f64,
}

/// A gain that was tried, and what its policy would have earned on the training window, by out-of-fold predictions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GainCandidate {
    /// Predicted gain below which the static path is kept, in success probability.
    pub min_gain: f64,
    /// Self-normalised estimate of the success rate, or of the mean grade where regressors learn grades.
    pub success: f64,
    /// Share of rows on which the policy leaves the static path.
    pub disagreement: f64,
}

/// Success regressors, uncalibrated, that learned from everything before a moment, on the stretch after it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OriginScore {
    /// Time of the first row that is judged, in microseconds since 1970.
    pub from_us: i64,
    /// Rows learned from.
    pub n_training: usize,
    /// Rows judged.
    pub n_judged: usize,
    /// Brier score on the paths that ran.
    pub brier: f64,
    /// That of each path's success rate alone.
    pub brier_of_rate: f64,
}

/// `models/training.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingReport {
    /// Rows models were trained on.
    pub n_rows: usize,
    /// First and last time of the training window, in microseconds since 1970.
    pub window_us: (i64, i64),
    /// The path classifier.
    pub classifier: ClassifierTraining,
    /// The success regressors.
    pub paths: Vec<PathTraining>,
    /// Predicted gain below which the static path is kept.
    pub min_gain: f64,
    /// The gains that were tried for it; empty where the log has no propensities or the setting is off.
    pub gain_candidates: Vec<GainCandidate>,
    /// Query types in which the learned router gains on the training window, by out-of-fold predictions.
    #[serde(default)]
    pub helped_query_types: Vec<String>,
    /// Out-of-fold Brier score of the success regressors by training rows.
    pub learning_curve: Vec<CurvePoint>,
    /// That of each path's success rate alone.
    pub learning_curve_of_rate: Vec<CurvePoint>,
    /// Regressors that learned up to a moment of the training window, judged on what came next.
    pub origins: Vec<OriginScore>,
    /// Other people's models, where `train.references` asks for them.
    pub references: Vec<PathReferences>,
    /// Impurity importance, most important first.
    pub impurity: Vec<ImpurityShare>,
}
