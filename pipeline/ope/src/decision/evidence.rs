//! Everything the decision looks at.

use routewright_domain::Estimate;
use serde::{Deserialize, Serialize};

use super::Rule;
use crate::stats::Ratio;
use crate::{Gate, Identification, Segment};

/// An uplift in points of success rate, with one-sided 95 % bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpliftPoints {
    /// The point estimate.
    pub points: f64,
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
}

/// A latency ratio, learned over static, with one-sided 95 % bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRatio {
    /// Mean latency of the static router, in milliseconds.
    pub static_ms: f64,
    /// Mean latency of the learned router, in milliseconds.
    pub learned_ms: f64,
    /// Their ratio.
    pub ratio: f64,
    /// Lower bound of the ratio.
    pub lower: f64,
    /// Upper bound of the ratio.
    pub upper: f64,
}

/// A policy that uses learned routing in part, against static.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateUplift {
    /// What it is: the segments, or the supported part.
    pub name: String,
    /// Its uplift over all rows.
    pub uplift: UpliftPoints,
    /// Its latency; the whole learned router's counts where it has none.
    pub latency: Option<LatencyRatio>,
}

/// A rule without a model: one path for all, or one per query type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimpleRule {
    /// Its name.
    pub name: String,
    /// Its uplift over static.
    pub over_static: UpliftPoints,
}

/// How well a person can follow the learned router.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explainability {
    /// Share of held-out rows on which a shallow tree chooses as the learned router does.
    pub surrogate_fidelity: f64,
    /// Depth of that tree.
    pub surrogate_depth: usize,
    /// Share of importance in the ten most important features.
    pub top10_importance: f64,
    /// Whether that is enough.
    pub acceptable: bool,
}

/// How soon the learned router needs retraining.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retraining {
    /// Day on which the router trained on day 0 has lost more than a point; the oldest age tested where that is not shown.
    pub interval_days: u32,
    /// Whether such a loss is shown at all.
    pub decays: bool,
    /// Whether it is not shown, or comes no sooner than the interval configured.
    pub acceptable: bool,
}

/// Counts behind the evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Decisions with an outcome.
    pub decisions: usize,
    /// Rows where the routers disagree and the learned path ran.
    pub exploration_matches: usize,
    /// Share of rows on which the routers disagree.
    pub disagreement: f64,
    /// Share of rows on which another path than the static one ran.
    pub deviation_share: f64,
    /// Number of paths.
    pub n_paths: usize,
    /// Success rate of the static router.
    pub static_success: f64,
}

/// Everything the decision looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the log identifies.
    pub identification: Identification,
    /// The gates that apply to the log.
    pub gates: Vec<Gate>,
    /// Counts.
    pub counts: Counts,
    /// Uplift of learned over the strongest control, by the estimator that decides (or exact, or of the groups).
    pub uplift: Option<UpliftPoints>,
    /// Uplift of learned over static, by the same estimator; where absent, [`Self::uplift`] is over static.
    pub over_static: Option<UpliftPoints>,
    /// The strongest control, where it beats static.
    pub control: Option<SimpleRule>,
    /// Bounds on that uplift which hold without any propensity; `points` is their middle.
    pub bounds: Option<UpliftPoints>,
    /// Latency ratio; `None` where latency was not logged or cannot be estimated.
    pub latency: Option<LatencyRatio>,
    /// Explainability; `None` where not measured, which does not count as acceptable.
    pub explainability: Option<Explainability>,
    /// Retraining interval; `None` where the log is too short or has no time, which does not count against the router.
    pub retraining: Option<Retraining>,
    /// Segments, for the report.
    pub segments: Vec<Segment>,
    /// Pre-registered segments in which learned routing does harm.
    pub harmed_segments: Vec<String>,
    /// Learned in confirmed segments, static elsewhere.
    pub composed: Option<CandidateUplift>,
    /// Learned where the log supports it, static elsewhere.
    pub supported: Option<CandidateUplift>,
}

impl UpliftPoints {
    /// Whether the three numbers are numbers, in order.
    pub(super) fn is_usable(&self) -> bool {
        self.points.is_finite() && self.lower <= self.points && self.points <= self.upper
    }
}

impl From<Estimate> for UpliftPoints {
    /// From an uplift in [−1, 1] estimated with [`Confidence::ONE_SIDED_95`](crate::Confidence::ONE_SIDED_95).
    fn from(estimate: Estimate) -> Self {
        Self { points: 100.0 * estimate.value, lower: 100.0 * estimate.interval.lower, upper: 100.0 * estimate.interval.upper }
    }
}

impl LatencyRatio {
    /// Whether the bounds are numbers, in order.
    pub(super) fn is_usable(&self) -> bool {
        self.ratio.is_finite() && self.lower <= self.ratio && self.ratio <= self.upper
    }
}

impl From<Ratio> for LatencyRatio {
    /// From a ratio of latencies in milliseconds estimated with [`Confidence::ONE_SIDED_95`](crate::Confidence::ONE_SIDED_95).
    fn from(ratio: Ratio) -> Self {
        Self {
            static_ms: ratio.denominator,
            learned_ms: ratio.numerator,
            ratio: ratio.ratio,
            lower: ratio.interval.lower,
            upper: ratio.interval.upper,
        }
    }
}

impl Explainability {
    /// Judges the measures by the rule.
    pub fn judge(surrogate_fidelity: f64, surrogate_depth: usize, top10_importance: f64, rule: &Rule) -> Self {
        let acceptable = surrogate_fidelity >= rule.min_surrogate_fidelity && surrogate_depth <= rule.max_surrogate_depth;
        Self { surrogate_fidelity, surrogate_depth, top10_importance, acceptable }
    }
}

impl Retraining {
    /// Judges the interval by the rule.
    pub fn judge(interval_days: u32, decays: bool, rule: &Rule) -> Self {
        Self { interval_days, decays, acceptable: !decays || interval_days >= rule.min_retraining_days }
    }
}
