//! The thresholds of the decision.

use serde::{Deserialize, Serialize};

/// The thresholds of the decision; the defaults are E-009's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Adopt only from this uplift on, in points.
    pub adopt_points: f64,
    /// Adopt only when the uplift's lower bound is above this, in points.
    pub adopt_lower: f64,
    /// Adopt only when the lower bound is above [`Self::adopt_points`].
    pub strict: bool,
    /// Consider a limited rollout from this uplift on, in points.
    pub hybrid_points: f64,
    /// Static is proven to stay when the uplift's upper bound is below this, in points.
    pub keep_below: f64,
    /// Largest acceptable ratio of mean latencies.
    pub latency_margin: f64,
    /// Smallest acceptable fidelity of the surrogate tree.
    pub min_surrogate_fidelity: f64,
    /// Deepest surrogate tree that counts as readable.
    pub max_surrogate_depth: usize,
    /// Shortest acceptable retraining interval, in days.
    pub min_retraining_days: u32,
    /// Fewest exploration matches for a verdict.
    pub min_exploration_matches: usize,
    /// Fewest decisions to train on.
    pub min_decisions: usize,
    /// Smallest share of rows of a segment whose harm counts.
    pub min_segment_weight: f64,
    /// Largest share of the disagreement that may lack support for the whole policy to be judged.
    pub max_unsupported_share: f64,
}

impl Rule {
    /// "Learned routing improves success by more than 5 %".
    pub const ADOPT_POINTS: f64 = 5.0;
    /// "Minimal improvement, below 3 %".
    pub const MINIMAL_POINTS: f64 = 3.0;
    /// "No regression in latency, within 10 %".
    pub const LATENCY_MARGIN: f64 = 1.10;
    /// Nine of ten choices follow from a tree that fits on a page.
    pub const MIN_SURROGATE_FIDELITY: f64 = 0.90;
    /// A tree that fits on a page.
    pub const MAX_SURROGATE_DEPTH: usize = 5;
    /// Retraining more often than monthly is ongoing maintenance.
    pub const MIN_RETRAINING_DAYS: u32 = 30;
    /// With fewer matches no interval is worth a verdict.
    pub const MIN_EXPLORATION_MATCHES: usize = 10;
    /// "1000+ decisions before training".
    pub const MIN_DECISIONS: usize = 1_000;
    /// Smaller segments cannot harm much.
    pub const MIN_SEGMENT_WEIGHT: f64 = 0.05;
    /// Beyond a tenth of the disagreement, bounds dominate the interval.
    pub const MAX_UNSUPPORTED_SHARE: f64 = 0.10;
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            adopt_points: Self::ADOPT_POINTS,
            adopt_lower: Self::MINIMAL_POINTS,
            strict: false,
            hybrid_points: Self::MINIMAL_POINTS,
            keep_below: Self::MINIMAL_POINTS,
            latency_margin: Self::LATENCY_MARGIN,
            min_surrogate_fidelity: Self::MIN_SURROGATE_FIDELITY,
            max_surrogate_depth: Self::MAX_SURROGATE_DEPTH,
            min_retraining_days: Self::MIN_RETRAINING_DAYS,
            min_exploration_matches: Self::MIN_EXPLORATION_MATCHES,
            min_decisions: Self::MIN_DECISIONS,
            min_segment_weight: Self::MIN_SEGMENT_WEIGHT,
            max_unsupported_share: Self::MAX_UNSUPPORTED_SHARE,
        }
    }
}
