//! What `drift` found: whether the newest days are like those before, what moved, and whether a new router would help.

use serde::{Deserialize, Serialize};

/// Version of `reports/drift.json`; rises with any change that an old reader would misread.
pub const DRIFT_SCHEMA_VERSION: u32 = 1;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// The distribution of one feature.
    Feature,
    /// All features together: a forest tells the windows apart.
    Features,
    /// How often paths, static paths or query types come.
    Mix,
    /// The success rate of everything.
    Success,
    /// The typical latency of a path.
    Latency,
    /// Success of a path given the features: what the old days taught no longer holds.
    Concept,
    /// A moment within both windows from which success or latency is another.
    Change,
}

/// How much of it there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftSeverity {
    /// Nothing that chance would not do.
    None,
    /// Proven, and smaller than what `[drift]` counts as worth a reaction.
    Minor,
    /// Proven, and at least that large.
    Moderate,
    /// Proven, and at least two and a half times that large.
    Severe,
}

/// The unit of a finding's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftMeasure {
    /// Population stability index.
    Psi,
    /// Area under the curve of a forest that tells the windows apart, less one half.
    Auc,
    /// Points of success rate.
    Points,
    /// Logarithm of the ratio of typical latencies.
    LogRatio,
}

/// One thing that was compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftFinding {
    /// What it is about.
    pub kind: DriftKind,
    /// The feature, path, column or `all`.
    pub name: String,
    /// Unit of `effect` and `threshold`.
    pub measure: DriftMeasure,
    /// Mean in the reference window (of a change: before it); milliseconds for latencies, a rate for success.
    pub reference: Option<f64>,
    /// Mean in the current window (of a change: from then on).
    pub current: Option<f64>,
    /// How far it moved.
    pub effect: f64,
    /// From where a movement counts.
    pub threshold: f64,
    /// Kolmogorov and Smirnov's distance, of features and shares.
    pub distance: Option<f64>,
    /// Chance that anything at all would look as clear if nothing had moved, over everything that was compared.
    pub p: f64,
    /// Day of a change (RFC 3339 date).
    pub since: Option<String>,
    /// How much of it there is.
    pub severity: DriftSeverity,
}

/// Days that are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftWindow {
    /// First day.
    pub first: String,
    /// Last day.
    pub last: String,
    /// Days with decisions.
    pub days: usize,
    /// Decisions.
    pub rows: usize,
}

/// A path's success, and what the reference window taught about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathOverTime {
    /// The path.
    pub path: String,
    /// Success rate in the reference window.
    pub reference_success: Option<f64>,
    /// Success rate in the current window.
    pub current_success: Option<f64>,
    /// Success less prediction in the current window, in points; predictions come from forests that know only the reference window.
    pub current_bias_points: Option<f64>,
    /// Per day: date, decisions, success rate, mean prediction.
    pub days: Vec<PathDay>,
}

/// A path on a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathDay {
    /// The day.
    pub day: String,
    /// Decisions that ran the path and have an outcome.
    pub rows: usize,
    /// Share that succeeded.
    pub success: f64,
    /// What forests of the reference window expected: its other days for its own days, all of it for the current window.
    pub expected: f64,
}

/// What forests that know the newest days predict better than forests that do not: a back-test with rolling origins in the current window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrainingGain {
    /// Stretches of the current window that were judged, each after what the fresh forests knew.
    pub origins: usize,
    /// Rows judged.
    pub rows: usize,
    /// Brier score of forests of the reference window.
    pub brier_old: f64,
    /// Brier score of forests of equally many rows right before each stretch.
    pub brier_fresh: f64,
    /// Old less fresh.
    pub gain: f64,
    /// One-sided 95 % lower bound, days as units.
    pub lower: f64,
    /// One-sided 95 % upper bound.
    pub upper: f64,
    /// Whether the lower bound is above 0.
    pub helps: bool,
}

/// A day whose success is unlike that of all others: an outage, or a batch of wrong outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OddDay {
    /// The day.
    pub day: String,
    /// Success less expectation, less that of the usual day, in points.
    pub points: f64,
    /// The same in units of the usual difference between days.
    pub deviation: f64,
}

/// `reports/drift.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// [`DRIFT_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether something of at least `[drift] fire_at` was found.
    pub fired: bool,
    /// The most severe finding.
    pub severity: DriftSeverity,
    /// Whether `[drift.retrain]` asks for a new router.
    pub retrain: bool,
    /// Why, or why not, in words.
    pub reasons: Vec<String>,
    /// One paragraph for people.
    pub summary: String,
    /// The days before.
    pub reference: DriftWindow,
    /// The newest days.
    pub current: DriftWindow,
    /// Chance of any finding at all where nothing moved.
    pub level: f64,
    /// Comparisons that share this chance.
    pub comparisons: usize,
    /// Why nothing could be said; none where something could.
    pub too_short: Option<String>,
    /// What moved, the most severe first, then the clearest; with what did not move after it.
    pub findings: Vec<DriftFinding>,
    /// Area under the curve of the forest that tells the windows apart, with its two-sided 95 % interval.
    pub classifier: Option<[f64; 3]>,
    /// Features by their part in telling the windows apart, largest first.
    pub tells_apart: Vec<super::ImpurityShare>,
    /// Success and calibration per path over time.
    pub paths: Vec<PathOverTime>,
    /// Days unlike all others, in order.
    pub odd_days: Vec<OddDay>,
    /// Whether retraining would help.
    pub retraining: Option<RetrainingGain>,
    /// Groups of features that move by themselves and were left out.
    pub left_out: Vec<String>,
}
